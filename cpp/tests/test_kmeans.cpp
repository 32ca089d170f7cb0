#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "float_environment.hpp"
#include "nearest.hpp"
#include "puresid/kmeans.hpp"
#include "random.hpp"

namespace puresid {
namespace {

using testing::FlatRows;
using testing::Random;
using testing::Values;
using Levels = std::vector<KMeansLevel>;
using Sizes = std::vector<std::size_t>;

constexpr double kRounding = 1e-6;  // codewords are means rounded to float32

// Rows around `centres` points.
std::vector<reference::Vector> clustered(std::uint64_t seed, std::size_t rows, std::size_t dim, std::size_t centres) {
  Random random(seed);
  const auto middles = testing::random_vectors(random, Values::gaussian, centres, dim);
  auto vectors = testing::random_vectors(random, Values::gaussian, rows, dim);
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t d = 0; d < dim; ++d) vectors[row][d] = 4 * middles[row % centres][d] + 0.3F * vectors[row][d];
  }
  return vectors;
}

Levels train(const std::vector<reference::Vector>& vectors, const Sizes& sizes, const KMeansOptions& options = {},
             const Execution& execution = {}) {
  const std::size_t dim = vectors.empty() ? 1 : vectors[0].size();
  return train_residual_kmeans(FlatRows<float>(vectors, dim).view(), sizes, options, execution);
}

bool same(const Levels& a, const Levels& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t level = 0; level < a.size(); ++level) {
    if (a[level].codewords != b[level].codewords || a[level].distortion != b[level].distortion) return false;
  }
  return true;
}

reference::Levels as_reference(const Levels& levels, std::size_t dim) {
  reference::Levels result;
  for (const KMeansLevel& level : levels) {
    result.emplace_back();
    for (std::size_t at = 0; at < level.codewords.size(); at += dim) {
      const auto first = level.codewords.begin() + static_cast<std::ptrdiff_t>(at);
      result.back().emplace_back(first, first + static_cast<std::ptrdiff_t>(dim));
    }
  }
  return result;
}

double mean_distortion(const std::vector<reference::Vector>& vectors, const reference::Levels& levels) {
  double sum = 0;
  for (const auto& vector : vectors) {
    sum += static_cast<double>(reference::distortion(vector, levels, reference::nearest(vector, levels)));
  }
  return sum / static_cast<double>(vectors.size());
}

TEST_CASE("the same input and seed give the same bytes at any number of threads and instruction set") {
  const auto vectors = clustered(1, 3000, 5, 40);
  const Levels expected = train(vectors, {32, 7, 5}, {.n_iter = 6, .seed = 3});
  for (const int threads : {1, 2, 3, 4}) {
    for (const Simd simd : available_simd()) {
      Execution execution;
      execution.threads = threads;
      execution.simd = simd;
      CHECK(same(train(vectors, {32, 7, 5}, {.n_iter = 6, .seed = 3}, execution), expected));
    }
  }
}

TEST_CASE("another seed draws another start") {
  const auto vectors = clustered(2, 500, 3, 20);
  CHECK(!same(train(vectors, {8}, {.n_iter = 0, .seed = 0}), train(vectors, {8}, {.n_iter = 0, .seed = 1})));
}

TEST_CASE("the caller's floating-point environment changes no bit, and is restored") {
  auto vectors = clustered(3, 300, 3, 10);
  for (auto& vector : vectors) {
    for (float& value : vector) value *= 1e-20F;  // squares are subnormal
  }
  const Levels expected = train(vectors, {8, 8});
  const testing::ForeignFloatEnvironment foreign;
  const Levels levels = train(vectors, {8, 8});
  CHECK(testing::ForeignFloatEnvironment::in_force());
  CHECK(same(levels, expected));
}

TEST_CASE("distortion falls from iteration to iteration and from level to level") {
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    CAPTURE(seed);
    const Levels levels = train(clustered(seed, 800, 4, 60), {16, 16, 16}, {.n_iter = 20, .seed = seed});
    double before = std::numeric_limits<double>::infinity();
    for (const KMeansLevel& level : levels) {
      REQUIRE(!level.distortion.empty());
      CHECK(level.distortion.size() <= 21);
      for (const double distortion : level.distortion) {
        CHECK(distortion <= before * (1 + kRounding));
        before = distortion;
      }
    }
  }
}

TEST_CASE("a level's last distortion is what greedy quantisation with its codewords leaves") {
  const auto vectors = clustered(4, 700, 3, 50);
  const Levels levels = train(vectors, {20, 10}, {.n_iter = 5, .seed = 0});
  reference::Levels so_far;
  for (const auto& codebook : as_reference(levels, 3)) {
    so_far.push_back(codebook);
    const double expected = mean_distortion(vectors, so_far);
    CHECK(levels[so_far.size() - 1].distortion.back() == doctest::Approx(expected).epsilon(1e-12));
  }
}

