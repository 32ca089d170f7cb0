#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "pruned_codebook.hpp"
#include "search_cases.hpp"

namespace puresid {
namespace {

using testing::Case;
using testing::clustered;
using testing::Random;
using testing::with_pruning;
using Choice = PrunedCodebook::Choice;

constexpr Choice kChoices[] = {{false, false}, {false, true}, {true, false}, {true, true}};

PrunedCodebook pruned(const Case& c, const PackedCodebook& packed, std::optional<Choice> choice = {}) {
  return {c.codebook(), packed.half_norms(), *packed.pruned_kernels(), choice};
}

// The tokens of the rows that the pruned search decides are right; what it had to do.
PrunedWork check_decided(const Case& c, const PrunedCodebook& codebook, const std::vector<Token>& expected) {
  PrunedScratch scratch(c.dim);
  PrunedWork sum;
  std::size_t wrong = 0, undecided = 0;
  for (std::size_t first = 0; first < c.n_rows; first += kMaxBlockRows) {
    Token tokens[kMaxBlockRows];
    const std::size_t n_rows = std::min(kMaxBlockRows, c.n_rows - first);
    const PrunedWork work = codebook.nearest(c.rows.data() + first * c.dim, n_rows, scratch, tokens);
    sum.kept += work.kept;
    sum.exact += work.exact;
    sum.undecided += work.undecided;
    for (std::size_t i = 0; i < n_rows; ++i) {
      undecided += tokens[i] == PackedCodebook::kNone ? 1 : 0;
      wrong += tokens[i] != PackedCodebook::kNone && tokens[i] != expected[first + i] ? 1 : 0;
    }
  }
  CHECK(wrong == 0);
  CHECK(undecided == sum.undecided);
  return sum;
}

// Closes the nearest of each row, again and again: the tokens decided are the twin's next ones.
void check_closed(const Case& c, const PrunedCodebook& codebook, const std::vector<float>& scores) {
  const std::size_t n_rows = std::min(kMaxBlockRows, c.n_rows);
  std::vector<std::uint64_t> closed(n_rows * ((c.size + 63) / 64));
  std::vector<const std::uint64_t*> words;
  for (std::size_t i = 0; i < n_rows; ++i) words.push_back(closed.data() + i * ((c.size + 63) / 64));
  PrunedScratch scratch(c.dim);
  std::size_t wrong = 0;
  for (std::size_t round = 0; round < std::min<std::size_t>(c.size, 4); ++round) {
    Token tokens[kMaxBlockRows];
    static_cast<void>(codebook.nearest(c.rows.data(), n_rows, scratch, tokens, words.data()));
    for (std::size_t i = 0; i < n_rows; ++i) {
      std::size_t next = c.size;
      for (std::size_t token = 0; token < c.size; ++token) {
        if ((words[i][token / 64] >> token % 64 & 1) != 0) continue;
        if (next == c.size || scores[i * c.size + token] < scores[i * c.size + next]) next = token;
      }
      wrong += tokens[i] != PackedCodebook::kNone && tokens[i] != next ? 1 : 0;
      closed[i * ((c.size + 63) / 64) + next / 64] |= std::uint64_t{1} << next % 64;
    }
  }
  CHECK(wrong == 0);
}

// How much of what rounding may account for is used at most: of a bound, and of a score in another order.
struct Shares {
  double bound = 0, score = 0;
};

Shares shares(const Case& c, const PrunedCodebook& codebook, const std::vector<float>& scores) {
  const simd::PrunedPanels& panels = codebook.panels();
  const std::size_t padded_dim = panels.frame.padded_dim;
  const AlignedBuffer<float> turned(simd::kQuantisedRows * padded_dim);
  std::vector<std::uint8_t> bytes(c.n_rows * padded_dim);
  std::vector<simd::Quantised> quantised(c.n_rows);
  std::vector<float> bounds(c.n_rows * simd::kPrunedBatch);  // a panel of each
  codebook.kernels().quantise(panels.frame, c.rows.data(), c.n_rows, c.dim, turned.data(), bytes.data(),
                              quantised.data());
  Shares result;
  for (std::size_t token = 0; token < c.size; ++token) {
    if (token % simd::kPrunedPanel == 0) {
      for (std::size_t i = 0; i < c.n_rows; i += simd::kBoundRows) {
        codebook.kernels().bounds(panels, bytes.data() + i * padded_dim, quantised.data() + i,
                                  std::min(simd::kBoundRows, c.n_rows - i), token, simd::kPrunedPanel,
                                  bounds.data() + i * simd::kPrunedBatch);
      }
    }
    for (std::size_t i = 0; i < c.n_rows; ++i) {
      const simd::Quantised& row = quantised[i];
      const auto slack = static_cast<double>(codebook.bound_slack(row)), score = double{scores[i * c.size + token]};
      if (!std::isfinite(slack)) continue;
      const double allowed =
          double{panels.by_error[token]} * double{row.error} + double{panels.by_norm[token]} * double{row.norm};
      const double bound = double{bounds[i * simd::kPrunedBatch + token % simd::kPrunedPanel]} + double{row.shift};
      result.bound = std::max(result.bound, (std::fabs(score - (bound + allowed)) - allowed) / slack);
      const auto number = static_cast<Token>(token);
      float rough = 0;
      codebook.kernels().rough_scores(panels, c.rows.data() + i * c.dim, &number, 1, &rough);
      const auto room = static_cast<double>(codebook.score_slack(row.norm + codebook.centre_norm(), number));
      result.score = std::max(result.score, std::fabs(score - double{rough}) / room);
    }
  }
  return result;
}

// The tokens that are decided, and every bound on the way.
void check(const Case& c, const std::string& name) {
  CAPTURE(name);
  CAPTURE(c.size);
  CAPTURE(c.dim);
  std::vector<float> scores;
  const std::vector<Token> expected = c.expected(&scores);
  for (const Simd simd : available_simd()) {
    const PackedCodebook packed(c.codebook(), simd);
    if (packed.pruned_kernels() == nullptr) continue;
    for (const Choice& choice : kChoices) {
      const PrunedCodebook codebook = pruned(c, packed, choice);
      check_decided(c, codebook, expected);
      check_closed(c, codebook, scores);
      const Shares used = shares(c, codebook, scores);
      CHECK(used.bound <= 1);
      CHECK(used.score <= 1);
    }
  }
}

TEST_CASE("what is decided is the twin's token and bounds hold, at every shape, magnitude and distance") {
  testing::scaled_cases(check);
}
TEST_CASE("ties, twins among codewords, rows on codewords and rows of zeros") { testing::tied_cases(check); }
TEST_CASE("a huge coordinate, dimension or codeword, norms of all sizes, sums that cancel") {
  testing::uneven_cases(check);
}
TEST_CASE("wide rows and large codebooks") { testing::large_cases(check); }

// Moves a value by a few of its last places, or anew.
void mutate(Random& random, float& value) {
  if (random.one_in(4)) {
    value = random.gaussian();
  } else {
    value = std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) +
                                 static_cast<std::uint32_t>(random.between(1, 7)) - 4U);
  }
}

