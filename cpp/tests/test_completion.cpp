#include <doctest/doctest.h>

#include <set>

#include "puresid/completion.hpp"
#include "random.hpp"

namespace puresid {
namespace {

using reference::Sid;
using testing::Random;
using testing::Values;

// An input that completion alone resolves.
reference::Input completion_only(std::vector<reference::Vector> vectors, reference::Levels levels) {
  reference::Input input;
  input.vectors = std::move(vectors);
  input.levels = std::move(levels);
  return input;
}

reference::Levels random_levels(Random& random, Values values, const std::vector<std::size_t>& sizes, std::size_t dim) {
  reference::Levels levels;
  for (const std::size_t size : sizes) levels.push_back(testing::random_vectors(random, values, size, dim));
  return levels;
}

std::size_t distinct(const std::vector<Sid>& sids) { return std::set<Sid>(sids.begin(), sids.end()).size(); }

TEST_CASE("an item walks to the nearest codeword under which a SID is free, for the residual of its path") {
  // Everybody is nearest to (0, 0). Then (0, 1); token 0 is now full, so (1, ...) with residual -3.
  const auto input = completion_only({{0}, {0}, {0}, {0}}, {{{0}, {3}}, {{0}, {-3}}});
  const auto output = testing::run_core(input, {});
  CHECK(output.sids == std::vector<Sid>{{0, 0}, {0, 1}, {1, 1}, {1, 0}});
  CHECK(output.stages == std::vector<int>{0, 1, 1, 1});
}

TEST_CASE("equal vectors fill the space in the twin's order, up to the last SID") {
  for (const Values values : testing::kAllValues) {
    for (std::size_t seed = 0; seed < 12; ++seed) {
      CAPTURE(static_cast<int>(values));
      CAPTURE(seed);
      Random random(seed);
      const auto levels =
          random_levels(random, values, {random.between(1, 6), random.between(1, 6), random.between(1, 6)}, 3);
      const std::size_t capacity = levels[0].size() * levels[1].size() * levels[2].size();
      const auto vector = testing::random_vectors(random, values, 1, 3)[0];
      const auto input = completion_only(std::vector<reference::Vector>(capacity, vector), levels);
      CHECK(testing::disagreement(input, testing::execution_number(seed)) == "");
    }
  }
}

TEST_CASE("spread vectors fill the space in the twin's order, with many prefixes") {
  Random random(3);
  for (const Values values : {Values::gaussian, Values::lattice}) {
    const auto levels = random_levels(random, values, {18, 19, 3}, 4);
    const auto input = completion_only(testing::random_vectors(random, values, 18 * 19 * 3, 4), levels);
    CHECK(testing::disagreement(input, {}) == "");
  }
}

TEST_CASE("levels wider than a word of the mask are walked in score order to the end") {
  Random random(4);
  for (const std::size_t size : {64, 65, 130}) {
    for (const Values values : {Values::gaussian, Values::lattice}) {
      const auto levels = random_levels(random, values, {size, 2}, 3);
      const auto vectors = testing::random_vectors(random, values, 2, 3);
      std::vector<reference::Vector> equal(size, vectors[0]);
      equal.resize(2 * size, vectors[1]);
      CHECK(testing::disagreement(completion_only(equal, levels), {}) == "");
    }
  }
}

TEST_CASE("walks made in parallel, some of them in vain, settle as if one by one") {
  Random random(9);  // dimensions and levels so large that a batch is worth a team of threads
  const auto levels = random_levels(random, Values::gaussian, {256, 256}, 256);
  const auto pool = testing::random_vectors(random, Values::gaussian, 10, 256);
  auto input = completion_only({}, levels);
  for (std::size_t row = 0; row < 4500; ++row) input.vectors.push_back(pool[random.between(0, 9)]);
  Execution execution;
  const auto expected = testing::run_core(input, execution);
  CHECK(distinct(expected.sids) == 4500);
  for (const int threads : {2, 4}) {
    execution.threads = threads;
    CHECK(testing::difference(expected, testing::run_core(input, execution)) == "");
  }
}

TEST_CASE("spaces too large for a table of leaves are walked alike") {
  Random random(10);
  for (const std::vector<std::size_t>& sizes :
       {std::vector<std::size_t>{1024, 1024, 3}, {1024, 1024, 70}, {2048, 2048, 70}, {4096, 4096, 260}}) {
    CAPTURE(sizes[2]);
    const auto levels = random_levels(random, Values::gaussian, sizes, 2);
    const auto pool = testing::random_vectors(random, Values::gaussian, 2, 2);
    auto input = completion_only({}, levels);
    for (std::size_t row = 0; row < 200; ++row) {
      input.vectors.push_back(random.one_in(9) ? testing::random_vectors(random, Values::gaussian, 1, 2)[0]
                                               : pool[random.between(0, 1)]);
    }
    for (Token token = 0; token < 2; ++token) input.taken.push_back({token, 0, token});
    CHECK(testing::disagreement(input, testing::execution_number(sizes[2])) == "");
  }
}

TEST_CASE("4,096 equal vectors at 3 x 16 are unique; one more is refused") {
  Random random(5);
  auto input = completion_only(std::vector<reference::Vector>(4096, reference::Vector(8, 0.25F)),
                               random_levels(random, Values::gaussian, {16, 16, 16}, 8));
  CHECK(distinct(testing::run_core(input, {}).sids) == 4096);
  input.vectors.emplace_back(8, 0.25F);
  CHECK_THROWS_AS(testing::run_core(input, {}), CapacityError);
}

TEST_CASE("completion is not bound by max_distortion") {
  auto input = completion_only({{0}, {0}}, {{{0}, {3}}});
  input.tiers = {{2}};
  input.max_distortion = 8.9;
  const auto output = testing::run_core(input, {});
  CHECK(output.sids == std::vector<Sid>{{0}, {1}});
  CHECK(output.stages == std::vector<int>{0, 2});
  CHECK(output.distortion == std::vector<float>{0, 9});
}

TEST_CASE("a space of 64 bits, far too large to list, is completed") {
  Random random(6);
  reference::Levels levels(4, reference::Codebook(65536, {7.0F}));
  for (reference::Codebook& codebook : levels) codebook.back()[0] = 0;  // the last token of each level is the nearest
  const auto input = completion_only(std::vector<reference::Vector>(3, {0.0F}), levels);
  const auto output = testing::run_core(input, {});
  CHECK(output.sids ==
        std::vector<Sid>{{65535, 65535, 65535, 65535}, {65535, 65535, 65535, 0}, {65535, 65535, 65535, 1}});
}

}  // namespace
}  // namespace puresid
