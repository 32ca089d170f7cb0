// The ranked tokens of a block of items, one list per level: what ECM and RRS search in.
#pragma once

#include <utility>
#include <vector>

#include "puresid/types.hpp"

namespace puresid {

// A search of one item in one tier looks below so many prefixes at most, in the order in which it meets
// them; then it is the next tier's turn, or completion's. The default tiers have more from 6 levels on.
inline constexpr std::size_t kMostPrefixes = 1024;

// Searches find the first candidates of so many rows before it is their turn.
inline constexpr std::size_t kRowsAhead = 4;

// Lists of widths[l] tokens for each of `max_rows` rows at each level l, in one array [level][row][rank].
class TierLists {
 public:
  TierLists(std::vector<std::size_t> widths, std::size_t max_rows) : widths_(std::move(widths)), max_rows_(max_rows) {
    std::size_t sum = 0;
    for (const std::size_t width : widths_) {
      offsets_.push_back(sum);
      sum += width;
    }
    tokens_.resize(checked_multiply(max_rows, sum));
  }

  [[nodiscard]] std::size_t levels() const noexcept { return widths_.size(); }
  [[nodiscard]] std::size_t width(std::size_t level) const noexcept { return widths_[level]; }
  // The list of one row; those of the rows after it follow.
  [[nodiscard]] Token* list(std::size_t level, std::size_t row) noexcept { return tokens_.data() + at(level, row); }
  [[nodiscard]] const Token* list(std::size_t level, std::size_t row) const noexcept {
    return tokens_.data() + at(level, row);
  }

 private:
  [[nodiscard]] std::size_t at(std::size_t level, std::size_t row) const noexcept {
    return max_rows_ * offsets_[level] + row * widths_[level];
  }

  std::vector<std::size_t> widths_, offsets_;  // offsets_[l] = sum of the widths before l
  std::size_t max_rows_;
  std::vector<Token> tokens_;
};

}  // namespace puresid
