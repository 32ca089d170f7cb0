#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "puresid/distance.hpp"
#include "random.hpp"
#include "rrs.hpp"

namespace puresid {
namespace {

using testing::Random;
using testing::Values;

// A codebook and a block of residuals, with what the twin says about them.
struct Case {
  Case(Values values, std::size_t size, std::size_t dim, std::size_t n_rows) {
    Random random(1000 * size + dim);
    codebook = testing::random_vectors(random, values, size, dim);
    rows = testing::random_vectors(random, values, n_rows, dim);
    for (const reference::Vector& codeword : codebook) flat.insert(flat.end(), codeword.begin(), codeword.end());
    for (const reference::Vector& row : rows) {
      flat_rows.insert(flat_rows.end(), row.begin(), row.end());
      ranked.push_back(reference::ranked(row, codebook));
    }
  }
  [[nodiscard]] PackedCodebook packed(Simd simd) const {
    return {MatrixView<const float>(flat.data(), codebook.size(), rows[0].size()), simd};
  }
  std::vector<reference::Vector> codebook, rows;
  std::vector<float> flat, flat_rows;
  std::vector<std::vector<Token>> ranked;  // by row
};

bool same_bits(float a, float b) { return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b); }

void check_nearest(const Case& c, const PackedCodebook& packed, std::size_t n_rows) {
  std::vector<Token> tokens(n_rows);
  packed.nearest(c.flat_rows.data(), n_rows, tokens.data());
  std::size_t wrong = 0;
  for (std::size_t row = 0; row < n_rows; ++row) wrong += tokens[row] != c.ranked[row][0];
  CHECK(wrong == 0);
}

void check_least_k(const Case& c, const PackedCodebook& packed, std::size_t n_rows, std::size_t k) {
  std::vector<Token> tokens(n_rows * k);
  std::vector<float> squared(n_rows * k), scores(n_rows * packed.padded_size());
  packed.scores(c.flat_rows.data(), n_rows, scores.data());
  std::size_t wrong = 0;
  for (std::size_t row = 0; row < n_rows; ++row) {
    packed.least_k(scores.data() + row * packed.padded_size(), k, tokens.data() + row * k);
    packed.squared_distances_to(c.rows[row].data(), tokens.data() + row * k, k, squared.data() + row * k);
    for (std::size_t rank = 0; rank < k; ++rank) {
      const Token expected = c.ranked[row][rank];
      wrong += tokens[row * k + rank] != expected ||
               !same_bits(squared[row * k + rank], reference::squared_distance(c.rows[row], c.codebook[expected]));
    }
  }
  CAPTURE(k);
  CHECK(wrong == 0);
}

// Closes token after token, some of them out of order.
void check_least_open(const Case& c, const PackedCodebook& packed, std::size_t n_rows, std::size_t k) {
  std::vector<float> scores(n_rows * packed.padded_size());
  packed.scores(c.flat_rows.data(), n_rows, scores.data());
  const std::size_t size = c.codebook.size();
  std::size_t wrong = 0;
  for (std::size_t row = 0; row < n_rows; ++row) {
    std::vector<std::uint64_t> closed((size + 63) / 64);
    const auto is_closed = [&](Token token) { return (closed[token / 64] >> token % 64 & 1) != 0; };
    const auto close = [&](Token token) { closed[token / 64] |= std::uint64_t{1} << token % 64; };
    for (std::size_t rank = 0; rank <= k; ++rank) {
      Token expected = PackedCodebook::kNone;
      for (std::size_t before = k; before-- > 0;) {
        if (!is_closed(c.ranked[row][before])) expected = c.ranked[row][before];
      }
      const Token found = packed.least_open(scores.data() + row * packed.padded_size(), closed.data(), k);
      wrong += found != expected;
      if (found != PackedCodebook::kNone) close(found);
      close(c.ranked[row][(rank * 7 + row) % size]);
    }
  }
  CAPTURE(k);
  CHECK(wrong == 0);
}

void check_products(const Case& c, const PackedCodebook& packed, std::size_t n_rows) {
  const std::size_t stride = packed.padded_size();
  std::vector<float> products(stride * n_rows), sums(stride);
  packed.negated_products(c.flat_rows.data(), n_rows, products.data());
  std::size_t wrong = 0;
  for (std::size_t row = 0; row < n_rows; ++row) {
    const float *first = products.data(), *here = products.data() + row * stride;
    packed.add_difference(here, first, here, sums.data());
    for (std::size_t token = 0; token < c.codebook.size(); ++token) {
      wrong += !same_bits(here[token], reference::negated_product(c.rows[row], c.codebook[token]));
      wrong += !same_bits(sums[token], here[token] + (first[token] - here[token]));
    }
  }
  CHECK(wrong == 0);
}

// The least open score of a row that is moved: that of the row moved beforehand, at any k.
void check_moved_least_open(const Case& c, const PackedCodebook& packed, std::size_t n_rows) {
  const std::size_t stride = packed.padded_size(), size = c.codebook.size();
  std::vector<float> scores(stride * n_rows), products(stride * n_rows), moved(stride), expected(stride);
  packed.scores(c.flat_rows.data(), n_rows, scores.data());
  packed.negated_products(c.flat_rows.data(), n_rows, products.data());
  std::size_t wrong = 0;
  for (std::size_t row = 0; row < n_rows; ++row) {
    const float *from = scores.data() + row * stride, *plus = products.data() + row * stride, *minus = products.data();
    packed.add_difference(from, plus, minus, expected.data());
    std::vector<std::uint64_t> closed((size + 63) / 64);
    for (std::size_t closings = 0; closings <= std::min<std::size_t>(size, 5); ++closings) {
      for (const std::size_t k : {std::size_t{1}, closings + 1, size}) {
        const Token token = packed.moved_least_open(from, plus, minus, moved.data(), closed.data(), k);
        wrong += token != packed.least_open(expected.data(), closed.data(), k);
      }
      for (std::size_t i = 0; i < size; ++i) wrong += !same_bits(moved[i], expected[i]);
      const Token least = packed.least_open(expected.data(), closed.data(), size);
      if (least != PackedCodebook::kNone) closed[least / 64] |= std::uint64_t{1} << least % 64;
    }
  }
  CHECK(wrong == 0);
}

// What moved scores are and the least of them, in place too, and the least of differences.
void check_moved(const Case& c, const PackedCodebook& packed, std::size_t n_rows) {
  const std::size_t stride = packed.padded_size(), size = c.codebook.size();
  std::vector<float> scores(stride * n_rows), products(stride * n_rows), moved(stride), least(n_rows);
  packed.scores(c.flat_rows.data(), n_rows, scores.data());
  packed.negated_products(c.flat_rows.data(), n_rows, products.data());
  std::vector<const float*> terms;
  for (std::size_t row = 0; row < n_rows; ++row) terms.push_back(products.data() + row * stride);
  std::size_t wrong = 0;
  for (std::size_t count = 1; count <= n_rows; ++count) {
    std::vector<float> expected(scores.begin(), scores.begin() + static_cast<std::ptrdiff_t>(stride));
    for (std::size_t term = 0; term < count; ++term) {
      for (std::size_t token = 0; token < stride; ++token) expected[token] -= terms[term][token];
    }
    const float lowest = packed.lowest_moved(scores.data(), terms.data(), count, moved.data());
    const auto end = expected.begin() + static_cast<std::ptrdiff_t>(size);
    wrong += lowest != *std::min_element(expected.begin(), end);
    for (std::size_t token = 0; token < size; ++token) wrong += !same_bits(moved[token], expected[token]);
    for (std::size_t token = size; token < stride; ++token) wrong += moved[token] != INFINITY;
    std::copy_n(scores.data(), stride, moved.data());
    wrong += packed.lowest_moved(moved.data(), terms.data(), count, moved.data()) != lowest;
    for (std::size_t token = 0; token < size; ++token) wrong += !same_bits(moved[token], expected[token]);
  }
  packed.least_differences(scores.data(), terms.data(), n_rows, least.data());
  for (std::size_t row = 0; row < n_rows; ++row) {
    wrong += least[row] != packed.lowest_moved(scores.data(), &terms[row], 1, moved.data());
  }
  CHECK(wrong == 0);
}

// Bounds that scores meet, just miss, or all of them meet.
void check_at_most(const Case& c, const PackedCodebook& packed, std::size_t n_rows) {
  constexpr float kMost = std::numeric_limits<float>::max();
  const std::size_t stride = packed.padded_size(), size = c.codebook.size();
  std::vector<float> scores(stride * n_rows), values(stride);
  std::vector<Token> tokens(stride);
  packed.scores(c.flat_rows.data(), n_rows, scores.data());
  std::size_t wrong = 0;
  for (std::size_t row = 0; row < n_rows; ++row) {
    const float* of = scores.data() + row * stride;
    const float some = of[c.ranked[row][row * size / n_rows]], least = of[c.ranked[row][0]];
    const float most = of[c.ranked[row].back()];
    for (const float bound : {least, some, std::nextafter(some, -kMost), most, kMost, std::nextafter(least, -kMost)}) {
      const std::size_t count = packed.at_most(of, bound, values.data(), tokens.data());
      std::size_t found = 0;
      for (Token token = 0; token < size; ++token) {
        if (!(of[token] <= bound)) continue;
        wrong += found >= count || tokens[found] != token || !same_bits(values[found], of[token]);
        ++found;
      }
      wrong += found != count;
    }
  }
  CHECK(wrong == 0);
}

// Loading refuses what is not within the bounds, wherever it is.
void check_load(const Case& c, const PackedCodebook& packed) {
  const std::size_t dim = c.rows[0].size();
  std::vector<float> row = c.rows[0], loaded(dim);
  float largest = 0;
  for (const float value : row) largest = std::max(largest, std::fabs(value));
  CHECK(packed.load(row.data(), largest, loaded.data()));
  CHECK(loaded == row);
  const float beyond = std::nextafter(largest, std::numeric_limits<float>::infinity());
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), beyond, -beyond}) {
    const std::size_t at = c.codebook.size() % dim;
    row = c.rows[0];
    row[at] = bad;
    CHECK(!packed.load(row.data(), largest, loaded.data()));
  }
}

