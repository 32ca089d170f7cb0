#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "puresid/codebooks.hpp"

namespace puresid {
namespace {

using Views = std::vector<MatrixView<const float>>;

// The message of the refusal; empty where there is none.
std::string refusal(const Views& levels) {
  try {
    const Codebooks codebooks(levels);
    return "";
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

TEST_CASE("codebooks give their levels, sizes, codewords and layout") {
  const std::vector<float> first = {1, 2, 3, 4, 5, 6}, second = {7, 8};
  const Codebooks codebooks({{first.data(), 3, 2}, {second.data(), 1, 2}});
  CHECK(codebooks.levels() == 2);
  CHECK(codebooks.dim() == 2);
  CHECK(codebooks.size(0) == 3);
  CHECK(codebooks.size(1) == 1);
  CHECK(codebooks[0].row(2)[1] == 6);
  CHECK(codebooks[1].row(0)[0] == 7);
  CHECK(codebooks.layout().capacity() == 3);
  CHECK(codebooks.largest_value() > 1e18F);
}

TEST_CASE("no level, no codeword and no dimension are refused") {
  const float value = 1;
  CHECK(refusal({}) == "codebooks has no level; at least one is needed");
  CHECK(refusal({{&value, 1, 1}, {&value, 0, 1}}) == "codebooks[1] has no codeword; at least one is needed");
  CHECK(refusal({{&value, 1, 0}}) == "codebooks[0] has dimension 0; at least 1 is needed");
}

TEST_CASE("levels of different dimensions are refused with both") {
  const std::vector<float> data(6);
  CHECK(refusal({{data.data(), 2, 3}, {data.data(), 3, 2}}) ==
        "codebooks[1] has 3 codewords of dimension 2; codebooks[0] has dimension 3");
}

TEST_CASE("a value that is not finite is refused with its level and codeword") {
  const std::vector<float> good = {1, 2, 3, 4};
  std::vector<float> bad = good;
  bad[2] = std::numeric_limits<float>::quiet_NaN();
  CHECK(refusal({{good.data(), 2, 2}, {bad.data(), 2, 2}}) ==
        "codebooks[1] has NaN in codeword 1; every value must be finite");
  bad[2] = -std::numeric_limits<float>::infinity();
  CHECK(refusal({{bad.data(), 4, 1}}) ==
        "codebooks[0] has an infinity (in float32) in codeword 2; every value must be finite");
}

TEST_CASE("a space beyond 64 bits is refused") {
  const std::vector<float> data(65537);
  const MatrixView<const float> big(data.data(), 65536, 1), two(data.data(), 2, 1), bigger(data.data(), 65537, 1);
  CHECK(refusal({big, big, big, big}).empty());
  CHECK(refusal({big, big, big, big, two}).find("need 65 bits a SID") != std::string::npos);
  CHECK(refusal({bigger, big, big, big}).find("need 65 bits a SID") != std::string::npos);
}

TEST_CASE("values whose squared distances could overflow are refused, and no vector that is let in makes one") {
  const float half = 2e18F;
  const std::vector<float> data = {half, -half, 0, half};
  CHECK(refusal({{data.data(), 2, 2}, {data.data(), 2, 2}}).empty());
  const std::string message =
      refusal({{data.data(), 2, 2}, {data.data(), 2, 2}, {data.data(), 2, 2}, {data.data(), 2, 2}});
  CHECK(message.starts_with("codebooks[3] has values up to "));
  CHECK(message.ends_with("whose squared distances overflow float32; scale vectors and codebooks down"));

  const Codebooks codebooks({{data.data(), 2, 2}, {data.data(), 2, 2}});
  const float worst = codebooks.largest_value() + 2 * half;  // every dimension, no rounding in our favour
  CHECK(std::isfinite(2 * (2 * worst * worst)));
}

}  // namespace
}  // namespace puresid
