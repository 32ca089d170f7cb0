#include <doctest/doctest.h>

#include <set>

#include "random.hpp"
#include "rrs.hpp"

namespace puresid {
namespace {

using reference::Method;
using reference::Sid;
using testing::core_candidates;
using testing::Random;
using testing::Values;

TEST_CASE("tokens of a level are ranked for the residual of the path taken") {
  // Under token 0 the residual is 1, nearest to token 0 of level 1; under token 1 it is -2, nearest to token 1.
  const reference::Levels levels = {{{0}, {3}}, {{1}, {-2}}};
  const auto candidates = core_candidates({1}, levels, Method::rrs, {2, 2}, {});
  CHECK(candidates == std::vector<Sid>{{0, 0}, {0, 1}, {1, 1}, {1, 0}});
}

TEST_CASE("the walk steps back from the deepest level first, even where another branch is nearer") {
  const reference::Levels levels = {{{0}, {1}}, {{0}, {100}}};
  const auto candidates = core_candidates({0}, levels, Method::rrs, {2, 2}, {});
  CHECK(candidates == std::vector<Sid>{{0, 0}, {0, 1}, {1, 0}, {1, 1}});
}

TEST_CASE("equal distances are walked in the order of the tokens") {
  const reference::Levels levels = {{{1}, {-1}, {1}}, {{5}, {5}}};
  const auto candidates = core_candidates({0}, levels, Method::rrs, {3, 2}, {});
  CHECK(candidates == std::vector<Sid>{{0, 0}, {0, 1}, {1, 0}, {1, 1}, {2, 0}, {2, 1}});
}

TEST_CASE("every leaf of the k_l nearest is met once") {
  Random random(1);
  for (int repeat = 0; repeat < 20; ++repeat) {
    reference::Levels levels;
    for (int level = 0; level < 3; ++level) levels.push_back(testing::random_vectors(random, Values::gaussian, 6, 3));
    const auto vector = testing::random_vectors(random, Values::gaussian, 1, 3)[0];
    const auto candidates = core_candidates(vector, levels, Method::rrs, {4, 6, 9}, {});
    CHECK(candidates.size() == 4 * 6 * 6);
    CHECK(std::set<Sid>(candidates.begin(), candidates.end()).size() == candidates.size());
  }
}

TEST_CASE("leaves and their order are the twin's, to the last tie") {
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
      CHECK(core_candidates(vector, levels, Method::rrs, widths, testing::execution_number(seed)) ==
            reference::rrs_candidates(vector, levels, widths));
    }
  }
}

TEST_CASE("a wide level, beyond what insertion sorts, keeps the order") {
  Random random(7);
  for (const Values values : {Values::lattice, Values::gaussian}) {
    const reference::Levels levels = {testing::random_vectors(random, values, 3, 3),
                                      testing::random_vectors(random, values, 150, 3)};
    const auto vector = testing::random_vectors(random, values, 1, 3)[0];
    for (const std::size_t width : {32, 33, 149, 150}) {
      CAPTURE(width);
      CHECK(core_candidates(vector, levels, Method::rrs, {2, width}, {}) ==
            reference::rrs_candidates(vector, levels, {2, width}));
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
      CHECK(core_candidates(vector, levels, Method::rrs, widths, {}) ==
            reference::rrs_candidates(vector, levels, widths));
    }
  }
}

}  // namespace
}  // namespace puresid
