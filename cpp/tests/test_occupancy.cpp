#include <doctest/doctest.h>

#include "puresid/occupancy.hpp"
#include "random.hpp"

namespace puresid {
namespace {

using testing::Random;

// Uses up the SIDs `keys` of a space in turn; the first `before` are in use when the count begins.
void check_occupancy(const SidLayout& layout, const std::vector<SidKey>& keys, std::size_t before,
                     std::size_t settled_bytes) {
  const std::size_t capacity = keys.size();
  Settled settled(layout, settled_bytes);
  for (std::size_t i = 0; i < before; ++i) settled.add(keys[i]);
  settled.sort();
  Occupancy occupancy(layout, settled, capacity, {});
  for (std::size_t used = before; used <= capacity; ++used) {
    if (used > before) occupancy.add(keys[used - 1]);
    for (std::size_t depth = 1; depth < layout.levels(); ++depth) {
      for (const SidKey key : keys) {
        bool free_below = false;
        for (std::size_t i = used; i < capacity; ++i) {
          free_below = free_below || layout.prefix(keys[i], depth) == layout.prefix(key, depth);
        }
        CHECK(occupancy.exhausted(key, depth) == !free_below);
      }
    }
  }
}

TEST_CASE("a prefix is exhausted exactly when every SID below it is in use") {
  Random random(8);
  for (const std::vector<std::size_t>& sizes :
       {std::vector<std::size_t>{2, 3, 2}, {3, 1, 2}, {1, 4, 1}, {2, 2, 2, 2}, {1, 1}, {4, 3}, {3, 3, 1}}) {
    const SidLayout layout(sizes);
    const auto capacity = static_cast<std::size_t>(layout.capacity());
    std::vector<SidKey> keys;
    for (std::size_t number = 0; number < capacity; ++number) {
      std::vector<Token> sid(sizes.size());
      for (std::size_t level = sizes.size(), rest = number; level-- > 0; rest /= sizes[level]) {
        sid[level] = static_cast<Token>(rest % sizes[level]);
      }
      keys.insert(keys.begin() + static_cast<std::ptrdiff_t>(random.between(0, number)), layout.pack(sid.data()));
    }
    for (const std::size_t before : {std::size_t{0}, capacity / 3, capacity - 1, capacity}) {
      check_occupancy(layout, keys, before, Settled::kMostBytes);
      check_occupancy(layout, keys, before, 0);
    }
  }
}

TEST_CASE("the same in tables, where a depth has many prefixes for so few SIDs") {
  const SidLayout layout({1U << 13U, 1U << 13U, 2});
  Occupancy occupancy(layout, Settled(layout, 0), 10, {});
  const SidKey prefix = layout.place(8191, 0) | layout.place(17, 1);
  CHECK(!occupancy.exhausted(prefix, 2));
  occupancy.add(prefix);
  CHECK(!occupancy.exhausted(prefix, 2));
  occupancy.add(prefix | layout.place(1, 2));
  CHECK(occupancy.exhausted(prefix, 2));
  CHECK(!occupancy.exhausted(prefix, 1));
  CHECK(!occupancy.exhausted(layout.place(17, 1), 2));
}

TEST_CASE("what was settled before counts in spaces of more than 32 bits a SID") {
  const SidLayout layout({1U << 16U, 1U << 16U, 2});
  Settled settled(layout);
  const SidKey full = layout.place(5, 0) | layout.place(9, 1), half = layout.place(5, 0) | layout.place(8, 1);
  for (const SidKey key : {full, full | layout.place(1, 2), half}) settled.add(key);
  settled.sort();
  const Occupancy occupancy(layout, settled, 3, {});
  CHECK(occupancy.exhausted(full, 2));
  CHECK(!occupancy.exhausted(half, 2));
  CHECK(!occupancy.exhausted(full, 1));
}

TEST_CASE("keys of 64 bits, whose first prefixes have no bits") {
  for (const std::vector<std::size_t>& above : {std::vector<std::size_t>{}, {1}, {1, 1}}) {
    std::vector<std::size_t> sizes = above;
    sizes.insert(sizes.end(), 4, 1U << 16U);
    const SidLayout layout(sizes);
    Occupancy occupancy(layout, Settled(layout), 3, {});
    for (SidKey key = ~SidKey{0}; key > ~SidKey{0} - 3; --key) occupancy.add(key);
    for (std::size_t depth = 1; depth < sizes.size(); ++depth) {
      CHECK(!occupancy.exhausted(~SidKey{0}, depth));
      CHECK(!occupancy.exhausted(0, depth));
    }
  }
}

TEST_CASE("who counts may be called away") {
  const SidLayout layout({1U << 16U, 1U << 16U, 2});
  Settled settled(layout);
  for (Token token = 0; token < 1U << 16U; ++token) settled.add(layout.place(token, 0));
  settled.sort();
  Execution execution;
  execution.interrupted = [] { return true; };
  CHECK_THROWS_AS(Occupancy(layout, settled, 1U << 17U, execution), Cancelled);
}

}  // namespace
}  // namespace puresid
