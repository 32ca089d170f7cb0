#include <doctest/doctest.h>

#include <map>
#include <set>

#include "puresid/leaf_walk.hpp"
#include "puresid/packed_codebooks.hpp"
#include "random.hpp"

namespace puresid {
namespace {

using testing::Random;
using testing::Values;

// The last level of a random instance, the scores of a vector in it, and what the twin ranks.
struct Level {
  Level(Random& random, Values values, std::size_t size, std::size_t number)
      : levels({testing::random_vectors(random, values, size, 3)}),
        flat(levels),
        packed(*flat, testing::execution_number(number).simd),
        scores(packed[0].padded_size()) {
    const reference::Vector vector = testing::random_vectors(random, values, 1, 3)[0];
    packed[0].scores(vector.data(), 1, scores.data());
    ranked = reference::ranked(vector, levels[0]);
  }
  reference::Levels levels;
  testing::FlatCodebooks flat;
  PackedCodebooks packed;
  AlignedBuffer<float> scores;
  std::vector<Token> ranked;
};

std::vector<Token> rest_of(LeafWalk& walk, const Refusals::Leaves& leaves) {
  std::vector<Token> tokens;
  for (Token token = walk.next(leaves); token != LeafWalk::kNone; token = walk.next(leaves)) tokens.push_back(token);
  CHECK(walk.next(leaves) == LeafWalk::kNone);  // and so it stays
  return tokens;
}

// Those of the twin's `k` first that are not in `refused`.
std::vector<Token> expected_tokens(const Level& level, std::size_t k, const std::set<Token>& refused) {
  std::vector<Token> tokens(level.ranked.begin(), level.ranked.begin() + static_cast<std::ptrdiff_t>(k));
  std::erase_if(tokens, [&](Token token) { return refused.contains(token); });
  return tokens;
}

template <class Check>
void for_each_level(Check&& check) {
  for (const Values values : testing::kAllValues) {
    for (const std::size_t size : {1, 2, 7, 16, 63, 64, 65, 130, 300}) {
      for (std::size_t number = 0; number < 4; ++number) {
        CAPTURE(static_cast<int>(values));
        CAPTURE(size);
        CAPTURE(number);
        Random random(number + size);
        const Level level(random, values, size, number);
        for (const std::size_t k : {std::size_t{1}, random.between(1, size), size}) check(random, level, k);
      }
    }
  }
}

TEST_CASE("leaves come nearest first, ties by token, the k nearest and no more") {
  for_each_level([](Random&, const Level& level, std::size_t k) {
    Refusals refusals(level.levels[0].size(), 1U << 12U);
    LeafWalk walk(level.packed[0]);
    for (int repeat = 0; repeat < 2; ++repeat) {  // a walk can be begun again
      walk.start(level.scores.data(), k, walk.first(level.scores.data(), k, refusals.below(0)));
      CHECK(rest_of(walk, refusals.below(0)) == expected_tokens(level, k, {}));
    }
  });
}

TEST_CASE("leaves known to have refused are passed over, and do not make room for others behind the k nearest") {
  for_each_level([](Random& random, const Level& level, std::size_t k) {
    Refusals refusals(level.levels[0].size(), 1U << 12U);
    Refusals::Leaves leaves = refusals.below(0);
    std::set<Token> refused;
    for (std::size_t i = random.between(0, level.ranked.size()); i > 0; --i) {
      refused.insert(level.ranked[random.between(0, level.ranked.size() - 1)]);
    }
    for (const Token token : refused) leaves.refuse(token);
    LeafWalk walk(level.packed[0]);
    const auto expected = expected_tokens(level, k, refused);
    const Token first = walk.first(level.scores.data(), k, leaves);
    CHECK(first == (expected.empty() ? LeafWalk::kNone : expected[0]));
    walk.start(level.scores.data(), k, first);
    CHECK(rest_of(walk, leaves) == expected);
  });
}

TEST_CASE("a guess made before more was refused changes nothing, whether it still holds or not") {
  for_each_level([](Random& random, const Level& level, std::size_t k) {
    Refusals refusals(level.levels[0].size(), 1U << 12U);
    Refusals::Leaves leaves = refusals.below(0);
    LeafWalk walk(level.packed[0]);
    const Token guess = walk.first(level.scores.data(), k, leaves);
    std::set<Token> refused;
    if (random.one_in(2)) refused.insert(guess);
    for (const Token token : level.ranked) {
      if (random.one_in(3)) refused.insert(token);
    }
    for (const Token token : refused) leaves.refuse(token);
    walk.start(level.scores.data(), k, guess);
    CHECK(rest_of(walk, leaves) == expected_tokens(level, k, refused));
  });
}

TEST_CASE("leaves that refuse while the walk is under way are passed over; one given does not come again") {
  for_each_level([](Random& random, const Level& level, std::size_t k) {
    Refusals refusals(level.levels[0].size(), 1U << 12U);
    Refusals::Leaves leaves = refusals.below(0);
    LeafWalk walk(level.packed[0]);
    walk.start(level.scores.data(), k, walk.first(level.scores.data(), k, leaves));
    std::set<Token> gone;  // refused or given
    for (;;) {
      const auto expected = expected_tokens(level, k, gone);
      const Token token = walk.next(leaves);
      CHECK(token == (expected.empty() ? LeafWalk::kNone : expected[0]));
      if (token == LeafWalk::kNone) break;
      gone.insert(token);
      if (random.one_in(2)) leaves.refuse(token);  // otherwise it is not known, and yet not given again
      const Token other = level.ranked[random.between(0, level.ranked.size() - 1)];
      if (random.one_in(3)) leaves.refuse(other);
      if (leaves.refused(other)) gone.insert(other);
      if (random.one_in(20)) break;
    }
  });
}

TEST_CASE("refusals that are forgotten on the way do not bring a given leaf back") {
  for_each_level([](Random& random, const Level& level, std::size_t k) {
    Refusals refusals(level.levels[0].size(), 0);  // room for one prefix
    LeafWalk walk(level.packed[0]);
    walk.start(level.scores.data(), k, walk.first(level.scores.data(), k, refusals.below(0)));
    std::vector<Token> given;
    for (Token token = walk.next(refusals.below(0)); token != LeafWalk::kNone; token = walk.next(refusals.below(0))) {
      given.push_back(token);
      refusals.below(0).refuse(token);
      if (random.one_in(3)) static_cast<void>(refusals.below(SidKey{1} << 40U));
    }
    CHECK(given == expected_tokens(level, k, {}));
  });
}

TEST_CASE("where all have refused there is no leaf, with a guess of none or of one that was") {
  for_each_level([](Random&, const Level& level, std::size_t k) {
    Refusals refusals(level.levels[0].size(), 1U << 12U);
    Refusals::Leaves leaves = refusals.below(0);
    LeafWalk walk(level.packed[0]);
    const Token early = walk.first(level.scores.data(), k, leaves);
    for (Token token = 0; token < level.ranked.size(); ++token) leaves.refuse(token);
    CHECK(walk.first(level.scores.data(), k, leaves) == LeafWalk::kNone);
    walk.start(level.scores.data(), k, early);
    CHECK(rest_of(walk, leaves).empty());
    walk.start(level.scores.data(), k, LeafWalk::kNone);
    CHECK(rest_of(walk, leaves).empty());
  });
}

}  // namespace
}  // namespace puresid
