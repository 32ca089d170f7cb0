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
  static type add(type a, type b) { return _mm256_add_ps(a, b); }
  static type sub(type a, type b) { return _mm256_sub_ps(a, b); }
  static type min(type a, type b) { return _mm256_min_ps(a, b); }
  static type fmadd(type a, type b, type c) { return _mm256_fmadd_ps(a, b, c); }
  static type fnmadd(type a, type b, type c) { return _mm256_fnmadd_ps(a, b, c); }
  static mask less(type a, type b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
  static mask less_equal(type a, type b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
  static uint32_t bits(mask m) { return static_cast<uint32_t>(_mm256_movemask_ps(m)); }
  static mask mask_of(uint32_t lanes) {
    const __m256i each = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i set = _mm256_and_si256(_mm256_set1_epi32(static_cast<int>(lanes)), each);
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, each));
  }
  static type select(mask m, type yes, type no) { return _mm256_blendv_ps(no, yes, m); }
  static float least(type x) {
    __m128 half = _mm_min_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_min_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_min_ss(half, _mm_movehdup_ps(half)));
  }
  // Three rounds: 1, 2 and 4 lanes change places.
  static void transpose(type (&x)[width]) {
    type a[width], b[width];
    for (size_t i = 0; i < width; i += 2) {
      a[i] = _mm256_unpacklo_ps(x[i], x[i + 1]);
      a[i + 1] = _mm256_unpackhi_ps(x[i], x[i + 1]);
    }
    for (size_t i = 0; i < width; i += 4) {
      for (size_t j = 0; j < 2; ++j) {
        b[i + 2 * j] = _mm256_shuffle_ps(a[i + j], a[i + j + 2], 0x44);
        b[i + 2 * j + 1] = _mm256_shuffle_ps(a[i + j], a[i + j + 2], 0xEE);
      }
    }
    for (size_t j = 0; j < 4; ++j) {
      x[j] = _mm256_permute2f128_ps(b[j], b[j + 4], 0x20);
      x[j + 4] = _mm256_permute2f128_ps(b[j], b[j + 4], 0x31);
    }
  }
  // One more in the lanes of a mask.
  static index_type count(index_type x, mask m) { return _mm256_sub_epi32(x, _mm256_castps_si256(m)); }
  static mask below(index_type x, uint32_t limit) {  // both at most 2^31 - 1
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(set1_index(limit), x));
  }
  // The numbers of the first lanes, and of those a vector further.
  static index_type first_numbers() { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
  static index_type next_numbers(index_type numbers) { return _mm256_add_epi32(numbers, _mm256_set1_epi32(width)); }
  static constexpr bool compresses = false;
  static index_type load_index(const uint32_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  static void store_index(uint32_t* to, index_type value) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value);
  }
  static index_type set1_index(uint32_t value) { return _mm256_set1_epi32(static_cast<int>(value)); }
  static index_type select_index(mask m, index_type yes, index_type no) {
    return _mm256_blendv_epi8(no, yes, _mm256_castps_si256(m));
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
