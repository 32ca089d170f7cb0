// Levels of codewords, validated once: what every call of the core starts from.
#pragma once

#include <vector>

#include "puresid/matrix.hpp"
#include "puresid/types.hpp"

namespace puresid {

// Views of L >= 1 codebooks (K_l x D, C order), which must outlive it. The constructor throws
// std::invalid_argument naming the level where: there is no level or no codeword, dimensions differ,
// a value is not finite or so large that a squared distance could overflow float32, or the SIDs need
// more than 64 bits.
class Codebooks {
 public:
  explicit Codebooks(std::vector<MatrixView<const float>> levels);

  [[nodiscard]] std::size_t levels() const noexcept { return levels_.size(); }
  [[nodiscard]] std::size_t dim() const noexcept { return levels_[0].cols(); }
  [[nodiscard]] std::size_t size(std::size_t level) const noexcept { return levels_[level].rows(); }
  [[nodiscard]] const MatrixView<const float>& operator[](std::size_t level) const { return levels_[level]; }
  [[nodiscard]] const float* codeword(std::size_t level, Token token) const { return levels_[level].row(token); }
  [[nodiscard]] const SidLayout& layout() const noexcept { return layout_; }
  // Vectors with a value above this are refused: their squared distances could overflow.
  [[nodiscard]] float largest_value() const noexcept { return largest_value_; }

 private:
  std::vector<MatrixView<const float>> levels_;
  SidLayout layout_;
  float largest_value_ = 0;
};

}  // namespace puresid
