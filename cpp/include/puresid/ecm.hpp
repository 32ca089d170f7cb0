// Exhaustive candidate matching: the candidates of one item, cheapest first, lazily.
//
// Candidates are all tuples of the k_l nearest tokens of each level, the distances of level l being
// those to the residual on the item's greedy path. Cost = sum over levels of ||r_l - c_l||: float32
// norms added in float64 in level order. Ascending; equal costs in lexicographic order of the rank
// tuple (rank 0 = nearest).
//
// The queue is the multi-sequence algorithm (Babenko & Lempitsky, CVPR 2012) without a visited set: a
// tuple is pushed by the one parent that has its last non-zero rank lowered by one. A parent costs no
// more and precedes lexicographically, so the queue's minimum is always the next candidate.
// Cost: O(L log n) for the n-th candidate and L more entries of queue; preparing a row costs a
// nearest_k per level with k_l > 1.
// Thread safety: one object per thread.
#pragma once

#include <vector>

#include "puresid/distance.hpp"

namespace puresid {

class EcmSearch {
 public:
  // `widths` are the k_l of a tier, each in [1, K_l]. Room for `max_rows` rows at a time.
  EcmSearch(const PackedCodebooks& codebooks, const std::vector<std::size_t>& widths, std::size_t max_rows);

  // Ranks the tokens of `n_rows` vectors (C order) whose greedy SIDs are `nearest`.
  void prepare(const float* vectors, const SidKey* nearest, std::size_t n_rows);
  // Turns to prepared row `row`; next() then gives its candidates until it answers false.
  void start(std::size_t row);
  [[nodiscard]] bool next(SidKey& key);

 private:
  struct Entry {
    double cost;
    std::uint64_t ranks;  // packed, so that they compare lexicographically
  };
  struct Later;

  [[nodiscard]] std::size_t slot(std::size_t level, std::size_t row) const noexcept {
    return max_rows_ * offsets_[level] + row * widths_[level];
  }
  void push(std::uint64_t ranks);

  const PackedCodebooks& codebooks_;
  std::vector<std::size_t> widths_, offsets_;  // offsets_[l] = sum of the widths before l
  SidLayout ranks_;
  std::size_t max_rows_, row_ = 0;
  AlignedBuffer<float> residuals_;
  std::vector<Token> tokens_;  // [level][row][rank]
  std::vector<float> norms_;
  std::vector<Entry> queue_;
};

}  // namespace puresid
