// Recursive residual searching: the residual walk that steps back.
//
// Depth first: at each node the k_l nearest tokens to the residual of the path taken, nearest first;
// candidates are the leaves in the order in which the walk meets them.
// Cost: a nearest_k of one row for each node entered; the first path of all prepared rows is walked
// together. Memory: the lists of one path for each prepared row.
// Thread safety: one object per thread.
#pragma once

#include <vector>

#include "puresid/distance.hpp"

namespace puresid {

class RrsSearch {
 public:
  // As EcmSearch: same calls, same meaning.
  RrsSearch(const PackedCodebooks& codebooks, const std::vector<std::size_t>& widths, std::size_t max_rows);
  void prepare(const float* vectors, const SidKey* nearest, std::size_t n_rows);
  void start(std::size_t row);
  [[nodiscard]] bool next(SidKey& key);

 private:
  [[nodiscard]] std::size_t slot(std::size_t level, std::size_t row) const noexcept {
    return max_rows_ * offsets_[level] + row * widths_[level];
  }
  [[nodiscard]] Token current(std::size_t level) const { return tokens_[slot(level, row_) + ranks_[level]]; }
  // Ranks the tokens of `level` for the residual of the path taken, and of the levels below.
  void descend(std::size_t level);

  const PackedCodebooks& codebooks_;
  std::vector<std::size_t> widths_, offsets_;
  std::size_t max_rows_, row_ = 0;
  std::vector<float> vectors_;         // [row][dim]
  AlignedBuffer<float> residuals_;     // the first path of the block: [row][dim]
  AlignedBuffer<float> path_;          // the row's walk: residual before each level, [level][dim]
  std::vector<Token> tokens_;          // [level][row][rank]
  std::vector<float> squared_;
  std::vector<std::size_t> ranks_;     // where the walk stands in each level's list
  std::size_t descend_from_ = 0;       // levels from here on have no list for the path taken yet
  bool exhausted_ = true;
};

}  // namespace puresid