void check_all(const Case& c, const PackedCodebook& packed, std::size_t n_rows) {
  const std::size_t stride = packed.padded_size();
  REQUIRE(stride >= c.codebook.size());
  std::vector<float> scores(stride * n_rows), squared(stride * n_rows), norms(n_rows);
  packed.scores(c.flat_rows.data(), n_rows, scores.data());
  packed.squared_distances(c.flat_rows.data(), n_rows, squared.data());
  packed.squared_norms(c.flat_rows.data(), n_rows, norms.data());
  std::size_t wrong = 0;
  for (std::size_t row = 0; row < n_rows; ++row) {
    for (std::size_t token = 0; token < c.codebook.size(); ++token) {
      wrong += !same_bits(scores[row * stride + token], reference::score(c.rows[row], c.codebook[token]));
      wrong += !same_bits(squared[row * stride + token], reference::squared_distance(c.rows[row], c.codebook[token]));
    }
    wrong += !same_bits(norms[row], reference::squared_norm(c.rows[row]));
  }
  CHECK(wrong == 0);
}

void check_case(const Case& c, const std::vector<std::size_t>& row_counts) {
  const std::size_t size = c.codebook.size();
  for (const Simd simd : available_simd()) {
    CAPTURE(simd_name(simd));
    const PackedCodebook packed = c.packed(simd);
    for (const std::size_t n_rows : row_counts) {
      CAPTURE(n_rows);
      check_nearest(c, packed, n_rows);
    }
    check_all(c, packed, row_counts.back());
    std::vector<std::size_t> widths = {1, 2, 5, 16, 17, 20, 31, 32, 33, size / 2, size};
    std::erase_if(widths, [&](std::size_t k) { return k == 0 || k > size; });
    const std::size_t few = std::min<std::size_t>(row_counts.back(), 7);
    for (const std::size_t k : widths) {
      check_least_k(c, packed, few, k);
      check_least_open(c, packed, few, std::min<std::size_t>(k, 20));
    }
    check_products(c, packed, few);
    check_moved_least_open(c, packed, few);
    check_moved(c, packed, few);
    check_at_most(c, packed, few);
    check_load(c, packed);
  }
}

