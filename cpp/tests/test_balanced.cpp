#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <vector>

#include "puresid/balanced.hpp"
#include "random.hpp"

namespace puresid {
namespace {

using testing::Random;

struct Costs {
  std::size_t rows, clusters, stride;
  std::vector<float> values;
  [[nodiscard]] float at(std::size_t row, std::size_t token) const { return values[row * stride + token]; }
  [[nodiscard]] MatrixView<const float> view() const { return {values.data(), rows, stride}; }
};

// Small whole numbers: full of ties. What lies beyond the clusters must not count.
Costs random_costs(Random& random, std::size_t rows, std::size_t clusters, std::uint64_t most) {
  Costs costs{rows, clusters, clusters + random.between(0, 2), {}};
  costs.values.assign(rows * costs.stride, -1);
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t token = 0; token < clusters; ++token) {
      costs.values[row * costs.stride + token] = static_cast<float>(random.between(0, most));
    }
  }
  return costs;
}

std::vector<std::size_t> counts_of(const std::vector<Token>& tokens, std::size_t clusters) {
  std::vector<std::size_t> counts(clusters);
  for (const Token token : tokens) ++counts[token];
  return counts;
}

double sum_of(const Costs& costs, const std::vector<Token>& tokens) {
  double sum = 0;
  for (std::size_t row = 0; row < costs.rows; ++row) sum += static_cast<double>(costs.at(row, tokens[row]));
  return sum;
}

// Of all ways to fill the clusters with as many rows, the cheapest.
double least_sum(const Costs& costs, std::vector<std::size_t> room) {
  const std::function<double(std::size_t)> from = [&](std::size_t row) -> double {
    if (row == costs.rows) return 0;
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t token = 0; token < costs.clusters; ++token) {
      if (room[token] == 0) continue;
      --room[token];
      least = std::min(least, static_cast<double>(costs.at(row, static_cast<Token>(token))) + from(row + 1));
      ++room[token];
    }
    return least;
  };
  return from(0);
}

TEST_CASE("every cluster gets the floor of rows / clusters, or one more") {
  Random random(1);
  for (int instance = 0; instance < 300; ++instance) {
    const std::size_t clusters = 1 + random.between(0, 8), rows = clusters + random.between(0, 59);
    const Costs costs = random_costs(random, rows, clusters, random.one_in(2) ? 3 : 1000);
    BalancedAssignment assignment(rows, clusters);
    assignment.solve(costs.view(), {});
    const auto counts = counts_of(assignment.tokens(), clusters);
    CHECK(*std::min_element(counts.begin(), counts.end()) == rows / clusters);
    CHECK(*std::max_element(counts.begin(), counts.end()) == (rows + clusters - 1) / clusters);
    CHECK(assignment.sum() == sum_of(costs, assignment.tokens()));
  }
}

TEST_CASE("no way to fill clusters of these sizes costs noticeably less") {
  Random random(2);
  for (int instance = 0; instance < 300; ++instance) {
    const std::size_t clusters = 2 + random.between(0, 2), rows = clusters + random.between(0, 7 - clusters);
    const Costs costs = random_costs(random, rows, clusters, random.one_in(2) ? 2 : 100);
    CAPTURE(instance);
    BalancedAssignment assignment(rows, clusters);
    assignment.solve(costs.view(), {});
    const double least = least_sum(costs, counts_of(assignment.tokens(), clusters));
    CHECK(assignment.sum() * (1 - BalancedAssignment::kTolerance) <= least);
  }
}

TEST_CASE("the clusters that most rows like best get one more") {
  // Nine rows, four clusters: the second is the cheapest of six rows.
  Costs costs{9, 4, 4, std::vector<float>(36, 5)};
  for (std::size_t row = 0; row < 9; ++row) costs.values[row * 4 + (row < 6 ? 1 : row - 6)] = 0;
  BalancedAssignment assignment(9, 4);
  assignment.solve(costs.view(), {});
  CHECK(counts_of(assignment.tokens(), 4) == std::vector<std::size_t>{2, 3, 2, 2});
}

TEST_CASE("costs that are all equal, or all nothing, still fill every cluster") {
  for (const float cost : {0.0F, 7.0F, 1e30F}) {
    const Costs costs{50, 8, 8, std::vector<float>(400, cost)};
    BalancedAssignment assignment(50, 8);
    assignment.solve(costs.view(), {});
    const auto counts = counts_of(assignment.tokens(), 8);
    CHECK(*std::min_element(counts.begin(), counts.end()) == 6);
    CHECK(*std::max_element(counts.begin(), counts.end()) == 7);
  }
}

TEST_CASE("prices of a call before change the way, not the promise") {
  Random random(3);
  BalancedAssignment kept(40, 6);
  for (int call = 0; call < 20; ++call) {
    const Costs costs = random_costs(random, 40, 6, 50);
    kept.solve(costs.view(), {});
    BalancedAssignment fresh(40, 6);
    fresh.solve(costs.view(), {});
    CHECK(kept.sum() * (1 - BalancedAssignment::kTolerance) <= fresh.sum());
    CHECK(fresh.sum() * (1 - BalancedAssignment::kTolerance) <= kept.sum());
  }
}

TEST_CASE("costs far below those of the call before") {
  Random random(5);
  for (const float scale : {1e10F, 1e21F, 1e30F}) {
    BalancedAssignment kept(5, 4);
    Costs huge = random_costs(random, 5, 4, 9);
    for (std::size_t row = 0; row < 5; ++row) huge.values[row * huge.stride + 2] = scale;
    kept.solve(huge.view(), {});
    for (const std::uint64_t most : {9, 0}) {  // also where every row costs nothing
      const Costs costs = random_costs(random, 5, 4, most);
      kept.solve(costs.view(), {});
      BalancedAssignment fresh(5, 4);
      fresh.solve(costs.view(), {});
      CHECK(kept.sum() * (1 - BalancedAssignment::kTolerance) <= fresh.sum());
    }
  }
}

TEST_CASE("balancing stops soon after `interrupted` answers true") {
  Random random(4);
  const Costs costs = random_costs(random, 20000, 16, 1000);
  Execution execution;
  execution.interrupted = [] { return true; };
  BalancedAssignment assignment(20000, 16);
  CHECK_THROWS_AS(assignment.solve(costs.view(), execution), Cancelled);
}

}  // namespace
}  // namespace puresid