TEST_CASE("a search for the worst rounding does not get beyond the bounds") {
  for (const Simd simd : with_pruning()) {
    double worst_bound = 0, worst_score = 0;
    for (const std::size_t dim : {1, 3, 16, 40, 130}) {
      for (const Choice& choice : kChoices) {
        Random random(dim);
        Case best(1, dim, 1);
        best.fill(random, 1, choice.centred ? 100.0F : 0.0F);
        double most = 0;
        for (int step = 0; step < 4000; ++step) {
          Case next = best;
          for (std::size_t changes = random.between(1, 3); changes > 0; --changes) {
            mutate(random, random.one_in(2) ? next.rows[random.between(0, dim - 1)]
                                            : next.codewords[random.between(0, dim - 1)]);
          }
          std::vector<float> scores;
          static_cast<void>(next.expected(&scores));
          const Shares used = shares(next, pruned(next, PackedCodebook(next.codebook(), simd), choice), scores);
          worst_bound = std::max(worst_bound, used.bound);
          worst_score = std::max(worst_score, used.score);
          const double goal = step % 2 == 0 ? used.bound : used.score;
          if (goal + 0.01 * random.unit() < most) continue;
          most = goal;
          best = next;
        }
      }
    }
    CHECK(worst_bound <= 1);
    CHECK(worst_bound > 0);  // without slack, rounding would have got beyond
    CHECK(worst_score <= 1);
  }
}

