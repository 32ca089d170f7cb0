#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>
#include <limits>

#include "pruned_codebook.hpp"

namespace puresid {
namespace {

constexpr float kUnit = 0x1p-24F, kTiny = 0x1p-149F, kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLargestSum = 0x1p100F;
// Of a full list at least so many tokens must go for the row to be worth going on with.
constexpr std::size_t kLeastDropped = 16;
constexpr std::size_t kFew = 4;         // tokens: the scores of all of them at once cost as much as one after the other
constexpr std::size_t kMostExact = 16;  // scores of a row: with more the float32 kernel is as fast

// A bit for each token of a batch.
struct BatchBits {
  std::uint64_t words[simd::kPrunedBatch / 64];

  // The first word that is not 0, or the last. Mostly one bit is set, anywhere: a branch would be a guess.
  [[nodiscard]] std::size_t first() const {
    std::size_t result = std::size(words) - 1;
    for (std::size_t word = result; word-- > 0;) result = words[word] != 0 ? word : result;
    return result;
  }
};

}  // namespace

PrunedScratch::PrunedScratch(std::size_t max_dim)
    : turned_(simd::kQuantisedRows * (max_dim + 15)),
      bounds_(simd::kBoundRows * simd::kPrunedBatch),
      bytes_(simd::kBlockRows * (max_dim + 15)),
      quantised_(simd::kBlockRows),
      rows_(simd::kBlockRows) {}

float PrunedCodebook::bound_slack(const simd::Quantised& row) const {
  const auto dim = static_cast<float>(panels_.frame.dim);
  const float norm = row.norm + 2 * centre_norm_, most = norm * longest_ + highest_;
  if (!(most < kLargestSum) || !(longest_ < kLargestSum)) return kInfinity;
  return (1.15F * dim + 130) * kUnit * most + 8 * (dim + 64) * kTiny * (1 + norm + longest_);
}

float PrunedCodebook::score_slack(float row_norm, Token token) const {
  const auto dim = static_cast<float>(panels_.frame.dim);
  return (1.08F * dim + 30) * kUnit * (row_norm * norms_[token] + panels_.half_norms[token]) +
         8 * (dim + 64) * kTiny * (1 + row_norm + norms_[token]);
}

// The search for one block of rows.
class PrunedBlock {
 public:
  PrunedBlock(const PrunedCodebook& codebook, const float* rows, std::size_t n_rows, PrunedScratch& scratch,
              Token* tokens, const std::uint64_t* const* closed)
      : codebook_(codebook),
        panels_(codebook.panels()),
        kernels_(codebook.kernels()),
        values_(rows),
        n_rows_(n_rows),
        scratch_(scratch),
        tokens_(tokens),
        closed_(closed) {}

  PrunedWork run() {
    begin();
    const std::size_t padded = (panels_.size + simd::kPrunedPanel - 1) / simd::kPrunedPanel * simd::kPrunedPanel;
    for (std::size_t first = 0; first < padded; first += simd::kPrunedBatch) {
      const std::size_t count = std::min(simd::kPrunedBatch, padded - first);
      for (std::size_t i = 0; i < n_rows_; i += simd::kBoundRows) search(i, first, count);
    }
    for (std::size_t i = 0; i < n_rows_; ++i) decide(i);
    settle();
    return work_;
  }

 private:
  using Row = PrunedScratch::Row;

  void begin() {
    kernels_.quantise(panels_.frame, values_, n_rows_, panels_.frame.dim, scratch_.turned_.data(),
                      scratch_.bytes_.data(), scratch_.quantised_.data());
    for (std::size_t i = 0; i < n_rows_; ++i) {
      Row& row = scratch_.rows_[i];
      row.slack = codebook_.bound_slack(scratch_.quantised_[i]);
      row.norm = scratch_.quantised_[i].norm + codebook_.centre_norm();
      row.limit = kInfinity;
      row.n_kept = 0;
      row.given_up = !std::isfinite(row.slack);
    }
  }

