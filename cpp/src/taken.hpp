// What callers pass as taken. Private to the core.
#pragma once

#include <string>

#include "puresid/matrix.hpp"
#include "puresid/types.hpp"

namespace puresid {

// Throws std::invalid_argument where row `row` of `taken` names a token that there is not.
inline void check_taken(const MatrixView<const Token>& taken, std::size_t row, const SidLayout& layout) {
  for (std::size_t level = 0; level < layout.levels(); ++level) {
    if (taken.row(row)[level] >= layout.size(level)) {
      throw std::invalid_argument("taken[" + std::to_string(row) + "] has token " +
                                  std::to_string(taken.row(row)[level]) + " at level " + std::to_string(level) +
                                  "; codebooks[" + std::to_string(level) + "] has " +
                                  std::to_string(layout.size(level)) + " codewords");
    }
  }
}

}  // namespace puresid