TEST_CASE("of codewords an ulp apart the twin's is found, whatever decides") {
  for (const Simd simd : with_pruning()) {
    std::size_t exact = 0;
    for (const std::size_t dim : {1, 2, 5, 16, 33, 96}) {
      for (int trial = 0; trial < 150; ++trial) {
        Random random(1000 * dim + static_cast<std::size_t>(trial));
        Case c(random.between(2, 20), dim, 20);
        c.fill(random, std::ldexp(1.0F, static_cast<int>(random.between(0, 40)) - 20), random.one_in(2) ? 0.0F : 50.0F);
        for (std::size_t j = 1; j < c.size; ++j) {
          std::copy_n(c.codeword(0), dim, c.codeword(j));
          for (std::size_t changes = random.between(0, 2); changes > 0; --changes) {
            float& value = c.codeword(j)[random.between(0, dim - 1)];
            value = std::nextafter(value, random.one_in(2) ? INFINITY : -INFINITY);
          }
        }
        const PackedCodebook packed(c.codebook(), simd);
        exact += check_decided(c, pruned(c, packed, kChoices[trial % 4]), c.expected()).exact;
      }
    }
    CHECK(exact > 10'000);  // it was not all left to the float32 kernel
  }
}

TEST_CASE("bounds leave few codewords, and decide the rows of a clustered catalogue") {
  for (const Simd simd : with_pruning()) {
    for (const auto& [size, dim] : {std::pair<std::size_t, std::size_t>{256, 64}, {256, 768}, {1024, 128}}) {
      const Case c = clustered(size, dim, 96);
      const PackedCodebook packed(c.codebook(), simd);
      const PrunedWork work = check_decided(c, pruned(c, packed), c.expected());
      CHECK(work.undecided == 0);
      CHECK(work.kept <= 2 * c.n_rows);
      CHECK(work.exact == 0);
    }
  }
}

TEST_CASE("a rotation or a centre is chosen where it makes errors smaller") {
  for (const Simd simd : with_pruning()) {
    Case c = clustered(256, 64, 48);
    for (std::size_t j = 0; j < c.size; ++j) c.codeword(j)[5] *= 100;
    const PackedCodebook narrow(c.codebook(), simd);
    CHECK(pruned(c, narrow).panels().frame.rotated);
    CHECK(pruned(c, narrow).panels().frame.centre == nullptr);
    for (float& value : c.codewords) value += 1000;
    const PackedCodebook far_off(c.codebook(), simd);
    CHECK(pruned(c, far_off).panels().frame.centre != nullptr);
  }
}

TEST_CASE("codebooks whose sums might overflow are left undecided") {
  Case c = clustered(64, 128, 50);
  for (float& value : c.codewords) value *= 1e17F;
  for (float& value : c.rows) value *= 1e17F;
  for (const Simd simd : with_pruning()) {
    const PackedCodebook packed(c.codebook(), simd);
    CHECK(check_decided(c, pruned(c, packed), c.expected()).undecided == c.n_rows);
  }
}

}  // namespace
}  // namespace puresid
