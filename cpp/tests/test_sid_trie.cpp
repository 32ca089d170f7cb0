#include <doctest/doctest.h>

#include <set>

#include "puresid/sid_trie.hpp"
#include "random.hpp"

namespace puresid {
namespace {

using reference::Sid;
using testing::Random;

using Sids = std::set<Sid>;

MatrixView<const Token> view(const std::vector<Token>& tokens, std::size_t levels) {
  return {tokens.data(), tokens.size() / levels, levels};
}

std::vector<Token> flat(const std::vector<Sid>& sids) {
  std::vector<Token> tokens;
  for (const Sid& sid : sids) tokens.insert(tokens.end(), sid.begin(), sid.end());
  return tokens;
}

std::vector<Sid> random_sids(Random& random, const std::vector<std::size_t>& sizes, std::size_t count) {
  std::vector<Sid> sids(count);
  for (Sid& sid : sids) {
    for (const std::size_t size : sizes) sid.push_back(static_cast<Token>(random.between(0, size - 1)));
  }
  return sids;
}

// What may follow a prefix, by looking at every SID.
std::vector<Token> following(const Sids& sids, const Sid& prefix) {
  std::set<Token> tokens;
  for (const Sid& sid : sids) {
    if (std::equal(prefix.begin(), prefix.end(), sid.begin())) tokens.insert(sid[prefix.size()]);
  }
  return {tokens.begin(), tokens.end()};
}

void check_equal(const SidTrie& trie, const Sids& sids, const Sids& live, const LeafSet* set, Random& random) {
  REQUIRE(trie.leaves() == sids.size());
  std::vector<std::size_t> sizes;
  for (std::size_t level = 0; level < trie.levels(); ++level) sizes.push_back(trie.layout().size(level));
  for (int i = 0; i < 20; ++i) {
    Sid prefix = random_sids(random, sizes, 1)[0];
    if (!sids.empty() && !random.one_in(4)) {
      prefix = *std::next(sids.begin(), static_cast<std::ptrdiff_t>(random.between(0, sids.size() - 1)));
    }
    prefix.resize(random.between(0, trie.levels() - 1));
    const std::size_t depth = prefix.size();
    const SidTrie::Node node = trie.find(prefix.data(), depth);
    CHECK((node == SidTrie::kNoNode) == following(sids, prefix).empty());
    const auto expected = following(live, prefix);
    std::vector<Token> tokens;
    trie.list(node, depth, set, tokens);
    CHECK(tokens == expected);
    std::vector<std::uint8_t> mask(sizes[depth], 7);
    trie.mask(node, depth, set, mask.data());
    for (Token token = 0; token < sizes[depth]; ++token) {
      CHECK(mask[token] == std::count(expected.begin(), expected.end(), token));
    }
  }
}

TEST_CASE("random tries answer as a look through all SIDs does, through additions, removals and sets of leaves") {
  for (std::size_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    std::vector<std::size_t> sizes;
    for (std::size_t level = random.between(1, 4); level > 0; --level) sizes.push_back(random.between(1, 9));
    const auto first = random_sids(random, sizes, random.between(0, 40));
    Sids sids(first.begin(), first.end());
    SidTrie trie(sizes, view(flat(first), sizes.size()));
    check_equal(trie, sids, sids, nullptr, random);
    for (int change = 0; change < 3; ++change) {
      const auto others = random_sids(random, sizes, random.between(0, 20));
      const Sids different(others.begin(), others.end());
      std::size_t expected = 0;
      if (random.one_in(2)) {
        for (const Sid& sid : different) expected += sids.insert(sid).second ? 1 : 0;
        CHECK(trie.add(view(flat(others), sizes.size())) == expected);
      } else {
        for (const Sid& sid : different) expected += sids.erase(sid);
        CHECK(trie.remove(view(flat(others), sizes.size())) == expected);
      }
      check_equal(trie, sids, sids, nullptr, random);
    }
    std::vector<std::uint8_t> members(sids.size());
    Sids live;
    auto sid = sids.begin();
    for (std::uint8_t& member : members) {
      member = random.one_in(3) ? 1 : 0;
      if (member != 0) live.insert(*sid);
      ++sid;
    }
    const LeafSet set(members);
    check_equal(trie, sids, live, &set, random);
  }
}

TEST_CASE("a set counts its leaves across words and blocks") {
  Random random(1);
  std::vector<std::uint8_t> members(3000);
  for (std::uint8_t& member : members) member = random.one_in(2) ? 1 : 0;
  const LeafSet set(members);
  std::size_t count = 0;
  for (std::size_t leaf = 0; leaf < members.size(); ++leaf) {
    REQUIRE(set.before(leaf) == count);
    count += members[leaf];
  }
  CHECK(set.before(members.size()) == count);
  CHECK(LeafSet(std::span<const std::uint8_t>()).before(0) == 0);
  CHECK(LeafSet(std::span(members).first(64)).before(64) == LeafSet(std::span(members).first(65)).before(64));
}

TEST_CASE("the nodes of a depth lie in order, with their children and leaves") {
  const std::vector<Token> tokens = {1, 2, 0, 5, 1, 0, 1, 2};
  const SidTrie trie({2, 6}, view(tokens, 2));
  CHECK(trie.leaves() == 3);
  CHECK(trie.nodes(0) == 1);
  CHECK(trie.nodes(1) == 2);
  const auto as_vector = [](auto values) { return std::vector<std::uint32_t>(values.begin(), values.end()); };
  CHECK(as_vector(trie.tokens(1)) == std::vector<std::uint32_t>{0, 1});
  CHECK(as_vector(trie.tokens(2)) == std::vector<std::uint32_t>{5, 0, 2});
  CHECK(as_vector(trie.first_child(1)) == std::vector<std::uint32_t>{0, 1, 3});
  CHECK(as_vector(trie.first_leaf(0)) == std::vector<std::uint32_t>{0, 3});
}

TEST_CASE("what does not fit is refused") {
  const std::vector<Token> tokens = {0, 1, 0, 2};
  CHECK_THROWS_WITH_AS(SidTrie({2, 2}, view(tokens, 2)), "sids[1] has token 2 at level 1; tokens run below 2 there",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(SidTrie({2, 2, 2}, view(tokens, 2)), "sids has 2 columns; the trie has 3 levels",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(SidTrie({}, view({}, 1)), "sizes is empty; at least one level is needed", std::invalid_argument);
  CHECK_THROWS_WITH_AS(SidTrie({2, 0}, view({}, 2)), "sizes[1] is 0; at least 1 is needed", std::invalid_argument);
}

}  // namespace
}  // namespace puresid