TEST_CASE("every instruction set gives the twin's scores, distances, norms and tokens, at every shape") {
  for (const std::size_t dim : {1, 2, 3, 7, 16, 33, 96}) {
    for (const std::size_t size : {1, 2, 15, 16, 17, 63, 64, 65, 256, 300}) {
      for (const Values values : {Values::gaussian, Values::lattice}) {
        CAPTURE(dim);
        CAPTURE(size);
        CAPTURE(static_cast<int>(values));
        check_case(Case(values, size, dim, 13), {1, 2, 13});
      }
    }
  }
}

TEST_CASE("ties, near ties, magnitudes far apart and subnormal numbers change nothing") {
  for (const Values values : testing::kAllValues) {
    for (const std::size_t size : {5, 16, 70}) {
      for (const std::size_t dim : {1, 4, 17}) {
        CAPTURE(static_cast<int>(values));
        CAPTURE(size);
        CAPTURE(dim);
        check_case(Case(values, size, dim, 20), {20});
      }
    }
  }
}

TEST_CASE("codebooks of more than one batch of scores are ranked as a whole") {
  for (const Values values : {Values::gaussian, Values::lattice}) {
    for (const std::size_t size : {257, 511, 512, 513, 1100}) {
      CAPTURE(size);
      check_case(Case(values, size, 3, 8), {1, 8});
    }
  }
}

