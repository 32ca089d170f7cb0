#include <doctest/doctest.h>

#include "puresid/linear.hpp"
#include "random.hpp"

namespace puresid {
namespace {

using testing::Random;

TEST_CASE("a row's result is the sequential sum, whatever the rows beside it, the threads and the instruction set") {
  for (std::size_t seed = 0; seed < 30; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const std::size_t dim = random.between(1, 70), outputs = random.between(1, 90), n_rows = random.between(1, 130);
    const testing::FlatRows<float> rows(testing::random_vectors(random, testing::Values::gaussian, n_rows, dim), dim);
    const testing::FlatRows<float> weight(testing::random_vectors(random, testing::Values::gaussian, outputs, dim),
                                          dim);
    const auto bias = testing::random_vectors(random, testing::Values::gaussian, 1, outputs)[0];
    std::vector<float> expected;
    for (std::size_t i = 0; i < n_rows; ++i) {
      for (std::size_t j = 0; j < outputs; ++j) {
        float sum = 0;
        for (std::size_t d = 0; d < dim; ++d) sum = std::fma(rows.view().row(i)[d], weight.view().row(j)[d], sum);
        expected.push_back(seed % 2 == 0 ? bias[j] + sum : sum);
      }
    }
    for (std::size_t number = 0; number < 8; ++number) {
      std::vector<float> out(n_rows * outputs);
      linear(rows.view(), weight.view(), seed % 2 == 0 ? std::span<const float>(bias) : std::span<const float>(), out,
             testing::execution_number(number));
      CHECK(out == expected);
    }
  }
}

TEST_CASE("no rows give no rows") {
  const float weight[] = {1, 2};
  std::vector<float> out;
  linear({nullptr, 0, 2}, {weight, 1, 2}, {}, out, {});
  CHECK(out.empty());
}

TEST_CASE("shapes that do not fit are refused") {
  const float data[4] = {};
  std::vector<float> out(2);
  CHECK_THROWS_WITH_AS(linear({data, 1, 3}, {data, 2, 2}, {}, out, {}), "vectors have dimension 3; the layer takes 2",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(linear({data, 1, 2}, {data, 2, 2}, {data, 1}, out, {}),
                       "bias has 1 values; the layer has 2 outputs", std::invalid_argument);
  CHECK_THROWS_WITH_AS(linear({data, 2, 2}, {data, 2, 2}, {}, out, {}), "out has another size", std::invalid_argument);
}

}  // namespace
}  // namespace puresid
