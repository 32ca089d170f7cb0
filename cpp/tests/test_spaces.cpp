// assign() over every space and scaling against the twins.
#include <doctest/doctest.h>

#include <array>
#include <set>

#include "random.hpp"

namespace puresid {
namespace {

using reference::Method;
using reference::Sid;
using testing::disagreement;
using testing::execution_number;
using testing::Random;
using testing::Values;

constexpr std::array kSpaces = {Space{SpaceKind::tree}, Space{SpaceKind::product},
                                Space{SpaceKind::residual, Scaling::compared},
                                Space{SpaceKind::residual, Scaling::kept}};

TEST_CASE("thousands of small instances of every space agree with the sequential loop, bit for bit") {
  for (const Space& space : kSpaces) {
    for (const Values values : testing::kAllValues) {
      // Refused: distortions of codewords of 2^40 would overflow.
      if (space.scaling == Scaling::kept && values == Values::spread) continue;
      for (std::size_t seed = 0; seed < 600; ++seed) {
        CAPTURE(static_cast<int>(space.kind));
        CAPTURE(static_cast<int>(space.scaling));
        CAPTURE(static_cast<int>(values));
        CAPTURE(seed);
        Random random(seed);
        testing::Shape shape = testing::random_shape(random);
        shape.space = space;
        const auto input = testing::random_input(random, values, shape);
        REQUIRE(disagreement(input, execution_number(seed), seed % 2 == 0) == "");
      }
    }
  }
}

TEST_CASE("contested SIDs of every space go to the best priority, whatever the number of threads") {
  for (const Space& space : kSpaces) {
    for (std::size_t seed = 0; seed < 4; ++seed) {
      CAPTURE(static_cast<int>(space.kind));
      CAPTURE(seed);
      Random random(seed);
      const Values values = seed % 2 == 0 ? Values::lattice : Values::gaussian;
      auto input = testing::random_input(random, values, {3, 9, 3, 300, random.between(1, 60), space});
      input.method = seed < 2 ? Method::ecm : Method::rrs;
      input.tiers = {{1, 1, 10}, {3, 3, 7}};
      input.taken.clear();
      input.complete = true;
      const auto levels = reference::spaced(input);
      std::size_t capacity = 1;
      for (std::size_t level = 0; level < levels.size(); ++level) capacity *= levels.size(level);
      if (capacity < input.vectors.size()) input.vectors.resize(capacity);
      if (!input.priority.empty()) input.priority.resize(input.vectors.size());
      const auto expected = reference::assign(input);
      for (const int threads : {1, 2, 4}) {
        Execution execution = execution_number(seed);
        execution.threads = threads;
        REQUIRE(testing::difference(expected, testing::run_core(input, execution)) == "");
      }
    }
  }
}

TEST_CASE("a crowd of items of every space: unique, and the same for every thread count and instruction set") {
  for (const Space& space : kSpaces) {
    CAPTURE(static_cast<int>(space.kind));
    Random random(11);
    auto input = testing::random_input(random, Values::gaussian, {3, 16, 40, 1, 1, space});
    std::size_t nodes = 1;
    input.levels.clear();
    for (int level = 0; level < 3; ++level) {
      nodes = space.kind == SpaceKind::tree ? nodes * 10 : 10;
      input.levels.push_back(testing::random_vectors(random, Values::gaussian, nodes, 33));
    }
    input.vectors = testing::random_vectors(random, Values::gaussian, 900, reference::spaced(input).dim());
    for (std::size_t row = 0; row < 110; ++row) input.vectors[700 + row] = input.vectors[7];
    input.priority.clear();
    input.taken.clear();
    input.complete = true;
    input.max_distortion = std::numeric_limits<double>::infinity();
    input.tiers = default_tiers(3);
    for (const Method method : {Method::ecm, Method::rrs}) {
      input.method = method;
      const auto first = testing::run_core(input, {});
      CHECK(std::set<Sid>(first.sids.begin(), first.sids.end()).size() == 900);
      CHECK(testing::difference(reference::assign(input), first) == "");
      for (std::size_t number = 1; number < 12; ++number) {
        CHECK(testing::difference(first, testing::run_core(input, execution_number(number))) == "");
      }
    }
  }
}

TEST_CASE("residuals of zero stay zero where they are scaled") {
  for (const Scaling scaling : {Scaling::compared, Scaling::kept}) {
    reference::Input input;
    input.space.scaling = scaling;
    input.levels = {{{1, 0}, {0, 1}}, {{1, 0}, {0, 1}}};
    input.vectors = {{0, 0}, {5, 0}, {0, 0}};
    input.tiers = {{2, 2}};
    CHECK(disagreement(input, {}) == "");
    const auto output = testing::run_core(input, {});
    CHECK(output.sids[0] == Sid{0, 1});  // a zero residual is equally far from both; -(1, 0) is nearest to (0, 1)
    CHECK(output.sids[1] == Sid{0, 0});
  }
}

TEST_CASE("a distortion is that of the vector, whatever its residuals were divided by") {
  reference::Input input;
  input.space.scaling = Scaling::kept;
  input.levels = {{{1, 0}, {0, 1}}};
  input.vectors = {{3, 4}};
  CHECK(testing::run_core(input, {}).sids[0] == Sid{1});
  CHECK(testing::run_core(input, {}).distortion[0] == doctest::Approx(25 * (0.36 + 0.04)));
}

}  // namespace
}  // namespace puresid
