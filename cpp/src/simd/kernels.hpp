// The table of kernels that each instruction set fills in; private to the core.
//
// The translation units that implement it are compiled for one instruction set each. They include no
// header with inline functions of external linkage (no standard library): the linker could otherwise
// pick an AVX-512 copy of such a function for code that must run everywhere.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace puresid::simd {

// Rows of residuals that are worked on together; callers pass at most this many.
inline constexpr size_t kBlockRows = 48;

// A codebook packed for one instruction set: panels of `width` codewords, [panel][dim][width], zero
// padded, and half the squared norm of each codeword, +inf for the padding, so that it never wins.
struct Panels {
  const float* data;
  const float* half_norms;
  size_t size, dim;
};

// Arithmetic, the same bits from every table: the score of a codeword is
//   s = ||c||^2 / 2;  for each dimension in order: s = fma(-r[d], c[d], s)
// and a squared distance is
//   s = 0;            for each dimension in order: s = fma(r[d] - c[d], r[d] - c[d], s)
// Rows are `stride` floats apart.
struct KernelTable {
  size_t width;
  // tokens[i] = the codeword of the lowest score of row i, the lower token where scores are equal.
  void (*nearest)(const Panels&, const float* rows, size_t n_rows, size_t stride, uint32_t* tokens);
  // All scores of row i at out + i * out_stride; out_stride >= size rounded up to `width`.
  void (*scores)(const Panels&, const float* rows, size_t n_rows, size_t stride, float* out, size_t out_stride);
  // Likewise all squared distances; those of the padding are to the origin.
  void (*all_squared_distances)(const Panels&, const float* rows, size_t n_rows, size_t stride, float* out,
                                size_t out_stride);
  // out[i] = squared norm of row i.
  void (*squared_norms)(const float* rows, size_t n_rows, size_t stride, size_t dim, float* out);
  // out[j] = squared distance of `row` to codeword tokens[j] of a row-major codebook.
  void (*squared_distances)(const float* row, const float* codewords, size_t dim, const uint32_t* tokens, size_t count,
                            float* out);

  // Selection among the stored scores of one row, `size` of them rounded up to `width` (+inf beyond).
  // The k least, least first, equal ones by token: k <= kMostLeast.
  void (*least_k)(const float* scores, size_t size, size_t k, uint32_t* tokens);
  // The token of the least score (the lower of equal ones) whose bit in `closed` is not set, where fewer
  // than k tokens, closed or not, come before it; otherwise kNoToken. `closed`: room for `size` bits
  // rounded up to `width` and to whole words.
  uint32_t (*least_open)(const float* scores, size_t size, const uint64_t* closed, size_t k);

  // The same over to[i] = from[i] + (plus[i] - minus[i]).
  uint32_t (*moved_least_open)(const float* from, const float* plus, const float* minus, float* to, size_t size,
                               const uint64_t* closed, size_t k);

  // to[i] = from[i] + (plus[i] - minus[i]); count is a multiple of `width`.
  void (*add_difference)(const float* from, const float* plus, const float* minus, size_t count, float* to);
  // to[i] = from[i] - minus[0][i] - ..., `terms` >= 1 of them; the least of these. count as above.
  float (*lowest_moved)(const float* from, const float* const* minus, size_t terms, size_t count, float* to);
  // out[i] = the least of from - rows[i], of `count` values each.
  void (*least_differences)(const float* from, const float* const* rows, size_t n_rows, size_t count, float* out);
  // The scores of `count` (a multiple of `width`) that are at most `bound`, and their tokens; how many. Room for
  // `count` of each.
  size_t (*at_most)(const float* scores, size_t count, float bound, float* values, uint32_t* tokens);
  // Copies a row; whether |value| <= largest for each.
  bool (*load)(const float* from, size_t dim, float largest, float* to);
  // row -= codeword
  void (*subtract)(float* row, const float* codeword, size_t dim);
};

inline constexpr size_t kMostLeast = 32;
inline constexpr uint32_t kNoToken = 0xFFFFFFFF;

const KernelTable* scalar_kernels();
const KernelTable* avx2_kernels();           // null where not built for x86-64
const KernelTable* avx512_kernels();         // likewise
const KernelTable* avx512_narrow_kernels();  // for codebooks that leave half of a wide panel empty
const KernelTable* neon_kernels();           // null where not built for AArch64

}  // namespace puresid::simd
