// AVX-512 with VNNI (F, BW, VNNI): what pruned.hpp asks for. A tile is 6 rows x 64 codewords, whose int32 sums
// fill 24 of the 32 registers over all dimensions, four of them a step.
#include "pruned.hpp"

#if defined(__x86_64__)
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12's own header uses a variable of its own uninitialised, on purpose.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

namespace puresid::simd {
namespace {

#include "avx512_operations.hpp"
#include "unroll_impl.hpp"

constexpr size_t kLanes = Operations::width, kTileVectors = kPrunedPanel / kLanes;
constexpr float kUnit = 0x1p-24F, kTiny = 0x1p-149F;

__mmask16 first_lanes(size_t count) { return static_cast<__mmask16>(count >= kLanes ? 0xFFFF : (1U << count) - 1); }

// >= the norm of dim values whose squares were summed in float32.
float norm_above(float squares, size_t dim) {
  const auto n = static_cast<float>(dim + 64);
  const float root = _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(squares * (1 + n * kUnit) + n * 2 * kTiny)));
  return root * (1 + 16 * kUnit);
}

// ---- rounding to int8

// The Hadamard transform over N vectors, each lane by itself, without its factor.
template <size_t N, size_t kStep = 1>
inline __attribute__((always_inline)) void butterflies(__m512 (&x)[N]) {
  if constexpr (kStep < N) {
    unroll<N / 2>([&](auto i) __attribute__((always_inline)) {
      constexpr size_t at = decltype(i)::value / kStep * 2 * kStep + decltype(i)::value % kStep;
      const __m512 a = x[at], b = x[at + kStep];
      x[at] = _mm512_add_ps(a, b);
      x[at + kStep] = _mm512_sub_ps(a, b);
    });
    butterflies<N, kStep * 2>(x);
  }
}

// Rotates the vectors from `begin` on by N, what is left over by fewer. The N are far apart, as dimensions often
// come in order of their variance.
template <size_t N>
void rotate(float* row, size_t begin, size_t vectors) {
  constexpr float kFactor = N == 16 ? 0.25F : N == 8 ? 0.353553391F : N == 4 ? 0.5F : 0.707106781F;
  const size_t groups = (vectors - begin) / N;
  for (size_t group = 0; group < groups; ++group) {
    float* first = row + (begin + group) * kLanes;
    __m512 x[N];
    unroll<N>([&](auto i)
                  __attribute__((always_inline)) { x[i.value] = _mm512_load_ps(first + i.value * groups * kLanes); });
    butterflies<N>(x);
    unroll<N>([&](auto i) __attribute__((always_inline)) {
      _mm512_store_ps(first + i.value * groups * kLanes, _mm512_mul_ps(x[i.value], _mm512_set1_ps(kFactor)));
    });
  }
  if constexpr (N > 2) {
    if (begin + groups * N < vectors) rotate<N / 2>(row, begin + groups * N, vectors);
  }
}

// The row in the frame, zero padded; returns its shift.
float turn(const Frame& frame, const float* row, float* to) {
  __m512 shift = _mm512_setzero_ps();
  for (size_t d = 0; d < frame.padded_dim; d += kLanes) {
    __m512 x = _mm512_maskz_loadu_ps(first_lanes(frame.dim - d), row + d);
    if (frame.centre != nullptr) {
      const __m512 centre = _mm512_loadu_ps(frame.centre + d);
      shift = _mm512_fnmadd_ps(x, centre, shift);
      x = _mm512_sub_ps(x, centre);
    }
    _mm512_store_ps(to + d, x);
  }
  if (frame.rotated) rotate<16>(to, 0, frame.padded_dim / kLanes);
  return _mm512_reduce_add_ps(shift);
}

float largest_magnitude(const float* row, size_t padded_dim) {
  __m512 even = _mm512_setzero_ps(), odd = even;
  size_t d = 0;
  for (; d + 2 * kLanes <= padded_dim; d += 2 * kLanes) {
    even = _mm512_max_ps(even, _mm512_abs_ps(_mm512_loadu_ps(row + d)));
    odd = _mm512_max_ps(odd, _mm512_abs_ps(_mm512_loadu_ps(row + d + kLanes)));
  }
  if (d < padded_dim) even = _mm512_max_ps(even, _mm512_abs_ps(_mm512_loadu_ps(row + d)));
  return _mm512_reduce_max_ps(_mm512_max_ps(even, odd));
}

// Rounds vector after vector of a row.
struct Rounding {
  __m512 inverse, scale, errors, squares;

