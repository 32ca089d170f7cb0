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

  void set(std::size_t token) { words[token / 64] |= std::uint64_t{1} << token % 64; }
  [[nodiscard]] bool has(std::size_t token) const { return (words[token / 64] >> token % 64 & 1) != 0; }

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
              Token* tokens, const std::uint64_t* const* closed, const Shortlisting* shortlisting)
      : codebook_(codebook),
        panels_(codebook.panels()),
        kernels_(codebook.kernels()),
        values_(rows),
        n_rows_(n_rows),
        scratch_(scratch),
        tokens_(tokens),
        closed_(closed),
        shortlisting_(shortlisting) {}

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
  // Tokens of which bounds alone do not say whether they are listed, one more than there can be.
  struct Doubts {
    std::size_t count = 0;
    Token tokens[Shortlisting::kMostTokens + 1] = {};
    float lowers[Shortlisting::kMostTokens + 1], uppers[Shortlisting::kMostTokens + 1];
  };

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
    if (shortlisting_ != nullptr) {
      for (std::size_t k = 0; k < n_rows; ++k) shortlist(i + k, count, bounds + k * simd::kPrunedBatch);
    }
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
      if (!any_open[k] || scratch_.rows_[i + k].given_up) continue;
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
    Row& row = scratch_.rows_[i];
    row.limit = std::min(row.limit, bound + room(i, token));
  }

  // >= how much a token's score can be above its bound.
  [[nodiscard]] float room(std::size_t i, std::size_t token) const {
    const simd::Quantised& quantised = scratch_.quantised_[i];
    const float error = panels_.by_error[token] * quantised.error + panels_.by_norm[token] * quantised.norm;
    return 2 * (error + scratch_.rows_[i].slack);
  }

  // Of the tokens of the k least bounds no score is above the limit; those whose bounds are above it come after them.
  void shortlist(std::size_t i, std::size_t count, const float* bounds) {
    const std::span<const std::size_t> widths = shortlisting_->widths;
    std::uint16_t* numbers = shortlisting_->out + i * shortlisting_->stride;
    std::uint16_t* tokens = numbers + widths.size();
    std::fill_n(numbers, widths.size(), std::uint16_t{0});
    if (scratch_.rows_[i].given_up) return;
    const std::size_t k = widths.back();
    Token least[simd::kMostLeast];
    shortlisting_->codebook->least_k(bounds, std::min(k + 1, panels_.size), least);
    float limit = -kInfinity;
    std::size_t at = 0, n_tokens = 0, earlier = 0;
    BatchBits listed = {};
    for (std::size_t w = 0; w < widths.size(); ++w) {
      for (; at < widths[w]; ++at) limit = std::max(limit, bounds[least[at]] + room(i, least[at]));
      BatchBits chosen = {};
      kernels_.not_above(bounds, 1, count, &limit, chosen.words);
      earlier = n_tokens;
      for (std::size_t word = 0; word < count / 64; ++word) {
        std::uint64_t fresh = chosen.words[word] & ~listed.words[word];
        listed.words[word] = chosen.words[word];
        if (n_tokens + static_cast<std::size_t>(std::popcount(fresh)) > Shortlisting::kMostTokens) {
          std::fill_n(numbers, w, std::uint16_t{0});
          return;
        }
        for (; fresh != 0; fresh &= fresh - 1) {
          tokens[n_tokens++] =
              static_cast<std::uint16_t>(word * 64 + static_cast<std::size_t>(std::countr_zero(fresh)));
        }
      }
      numbers[w] = static_cast<std::uint16_t>(n_tokens);
    }
    if (n_tokens == k) return;
    n_tokens = refine(i, bounds, {least, k + 1}, earlier, tokens, n_tokens);
    numbers[widths.size() - 1] = static_cast<std::uint16_t>(n_tokens);
  }

  // Drops tokens, from place `first` on, that are not among the k nearest by scores in any order; how many stay. Of
  // `least`, the k + 1 tokens of the least bounds, those are sure whose scores are below the last one's bound; the
  // scores of the other k then rule out most of the rest before theirs are computed.
  [[nodiscard]] std::size_t refine(std::size_t i, const float* bounds, std::span<const Token> least, std::size_t first,
                                   std::uint16_t* tokens, std::size_t n_tokens) const {
    const float next = bounds[least.back()], to_score = scratch_.quantised_[i].shift - scratch_.rows_[i].slack;
    Doubts doubts;
    BatchBits stays = {}, nearest = {};
    for (const Token token : least.first(least.size() - 1)) {
      nearest.set(token);
      const bool sure = bounds[token] + room(i, token) < next;
      if (sure) stays.set(token);
      doubts.tokens[doubts.count] = token;
      doubts.count += sure ? 0 : 1;
    }
    const std::size_t wanted = doubts.count;
    compare(i, doubts, 0);
    float limit = -kInfinity;
    for (std::size_t d = 0; d < wanted; ++d) limit = std::max(limit, doubts.uppers[d]);
    for (std::size_t t = 0; t < n_tokens; ++t) {
      doubts.tokens[doubts.count] = tokens[t];
      doubts.count += nearest.has(tokens[t]) || bounds[tokens[t]] + to_score > limit ? 0 : 1;
    }
    if (wanted > 0 && doubts.count > wanted) {
      compare(i, doubts, wanted);
      float* last = doubts.uppers + wanted - 1;
      std::nth_element(doubts.uppers, last, doubts.uppers + doubts.count);
      limit = *last;
    }
    for (std::size_t d = 0; d < doubts.count; ++d) {
      if (!(doubts.lowers[d] > limit)) stays.set(doubts.tokens[d]);
    }
    std::size_t kept = first;
    for (std::size_t t = first; t < n_tokens; ++t) {
      tokens[kept] = tokens[t];
      kept += stays.has(tokens[t]) ? 1 : 0;
    }
    return kept;
  }

  // What the scores of the tokens from `first` on are not below and not above.
  void compare(std::size_t i, Doubts& doubts, std::size_t first) const {
    kernels_.rough_scores(panels_, values(i), doubts.tokens + first, doubts.count - first, doubts.lowers + first);
    for (std::size_t d = first; d < doubts.count; ++d) {
      const float slack = codebook_.score_slack(scratch_.rows_[i].norm, doubts.tokens[d]);
      doubts.uppers[d] = doubts.lowers[d] + slack;
      doubts.lowers[d] -= slack;
    }
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
  const Shortlisting* shortlisting_;
  PrunedWork work_;
  std::uint32_t doubted_rows_[simd::kExactPairs] = {};
  Token doubted_tokens_[simd::kExactPairs] = {};
  std::size_t n_doubted_ = 0;
  float best_[simd::kBlockRows] = {};
};

PrunedWork PrunedCodebook::nearest(const float* rows, std::size_t n_rows, PrunedScratch& scratch, Token* tokens,
                                   const std::uint64_t* const* closed, const Shortlisting* shortlisting) const {
  return PrunedBlock(*this, rows, n_rows, scratch, tokens, closed, shortlisting).run();
}

}  // namespace puresid