TEST_CASE("scores that fall from token to token, or rise, or are all the same are ranked") {
  constexpr std::size_t kSize = 600;
  for (const float step : {1.0F, -1.0F, 0.0F}) {
    Case c(Values::lattice, kSize, 1, 2);
    c.ranked.clear();
    for (std::size_t token = 0; token < kSize; ++token) {
      c.flat[token] = 1000 + step * static_cast<float>(token);
      c.codebook[token] = {c.flat[token]};
    }
    for (const reference::Vector& row : c.rows) c.ranked.push_back(reference::ranked(row, c.codebook));
    check_case(c, {2});
  }
}

TEST_CASE("a row's result does not depend on how many rows it is in company with") {
  std::vector<std::size_t> row_counts(kMaxBlockRows);
  for (std::size_t i = 0; i < kMaxBlockRows; ++i) row_counts[i] = i + 1;
  check_case(Case(Values::gaussian, 65, 7, kMaxBlockRows), row_counts);
  check_case(Case(Values::lattice, 130, 3, kMaxBlockRows), row_counts);
}

TEST_CASE("equal scores go to the lower token, wherever the equal codewords stand") {
  for (const Simd simd : available_simd()) {
    for (std::size_t a = 0; a < 130; a += 3) {
      for (std::size_t b = a + 1; b < 130; b += 7) {
        std::vector<float> codebook(130, 9.0F);
        codebook[a] = codebook[b] = 1.0F;
        const PackedCodebook packed({codebook.data(), 130, 1}, simd);
        const float row = 0.5F;
        Token tokens[3] = {};
        std::vector<float> scores(packed.padded_size());
        packed.scores(&row, 1, scores.data());
        packed.least_k(scores.data(), 3, tokens);
        const Token third = a != 0 ? 0 : (b != 1 ? 1 : 2);
        CHECK(tokens[0] == a);
        CHECK(tokens[1] == b);
        CHECK(tokens[2] == third);
        packed.nearest(&row, 1, tokens);
        CHECK(tokens[0] == a);
      }
    }
  }
}

TEST_CASE("subnormal scores and distances are exact: neither flushed nor rounded twice") {
  constexpr float kTiny = std::numeric_limits<float>::denorm_min();
  const std::vector<float> codebook = {0x1p-74F, 0x1p-75F, 0x1.8p-74F, -0x1p-74F};
  for (const Simd simd : available_simd()) {
    const PackedCodebook packed({codebook.data(), 4, 1}, simd);
    std::vector<float> scores(packed.padded_size()), squared(packed.padded_size());
    const float row = 0x1p-74F;
    packed.scores(&row, 1, scores.data());
    packed.squared_distances(&row, 1, squared.data());
    CHECK(squared[0] == 0);
    CHECK(squared[1] == 0);  // 2^-150, half the smallest float: to even
    CHECK(squared[2] == 0);  // likewise
    CHECK(squared[3] == 8 * kTiny);
    CHECK(scores[0] == -kTiny);
    CHECK(scores[1] == -kTiny);  // half its squared norm rounds to 0
    CHECK(scores[2] == -kTiny);  // its squared norm, 4.5 of the smallest, rounds to 4
    CHECK(scores[3] == 3 * kTiny);
    Token token = 9;
    packed.nearest(&row, 1, &token);
    CHECK(token == 0);
  }
}

TEST_CASE("subtracting a codeword is one rounding a dimension, subnormal or not") {
  const std::vector<float> codebook = {1.0F, 3e-45F, 0.1F};
  for (const Simd simd : available_simd()) {
    const PackedCodebook packed({codebook.data(), 1, 3}, simd);
    std::vector<float> row = {1.0F, 1e-44F, 0.3F};
    packed.subtract(row.data(), 0);
    CHECK(row == std::vector<float>{0.0F, 1e-44F - 3e-45F, 0.3F - 0.1F});
  }
}

TEST_CASE("an instruction set that the build does not have is refused") {
  const float data = 1;
#if defined(__x86_64__)
  CHECK_THROWS_WITH_AS(PackedCodebook({&data, 1, 1}, Simd::neon), "this build has no kernels for neon",
                       std::invalid_argument);
#else
  CHECK_THROWS_WITH_AS(PackedCodebook({&data, 1, 1}, Simd::avx2), "this build has no kernels for avx2",
                       std::invalid_argument);
#endif
}

}  // namespace
}  // namespace puresid
