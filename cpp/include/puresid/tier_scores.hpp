// The scores of a block of items along their greedy paths: what searches start from.
//
// Cost: one pass over the codebook of each level from the first with k_l > 1 on. A row of scores stays
// near the core: as many items make a block as fit its caches.
// Thread safety: one object per thread.
#pragma once

#include <algorithm>
#include <vector>

#include "puresid/packed_codebooks.hpp"

namespace puresid {

class TierScores {
 public:
  // `widths` are the k_l of a tier. Room for `max_rows` rows at a time.
  TierScores(const PackedCodebooks& codebooks, const std::vector<std::size_t>& widths, std::size_t max_rows)
      : codebooks_(codebooks),
        first_(first_level(widths)),
        residuals_(checked_multiply(max_rows, codebooks.dim())),
        room_(residuals_.size()) {
    for (std::size_t level = first_; level < codebooks.levels(); ++level) {
      scores_.emplace_back(checked_multiply(max_rows, codebooks[level].padded_size()));
    }
  }

  // How many rows make a block.
  [[nodiscard]] static std::size_t block_rows(const PackedCodebooks& codebooks,
                                              const std::vector<std::size_t>& widths) {
    constexpr std::size_t kBytes = std::size_t{3} << 19U, kLeast = 6;
    std::size_t row_bytes = 0;
    for (std::size_t level = first_level(widths); level < codebooks.levels(); ++level) {
      row_bytes += codebooks[level].padded_size() * sizeof(float);
    }
    return std::clamp(kBytes / row_bytes / kLeast * kLeast, kLeast, kMaxBlockRows);
  }

  // For `n_rows` vectors (C order) whose greedy SIDs are `nearest`.
  void prepare(const float* vectors, const SidKey* nearest, std::size_t n_rows) {
    const std::size_t dim = codebooks_.dim(), last = codebooks_.levels() - 1;
    std::copy_n(vectors, n_rows * dim, residuals_.data());
    for (std::size_t level = 0; level <= last; ++level) {
      const float* seen = codebooks_.seen(level, residuals_.data(), n_rows, room_.data());
      if (level >= first_) codebooks_.scores(level, seen, nearest, n_rows, scores_[level - first_].data());
      if (level == last) break;
      for (std::size_t row = 0; row < n_rows; ++row)
        codebooks_.leave(level, residuals_.data() + row * dim, nearest[row]);
    }
  }

  // By token, for the residual that the item's greedy path leaves before `level`.
  [[nodiscard]] const float* of(std::size_t level, std::size_t row) const {
    return scores_[level - first_].data() + row * codebooks_[level].padded_size();
  }

 private:
  // Above it every candidate has the greedy path's tokens.
  [[nodiscard]] static std::size_t first_level(const std::vector<std::size_t>& widths) noexcept {
    std::size_t level = 0;
    while (level + 1 < widths.size() && widths[level] == 1) ++level;
    return level;
  }

  const PackedCodebooks& codebooks_;
  std::size_t first_;
  AlignedBuffer<float> residuals_, room_;
  std::vector<AlignedBuffer<float>> scores_;  // by level from first_ on: [row][token]
};

}  // namespace puresid