  // 1.5 * 2^23 makes a whole number of a float by rounding; 128 more, so that its lowest byte is the value + 128.
  inline __attribute__((always_inline)) __m512i operator()(__m512 x) {
    const __m512 magic = _mm512_set1_ps(0x1.8p23F + 128.0F);
    const __m512 rounded = _mm512_fmadd_ps(x, inverse, magic);
    const __m512 error = _mm512_fnmadd_ps(_mm512_sub_ps(rounded, magic), scale, x);
    errors = _mm512_fmadd_ps(error, error, errors);
    squares = _mm512_fmadd_ps(x, x, squares);
    return _mm512_and_si512(_mm512_castps_si512(rounded), _mm512_set1_epi32(0xFF));
  }
};

void round_row(const float* row, const Frame& frame, float largest, uint8_t* to, Quantised& quantised) {
  // Without a usable reciprocal all of the row is error, which is as true.
  const bool usable = largest > 0x1p-100F && largest < 0x1p120F;
  quantised.scale = usable ? largest * (1 / 127.0F) : 0.0F;
  const __m512 zero = _mm512_setzero_ps();
  Rounding even{_mm512_set1_ps(usable ? 127.0F / largest : 0.0F), _mm512_set1_ps(quantised.scale), zero, zero};
  Rounding odd = even;
  size_t d = 0;
  for (; d + 4 * kLanes <= frame.padded_dim; d += 4 * kLanes) {
    const __m512i a = even(_mm512_loadu_ps(row + d)), b = odd(_mm512_loadu_ps(row + d + kLanes));
    const __m512i c = even(_mm512_loadu_ps(row + d + 2 * kLanes)), e = odd(_mm512_loadu_ps(row + d + 3 * kLanes));
    // Packing puts dimensions out of order, those of codewords too.
    _mm512_storeu_si512(to + d, _mm512_packus_epi16(_mm512_packus_epi32(a, b), _mm512_packus_epi32(c, e)));
  }
  for (; d < frame.padded_dim; d += kLanes) {
    _mm_storeu_si128(reinterpret_cast<__m128i_u*>(to + d), _mm512_cvtepi32_epi8(even(_mm512_loadu_ps(row + d))));
  }
  quantised.error = norm_above(_mm512_reduce_add_ps(_mm512_add_ps(even.errors, odd.errors)), frame.dim);
  quantised.norm = norm_above(_mm512_reduce_add_ps(_mm512_add_ps(even.squares, odd.squares)), frame.dim);
}

void quantise(const Frame& frame, const float* rows, size_t n_rows, size_t stride, float* scratch, uint8_t* bytes,
              Quantised* quantised) {
  const bool copied = frame.centre != nullptr || frame.rotated || frame.dim != frame.padded_dim;
  for (size_t first = 0; first < n_rows; first += kQuantisedRows) {
    const size_t count = n_rows - first < kQuantisedRows ? n_rows - first : kQuantisedRows;
    float largest[kQuantisedRows];
    for (size_t i = 0; i < count; ++i) {  // ahead of the divisions by them
      const float* row = rows + (first + i) * stride;
      quantised[first + i].shift = copied ? turn(frame, row, scratch + i * frame.padded_dim) : 0.0F;
      largest[i] = largest_magnitude(copied ? scratch + i * frame.padded_dim : row, frame.padded_dim);
    }
    for (size_t i = 0; i < count; ++i) {
      const float* row = copied ? scratch + i * frame.padded_dim : rows + (first + i) * stride;
      round_row(row, frame, largest[i], bytes + (first + i) * frame.padded_dim, quantised[first + i]);
    }
  }
}

// ---- bounds

typedef int32_t __attribute__((may_alias, aligned(1))) AnyInt32;  // NOLINT(modernize-use-using): attributes

// sums += products of four unsigned bytes and four signed ones. By hand, as GCC 12 copies sums to and fro around
// the intrinsic, at twice the time.
// NOLINTNEXTLINE(misc-const-correctness)
inline __attribute__((always_inline)) void add_products(__m512i& sums, __m512i bytes, __m512i values) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(bytes), "v"(values));  // NOLINT(portability-no-assembler)
}

// The last four bits of a bound are the number of its vector in the batch: the least of them says where it is.
constexpr uint32_t kMarks = kPrunedBatch / kLanes - 1;
static_assert(kMarks == 15);

