#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "puresid/sorted_search.hpp"
#include "random.hpp"

namespace puresid {
namespace {

using testing::Random;
using Values = std::vector<std::uint64_t>;
using Places = std::vector<std::int64_t>;

constexpr std::uint64_t kMost = ~std::uint64_t{0};

TEST_CASE("intervals are those of the standard's bounds, whatever the threads") {
  for (std::size_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const std::size_t reach = seed % 3 == 0 ? 5 : 5000;
    const auto value = [&]() -> std::uint64_t {
      if (random.one_in(20)) return random.one_in(2) ? 0 : kMost;
      return random.between(0, reach);
    };
    Values values(seed < 40 ? seed : random.between(0, 3000)), low(seed % 10 == 0 ? 9000 : random.between(0, 40));
    std::generate(values.begin(), values.end(), value);
    std::sort(values.begin(), values.end());
    Values high(low.size());
    for (std::size_t i = 0; i < low.size(); ++i) {
      low[i] = value();
      high[i] = random.one_in(2) ? low[i] : value();
    }
    Places first(low.size()), last(low.size());
    Execution execution;
    execution.threads = seed % 4 == 3 ? 3 : 1;
    find_intervals(values, low, high, first, last, execution);
    for (std::size_t i = 0; i < low.size(); ++i) {
      const auto from = std::lower_bound(values.begin(), values.end(), low[i]) - values.begin();
      const auto to = std::upper_bound(values.begin(), values.end(), high[i]) - values.begin();
      REQUIRE(first[i] == from);
      REQUIRE(last[i] == std::max(from, to));
    }
  }
}

TEST_CASE("values that do not ascend give intervals inside") {
  Random random(7);
  for (int round = 0; round < 200; ++round) {
    Values values(random.between(0, 70)), low(20), high(20);
    for (Values* column : {&values, &low, &high}) {
      std::generate(column->begin(), column->end(), [&] { return random.between(0, 9); });
    }
    Places first(20), last(20);
    find_intervals(values, low, high, first, last, {});
    for (std::size_t i = 0; i < 20; ++i) {
      REQUIRE(0 <= first[i]);
      REQUIRE(first[i] <= last[i]);
      REQUIRE(std::cmp_less_equal(last[i], values.size()));
    }
  }
}

TEST_CASE("queries of different sizes are refused") {
  const Values one(1), two(2);
  Places first(1), last(1);
  CHECK_THROWS_WITH_AS(find_intervals({}, one, two, first, last, {}), "low, high, first and last have different sizes",
                       std::invalid_argument);
}

}  // namespace
}  // namespace puresid