  // Of the rows from i on that are looked at together, the tokens of a batch.
  void search(std::size_t i, std::size_t first, std::size_t count) {
    const std::size_t n_rows = std::min(simd::kBoundRows, n_rows_ - i);
    float* bounds = scratch_.bounds_.data();
    kernels_.bounds(panels_, scratch_.bytes_.data() + i * panels_.frame.padded_dim, scratch_.quantised_.data() + i,
                    n_rows, first, count, bounds);
    // Step by step for all of them: a row's steps wait for one another.
    std::uint32_t places[simd::kBoundRows];
    float limits[simd::kBoundRows];
    BatchBits kept[simd::kBoundRows] = {};
    bool any_open[simd::kBoundRows];
    for (std::size_t k = 0; k < n_rows; ++k) {
      any_open[k] = closed_ == nullptr || close(i + k, first, count, bounds + k * simd::kPrunedBatch);
    }
    kernels_.least(bounds, n_rows, count, places);
    for (std::size_t k = 0; k < n_rows; ++k) {
      limits[k] = -kInfinity;
      if (!any_open[k]) continue;
      lower_limit(i + k, first + places[k], bounds[k * simd::kPrunedBatch + places[k]]);
      limits[k] = scratch_.rows_[i + k].limit;
    }
    kernels_.not_above(bounds, n_rows, count, limits, kept[0].words);
    for (std::size_t k = 0; k < n_rows; ++k) {
      if (!scratch_.rows_[i + k].given_up) keep(i + k, first, kept[k], bounds + k * simd::kPrunedBatch);
    }
  }

  // Takes the closed tokens of a batch out of the running; false where no other is there.
  [[nodiscard]] bool close(std::size_t i, std::size_t first, std::size_t count, float* bounds) const {
    const std::uint64_t* closed = closed_[i] + first / 64;
    kernels_.close(bounds, count, closed);
    const std::size_t size = std::min(count, panels_.size - first);
    std::size_t word = 0;
    while (word < size / 64 && closed[word] == ~std::uint64_t{0}) ++word;
    return word < size / 64 || (size % 64 != 0 && std::countr_one(closed[word]) < static_cast<int>(size % 64));
  }

  [[nodiscard]] const float* values(std::size_t i) const { return values_ + i * panels_.frame.dim; }

  // A score of row i is at most `upper`.
  void lower_limit(std::size_t i, float upper) {
    Row& row = scratch_.rows_[i];
    row.limit = std::min(row.limit, upper - scratch_.quantised_[i].shift + row.slack);
  }

  // By a token's bound from above.
  void lower_limit(std::size_t i, std::size_t token, float bound) {
    const simd::Quantised& quantised = scratch_.quantised_[i];
    const float error = panels_.by_error[token] * quantised.error + panels_.by_norm[token] * quantised.norm;
    Row& row = scratch_.rows_[i];
    row.limit = std::min(row.limit, bound + 2 * (error + row.slack));
  }

  // Adds the tokens of a batch whose bits are set, in increasing order.
  void keep(std::size_t i, std::size_t first, BatchBits left, const float* bounds) {
    Row& row = scratch_.rows_[i];
    for (std::size_t word = left.first(); left.words[word] != 0; word = left.first()) {
      if (row.n_kept == PrunedScratch::kMostKept) {
        tighten(i);
        if (row.n_kept > PrunedScratch::kMostKept - kLeastDropped) {
          row.given_up = true;
          return;
        }
      }
      const std::size_t found = word * 64 + static_cast<std::size_t>(std::countr_zero(left.words[word]));
      left.words[word] &= left.words[word] - 1;
      row.tokens[row.n_kept] = static_cast<Token>(first + found);
      row.bounds[row.n_kept++] = bounds[found];
    }
  }

  // Lowers the limit by the score of the token of the least bound, and drops what is above it.
  void tighten(std::size_t i) {
    Row& row = scratch_.rows_[i];
    const auto least = static_cast<std::size_t>(std::min_element(row.bounds, row.bounds + row.n_kept) - row.bounds);
    float score = 0;
    kernels_.rough_scores(panels_, values(i), row.tokens + least, 1, &score);
    lower_limit(i, score + codebook_.score_slack(row.norm, row.tokens[least]));
    drop(row);
  }

