#include <doctest/doctest.h>

#include <set>

#include "puresid/beam.hpp"
#include "random.hpp"

namespace puresid {
namespace {

using reference::Method;
using reference::Sid;
using testing::Random;
using testing::Values;

reference::Input beam_input(const reference::Levels& levels, std::size_t width, Space space = {}) {
  reference::Input input;
  input.levels = levels;
  input.space = space;
  input.method = Method::beam;
  input.width = width;
  return input;
}

// The nearest SID, which all items meet at, and then the candidates without it.
std::vector<Sid> twin_candidates(const reference::Vector& vector, const reference::Input& input) {
  const reference::Spaced levels = reference::spaced(input);
  std::vector<Sid> candidates = {reference::nearest(vector, levels)};
  for (const Sid& sid : reference::beam_candidates(vector, levels, input.width)) {
    if (sid != candidates[0]) candidates.push_back(sid);
  }
  return candidates;
}

// More items than there are candidates.
std::vector<Sid> core_candidates(const reference::Vector& vector, const reference::Input& input,
                                 const Execution& execution) {
  return testing::core_candidates(input, vector, BeamSearch::kMostGroups * input.width + 3, execution);
}

TEST_CASE("core and twin end after as many groups") { CHECK(BeamSearch::kMostGroups == reference::kMostGroups); }

TEST_CASE("candidates come by distortion, wherever their first token is") {
  // The nearest token of level 0 to 1.6 is 0, of the best two SIDs it is 1: 3 - 1 and 3 - 1.5.
  const reference::Levels levels = {{{0}, {3.5}}, {{-1}, {-2}, {0}}};
  const auto candidates = core_candidates({1.6F}, beam_input(levels, 8), {});
  CHECK(candidates == std::vector<Sid>{{0, 2}, {1, 1}, {1, 0}, {1, 2}, {0, 0}, {0, 1}});
}

TEST_CASE("only leaves below the prefixes that were kept are candidates") {
  const reference::Levels levels = {{{0}, {3}}, {{0}, {-9}}};
  const auto candidates = core_candidates({1}, beam_input(levels, 1), {});
  CHECK(candidates == std::vector<Sid>{{0, 0}, {0, 1}});
}

TEST_CASE("equal distortions go in the order of the tokens") {
  const reference::Levels levels = {{{1}, {-1}}, {{-1}, {1}, {1}}};
  const auto candidates = core_candidates({0}, beam_input(levels, 9), {});
  CHECK(candidates == std::vector<Sid>{{0, 0}, {1, 1}, {1, 2}, {0, 1}, {0, 2}, {1, 0}});
}

TEST_CASE("a wide beam meets every SID once, in ascending order of distortion where sums are exact") {
  Random random(1);
  for (int repeat = 0; repeat < 20; ++repeat) {
    reference::Levels levels;
    for (int level = 0; level < 3; ++level) levels.push_back(testing::random_vectors(random, Values::lattice, 5, 3));
    const auto vector = testing::random_vectors(random, Values::lattice, 1, 3)[0];
    const reference::Spaced spaced(levels);
    for (const std::size_t width : {25, 125, 1024}) {  // in groups or at once
      const auto candidates = testing::core_candidates(beam_input(levels, width), vector, 126, {});
      REQUIRE(candidates.size() == 125);
      CHECK(std::set<Sid>(candidates.begin(), candidates.end()).size() == 125);
      std::vector<std::pair<float, Sid>> keyed;  // but for the first, which stage 0 gave
      for (std::size_t i = 1; i < 125; ++i) {
        keyed.emplace_back(reference::distortion(vector, spaced, candidates[i]), candidates[i]);
      }
      CHECK(std::is_sorted(keyed.begin(), keyed.end()));
    }
  }
}

TEST_CASE("candidates and their order are the twin's, to the last tie") {
  constexpr std::array kSpaces = {Space{}, Space{SpaceKind::tree}, Space{SpaceKind::product}};
  for (const Values values : testing::kAllValues) {
    for (std::size_t seed = 0; seed < 60; ++seed) {
      CAPTURE(static_cast<int>(values));
      CAPTURE(seed);
      Random random(seed);
      const Space space = kSpaces[seed % 3];
      const testing::Shape shape{1 + seed / 3 % 4, 8, 1 + seed % 5, 1, 1, space};
      const auto input = beam_input(testing::random_levels(random, values, shape), random.between(1, 12), space);
      const auto vector = testing::random_vectors(random, values, 1, reference::spaced(input).dim())[0];
      CHECK(core_candidates(vector, input, testing::execution_number(seed)) == twin_candidates(vector, input));
    }
  }
}

TEST_CASE("codebooks that fill panels, and widths beyond them, keep the order") {
  Random random(7);
  for (const Values values : {Values::lattice, Values::gaussian, Values::close}) {
    const reference::Levels levels = {testing::random_vectors(random, values, 40, 3),
                                      testing::random_vectors(random, values, 67, 3),
                                      testing::random_vectors(random, values, 150, 3)};
    const auto vector = testing::random_vectors(random, values, 1, 3)[0];
    for (const std::size_t width : {1, 2, 31, 64, 200}) {
      CAPTURE(width);
      const auto input = beam_input(levels, width);
      for (const Simd simd : available_simd()) {
        Execution execution;
        execution.simd = simd;
        CHECK(core_candidates(vector, input, execution) == twin_candidates(vector, input));
      }
    }
  }
}

TEST_CASE("in a product space a narrow beam gives what a wide one gives first") {
  Random random(9);
  for (int repeat = 0; repeat < 20; ++repeat) {
    const Space space{SpaceKind::product};
    const auto levels = testing::random_levels(random, Values::lattice, {3, 7, 3, 1, 1, space});
    const auto wide = beam_input(levels, 1024, space);
    const auto vector = testing::random_vectors(random, Values::lattice, 1, reference::spaced(wide).dim())[0];
    auto narrow = twin_candidates(vector, beam_input(levels, 5, space));
    const auto all = twin_candidates(vector, wide);
    narrow.resize(std::min<std::size_t>(narrow.size(), 5));
    CHECK(std::equal(narrow.begin(), narrow.end(), all.begin()));
  }
}

TEST_CASE("equal items in a crowd, more than a beam serves, go to completion whatever the threads") {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    auto input = beam_input({}, 1 + seed % 3);
    const Values values = seed % 2 == 0 ? Values::lattice : Values::gaussian;
    for (int level = 0; level < 3; ++level) input.levels.push_back(testing::random_vectors(random, values, 7, 3));
    const auto pool = testing::random_vectors(random, values, 3, 3);
    for (std::size_t i = 0; i < 300; ++i) input.vectors.push_back(pool[random.between(0, 2)]);
    if (seed % 3 == 1) {
      for (std::size_t i = 0; i < 300; ++i) input.priority.push_back(static_cast<double>(random.between(0, 9)));
    }
    const reference::Output expected = reference::assign(input);
    CHECK(std::count(expected.stages.begin(), expected.stages.end(), 1) > 0);
    CHECK(std::count(expected.stages.begin(), expected.stages.end(), 2) > 0);
    for (const int threads : {1, 2, 4}) {
      Execution execution = testing::execution_number(seed);
      execution.threads = threads;
      CHECK(testing::difference(expected, testing::run_core(input, execution)) == "");
    }
  }
}

TEST_CASE("a width of none or too many, and scaled residuals, are refused") {
  auto input = beam_input({{{0}, {1}}}, 0);
  input.vectors = {{0}};
  CHECK_THROWS_WITH_AS(testing::run_core(input, {}), "width is 0; it must be from 1 to 1024", std::invalid_argument);
  input.width = BeamSearch::kMostWidth + 1;
  CHECK_THROWS_WITH_AS(testing::run_core(input, {}), "width is 1025; it must be from 1 to 1024", std::invalid_argument);
  input.width = BeamSearch::kMostWidth;
  CHECK(testing::disagreement(input, {}) == "");
  input.space.scaling = Scaling::kept;
  CHECK_THROWS_WITH_AS(testing::run_core(input, {}),
                       doctest::Contains("length 1 (normalised residuals), so distortions do not"),
                       std::invalid_argument);
  input.space.scaling = Scaling::compared;
  CHECK_THROWS_WITH_AS(testing::run_core(input, {}), doctest::Contains("length 1 (cosine), so distortions do not"),
                       std::invalid_argument);
}

}  // namespace
}  // namespace puresid
