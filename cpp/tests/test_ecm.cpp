#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "ecm.hpp"
#include "random.hpp"

namespace puresid {
namespace {

using reference::Method;
using reference::Sid;
using testing::core_candidates;
using testing::Random;
using testing::Values;

TEST_CASE("candidates come by the sum of norms, not of squares") {
  // Norms 1 and 3 at level 0, then 0 and 2.1 at level 1 (residual -1 on the greedy path).
  const reference::Levels levels = {{{1}, {3}}, {{-1}, {1.1F}}};
  const auto candidates = core_candidates({0}, levels, Method::ecm, {2, 2}, {});
  CHECK(candidates == std::vector<Sid>{{0, 0}, {1, 0}, {0, 1}, {1, 1}});  // 1, 3, 3.1, 5.1; squares: 1, 9, 5.4
}

TEST_CASE("distances of a level are those to the residual on the greedy path, whatever the candidate's own") {
  // Greedy: 0, then 0 of residual 1. The other first token leaves -2, nearest to token 1 on its own path.
  const reference::Levels levels = {{{0}, {3}}, {{1}, {-2}}};
  const auto candidates = core_candidates({1}, levels, Method::ecm, {2, 2}, {});
  CHECK(candidates == std::vector<Sid>{{0, 0}, {1, 0}, {0, 1}, {1, 1}});
}

TEST_CASE("equal costs come in lexicographic order of the rank tuple, not of the tokens") {
  // Level 0: token 1 is the nearest (norm 0), 0 and 2 tie behind it. Level 1: 1 is the nearest, then 0.
  const reference::Levels levels = {{{1}, {0}, {-1}}, {{1}, {0}}};
  const auto candidates = core_candidates({0}, levels, Method::ecm, {3, 2}, {});
  CHECK(candidates == std::vector<Sid>{{1, 1}, {1, 0}, {0, 1}, {2, 1}, {0, 0}, {2, 0}});
}

TEST_CASE("all tuples of the nearest tokens are candidates, once each") {
  Random random(1);
  for (int repeat = 0; repeat < 20; ++repeat) {
    reference::Levels levels;
    for (int level = 0; level < 3; ++level) levels.push_back(testing::random_vectors(random, Values::gaussian, 6, 3));
    const auto vector = testing::random_vectors(random, Values::gaussian, 1, 3)[0];
    const auto candidates = core_candidates(vector, levels, Method::ecm, {4, 6, 9}, {});
    CHECK(candidates.size() == 4 * 6 * 6);
    CHECK(std::set<Sid>(candidates.begin(), candidates.end()).size() == candidates.size());
  }
}

TEST_CASE("candidates and their order are the twin's, to the last tie") {
  for (const Values values : testing::kAllValues) {
    for (std::size_t seed = 0; seed < 60; ++seed) {
      CAPTURE(static_cast<int>(values));
      CAPTURE(seed);
      Random random(seed);
      reference::Levels levels;
      reference::Widths widths;
      for (std::size_t level = 0; level < 1 + seed % 4; ++level) {
        levels.push_back(testing::random_vectors(random, values, random.between(1, 8), 1 + seed % 5));
        widths.push_back(random.between(1, 6));
      }
      const auto vector = testing::random_vectors(random, values, 1, 1 + seed % 5)[0];
      CHECK(core_candidates(vector, levels, Method::ecm, widths, testing::execution_number(seed)) ==
            reference::ecm_candidates(vector, levels, widths));
    }
  }
}

TEST_CASE("a wide level, beyond what insertion sorts, keeps the order") {
  Random random(7);
  for (const Values values : {Values::lattice, Values::gaussian}) {
    const reference::Levels levels = {testing::random_vectors(random, values, 150, 3),
                                      testing::random_vectors(random, values, 3, 3)};
    const auto vector = testing::random_vectors(random, values, 1, 3)[0];
    for (const std::size_t width : {32, 33, 149, 150}) {
      CAPTURE(width);
      CHECK(core_candidates(vector, levels, Method::ecm, {width, 2}, {}) ==
            reference::ecm_candidates(vector, levels, {width, 2}));
    }
  }
}

TEST_CASE("wide levels above the last, with hundreds of prefixes, keep the order") {
  Random random(8);
  for (const Values values : {Values::lattice, Values::gaussian}) {
    const reference::Levels levels = {testing::random_vectors(random, values, 20, 2),
                                      testing::random_vectors(random, values, 18, 2),
                                      testing::random_vectors(random, values, 3, 2)};
    const auto vector = testing::random_vectors(random, values, 1, 2)[0];
    for (const reference::Widths& widths : {reference::Widths{20, 18, 3}, {17, 9, 1}, {1, 18, 2}, {19, 1, 3}}) {
      CHECK(core_candidates(vector, levels, Method::ecm, widths, {}) ==
            reference::ecm_candidates(vector, levels, widths));
    }
  }
}

}  // namespace
}  // namespace puresid
