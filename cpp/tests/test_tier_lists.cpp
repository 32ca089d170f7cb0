#include <doctest/doctest.h>

#include "puresid/tier_lists.hpp"

namespace puresid {
namespace {

TEST_CASE("each row of each level has a list of its own, those of a level one after the other") {
  const std::vector<std::size_t> widths = {3, 1, 4};
  constexpr std::size_t kRows = 5;
  TierLists lists(widths, kRows);
  CHECK(lists.levels() == 3);
  Token next = 0;
  for (std::size_t level = 0; level < widths.size(); ++level) {
    CHECK(lists.width(level) == widths[level]);
    for (std::size_t row = 0; row < kRows; ++row) {
      CHECK(lists.list(level, row) == lists.list(level, 0) + row * widths[level]);
      for (std::size_t rank = 0; rank < widths[level]; ++rank) lists.list(level, row)[rank] = ++next;
    }
  }
  next = 0;
  const TierLists& same = lists;
  for (std::size_t level = 0; level < widths.size(); ++level) {
    for (std::size_t row = 0; row < kRows; ++row) {
      for (std::size_t rank = 0; rank < widths[level]; ++rank) CHECK(same.list(level, row)[rank] == ++next);
    }
  }
}

}  // namespace
}  // namespace puresid
