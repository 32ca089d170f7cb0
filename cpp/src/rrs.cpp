#include "puresid/rrs.hpp"

#include <algorithm>

namespace puresid {
namespace {

constexpr std::size_t kMostSiblings = 6;  // what a pass over the codebook serves at little more than one row's cost

}  // namespace

RrsSearch::RrsSearch(const PackedCodebooks& codebooks, const std::vector<std::size_t>& widths, std::size_t max_rows)
    : codebooks_(codebooks),
      lists_(widths, max_rows),
      vectors_(checked_multiply(max_rows, codebooks.dim())),
      residuals_(checked_multiply(max_rows, codebooks.dim())),
      path_(checked_multiply(widths.size(), codebooks.dim())),
      siblings_(widths.size()),
      ranks_(widths.size()) {
  for (std::size_t level = 1; level <= last(); ++level) {
    const std::size_t rows = std::min(kMostSiblings, widths[level - 1]);
    siblings_[level].residuals = AlignedBuffer<float>(checked_multiply(rows, codebooks.dim()));
    siblings_[level].tokens.resize(checked_multiply(rows, widths[level]));
  }
}

void RrsSearch::prepare(const float* vectors, const SidKey* nearest, std::size_t n_rows) {
  const std::size_t dim = codebooks_.dim();
  std::copy_n(vectors, n_rows * dim, vectors_.data());
  std::copy_n(vectors, n_rows * dim, residuals_.data());
  for (std::size_t level = 0; level <= last(); ++level) {
    const std::size_t width = lists_.width(level);
    Token* tokens = lists_.list(level, 0);
    if (width > 1) codebooks_[level].nearest_k(residuals_.data(), n_rows, width, tokens);
    for (std::size_t row = 0; row < n_rows; ++row) {
      // The first path is the greedy one, whose tokens are known.
      const Token token = codebooks_.layout().token(nearest[row], level);
      if (width == 1) tokens[row] = token;
      if (level < last()) codebooks_[level].subtract(residuals_.data() + row * dim, token);
    }
  }
}

void RrsSearch::start(std::size_t row) {
  row_ = row;
  std::fill(ranks_.begin(), ranks_.end(), std::size_t{0});
  std::copy_n(vectors_.data() + row * codebooks_.dim(), codebooks_.dim(), path_.data());
  n_listed_ = lists_.levels();
  n_residuals_ = 1;
  for (Siblings& siblings : siblings_) siblings.count = 0;
  done_ = false;
}

// Ranks the tokens of `level` for the path taken and for its siblings to come.
void RrsSearch::list_siblings(std::size_t level) {
  const std::size_t dim = codebooks_.dim();
  for (; n_residuals_ < level; ++n_residuals_) {  // the first path's, which no one has asked for yet
    float* residual = path_.data() + n_residuals_ * dim;
    std::copy_n(residual - dim, dim, residual);
    codebooks_[n_residuals_ - 1].subtract(residual, current(n_residuals_ - 1));
  }
  Siblings& siblings = siblings_[level];
  siblings.first = ranks_[level - 1];
  siblings.count = std::min(kMostSiblings, lists_.width(level - 1) - siblings.first);
  for (std::size_t i = 0; i < siblings.count; ++i) {
    float* residual = siblings.residuals.data() + i * dim;
    std::copy_n(path_.data() + (level - 1) * dim, dim, residual);
    codebooks_[level - 1].subtract(residual, lists_.list(level - 1, row_)[siblings.first + i]);
  }
  codebooks_[level].nearest_k(siblings.residuals.data(), siblings.count, lists_.width(level), siblings.tokens.data());
}

// Fetches the list of `level` for the path taken; those of the levels above are there.
void RrsSearch::list_tokens(std::size_t level) {
  const std::size_t dim = codebooks_.dim(), rank = ranks_[level - 1], width = lists_.width(level);
  Siblings& siblings = siblings_[level];
  if (rank < siblings.first || rank >= siblings.first + siblings.count) list_siblings(level);
  const std::size_t at = rank - siblings.first;
  std::copy_n(siblings.tokens.data() + at * width, width, lists_.list(level, row_));
  std::copy_n(siblings.residuals.data() + at * dim, dim, path_.data() + level * dim);
  ranks_[level] = 0;
  n_listed_ = n_residuals_ = level + 1;
  if (level < last()) siblings_[level + 1].count = 0;  // children of another parent
}

// Takes the next token of the deepest of the first `level` levels that has one; false where none has.
bool RrsSearch::step_back(std::size_t level) {
  while (level > 0 && ranks_[level - 1] + 1 == lists_.width(level - 1)) --level;
  if (level == 0) return false;
  ++ranks_[level - 1];
  n_listed_ = level;
  return true;
}

bool RrsSearch::next(SidKey& key, Refusals& refusals, Worker& worker) {
  while (!done_) {
    worker.poll();
    while (n_listed_ < last()) list_tokens(n_listed_);
    key = 0;
    for (std::size_t level = 0; level < last(); ++level) key |= codebooks_.layout().place(current(level), level);
    const Refusals::Leaves leaves = refusals.below(key);
    if (!leaves.all_refused()) {
      if (n_listed_ == last()) list_tokens(last());
      std::size_t& rank = ranks_[last()];
      while (rank < lists_.width(last()) && leaves.refused(current(last()))) ++rank;
      if (rank < lists_.width(last())) {
        key |= codebooks_.layout().place(current(last()), last());
        ++rank;
        return true;
      }
    }
    done_ = !step_back(last());
  }
  return false;
}

}  // namespace puresid
