// Levels of codewords and how they make a vector, validated once: what every call of the core starts from.
#pragma once

#include <vector>

#include "puresid/matrix.hpp"
#include "puresid/types.hpp"

namespace puresid {

// Views of L >= 1 codebooks in C order, which must outlive it: K_l x D; product K_l x D_l; tree K_0 * ... * K_l x D,
// the children of a prefix together. The constructor throws std::invalid_argument naming the level where: there is
// no level or no codeword, dimensions differ, a tree's level has no whole number of children for each token above, a
// value is not finite or so large that a squared distance could overflow float32, or the SIDs need more than 64
// bits.
class Codebooks {
 public:
  explicit Codebooks(std::vector<MatrixView<const float>> levels, Space space = {});

  [[nodiscard]] const Space& space() const noexcept { return space_; }
  [[nodiscard]] std::size_t levels() const noexcept { return levels_.size(); }
  // Of the vectors.
  [[nodiscard]] std::size_t dim() const noexcept { return first_columns_.back(); }
  // K_l.
  [[nodiscard]] std::size_t size(std::size_t level) const noexcept { return layout_.size(level); }
  // All codewords of a level.
  [[nodiscard]] const MatrixView<const float>& operator[](std::size_t level) const { return levels_[level]; }
  // The column of the vectors at which those that a level quantises begin; there are [level].cols() of them.
  [[nodiscard]] std::size_t first_column(std::size_t level) const {
    return space_.kind == SpaceKind::product ? first_columns_[level] : 0;
  }
  [[nodiscard]] const SidLayout& layout() const noexcept { return layout_; }
  // Vectors with a value above this are refused: their squared distances could overflow.
  [[nodiscard]] float largest_value() const noexcept { return largest_value_; }

 private:
  std::vector<MatrixView<const float>> levels_;
  Space space_;
  SidLayout layout_;
  std::vector<std::size_t> first_columns_;  // by level, and at the end the dimension
  float largest_value_ = 0;
};

}  // namespace puresid
