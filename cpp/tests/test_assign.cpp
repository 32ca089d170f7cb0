#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "float_environment.hpp"
#include "random.hpp"

namespace puresid {
namespace {

using reference::Method;
using reference::Sid;
using testing::disagreement;
using testing::execution_number;
using testing::Random;
using testing::Values;

TEST_CASE("the default tiers are those of the paper's authors") {
  using Tiers = std::vector<reference::Widths>;
  CHECK(default_tiers(3) == Tiers{{1, 1, 10}, {5, 5, 20}});
  CHECK(default_tiers(1) == Tiers{{10}, {20}});
}

TEST_CASE("thousands of small instances of every kind agree with the sequential loop, bit for bit") {
  for (const Values values : testing::kAllValues) {
    for (std::size_t seed = 0; seed < 600; ++seed) {
      CAPTURE(static_cast<int>(values));
      CAPTURE(seed);
      Random random(seed);
      const auto input = testing::random_input(random, values, testing::random_shape(random));
      REQUIRE(disagreement(input, execution_number(seed), seed % 2 == 0) == "");
    }
  }
}

// Hundreds of items of few kinds: the items in flight drop one another all the time.
reference::Input contested_input(std::size_t seed, Method method, bool complete) {
  Random random(seed);
  const Values values = seed % 2 == 0 ? Values::lattice : Values::gaussian;
  auto input = testing::random_input(random, values, {3, 12, 3, 500, random.between(1, 60)});
  for (auto& codebook : input.levels) codebook = testing::random_vectors(random, values, 9, 3);
  input.method = method;
  input.complete = complete;
  input.tiers = {{1, 1, 10}, {3, 3, 7}};
  input.taken.clear();
  for (std::size_t i = 0; i < 200; ++i) input.taken.push_back(testing::random_sid(random, input.levels));
  return input;
}

TEST_CASE("contested SIDs go to the best priority, whatever the number of threads") {
  for (std::size_t seed = 0; seed < 6; ++seed) {
    for (const Method method : {Method::ecm, Method::rrs}) {
      const auto input = contested_input(seed, method, seed % 3 != 0);
      const auto expected = reference::assign(input);
      for (const int threads : {1, 2, 3, 4}) {
        CAPTURE(seed);
        CAPTURE(threads);
        Execution execution = execution_number(seed);
        execution.threads = threads;
        REQUIRE(testing::difference(expected, testing::run_core(input, execution)) == "");
      }
    }
  }
}

TEST_CASE("thousands of items at the default tiers: unique, and the same for every thread count and instruction set") {
  Random random(11);
  reference::Input input;
  for (int level = 0; level < 3; ++level) {
    input.levels.push_back(testing::random_vectors(random, Values::gaussian, 16, 8));
  }
  input.vectors = testing::random_vectors(random, Values::gaussian, 3500, 8);
  input.tiers = default_tiers(3);
  for (const Method method : {Method::ecm, Method::rrs}) {
    input.method = method;
    const auto first = testing::run_core(input, {});
    CHECK(std::set<Sid>(first.sids.begin(), first.sids.end()).size() == 3500);
    for (std::size_t number = 1; number < 12; ++number) {
      CHECK(testing::difference(first, testing::run_core(input, execution_number(number))) == "");
    }
  }
}

TEST_CASE("the caller's floating-point environment changes no bit, and is restored") {
  for (std::size_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Values values = seed % 2 == 0 ? Values::subnormal : Values::gaussian;
    const auto input = testing::random_input(random, values, {3, 6, 3, 6, 3});
    const auto call = [&]() -> std::optional<reference::Output> {
      try {
        return testing::run_core(input, execution_number(seed));
      } catch (const CapacityError&) {
        return std::nullopt;
      }
    };
    const auto expected = call();
    std::optional<reference::Output> actual;
    {
      const testing::ForeignFloatEnvironment foreign;
      actual = call();
      CHECK(testing::ForeignFloatEnvironment::in_force());
    }
    REQUIRE(expected.has_value() == actual.has_value());
    if (expected) CHECK(testing::difference(*expected, *actual) == "");
  }
}

TEST_CASE("an item's SID and distortion at stage 0 do not depend on its neighbours") {
  Random random(12);
  reference::Input input;
  for (int level = 0; level < 2; ++level) {
    input.levels.push_back(testing::random_vectors(random, Values::gaussian, 70, 9));
  }
  input.vectors = testing::random_vectors(random, Values::gaussian, 100, 9);
  input.method = Method::nearest;
  const auto together = testing::run_core(input, {});
  for (std::size_t row = 0; row < 100; ++row) {
    reference::Input alone = input;
    alone.vectors = {input.vectors[row]};
    const auto output = testing::run_core(alone, {});
    CHECK(output.sids[0] == together.sids[row]);
    CHECK(output.distortion[0] == together.distortion[row]);
  }
}

TEST_CASE("no items at all is an answer of no rows") {
  for (const Method method : {Method::ecm, Method::rrs, Method::nearest, Method::suffix}) {
    reference::Input input;
    input.levels = {{{1}, {2}}, {{3}}};
    input.method = method;
    input.tiers = {{1, 1}};
    CHECK(testing::run_core(input, {}).sids.empty());
  }
}

TEST_CASE("a full space is a permutation; one item or one taken SID more is refused") {
  Random random(13);
  reference::Input input;
  input.levels = {testing::random_vectors(random, Values::lattice, 3, 2),
                  testing::random_vectors(random, Values::lattice, 4, 2)};
  input.vectors = testing::random_vectors(random, Values::lattice, 10, 2);
  input.tiers = {{2, 2}};
  input.taken = {{2, 3}, {0, 0}, {2, 3}};  // two different ones
  const auto output = testing::run_core(input, {});
  std::set<Sid> all(output.sids.begin(), output.sids.end());
  all.insert(input.taken.begin(), input.taken.end());
  CHECK(all.size() == 12);
  input.taken.push_back({1, 1});
  CHECK_THROWS_AS(testing::run_core(input, {}), CapacityError);
  input.taken.pop_back();
  input.vectors.push_back({0, 0});
  CHECK_THROWS_AS(testing::run_core(input, {}), CapacityError);
  input.complete = false;  // then nobody is promised a SID of their own
  CHECK(disagreement(input, {}) == "");
}

TEST_CASE("a candidate at exactly max_distortion is taken, one a hair above is passed over") {
  reference::Input input;
  input.levels = {{{0}, {3}}};
  input.vectors = {{0}, {0}};
  input.tiers = {{2}};
  input.complete = false;
  input.max_distortion = 9;
  CHECK(testing::run_core(input, {}).sids == std::vector<Sid>{{0}, {1}});
  input.max_distortion = std::nextafter(9.0, 0.0);
  const auto output = testing::run_core(input, {});
  CHECK(output.sids == std::vector<Sid>{{0}, {0}});
  CHECK(output.stages == std::vector<int>{0, -1});
}

TEST_CASE("the suffix counts within each group in priority order, passing over taken counters") {
  reference::Input input;
  input.levels = {{{0}, {10}}};
  input.vectors = {{0}, {1}, {10}, {-1}, {2}};
  input.method = Method::suffix;
  CHECK(testing::run_core(input, {}).counter == std::vector<Token>{0, 1, 0, 2, 3});
  input.priority = {0, 0, 0, 5, 1};
  CHECK(testing::run_core(input, {}).counter == std::vector<Token>{2, 3, 0, 0, 1});
  input.taken = {{0, 1}, {0, 4}, {1, 0}, {1, 0}};
  CHECK(testing::run_core(input, {}).counter == std::vector<Token>{3, 5, 1, 0, 2});
}

TEST_CASE("hundreds of thousands of items of few priorities keep row order among equals") {
  constexpr std::size_t kRows = 330'000;
  Random random(14);
  reference::Input input;
  input.levels = {{{0}}};
  input.vectors.assign(kRows, {0});
  input.method = Method::suffix;  // all in one group, so the counter is the place in priority order
  for (std::size_t row = 0; row < kRows; ++row) input.priority.push_back(static_cast<double>(random.between(0, 99)));
  const std::vector<std::size_t> order = reference::priority_order(input);
  for (const int threads : {1, 3}) {
    Execution execution;
    execution.threads = threads;
    const auto output = testing::run_core(input, execution);
    std::size_t wrong = 0;
    for (std::size_t rank = 0; rank < kRows; ++rank) wrong += output.counter[order[rank]] != rank;
    CHECK(wrong == 0);
  }
}

TEST_CASE("vectors as large as may be give finite distortions, the twin's") {
  const reference::Levels levels = {{{1e18F, -1e18F}, {-1e18F, 1e18F}}, {{2e18F, 2e18F}, {-2e18F, -1e18F}}};
  const float largest = testing::FlatCodebooks(levels)->largest_value();
  reference::Input input;
  input.levels = levels;
  input.vectors = {{largest, largest}, {-largest, largest}, {largest, -largest}, {-largest, -largest}};
  input.tiers = {{2, 2}};
  CHECK(disagreement(input, {}) == "");
  for (const float distortion : testing::run_core(input, {}).distortion) CHECK(std::isfinite(distortion));
}

TEST_CASE("64-bit SIDs are kept apart, the largest key among them") {
  reference::Levels levels(4, reference::Codebook(65536, {50.0F}));
  for (auto& codebook : levels) {
    codebook[65535] = {1.0F};
    codebook[65534] = {0.5F};
  }
  reference::Input input;
  input.levels = levels;
  input.vectors = {{4}, {4}, {4.5F}, {4}, {6}};
  input.tiers = {{1, 1, 1, 10}, {2, 2, 2, 20}};
  for (const Method method : {Method::ecm, Method::rrs}) {
    input.method = method;
    const auto output = testing::run_core(input, {});
    CHECK(output.sids[0] == Sid{65535, 65535, 65535, 65535});
    CHECK(disagreement(input, {}, true) == "");
  }
}

}  // namespace
}  // namespace puresid
