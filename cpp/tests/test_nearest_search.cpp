#include <doctest/doctest.h>

#include <algorithm>

#include "puresid/kmeans.hpp"
#include "puresid/nearest_search.hpp"
#include "search_cases.hpp"

namespace puresid {
namespace {

using testing::Case;
using testing::clustered;

constexpr std::size_t kManyRows = 1U << 20U;  // to announce: no packing is too dear

// A bit per token of each row: few closed or all but few, the nearest always, in some rows all.
std::vector<std::vector<std::uint64_t>> closings(const Case& c, const std::vector<Token>& nearest) {
  testing::Random random(c.size);
  std::vector<std::vector<std::uint64_t>> rows(c.n_rows, std::vector<std::uint64_t>((c.size + 63) / 64));
  for (std::size_t i = 0; i < c.n_rows; ++i) {
    const std::size_t one_in = i % 3 == 0 ? 10 : i % 3 == 1 ? 2 : 1;
    for (std::size_t token = 0; token < c.size; ++token) {
      if (token == nearest[i] || random.one_in(one_in)) rows[i][token / 64] |= std::uint64_t{1} << token % 64;
    }
    const std::size_t spared = random.between(0, c.size - 1);
    if (i % 5 != 2) rows[i][spared / 64] &= ~(std::uint64_t{1} << spared % 64);
  }
  return rows;
}

// The twin's nearest among the tokens that are not closed.
void check_open(const Case& c, const std::vector<Token>& nearest, const std::vector<float>& scores) {
  const auto closed = closings(c, nearest);
  std::vector<Token> expected(c.n_rows, PackedCodebook::kNone);
  std::vector<const std::uint64_t*> words;
  for (std::size_t i = 0; i < c.n_rows; ++i) {
    words.push_back(closed[i].data());
    float least = INFINITY;
    for (std::size_t token = 0; token < c.size; ++token) {
      const float score = scores[i * c.size + token];
      if ((closed[i][token / 64] >> token % 64 & 1) != 0 || !(score < least)) continue;
      least = score;
      expected[i] = static_cast<Token>(token);
    }
  }
  for (const Simd simd : available_simd()) {
    const PackedCodebook packed(c.codebook(), simd);
    const NearestSearch search({&packed}, kManyRows);
    if (!search.is_pruned(0)) continue;
    NearestSearch::Scratch scratch(search);
    std::vector<Token> tokens(c.n_rows);
    for (std::size_t first = 0, step = 1; first < c.n_rows; first += step, step = step % kMaxBlockRows + 5) {
      step = std::min({step, c.n_rows - first, kMaxBlockRows});
      search.nearest_open(0, c.rows.data() + first * c.dim, step, words.data() + first, tokens.data() + first, scratch);
    }
    CHECK(tokens == expected);
  }
}

// Every instruction set, in blocks of several lengths.
void check(const Case& c, const std::string& name) {
  CAPTURE(name);
  CAPTURE(c.size);
  CAPTURE(c.dim);
  std::vector<float> scores;
  const std::vector<Token> expected = c.expected(&scores);
  check_open(c, expected, scores);
  for (const Simd simd : available_simd()) {
    CAPTURE(simd_name(simd));
    const PackedCodebook packed(c.codebook(), simd);
    const NearestSearch search({&packed}, kManyRows);
    NearestSearch::Scratch scratch(search);
    std::vector<Token> tokens(c.n_rows);
    for (std::size_t first = 0, step = 1; first < c.n_rows; first += step, step = step % kMaxBlockRows + 5) {
      step = std::min({step, c.n_rows - first, kMaxBlockRows});
      search.nearest(0, c.rows.data() + first * c.dim, step, tokens.data() + first, scratch);
    }
    CHECK(tokens == expected);
  }
}

TEST_CASE("the twin's tokens at every shape, magnitude and distance from the origin") { testing::scaled_cases(check); }
TEST_CASE("ties, twins among codewords, rows on codewords and rows of zeros") { testing::tied_cases(check); }
TEST_CASE("a huge coordinate, dimension or codeword, norms of all sizes, sums that cancel") {
  testing::uneven_cases(check);
}
TEST_CASE("wide rows and large codebooks") { testing::large_cases(check); }

TEST_CASE("a search is pruned where the instruction set can and it pays") {
  const std::vector<float> values(256 * 64);
  for (const Simd simd : available_simd()) {
    const PackedCodebook codebooks[] = {PackedCodebook({values.data(), 256, 64}, simd),
                                        PackedCodebook({values.data(), 8, 64}, simd)};
    const bool can = codebooks[0].pruned_kernels() != nullptr;
    CHECK(can == (simd == Simd::avx512_vnni));
    const std::vector<const PackedCodebook*> levels = {codebooks, codebooks + 1};
    const NearestSearch many(levels, kManyRows), few(levels, 100);
    CHECK(many.is_pruned(0) == can);
    CHECK(!many.is_pruned(1));
    CHECK(!few.is_pruned(0));
  }
}

TEST_CASE("rows that pruning cannot decide, many of them or few, get the same tokens") {
  Case c = clustered(256, 48, 4000);
  for (std::size_t j = 100; j < 200; ++j) std::copy_n(c.codeword(100), c.dim, c.codeword(j));
  for (std::size_t i = 0; i < c.n_rows; ++i) {
    const bool hard = i < 2000 || i % 40 == 0;
    std::copy_n(c.codeword(hard ? 100 : i % 100), c.dim, c.row(i));
  }
  check(c, "some undecided");
}

TEST_CASE("codebooks whose sums might overflow are searched too") {
  Case c = clustered(64, 128, 50);
  for (float& value : c.codewords) value *= 1e17F;
  for (float& value : c.rows) value *= 1e17F;
  check(c, "near the largest");
}

TEST_CASE("k-means gives the same bytes with and without pruning") {
  const Case c = clustered(200, 48, 2500);
  std::vector<KMeansLevel> expected;
  for (const Simd simd : available_simd()) {
    Execution execution;
    execution.simd = simd;
    const auto levels = train_residual_kmeans({c.rows.data(), c.n_rows, c.dim}, {160, 160}, {.n_iter = 3}, execution);
    if (expected.empty()) expected = levels;
    for (std::size_t level = 0; level < levels.size(); ++level) {
      CHECK(levels[level].codewords == expected[level].codewords);
      CHECK(levels[level].distortion == expected[level].distortion);
    }
  }
}

}  // namespace
}  // namespace puresid
