#include "puresid/rrs.hpp"

#include <algorithm>

namespace puresid {

RrsSearch::RrsSearch(const PackedCodebooks& codebooks, const std::vector<std::size_t>& widths, std::size_t max_rows)
    : codebooks_(codebooks),
      widths_(widths),
      max_rows_(max_rows),
      vectors_(checked_multiply(max_rows, codebooks.dim())),
      residuals_(checked_multiply(max_rows, codebooks.dim())),
      path_(checked_multiply(widths.size(), codebooks.dim())),
      ranks_(widths.size()) {
  std::size_t sum = 0;
  for (const std::size_t width : widths_) {
    offsets_.push_back(sum);
    sum += width;
  }
  tokens_.resize(checked_multiply(max_rows, sum));
  squared_.resize(tokens_.size());
}

void RrsSearch::prepare(const float* vectors, const SidKey* nearest, std::size_t n_rows) {
  const std::size_t dim = codebooks_.dim();
  std::copy_n(vectors, n_rows * dim, vectors_.data());
  std::copy_n(vectors, n_rows * dim, residuals_.data());
  bool greedy = true;  // the path so far is the one of the nearest SID, whose tokens are known
  for (std::size_t level = 0; level < widths_.size(); ++level) {
    const std::size_t width = widths_[level];
    Token* tokens = tokens_.data() + slot(level, 0);
    greedy = greedy && width == 1;
    if (greedy) {
      for (std::size_t row = 0; row < n_rows; ++row) tokens[row] = codebooks_.layout().token(nearest[row], level);
    } else {
      codebooks_[level].nearest_k(residuals_.data(), n_rows, width, tokens, squared_.data() + slot(level, 0));
    }
    for (std::size_t row = 0; row < n_rows; ++row) {
      codebooks_[level].subtract(residuals_.data() + row * dim, tokens[row * width]);
    }
  }
}

void RrsSearch::start(std::size_t row) {
  const std::size_t dim = codebooks_.dim();
  row_ = row;
  std::fill(ranks_.begin(), ranks_.end(), std::size_t{0});
  exhausted_ = false;
  descend_from_ = widths_.size();
  std::copy_n(vectors_.data() + row * dim, dim, path_.data());
  for (std::size_t level = 0; level + 1 < widths_.size(); ++level) {
    std::copy_n(path_.data() + level * dim, dim, path_.data() + (level + 1) * dim);
    codebooks_[level].subtract(path_.data() + (level + 1) * dim, current(level));
  }
}

void RrsSearch::descend(std::size_t level) {
  const std::size_t dim = codebooks_.dim();
  for (; level < widths_.size(); ++level) {
    float* residual = path_.data() + level * dim;
    std::copy_n(path_.data() + (level - 1) * dim, dim, residual);
    codebooks_[level - 1].subtract(residual, current(level - 1));
    ranks_[level] = 0;
    codebooks_[level].nearest_k(residual, 1, widths_[level], tokens_.data() + slot(level, row_),
                                squared_.data() + slot(level, row_));
  }
}

bool RrsSearch::next(SidKey& key) {
  if (exhausted_) return false;
  descend(descend_from_);
  key = 0;
  for (std::size_t level = 0; level < widths_.size(); ++level) {
    key |= codebooks_.layout().place(current(level), level);
  }
  std::size_t level = widths_.size();  // the next leaf: raise the deepest rank that can be raised
  while (level > 0 && ranks_[level - 1] + 1 == widths_[level - 1]) --level;
  if (level == 0) {
    exhausted_ = true;
  } else {
    ++ranks_[level - 1];
    descend_from_ = level;  // the lists below are made when another leaf is asked for
  }
  return true;
}

}  // namespace puresid
