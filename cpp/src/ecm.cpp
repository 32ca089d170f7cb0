#include "puresid/ecm.hpp"

#include <algorithm>
#include <cmath>

namespace puresid {
namespace {

// Up to this many prefixes are looked through for a leaf before distances are computed.
constexpr std::uint64_t kFewPrefixes = 64;

}  // namespace

struct EcmSearch::Later {
  bool operator()(const Entry& a, const Entry& b) const noexcept {
    return a.cost > b.cost || (a.cost == b.cost && a.ranks > b.ranks);
  }
};

EcmSearch::EcmSearch(const PackedCodebooks& codebooks, const std::vector<std::size_t>& widths, std::size_t max_rows)
    : codebooks_(codebooks),
      lists_(widths, max_rows),
      ranks_(widths),
      vectors_(checked_multiply(max_rows, codebooks.dim())),
      nearest_(max_rows),
      residuals_(checked_multiply(max_rows, codebooks.dim())),
      path_(codebooks.dim()) {
  for (const std::size_t width : widths) norms_.emplace_back(width);
  for (std::size_t level = 0; level < last(); ++level) n_prefixes_ = saturating_multiply(n_prefixes_, widths[level]);
}

void EcmSearch::prepare(const float* vectors, const SidKey* nearest, std::size_t n_rows) {
  const std::size_t dim = codebooks_.dim();
  std::copy_n(vectors, n_rows * dim, vectors_.data());
  std::copy_n(vectors, n_rows * dim, residuals_.data());
  std::copy_n(nearest, n_rows, nearest_.data());
  for (std::size_t level = 0; level <= last(); ++level) {
    Token* tokens = lists_.list(level, 0);
    const bool wide = lists_.width(level) > 1;
    if (wide) codebooks_[level].nearest_k(residuals_.data(), n_rows, lists_.width(level), tokens);
    for (std::size_t row = 0; row < n_rows; ++row) {
      const Token token = codebooks_.layout().token(nearest[row], level);
      if (!wide) tokens[row] = token;
      if (level < last()) codebooks_[level].subtract(residuals_.data() + row * dim, token);
    }
  }
}

void EcmSearch::start(std::size_t row) {
  row_ = row;
  given_ = 0;
  fresh_ = true;
}

SidKey EcmSearch::prefix(std::uint64_t ranks) const {
  SidKey key = 0;
  for (std::size_t level = 0; level < last(); ++level) {
    key |= codebooks_.layout().place(lists_.list(level, row_)[ranks_.token(ranks, level)], level);
  }
  return key;
}

// Sets the last rank of `ranks` to the first from `from` on whose leaf may be had; false where there is none.
bool EcmSearch::find_leaf(std::uint64_t& ranks, std::size_t from, Refusals& refusals) const {
  const Refusals::Leaves leaves = refusals.below(prefix(ranks));
  if (leaves.all_refused()) return false;
  const Token* tokens = lists_.list(last(), row_);
  while (from < lists_.width(last()) && leaves.refused(tokens[from])) ++from;
  if (from == lists_.width(last())) return false;
  ranks += from - ranks_.token(ranks, last());  // the last level has the lowest bits
  return true;
}

// The prefix after `ranks` in lexicographic order; false after the last.
bool EcmSearch::next_prefix(std::uint64_t& ranks) const {
  for (std::size_t level = last(); level-- > 0;) {
    const std::uint64_t rank = ranks_.token(ranks, level);
    if (rank + 1 < lists_.width(level)) {
      ranks += ranks_.place(1, level);
      return true;
    }
    ranks -= ranks_.place(static_cast<Token>(rank), level);
  }
  return false;
}

bool EcmSearch::any_leaf(Refusals& refusals) const {
  std::uint64_t prefix_ranks = 0;
  do {
    std::uint64_t ranks = prefix_ranks;
    if (find_leaf(ranks, 0, refusals)) return true;
  } while (next_prefix(prefix_ranks));
  return false;
}

// Computes the norms of the row's ranked tokens.
void EcmSearch::measure() {
  const std::size_t dim = codebooks_.dim();
  std::copy_n(vectors_.data() + row_ * dim, dim, path_.data());
  for (std::size_t level = 0; level <= last(); ++level) {
    std::vector<float>& norms = norms_[level];
    codebooks_[level].squared_distances_to(path_.data(), lists_.list(level, row_), norms.size(), norms.data());
    float least = 0;
    for (float& norm : norms) norm = least = std::max(least, std::sqrt(norm));
    if (level < last()) codebooks_[level].subtract(path_.data(), codebooks_.layout().token(nearest_[row_], level));
  }
}

void EcmSearch::push(std::uint64_t ranks, bool is_leaf) {
  double cost = 0;
  for (std::size_t level = 0; level <= last(); ++level) {
    cost += static_cast<double>(norms_[level][ranks_.token(ranks, level)]);
  }
  queue_.push_back({cost, ranks, is_leaf});
  std::push_heap(queue_.begin(), queue_.end(), Later{});
}

// Pushes the prefixes whose parent is `ranks`: one rank raised, at or after the last that is not 0.
void EcmSearch::push_children(std::uint64_t ranks) {
  std::size_t level = last();
  while (level > 0 && ranks_.token(ranks, level - 1) == 0) --level;
  for (level = level == 0 ? 0 : level - 1; level < last(); ++level) {
    if (ranks_.token(ranks, level) + 1 < lists_.width(level)) push(ranks + ranks_.place(1, level), false);
  }
}

bool EcmSearch::next(SidKey& key, Refusals& refusals, Worker& worker) {
  const bool found = n_prefixes_ == 1 ? next_under_one_prefix(refusals) : next_in_queue(refusals, worker);
  if (!found) return false;
  const Token token = lists_.list(last(), row_)[ranks_.token(given_, last())];
  key = prefix(given_) | codebooks_.layout().place(token, last());
  return true;
}

// Without a choice between prefixes cost and rank order the same.
bool EcmSearch::next_under_one_prefix(Refusals& refusals) {
  const std::size_t from = fresh_ ? 0 : ranks_.token(given_, last()) + std::size_t{1};
  fresh_ = false;
  return find_leaf(given_, from, refusals);
}

bool EcmSearch::next_in_queue(Refusals& refusals, Worker& worker) {
  if (fresh_) {
    fresh_ = false;
    queue_.clear();
    if (n_prefixes_ <= kFewPrefixes && !any_leaf(refusals)) return false;
    measure();
    push(0, false);
  } else if (std::uint64_t ranks = given_; find_leaf(ranks, ranks_.token(given_, last()) + std::size_t{1}, refusals)) {
    push(ranks, true);
  }
  for (std::size_t opened = 1; !queue_.empty(); ++opened) {
    if (opened % 1024 == 0) worker.poll();
    std::pop_heap(queue_.begin(), queue_.end(), Later{});
    const Entry entry = queue_.back();
    queue_.pop_back();
    given_ = entry.ranks;
    if (entry.is_leaf) return true;
    push_children(entry.ranks);
    if (!find_leaf(given_, 0, refusals)) continue;
    if (given_ == entry.ranks) return true;  // its nearest leaf: the bound was exact
    push(given_, true);
  }
  return false;
}

}  // namespace puresid
