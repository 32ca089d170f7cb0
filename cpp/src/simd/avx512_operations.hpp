// The operations of AVX-512F that kernels_impl.hpp asks for, without a tile's size.
//
// Include inside one anonymous namespace, after <immintrin.h>.

struct Operations {
  using type = __m512;
  using index_type = __m512i;
  using index_scalar = uint32_t;
  using mask = __mmask16;
  static constexpr size_t width = 16;

  static type load(const float* from) { return _mm512_loadu_ps(from); }
  static void store(float* to, type value) { _mm512_storeu_ps(to, value); }
  static type set1(float value) { return _mm512_set1_ps(value); }
  static type add(type a, type b) { return _mm512_add_ps(a, b); }
  static type sub(type a, type b) { return _mm512_sub_ps(a, b); }
  static type min(type a, type b) { return _mm512_min_ps(a, b); }
  static type fmadd(type a, type b, type c) { return _mm512_fmadd_ps(a, b, c); }
  static type fnmadd(type a, type b, type c) { return _mm512_fnmadd_ps(a, b, c); }
  static mask less(type a, type b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
  static mask less_equal(type a, type b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
  static uint32_t bits(mask m) { return m; }
  static mask mask_of(uint32_t lanes) { return static_cast<mask>(lanes); }
  static type select(mask m, type yes, type no) { return _mm512_mask_mov_ps(no, m, yes); }
  static float least(type x) { return _mm512_reduce_min_ps(x); }
  // Four rounds: 1, 2, 4 and 8 lanes change places.
  static void transpose(type (&x)[width]) {
    type a[width], b[width];
    for (size_t i = 0; i < width; i += 2) {
      a[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
      a[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
    }
    for (size_t i = 0; i < width; i += 4) {
      for (size_t j = 0; j < 2; ++j) {
        const __m512d low = _mm512_castps_pd(a[i + j]), high = _mm512_castps_pd(a[i + j + 2]);
        b[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
        b[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
      }
    }
    for (size_t i = 0; i < width; i += 8) {
      for (size_t j = 0; j < 4; ++j) {
        a[i + j] = _mm512_shuffle_f32x4(b[i + j], b[i + j + 4], 0x88);
        a[i + j + 4] = _mm512_shuffle_f32x4(b[i + j], b[i + j + 4], 0xDD);
      }
    }
    for (size_t j = 0; j < 8; ++j) {
      x[j] = _mm512_shuffle_f32x4(a[j], a[j + 8], 0x88);
      x[j + 8] = _mm512_shuffle_f32x4(a[j], a[j + 8], 0xDD);
    }
  }
  // One more in the lanes of a mask.
  static index_type count(index_type x, mask m) { return _mm512_mask_add_epi32(x, m, x, _mm512_set1_epi32(1)); }
  static mask below(index_type x, uint32_t limit) { return _mm512_cmplt_epu32_mask(x, set1_index(limit)); }
  // The numbers of the first lanes, and of those a vector further.
  static index_type first_numbers() { return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); }
  static index_type next_numbers(index_type numbers) { return _mm512_add_epi32(numbers, _mm512_set1_epi32(width)); }
  static constexpr bool compresses = true;
  // Writes the lanes whose bits are set, and their numbers, one after the other; how many.
  static size_t pack(uint32_t lanes, type x, index_type first, float* values, uint32_t* numbers) {
    const auto chosen = static_cast<mask>(lanes);
    store(values, _mm512_maskz_compress_ps(chosen, x));
    store_index(numbers, _mm512_maskz_compress_epi32(chosen, first));
    return static_cast<size_t>(__builtin_popcount(lanes));
  }
  static index_type load_index(const uint32_t* from) { return _mm512_loadu_si512(from); }
  static void store_index(uint32_t* to, index_type value) { _mm512_storeu_si512(to, value); }
  static index_type set1_index(uint32_t value) { return _mm512_set1_epi32(static_cast<int>(value)); }
  static index_type select_index(mask m, index_type yes, index_type no) { return _mm512_mask_mov_epi32(no, m, yes); }
};
