// AVX2 and FMA: 8 lanes, a tile of 6 rows x 16 codewords in 12 of the 16 registers.
#include "kernels.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

namespace puresid::simd {
namespace {

struct Lanes {
  using type = __m256;
  using index_type = __m256i;
  using index_scalar = uint32_t;
  using mask = __m256;
  static constexpr size_t width = 8, vectors = 2, rows = 6;

  static type load(const float* from) { return _mm256_loadu_ps(from); }
  static void store(float* to, type value) { _mm256_storeu_ps(to, value); }
  static type set1(float value) { return _mm256_set1_ps(value); }
  static type sub(type a, type b) { return _mm256_sub_ps(a, b); }
  static type fmadd(type a, type b, type c) { return _mm256_fmadd_ps(a, b, c); }
  static type fnmadd(type a, type b, type c) { return _mm256_fnmadd_ps(a, b, c); }
  static mask less(type a, type b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
  static mask less_equal(type a, type b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
  static uint32_t bits(mask m) { return static_cast<uint32_t>(_mm256_movemask_ps(m)); }
  static type select(mask m, type yes, type no) { return _mm256_blendv_ps(no, yes, m); }
  static index_type load_index(const uint32_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  static void store_index(uint32_t* to, index_type value) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value);
  }
  static index_type select_index(mask m, uint32_t yes, index_type no) {
    return _mm256_blendv_epi8(no, _mm256_set1_epi32(static_cast<int>(yes)), _mm256_castps_si256(m));
  }
};

#include "kernels_impl.hpp"

}  // namespace

const KernelTable* avx2_kernels() { return &kTable; }

}  // namespace puresid::simd
#else
namespace puresid::simd {
const KernelTable* avx2_kernels() { return nullptr; }
}  // namespace puresid::simd
#endif