TEST_CASE("a level that has come to rest stops early, its codewords the means of their rows") {
  const auto vectors = clustered(5, 400, 2, 8);
  const Levels levels = train(vectors, {8}, {.n_iter = 1000, .seed = 0});
  CHECK(levels[0].distortion.size() < 1000);
  const auto codebook = as_reference(levels, 2)[0];
  std::vector<double> sums(8 * 2), counts(8);
  for (const auto& vector : vectors) {
    const reference::Levels one = {codebook};
    const Token token = reference::nearest(vector, one)[0];
    ++counts[token];
    for (std::size_t d = 0; d < 2; ++d) sums[token * 2 + d] += static_cast<double>(vector[d]);
  }
  for (std::size_t token = 0; token < 8; ++token) {
    REQUIRE(counts[token] > 0);
    for (std::size_t d = 0; d < 2; ++d) {
      CHECK(static_cast<double>(codebook[token][d]) == doctest::Approx(sums[token * 2 + d] / counts[token]));
    }
  }
}

TEST_CASE("as many codewords as different rows leave no distortion, however often each row occurs") {
  auto vectors = clustered(6, 30, 3, 30);
  for (std::size_t i = 0; i < 270; ++i) vectors.push_back(vectors[i % 7]);
  const Levels levels = train(vectors, {30});
  CHECK(levels[0].distortion.back() == doctest::Approx(0).epsilon(kRounding));
  const auto codebook = as_reference(levels, 3)[0];
  CHECK(std::set<reference::Vector>(codebook.begin(), codebook.end()).size() == 30);
}

TEST_CASE("equal rows, fewer different rows than codewords, one row and one codeword are all trained") {
  for (const std::size_t distinct : {1, 2, 5}) {
    const auto pool = clustered(7, distinct, 4, 2);
    std::vector<reference::Vector> vectors;
    for (std::size_t row = 0; row < 50; ++row) vectors.push_back(pool[row % distinct]);
    const Levels levels = train(vectors, {16, 4});
    CHECK(levels[0].codewords.size() == 16 * 4);
    CHECK(levels[0].distortion.back() == doctest::Approx(0).epsilon(kRounding));
    for (const float value : levels[1].codewords) CHECK(std::isfinite(value));
  }
  CHECK(train({{1, 2}}, {1})[0].codewords == std::vector<float>{1, 2});
  const Levels one = train({{1, 2}, {3, 6}}, {1}, {.n_iter = 1, .seed = 0});
  CHECK(one[0].codewords == std::vector<float>{2, 4});
  CHECK(one[0].distortion.back() == 5);
}

TEST_CASE("codewords that no row is nearest to move to the rows that are worst served") {
  // Seeding draws a sample, which has few of the rare rows; all on one side, they would share a codeword.
  std::vector<reference::Vector> vectors(20000, {1, 2});
  for (std::size_t i = 0; i < 7; ++i) vectors[2500 * i + 1234] = {100 + 10 * static_cast<float>(i), 2};
  CHECK(train(vectors, {8})[0].distortion.back() == 0);
}

TEST_CASE("without iterations the codewords are rows of the input") {
  const auto vectors = clustered(8, 200, 3, 10);
  const std::set<reference::Vector> rows(vectors.begin(), vectors.end());
  const auto levels = as_reference(train(vectors, {16}, {.n_iter = 0, .seed = 5}), 3);
  for (const auto& codeword : levels[0]) CHECK(rows.contains(codeword));
}

TEST_CASE("balanced, every cluster of every level has floor(N / K) rows or one more, and distortion falls") {
  const auto vectors = clustered(10, 1003, 4, 30);
  const KMeansOptions options{.n_iter = 20, .seed = 1, .balanced = true};
  const Levels levels = train(vectors, {16, 12}, options);
  for (const KMeansLevel& level : levels) {
    const std::size_t clusters = level.codewords.size() / 4;
    std::vector<std::size_t> counts(clusters);
    REQUIRE(level.tokens.size() == vectors.size());
    for (const Token token : level.tokens) ++counts[token];
    for (const std::size_t count : counts) CHECK((count == 1003 / clusters || count == 1003 / clusters + 1));
    CHECK(std::is_sorted(level.distortion.rbegin(), level.distortion.rend()));
    CHECK(level.distortion.back() < level.distortion.front());
  }
  for (const int threads : {1, 2, 3}) {
    for (const Simd simd : available_simd()) {
      Execution execution;
      execution.threads = threads;
      execution.simd = simd;
      const Levels again = train(vectors, {16, 12}, options, execution);
      CHECK(same(again, levels));
      CHECK(again[1].tokens == levels[1].tokens);
    }
  }
}

