#include <doctest/doctest.h>

#include <set>

#include "puresid/occupancy.hpp"
#include "random.hpp"

namespace puresid {
namespace {

using testing::Random;

// Whether all SIDs below the prefix of `depth` tokens of `key` are among `used`, which lists keys.
bool all_used(const std::set<SidKey>& used, const SidLayout& layout, SidKey key, std::size_t depth) {
  std::size_t below = 1, found = 0;
  for (std::size_t level = depth; level < layout.levels(); ++level) below *= layout.size(level);
  for (const SidKey other : used) found += layout.prefix(other, depth) == layout.prefix(key, depth) ? 1 : 0;
  return found == below;
}

// Uses up SIDs of a space one after the other. `most`: how many there may be, which decides what is an array.
void check(const std::vector<std::size_t>& sizes, std::size_t most, bool settled_kept) {
  CAPTURE(sizes.size());
  CAPTURE(most);
  const SidLayout layout(sizes);
  Random random(most);
  SidOwners owners(layout, most);
  Settled settled(layout, settled_kept ? Settled::kMostBytes : 0);
  std::set<SidKey> used;
  const auto next = [&] {
    SidKey key = 0;
    do {
      key = 0;
      for (std::size_t level = 0; level < layout.levels(); ++level) {
        key |= layout.place(static_cast<Token>(random.between(0, layout.size(level) - 1)), level);
      }
    } while (!used.insert(key).second);
    return key;
  };
  const auto capacity = static_cast<std::size_t>(layout.capacity());
  while (used.size() < capacity / 2) {
    const SidKey key = next();
    owners.settle(key);
    settled.add(key);
  }
  settled.sort();
  Occupancy occupancy(layout, owners, settled, most, {});
  std::size_t wrong = 0;
  while (used.size() < capacity) {
    const SidKey key = next();
    occupancy.add(key);
    for (const SidKey other : {key, *used.begin(), *used.rbegin()}) {
      for (std::size_t depth = 1; depth < layout.levels(); ++depth) {
        wrong += occupancy.exhausted(other, depth) != all_used(used, layout, other, depth);
      }
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("a prefix is exhausted once all SIDs below it are in use, counted in arrays") {
  for (const bool settled_kept : {false, true}) {
    check({5, 4}, 20, settled_kept);
    check({3, 4, 5}, 60, settled_kept);
    check({2, 3, 2, 5}, 60, settled_kept);
    check({7}, 7, settled_kept);
  }
}

TEST_CASE("the same in tables, where a depth has many prefixes for so few SIDs") {
  const SidLayout layout({1U << 13U, 1U << 13U, 2});
  const SidOwners owners(layout, 10);
  const Settled settled(layout, 0);
  Occupancy occupancy(layout, owners, settled, 10, {});
  const SidKey prefix = layout.place(8191, 0) | layout.place(17, 1);
  CHECK(!occupancy.exhausted(prefix, 2));
  occupancy.add(prefix);
  CHECK(!occupancy.exhausted(prefix, 2));
  occupancy.add(prefix | layout.place(1, 2));
  CHECK(occupancy.exhausted(prefix, 2));
  CHECK(!occupancy.exhausted(prefix, 1));
  CHECK(!occupancy.exhausted(layout.place(17, 1), 2));
}

TEST_CASE("keys of 64 bits, whose first prefix has no bits") {
  const SidLayout layout({1U << 16U, 1U << 16U, 1U << 16U, 1U << 16U});
  const SidOwners owners(layout, 3);
  Occupancy occupancy(layout, owners, Settled(layout), 3, {});
  for (SidKey key = ~SidKey{0}; key > ~SidKey{0} - 3; --key) occupancy.add(key);
  for (const std::size_t depth : {1, 2, 3}) CHECK(!occupancy.exhausted(~SidKey{0}, depth));
}

}  // namespace
}  // namespace puresid
