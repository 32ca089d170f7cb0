#include <doctest/doctest.h>

#include <algorithm>

#include "puresid/tier_lists.hpp"
#include "random.hpp"

namespace puresid {
namespace {

using reference::Method;
using reference::Sid;
using testing::core_candidates;
using testing::Random;
using testing::Values;

constexpr Space kTree = {SpaceKind::tree};

// The twin's candidates as equal vectors get them: the first has its nearest SID, which may cost more than others.
std::vector<Sid> twin_candidates(const reference::Vector& vector, const reference::Levels& levels,
                                 const reference::Widths& widths) {
  const Sid nearest = reference::nearest(vector, {levels, kTree});
  std::vector<Sid> candidates = reference::ecm_candidates(vector, {levels, kTree}, widths);
  const auto at = std::find(candidates.begin(), candidates.end(), nearest);
  if (at != candidates.end()) std::rotate(candidates.begin(), at, at + 1);
  return candidates;
}

TEST_CASE("a child far from its sibling's children costs its own distance") {
  // 0 is nearest to the first cluster, whose children lie at 2 and 6; those of the second at 1 and 9.
  const reference::Levels levels = {{{3}, {4}}, {{2}, {6}, {1}, {9}}};
  const auto candidates = core_candidates({0}, {levels, kTree}, Method::ecm, {2, 2}, {});
  CHECK(candidates == std::vector<Sid>{{0, 0}, {1, 0}, {0, 1}, {1, 1}});  // 3 + 2, 4 + 1, 3 + 6, 4 + 9
}

TEST_CASE("equal costs come in the order of their rank tuples") {
  const reference::Levels levels = {{{1}, {1}}, {{1}, {1}, {1}, {1}}};
  const auto candidates = core_candidates({0}, {levels, kTree}, Method::ecm, {2, 2}, {});
  CHECK(candidates == std::vector<Sid>{{0, 0}, {0, 1}, {1, 0}, {1, 1}});
}

TEST_CASE("candidates are the twin's, in its order") {
  for (const Values values : testing::kAllValues) {
    for (std::size_t seed = 0; seed < 60; ++seed) {
      CAPTURE(seed);
      Random random(seed);
      const testing::Shape shape = {random.between(1, 3), 5, 3, 1, 1, kTree};
      const auto levels = testing::random_levels(random, values, shape);
      const auto vector = testing::random_vectors(random, values, 1, 3)[0];
      reference::Widths widths;
      for (std::size_t level = 0; level < levels.size(); ++level) widths.push_back(random.between(1, 6));
      CHECK(core_candidates(vector, {levels, kTree}, Method::ecm, widths, testing::execution_number(seed)) ==
            twin_candidates(vector, levels, widths));
    }
  }
}

TEST_CASE("a leaf of another branch than the nearest SID's may cost less") {
  const reference::Levels levels = {{{3}, {4}}, {{9}, {9}, {0}, {9}}};  // nearest: 3 + 9; the other branch: 4 + 0
  CHECK(reference::nearest({0}, {levels, kTree}) == Sid{0, 0});
  CHECK(reference::ecm_candidates({0}, {levels, kTree}, {2, 2})[0] == Sid{1, 0});
  const auto candidates = core_candidates({0}, {levels, kTree}, Method::ecm, {2, 2}, {});
  CHECK(candidates == std::vector<Sid>{{0, 0}, {1, 0}, {0, 1}, {1, 1}});
}

TEST_CASE("candidates end below the most prefixes that are looked at") {
  Random random(5);
  const reference::Levels levels = {testing::random_vectors(random, Values::gaussian, 40, 2),
                                    testing::random_vectors(random, Values::gaussian, 1600, 2),
                                    testing::random_vectors(random, Values::gaussian, 3200, 2)};
  const auto candidates = core_candidates({0, 0}, {levels, kTree}, Method::ecm, {40, 40, 2}, {});
  CHECK(candidates.size() == 2 * kMostPrefixes);
  CHECK(candidates == twin_candidates({0, 0}, levels, {40, 40, 2}));
}

}  // namespace
}  // namespace puresid