TEST_CASE("tokens are those of the rows' nearest codewords at the end") {
  const auto vectors = clustered(11, 300, 3, 20);
  const Levels levels = train(vectors, {10, 6}, {.n_iter = 4, .seed = 0});
  const auto codebooks = as_reference(levels, 3);
  for (std::size_t row = 0; row < vectors.size(); ++row) {
    CHECK(reference::nearest(vectors[row], codebooks) ==
          std::vector<Token>{levels[0].tokens[row], levels[1].tokens[row]});
  }
}

TEST_CASE("a start that is given takes the place of seeding") {
  const auto vectors = clustered(12, 200, 2, 8);
  const FlatRows<float> start({{0, 0}, {1, 1}, {1, 1}}, 2);
  const Levels levels = train(vectors, {3}, {.n_iter = 0, .start = {start.view()}});
  CHECK(levels[0].codewords == std::vector<float>{0, 0, 1, 1, 1, 1});
  const Levels drawn = train(vectors, {3}, {.n_iter = 3, .seed = 4});
  const FlatRows<float> end(as_reference(drawn, 2)[0], 2);
  const Levels more = train(vectors, {3}, {.n_iter = 2, .start = {end.view()}});
  CHECK(more[0].distortion.front() == drawn[0].distortion.back());
}

TEST_CASE("a start that does not fit is refused with what and where") {
  const std::vector<reference::Vector> vectors(3, reference::Vector{1, 2});
  const auto refuse = [&](const reference::Codebook& start, const char* message) {
    const FlatRows<float> flat(start, start[0].size());
    CHECK_THROWS_WITH_AS(train(vectors, {2}, {.start = {flat.view()}}), message, std::invalid_argument);
  };
  refuse({{1, 2}}, "start[0] has 1 codewords of dimension 2; 2 of 2 are needed");
  refuse({{1}, {2}}, "start[0] has 2 codewords of dimension 1; 2 of 2 are needed");
  refuse({{1, 2}, {std::numeric_limits<float>::infinity(), 2}}, "start[0] has a value that is not finite");
  // Balanced training would go on for ever where distances are infinite.
  const FlatRows<float> huge({{1, 2}, {-3e22F, 2}}, 2);
  CHECK_THROWS_WITH_AS(train(vectors, {2}, {.n_iter = 0, .balanced = true, .start = {huge.view()}}),
                       doctest::Contains("start[0] has a value beyond 1630477"), std::invalid_argument);
  const FlatRows<float> flat({{1, 2}}, 2);
  CHECK_THROWS_WITH_AS(train(vectors, {1, 1}, {.start = {flat.view()}}), "start has 1 levels; there are 2",
                       std::invalid_argument);
}

TEST_CASE("bad arguments are refused with what and where") {
  const std::vector<reference::Vector> good(3, reference::Vector{1, 2});
  const auto refuse = [](const std::vector<reference::Vector>& vectors, const Sizes& sizes, const char* message) {
    CHECK_THROWS_WITH_AS(train(vectors, sizes), message, std::invalid_argument);
  };
  refuse(good, {}, "n_levels is 0; at least 1 is needed");
  refuse(good, {2, 0}, "codebook_size of level 1 is 0; at least 1 is needed");
  refuse(good, {2, 4}, "vectors has 3 rows; a codebook of 4 codewords needs at least as many");
  refuse({}, {1}, "vectors has 0 rows; a codebook of 1 codewords needs at least as many");
  refuse({{}, {}}, {1}, "vectors have dimension 0; at least 1 is needed");
  auto bad = good;
  bad[1][1] = std::numeric_limits<float>::quiet_NaN();
  refuse(bad, {2}, "vectors[1] has NaN in column 1; every value must be finite");
  bad[1][1] = -std::numeric_limits<float>::infinity();
  refuse(bad, {2}, "vectors[1] has an infinity (in float32) in column 1; every value must be finite");
  bad[1][1] = 3e38F;
  CHECK_THROWS_WITH_AS(train(bad, {2}), doctest::Contains("vectors[1] has a value beyond "), std::invalid_argument);
}

TEST_CASE("training stops soon after `interrupted` answers true") {
  Execution execution;
  execution.interrupted = [] { return true; };
  const auto vectors = clustered(9, 20000, 8, 50);
  CHECK_THROWS_AS(train(vectors, {512, 512, 512}, {.n_iter = 1000, .seed = 0}, execution), Cancelled);
}

}  // namespace
}  // namespace puresid
