// AVX-512F: 16 lanes. Two tiles fill 24 of the 32 registers with sums: 6 rows x 64 codewords, and 12 rows x
// 32 codewords for codebooks that the wide tile would pad by 32 or more.
#include "kernels.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

namespace puresid::simd {
namespace {

struct Operations {
  using type = __m512;
  using index_type = __m512i;
  using index_scalar = uint32_t;
  using mask = __mmask16;
  static constexpr size_t width = 16;

  static type load(const float* from) { return _mm512_loadu_ps(from); }
  static void store(float* to, type value) { _mm512_storeu_ps(to, value); }
  static type set1(float value) { return _mm512_set1_ps(value); }
  static type sub(type a, type b) { return _mm512_sub_ps(a, b); }
  static type fmadd(type a, type b, type c) { return _mm512_fmadd_ps(a, b, c); }
  static type fnmadd(type a, type b, type c) { return _mm512_fnmadd_ps(a, b, c); }
  static mask less(type a, type b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
  static mask less_equal(type a, type b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
  static uint32_t bits(mask m) { return m; }
  static type select(mask m, type yes, type no) { return _mm512_mask_mov_ps(no, m, yes); }
  static index_type load_index(const uint32_t* from) { return _mm512_loadu_si512(from); }
  static void store_index(uint32_t* to, index_type value) { _mm512_storeu_si512(to, value); }
  static index_type select_index(mask m, uint32_t yes, index_type no) {
    return _mm512_mask_set1_epi32(no, m, static_cast<int>(yes));
  }
};

namespace wide {
struct Lanes : Operations {
  static constexpr size_t vectors = 4, rows = 6;
};
#include "kernels_impl.hpp"
}  // namespace wide

namespace narrow {
struct Lanes : Operations {
  static constexpr size_t vectors = 2, rows = 12;
};
#include "kernels_impl.hpp"  // NOLINT(readability-duplicate-include): the same kernels over another tile
}  // namespace narrow

}  // namespace

const KernelTable* avx512_kernels() { return &wide::kTable; }
const KernelTable* avx512_narrow_kernels() { return &narrow::kTable; }

}  // namespace puresid::simd
#else
namespace puresid::simd {
const KernelTable* avx512_kernels() { return nullptr; }
const KernelTable* avx512_narrow_kernels() { return nullptr; }
}  // namespace puresid::simd
#endif