template <size_t R>
__attribute__((noinline)) void bound_tile(const PrunedPanels& panels, const uint8_t* bytes, const Quantised* quantised,
                                          size_t first, float* out) {
  const size_t stride = panels.frame.padded_dim;
  __m512i sums[R][kTileVectors];
  unroll<kTileVectors>([&](auto v) __attribute__((always_inline)) {
    const __m512i start = _mm512_loadu_si512(panels.offsets + first + v.value * kLanes);
    unroll<R>([&](auto r) __attribute__((always_inline)) { sums[r.value][v.value] = start; });
  });
  const int8_t* values = panels.values + first * stride;
  for (const uint8_t* const end = bytes + stride; bytes != end; bytes += 4, values += 4 * kPrunedPanel) {
    __m512i codewords[kTileVectors];
    unroll<kTileVectors>([&](auto v) __attribute__((always_inline)) {
      codewords[v.value] = _mm512_loadu_si512(values + v.value * 4 * kLanes);
    });
    unroll<R>([&](auto r) __attribute__((always_inline)) {
      const __m512i four = _mm512_set1_epi32(*reinterpret_cast<const AnyInt32*>(bytes + r.value * stride));
      unroll<kTileVectors>([&](auto v) __attribute__((always_inline)) {
        add_products(sums[r.value][v.value], four, codewords[v.value]);
      });
    });
  }
  unroll<kTileVectors>([&](auto v) __attribute__((always_inline)) {
    const size_t at = first + v.value * kLanes;
    const __m512 start = _mm512_loadu_ps(panels.starts + at), scale = _mm512_loadu_ps(panels.scales + at);
    const __m512i mark = _mm512_set1_epi32(static_cast<int>(at % kPrunedBatch / kLanes));
    const __m512 by_error = _mm512_loadu_ps(panels.by_error + at), by_norm = _mm512_loadu_ps(panels.by_norm + at);
    unroll<R>([&](auto r) __attribute__((always_inline)) {
      const Quantised& row = quantised[r.value];
      const __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[r.value][v.value]), scale);
      __m512 bound = _mm512_fnmadd_ps(product, _mm512_set1_ps(row.scale), start);
      bound = _mm512_fnmadd_ps(by_error, _mm512_set1_ps(row.error), bound);
      bound = _mm512_fnmadd_ps(by_norm, _mm512_set1_ps(row.norm), bound);
      // (bound & ~kMarks) | mark
      const __m512i marked =
          _mm512_ternarylogic_epi32(_mm512_castps_si512(bound), mark, _mm512_set1_epi32(kMarks), 0xDC);
      _mm512_storeu_si512(out + r.value * kPrunedBatch + v.value * kLanes, marked);
    });
  });
}

template <size_t R = kBoundRows>
void bounds(const PrunedPanels& panels, const uint8_t* bytes, const Quantised* quantised, size_t n_rows, size_t first,
            size_t count, float* out) {
  if constexpr (R > 1) {
    if (n_rows < R) {
      bounds<R - 1>(panels, bytes, quantised, n_rows, first, count, out);
      return;
    }
  }
  for (size_t at = 0; at < count; at += kPrunedPanel) bound_tile<R>(panels, bytes, quantised, first + at, out + at);
}

void close(float* bounds, size_t count, const uint64_t* closed) {
  const __m512 largest = _mm512_set1_ps(__FLT_MAX__);
  for (size_t at = 0; at < count; at += kLanes) {
    _mm512_mask_storeu_ps(bounds + at, static_cast<__mmask16>(closed[at / 64] >> at % 64), largest);
  }
}

void least(const float* rows, size_t n_rows, size_t count, uint32_t* places) {
  for (size_t i = 0; i < n_rows; ++i, rows += kPrunedBatch) {
    __m512 even = _mm512_loadu_ps(rows), odd = _mm512_loadu_ps(rows + kLanes);
    for (size_t at = 2 * kLanes; at < count; at += 2 * kLanes) {
      even = _mm512_min_ps(even, _mm512_loadu_ps(rows + at));
      odd = _mm512_min_ps(odd, _mm512_loadu_ps(rows + at + kLanes));
    }
    even = _mm512_min_ps(even, odd);
    const __m512 lowest = _mm512_set1_ps(_mm512_reduce_min_ps(even));
    const uint32_t lanes = _mm512_cmp_ps_mask(even, lowest, _CMP_EQ_OQ) | 1U << (kLanes - 1);
    const auto mark = static_cast<uint32_t>(_mm_cvtsi128_si32(_mm512_castsi512_si128(_mm512_castps_si512(lowest))));
    places[i] = (mark & kMarks) * static_cast<uint32_t>(kLanes) + static_cast<uint32_t>(__builtin_ctz(lanes));
  }
}