  static void drop(Row& row) {
    std::size_t kept = 0;
    for (std::size_t k = 0; k < row.n_kept; ++k) {
      row.tokens[kept] = row.tokens[k];
      row.bounds[kept] = row.bounds[k];
      kept += row.bounds[k] > row.limit ? 0 : 1;
    }
    row.n_kept = kept;
  }

  // Decides row i, or hands its last tokens to settle(), or leaves it undecided.
  void decide(std::size_t i) {
    Row& row = scratch_.rows_[i];
    tokens_[i] = simd::kNoToken;
    if (!row.given_up && row.n_kept > 1) {
      drop(row);
      if (row.n_kept > kFew) tighten(i);
    }
    if (row.given_up || row.n_kept == 0) {
      ++work_.undecided;
      return;
    }
    work_.kept += row.n_kept;
    if (row.n_kept == 1) {
      tokens_[i] = row.tokens[0];
    } else {
      compare_scores(i);
    }
  }

  void compare_scores(std::size_t i) {
    Row& row = scratch_.rows_[i];
    float scores[PrunedScratch::kMostKept], slacks[PrunedScratch::kMostKept], upper = kInfinity;
    kernels_.rough_scores(panels_, values(i), row.tokens, row.n_kept, scores);
    for (std::size_t k = 0; k < row.n_kept; ++k) {
      slacks[k] = codebook_.score_slack(row.norm, row.tokens[k]);
      upper = std::min(upper, scores[k] + slacks[k]);
    }
    std::size_t n_left = 0;
    for (std::size_t k = 0; k < row.n_kept; ++k) {
      row.tokens[n_left] = row.tokens[k];
      n_left += scores[k] - slacks[k] > upper ? 0 : 1;
    }
    if (n_left > kMostExact) {
      ++work_.undecided;
      return;
    }
    tokens_[i] = row.tokens[0];
    if (n_left == 1) return;
    best_[i] = kInfinity;
    for (std::size_t k = 0; k < n_left; ++k) doubt(i, row.tokens[k]);
  }

  // Whether the token is the nearest of row i is for an exact score to say.
  void doubt(std::size_t i, Token token) {
    doubted_rows_[n_doubted_] = static_cast<std::uint32_t>(i);
    doubted_tokens_[n_doubted_++] = token;
    ++work_.exact;
    if (n_doubted_ == simd::kExactPairs) settle();
  }

  // The tokens of a row come in increasing order: of equal scores the first stays.
  void settle() {
    if (n_doubted_ == 0) return;
    std::fill(doubted_rows_ + n_doubted_, doubted_rows_ + simd::kExactPairs, doubted_rows_[0]);
    std::fill(doubted_tokens_ + n_doubted_, doubted_tokens_ + simd::kExactPairs, doubted_tokens_[0]);
    float scores[simd::kExactPairs];
    kernels_.exact_scores(panels_, values_, panels_.frame.dim, doubted_rows_, doubted_tokens_, scores);
    for (std::size_t k = 0; k < n_doubted_; ++k) {
      const std::size_t i = doubted_rows_[k];
      if (!(scores[k] < best_[i])) continue;
      best_[i] = scores[k];
      tokens_[i] = doubted_tokens_[k];
    }
    n_doubted_ = 0;
  }

  const PrunedCodebook& codebook_;
  const simd::PrunedPanels& panels_;
  const simd::PrunedKernels& kernels_;
  const float* values_;
  std::size_t n_rows_;
  PrunedScratch& scratch_;
  Token* tokens_;
  const std::uint64_t* const* closed_;
  PrunedWork work_;
  std::uint32_t doubted_rows_[simd::kExactPairs] = {};
  Token doubted_tokens_[simd::kExactPairs] = {};
  std::size_t n_doubted_ = 0;
  float best_[simd::kBlockRows] = {};
};

PrunedWork PrunedCodebook::nearest(const float* rows, std::size_t n_rows, PrunedScratch& scratch, Token* tokens,
                                   const std::uint64_t* const* closed) const {
  return PrunedBlock(*this, rows, n_rows, scratch, tokens, closed).run();
}

}  // namespace puresid
