#include <doctest/doctest.h>

#include <map>
#include <set>
#include <stdexcept>

#include "puresid/sorted_keys.hpp"
#include "random.hpp"

namespace puresid {
namespace {

using testing::Random;

// The lowest `count` bits.
SidKey low(SidKey value, unsigned count) { return count == 64 ? value : value & ((SidKey{1} << count) - 1); }

template <class Key>
void check(unsigned prefix_bits, unsigned leaf_bits, std::uint64_t seed) {
  CAPTURE(prefix_bits);
  CAPTURE(leaf_bits);
  Random random(seed);
  SortedKeys<Key> keys(prefix_bits, leaf_bits);
  std::map<SidKey, std::set<SidKey>> leaves;  // by prefix
  const auto draw = [&] { return random.between(0, ~std::uint64_t{0} - 1); };
  const auto below = [&](SidKey key) {
    std::set<SidKey> found;
    keys.prefetch(key);
    keys.for_each_leaf(key, [&](SidKey leaf) { CHECK(found.insert(leaf).second); });
    return found;
  };
  std::vector<SidKey> prefixes = {0, low(~SidKey{0}, prefix_bits) << leaf_bits};
  const SidKey crowd = low(draw(), prefix_bits) | low(31, prefix_bits);
  for (SidKey i = 0; i < 20; ++i) prefixes.push_back((crowd - low(i, prefix_bits)) << leaf_bits);
  for (int i = 0; i < 20; ++i) prefixes.push_back(low(draw(), prefix_bits) << leaf_bits);
  for (const SidKey prefix : prefixes) CHECK(below(prefix).empty());
  for (const int count : {1, 300, 0, 40}) {
    for (int i = 0; i < count; ++i) {
      const SidKey prefix = prefixes[random.between(0, prefixes.size() * 3 / 4)];
      const SidKey leaf = random.one_in(2) ? low(draw(), leaf_bits) : low(random.between(0, 9), leaf_bits);
      keys.add(prefix | leaf);
      if (random.one_in(4)) keys.add(prefix | leaf);
      leaves[prefix].insert(leaf);
    }
    keys.sort();
    for (const SidKey prefix : prefixes) {
      CHECK(below(prefix) == (leaves.contains(prefix) ? leaves[prefix] : std::set<SidKey>{}));
      CHECK(below(prefix) == below(prefix | low(~SidKey{0}, leaf_bits)));
    }
    SidKey before = 0;
    std::size_t visited = 0;
    keys.for_each_prefix([&](SidKey prefix, std::size_t n) {
      CHECK(leaves.at(prefix).size() == n);
      CHECK((visited++ == 0 || before < prefix));
      before = prefix;
    });
    CHECK(visited == leaves.size());
  }
}

TEST_CASE("SIDs are found below their prefix, in order and once, however the bits are shared out") {
  for (const std::uint64_t seed : {1, 2, 3}) {
    for (const unsigned bits : {0, 1, 8, 20, 31, 32}) {
      for (const unsigned prefix : {0U, 1U, bits / 2, bits}) {
        if (prefix <= bits) check<std::uint32_t>(prefix, bits - prefix, seed);
      }
    }
    for (const unsigned bits : {33, 39, 63, 64}) {
      for (const unsigned prefix : {1U, 26U, bits - 8, bits}) check<std::uint64_t>(prefix, bits - prefix, seed);
    }
  }
}

TEST_CASE("sorting asks whether to go on, and stops where it is told to") {
  SortedKeys<std::uint64_t> keys(40, 8);
  for (SidKey key = 0; key < 100; ++key) keys.add(key << 20U);
  int asked = 0;
  const auto stop = [&] {
    if (++asked == 3) throw std::runtime_error("enough");
  };
  CHECK_THROWS_WITH_AS(keys.sort(stop), "enough", std::runtime_error);
  CHECK(asked == 3);
}

}  // namespace
}  // namespace puresid
