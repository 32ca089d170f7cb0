// The nearest codeword by int8 products that rule most codewords out: why it is exact, and the operations that
// an instruction set brings to it. Private to the core; ../pruned_codebook.hpp packs and searches.
//
// Promise: the token that KernelTable::nearest gives, ties included, or kNoToken where too many codewords came
// close. An instruction set may change which rows get kNoToken, never another token.
//
// Words. r is a residual, c_j the codeword of token j, h_j half its squared norm as computed, S_j its score as
// computed (kernels.hpp), u = 2^-24. A codebook has a frame: a centre m and perhaps a rotation R, and
// x' = R(x - m). Vectors are rounded to whole numbers from -127 to 127 times a scale:
//   r' = s q + e,    c_j' = t p + f.
//
// Bounds. As R keeps products,
//   h_j - r.c_j = [h_j - m.(c_j - m)] - r.m - r'.c_j'          and, as r'.c_j' - s t q.p = e.(t p) + r'.f,
//   |r'.c_j' - s t q.p| <= E_j = |e| |t p| + |r'| |f|.
// With start_j = h_j - m.(c_j - m), shift = -r.m and the bound B_j = start_j - s t q.p - E_j,
//   B_j + shift <= h_j - r.c_j <= B_j + 2 E_j + shift          in exact arithmetic, and so
//   B_j + shift - slack <= S_j <= B_j + 2 E_j + shift + slack  where slack is at least all rounding.
// If S_i <= upper for some token i, no j with B_j > upper - shift + slack (the row's limit) is the best: S_j > S_i.
// `upper` comes from B_i + 2 E_i, and later from a score of i that is summed in any order, with its own slack.
// Whatever is left at the end is computed as S_j is. A comparison with NaN drops nothing.
//
// Rounding. Every number added up for a row is at most L = (|r'| + 2|m|) max(|c| + |m|) + max h, as |r| <= |r'| + |m|
// and |c'| <= |c| + |m|. In units of u L:
//   S_j: D fused multiply-adds, one after the other                          1.01 D
//   shift, and a score in any order: 16 lanes side by side                   2 (D / 16 + 24)
//   centring (1), rotating (4 sums, a factor and its constant) both sides    14
//   start_j, rounded once from double                                        1
//   B_j: 6 operations, and 32 for four bits that may hold anything, on at most
//     (1 + 4 d + 2 d^2) L, where |e| <= d |r'|, |f| <= d |c'|,
//     d <= min(1, sqrt(D) / 254)                                             38 (1 + 4 d + 2 d^2) <= 0.015 D + 45
//   limits: a few operations                                                 10
// so slack = (1.15 D + 130) u L. Of two scores, S_j and one in any order: (1.08 D + 30) u (|r| |c_j| + h_j).
// Underflow adds half of 2^-149 for each operation, and 15 of them for the four bits, times what that is multiplied
// with: 8 (D + 64) 2^-149 (1 + the norms). Norms and errors are rounded up (`Quantised`). A row or codebook for which
// L is beyond 2^100 is left to the float32 kernel, so nothing overflows.
#pragma once

#include "kernels.hpp"

namespace puresid::simd {

inline constexpr size_t kPrunedPanel = 64;   // codewords of a panel
inline constexpr size_t kPrunedBatch = 256;  // codewords whose bounds of a row lie side by side
inline constexpr size_t kQuantisedRows = 4;  // rows that are quantised together
inline constexpr size_t kBoundRows = 6;      // rows whose bounds are computed together
inline constexpr size_t kExactPairs = 16;    // scores that are computed together

// Where int8 values of a codebook and of its rows are measured from: x' = R(x - centre).
struct Frame {
  size_t dim, padded_dim;  // a multiple of 16
  const float* centre;     // padded_dim values, 0 beyond dim; null for the origin
  bool rotated;
};

// What rounding to int8 values leaves of x': it is about scale * values.
struct Quantised {
  float scale;
  float error;  // >= |x' - scale * values|
  float norm;   // >= |x'|
  float shift;  // -x.centre
};

// A codebook packed in panels of kPrunedPanel; arrays by token have room for whole panels.
struct PrunedPanels {
  Frame frame;
  size_t size;
  const int8_t* values;     // [panel][padded_dim / 4][kPrunedPanel][4], 0 for the padding
  const int32_t* offsets;   // -128 * the sum of the values: rows come with 128 added
  const float* starts;      // start_j; the largest float for the padding, so that it is never kept
  const float* scales;      // t
  const float* by_error;    // >= |t p|: what multiplies |e|
  const float* by_norm;     // >= |f|: what multiplies |r'|
  const float* codewords;   // float32, row-major
  const float* half_norms;  // h_j
};

struct PrunedKernels {
  // Any number of rows, `stride` floats apart, as bytes, 128 added, padded_dim apart; dimensions come in an order
  // of the kernel's own. scratch: kQuantisedRows * padded_dim floats at a 64-byte boundary.
  void (*quantise)(const Frame&, const float* rows, size_t n_rows, size_t stride, float* scratch, uint8_t* bytes,
                   Quantised* quantised);
  // out[i * kPrunedBatch + k] = the bound B of row i and token first + k, k < count, for 1 to kBoundRows rows.
  // `count` is a multiple of kPrunedPanel, here and below, and at most kPrunedBatch.
  void (*bounds)(const PrunedPanels&, const uint8_t* bytes, const Quantised* quantised, size_t n_rows, size_t first,
                 size_t count, float* out);
  // Makes the bounds of one row whose bits in `closed` are set (one per token, from the first of `bounds`) the largest
  // float.
  void (*close)(float* bounds, size_t count, const uint64_t* closed);
  // places[i] = where the least bound of row i is, from 0 to count - 1; one of them if several are.
  void (*least)(const float* bounds, size_t n_rows, size_t count, uint32_t* places);
  // The bits of the bounds of row i that are not above limits[i], at chosen + i * kPrunedBatch / 64.
  void (*not_above)(const float* bounds, size_t n_rows, size_t count, const float* limits, uint64_t* chosen);
  // Scores of one row, summed in any order.
  void (*rough_scores)(const PrunedPanels&, const float* row, const uint32_t* tokens, size_t count, float* out);
  // Scores of kExactPairs pairs of a row and a token, to the bit.
  void (*exact_scores)(const PrunedPanels&, const float* rows, size_t stride, const uint32_t* pair_rows,
                       const uint32_t* pair_tokens, float* out);
};

const PrunedKernels* avx512_vnni_pruned_kernels();  // null where not built for x86-64

}  // namespace puresid::simd
