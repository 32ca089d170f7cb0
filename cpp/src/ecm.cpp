#include "puresid/ecm.hpp"

#include <algorithm>
#include <cmath>

namespace puresid {

struct EcmSearch::Later {
  bool operator()(const Entry& a, const Entry& b) const noexcept {
    return a.cost > b.cost || (a.cost == b.cost && a.ranks > b.ranks);
  }
};

EcmSearch::EcmSearch(const PackedCodebooks& codebooks, const std::vector<std::size_t>& widths, std::size_t max_rows)
    : codebooks_(codebooks),
      widths_(widths),
      ranks_(widths),
      max_rows_(max_rows),
      residuals_(checked_multiply(max_rows, codebooks.dim())) {
  std::size_t sum = 0;
  for (const std::size_t width : widths_) {
    offsets_.push_back(sum);
    sum += width;
  }
  tokens_.resize(checked_multiply(max_rows, sum));
  norms_.resize(tokens_.size());
}

void EcmSearch::prepare(const float* vectors, const SidKey* nearest, std::size_t n_rows) {
  const std::size_t dim = codebooks_.dim();
  std::copy_n(vectors, n_rows * dim, residuals_.data());
  for (std::size_t level = 0; level < widths_.size(); ++level) {
    const PackedCodebook& codebook = codebooks_[level];
    Token* tokens = tokens_.data() + slot(level, 0);
    float* norms = norms_.data() + slot(level, 0);
    const bool wide = widths_[level] > 1;
    if (wide) codebook.nearest_k(residuals_.data(), n_rows, widths_[level], tokens, norms);
    for (std::size_t row = 0; row < n_rows; ++row) {
      const Token token = codebooks_.layout().token(nearest[row], level);
      if (!wide) tokens[row] = token;
      codebook.subtract(residuals_.data() + row * dim, token);
    }
    // What is left after the nearest codeword is its distance: the same subtraction, the same sum.
    if (!wide) codebook.squared_norms(residuals_.data(), n_rows, norms);
    for (std::size_t i = 0; i < n_rows * widths_[level]; ++i) norms[i] = std::sqrt(norms[i]);
  }
}

void EcmSearch::start(std::size_t row) {
  row_ = row;
  queue_.clear();
  push(0);
}

void EcmSearch::push(std::uint64_t ranks) {
  double cost = 0;
  for (std::size_t level = 0; level < widths_.size(); ++level) {
    cost += static_cast<double>(norms_[slot(level, row_) + ranks_.token(ranks, level)]);
  }
  queue_.push_back({cost, ranks});
  std::push_heap(queue_.begin(), queue_.end(), Later{});
}

bool EcmSearch::next(SidKey& key) {
  if (queue_.empty()) return false;
  std::pop_heap(queue_.begin(), queue_.end(), Later{});
  const std::uint64_t ranks = queue_.back().ranks;
  queue_.pop_back();
  key = 0;
  std::size_t last_raised = 0;
  for (std::size_t level = 0; level < widths_.size(); ++level) {
    const Token rank = ranks_.token(ranks, level);
    if (rank != 0) last_raised = level;
    key |= codebooks_.layout().place(tokens_[slot(level, row_) + rank], level);
  }
  for (std::size_t level = last_raised; level < widths_.size(); ++level) {
    const Token rank = ranks_.token(ranks, level);
    if (rank + 1 < widths_[level]) push(ranks + ranks_.place(1, level));
  }
  return true;
}

}  // namespace puresid
