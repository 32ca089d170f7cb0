// The kernel: which codewords are nearest to a residual, and how far they are.
//
// Promise: every number is computed one lane per codeword, sequentially over dimensions, with fused
// multiply-add written out. So neither the instruction set, nor the number of rows in a call, nor the
// neighbours of a row change a bit. The nearest are selected by their score ||c||^2/2 - r.c, which needs
// one fused multiply-add a value; distances that are reported or added up come from r - c.
//
// Cost: 2 * K * D operations a row; scores stay in registers (see src/simd/kernels_impl.hpp).
// Thread safety: const after construction.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "puresid/execution.hpp"
#include "puresid/matrix.hpp"
#include "puresid/types.hpp"

namespace puresid {

namespace simd {
struct KernelTable;
struct Panels;
struct PrunedKernels;
}  // namespace simd

// Callers pass at most this many rows at a time.
inline constexpr std::size_t kMaxBlockRows = 48;

// One codebook packed for one instruction set.
class PackedCodebook {
 public:
  PackedCodebook(MatrixView<const float> codebook, Simd simd);

  [[nodiscard]] std::size_t size() const noexcept { return codebook_.rows(); }
  [[nodiscard]] std::size_t dim() const noexcept { return codebook_.cols(); }
  // size() rounded up to whole panels: the room that scores() needs for a row.
  [[nodiscard]] std::size_t padded_size() const noexcept { return half_norms_.size(); }

  // tokens[i] = the nearest codeword of row i; the lower token where two are equally near.
  // `rows` are residuals, C order, dim() apart. For many rows see nearest_search.hpp.
  void nearest(const float* rows, std::size_t n_rows, Token* tokens) const;

  // out[j] = squared distance of one row to codeword tokens[j].
  void squared_distances_to(const float* row, const Token* tokens, std::size_t count, float* out) const;

  // out[i * padded_size() + token] = score of row i: orders like the distance, and is what nearest()
  // compares. +inf beyond size().
  void scores(const float* rows, std::size_t n_rows, float* out) const;

  // The k tokens (k <= size()) of the least scores of one row, least first, equal ones by token: the
  // first is the row's nearest().
  void least_k(const float* scores, std::size_t k, Token* tokens) const;

  // The token of the least score, the lower of equal ones, among those whose bit in `closed` (one per
  // token, whole words) is not set, if it is among the k least of all; otherwise kNone.
  static constexpr Token kNone = std::numeric_limits<Token>::max();
  [[nodiscard]] Token least_open(const float* scores, const std::uint64_t* closed, std::size_t k) const;

  // The same for the scores to = from + (plus - minus), by token: padded_size() values each.
  [[nodiscard]] Token moved_least_open(const float* from, const float* plus, const float* minus, float* to,
                                       const std::uint64_t* closed, std::size_t k) const;

  // out[i * padded_size() + token] = -(row i . codeword): what one codeword changes in another level's
  // scores.
  void negated_products(const float* rows, std::size_t n_rows, float* out) const;

  // to = from + (plus - minus), by token: padded_size() values each.
  void add_difference(const float* from, const float* plus, const float* minus, float* to) const;

  // to = from - minus[0] - ..., by token; `terms` >= 1 of them. Returns the least.
  [[nodiscard]] float lowest_moved(const float* from, const float* const* minus, std::size_t terms, float* to) const;

  // out[i] = the least of from - rows[i], by token.
  void least_differences(const float* from, const float* const* rows, std::size_t n_rows, float* out) const;

  // Those of padded_size() scores that are at most `bound` < inf, and their tokens, in order; how many. Room for
  // padded_size() of each.
  [[nodiscard]] std::size_t at_most(const float* scores, float bound, float* values, Token* tokens) const;

  // out[i * padded_size() + token] = squared distance of row i.
  void squared_distances(const float* rows, std::size_t n_rows, float* out) const;

  // out[i] = squared norm of row i.
  void squared_norms(const float* rows, std::size_t n_rows, float* out) const;

  // row -= codeword
  void subtract(float* row, Token token) const;

  // to = from; whether no value is NaN or beyond +-largest.
  [[nodiscard]] bool load(const float* from, float largest, float* to) const;

  [[nodiscard]] const float* codeword(Token token) const { return codebook_.row(token); }

  // For NearestSearch: what scores start from, by token, and what the instruction set has for pruning, null for
  // nothing.
  [[nodiscard]] MatrixView<const float> codewords() const noexcept { return codebook_; }
  [[nodiscard]] const float* half_norms() const noexcept { return half_norms_.data(); }
  [[nodiscard]] const simd::PrunedKernels* pruned_kernels() const noexcept { return pruned_kernels_; }

 private:
  [[nodiscard]] simd::Panels panels() const noexcept;

  MatrixView<const float> codebook_;
  const simd::KernelTable* kernels_;
  const simd::PrunedKernels* pruned_kernels_;
  AlignedBuffer<float> data_, half_norms_, zeros_;
};

}  // namespace puresid