void not_above(const float* rows, size_t n_rows, size_t count, const float* limits, uint64_t* chosen) {
  for (size_t i = 0; i < n_rows; ++i, rows += kPrunedBatch, chosen += kPrunedBatch / kPrunedPanel) {
    const __m512 limit = _mm512_set1_ps(limits[i]);
    for (size_t at = 0; at < count; at += kPrunedPanel) {
      uint64_t word = 0;
      for (size_t v = 0; v < kPrunedPanel; v += kLanes) {
        const __mmask16 kept = _mm512_cmp_ps_mask(_mm512_loadu_ps(rows + at + v), limit, _CMP_NGT_UQ);
        word |= static_cast<uint64_t>(kept) << v;
      }
      chosen[at / kPrunedPanel] = word;
    }
  }
}

// ---- scores

template <size_t N>
inline __attribute__((always_inline)) void rough_scores_of(const PrunedPanels& panels, const float* row,
                                                           const uint32_t* tokens, float* out) {
  constexpr size_t kChains = 4;
  const size_t dim = panels.frame.dim;
  __m512 sums[N][kChains];
  const float* from[N];
  for (size_t i = 0; i < N; ++i) {
    from[i] = panels.codewords + tokens[i] * dim;
    for (__m512& sum : sums[i]) sum = _mm512_setzero_ps();
  }
  size_t d = 0;
  for (; d + kLanes * kChains <= dim; d += kLanes * kChains) {
    for (size_t c = 0; c < kChains; ++c) {
      const __m512 x = _mm512_loadu_ps(row + d + kLanes * c);
      for (size_t i = 0; i < N; ++i) {
        sums[i][c] = _mm512_fmadd_ps(x, _mm512_loadu_ps(from[i] + d + kLanes * c), sums[i][c]);
      }
    }
  }
  for (; d < dim; d += kLanes) {
    const __mmask16 lanes = first_lanes(dim - d);
    const __m512 x = _mm512_maskz_loadu_ps(lanes, row + d);
    for (size_t i = 0; i < N; ++i) {
      sums[i][0] = _mm512_fmadd_ps(x, _mm512_maskz_loadu_ps(lanes, from[i] + d), sums[i][0]);
    }
  }
  for (size_t i = 0; i < N; ++i) {
    __m512 sum = sums[i][0];
    for (size_t c = 1; c < kChains; ++c) sum = _mm512_add_ps(sum, sums[i][c]);
    out[i] = panels.half_norms[tokens[i]] - _mm512_reduce_add_ps(sum);
  }
}

void rough_scores(const PrunedPanels& panels, const float* row, const uint32_t* tokens, size_t count, float* out) {
  size_t i = 0;
  for (; i + 2 <= count; i += 2) rough_scores_of<2>(panels, row, tokens + i, out + i);
  if (i < count) rough_scores_of<1>(panels, row, tokens + i, out + i);
}

// One lane per pair: sixteen dimensions at a time, transposed in registers.
void exact_scores(const PrunedPanels& panels, const float* rows, size_t stride, const uint32_t* pair_rows,
                  const uint32_t* pair_tokens, float* out) {
  static_assert(kExactPairs == kLanes);
  const size_t dim = panels.frame.dim;
  for (size_t i = 0; i < kLanes; ++i) out[i] = panels.half_norms[pair_tokens[i]];
  __m512 sums = _mm512_loadu_ps(out);
  for (size_t d = 0; d < dim; d += kLanes) {
    const size_t count = dim - d < kLanes ? dim - d : kLanes;
    const __mmask16 lanes = first_lanes(count);
    __m512 residuals[kLanes], codewords[kLanes];
    for (size_t i = 0; i < kLanes; ++i) {
      residuals[i] = _mm512_maskz_loadu_ps(lanes, rows + pair_rows[i] * stride + d);
      codewords[i] = _mm512_maskz_loadu_ps(lanes, panels.codewords + pair_tokens[i] * dim + d);
    }
    Operations::transpose(residuals);
    Operations::transpose(codewords);
    for (size_t i = 0; i < count; ++i) sums = _mm512_fnmadd_ps(residuals[i], codewords[i], sums);
  }
  _mm512_storeu_ps(out, sums);
}

constexpr PrunedKernels kKernels{quantise, bounds<>, close, least, not_above, rough_scores, exact_scores};

}  // namespace

const PrunedKernels* avx512_vnni_pruned_kernels() { return &kKernels; }

}  // namespace puresid::simd
#else
namespace puresid::simd {
const PrunedKernels* avx512_vnni_pruned_kernels() { return nullptr; }
}  // namespace puresid::simd
#endif
