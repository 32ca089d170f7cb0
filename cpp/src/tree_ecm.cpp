#include "puresid/tree_ecm.hpp"

#include <algorithm>
#include <cmath>

namespace puresid {

struct TreeEcmSearch::Later {
  bool operator()(const Entry& a, const Entry& b) const noexcept {
    return a.cost > b.cost || (a.cost == b.cost && a.ranks > b.ranks);
  }
};

TreeEcmSearch::TreeEcmSearch(const PackedCodebooks& codebooks, const CodewordProducts&,
                             const std::vector<std::size_t>& widths, std::size_t max_rows)
    : codebooks_(codebooks), widths_(widths), ranks_(widths), scores_(codebooks, widths, max_rows), nearest_(max_rows) {
  for (std::size_t level = 0; level <= last(); ++level) below_.emplace_back(codebooks[level].padded_size());
}

void TreeEcmSearch::prepare(const float* vectors, const SidKey* nearest, std::size_t n_rows) {
  vectors_ = vectors;
  std::copy_n(nearest, n_rows, nearest_.data());
  scores_.prepare(vectors, nearest, n_rows);
}

std::optional<SidKey> TreeEcmSearch::foresee(std::size_t row, Refusals& refusals, Worker&) const {
  refusals.prefetch(codebooks_.layout().prefix(nearest_[row], last()));
  return std::nullopt;
}

void TreeEcmSearch::start(std::size_t row) {
  row_ = row;
  nodes_.clear();
  tokens_.clear();
  norms_.clear();
  queue_.clear();
  prefixes_ = 0;
  fresh_ = true;
}

// Whether the children of a prefix, those of `level`, are to be ranked.
bool TreeEcmSearch::opens(SidKey path, std::size_t level, Refusals& refusals, Worker& worker) {
  if (level < last()) return true;
  if (prefixes_ == kMostPrefixes) return false;
  if (++prefixes_ % 16 == 0) worker.poll();
  return !refusals.below(path).all_refused();
}

// Ranks the children of a prefix and lets the nearest into the queue.
void TreeEcmSearch::open(SidKey path, std::size_t level, double cost, std::uint64_t ranks) {
  const PackedCodebook& codebook = codebooks_.at(level, path);
  const float* vector = vectors_ + row_ * codebooks_.dim();
  const std::size_t width = widths_[level], first = tokens_.size();
  const bool greedy = path == codebooks_.layout().prefix(nearest_[row_], level);
  tokens_.resize(first + width);
  norms_.resize(first + width);
  if (greedy && width == 1) {
    tokens_[first] = codebooks_.layout().token(nearest_[row_], level);
  } else if (greedy) {
    codebook.least_k(scores_.of(level, row_), width, tokens_.data() + first);
  } else {
    codebook.scores(vector, 1, below_[level].data());
    codebook.least_k(below_[level].data(), width, tokens_.data() + first);
  }
  float* norms = norms_.data() + first;
  codebook.squared_distances_to(vector, tokens_.data() + first, width, norms);
  float least = 0;
  for (std::size_t rank = 0; rank < width; ++rank) norms[rank] = least = std::max(least, std::sqrt(norms[rank]));
  nodes_.push_back({path, level, cost, ranks, first});
  push(nodes_.size() - 1, 0);
}

void TreeEcmSearch::push(std::size_t node, std::size_t rank) {
  const Node& from = nodes_[node];
  queue_.push_back({from.cost + static_cast<double>(norms_[from.first + rank]),
                    from.ranks | ranks_.place(static_cast<Token>(rank), from.level), node, rank});
  std::push_heap(queue_.begin(), queue_.end(), Later{});
}

bool TreeEcmSearch::next(SidKey& key, Refusals& refusals, Worker& worker) {
  if (fresh_) {
    fresh_ = false;
    if (opens(0, 0, refusals, worker)) open(0, 0, 0, 0);
  }
  while (!queue_.empty()) {
    std::pop_heap(queue_.begin(), queue_.end(), Later{});
    const Entry entry = queue_.back();
    queue_.pop_back();
    const Node node = nodes_[entry.node];
    if (entry.rank + 1 < widths_[node.level]) push(entry.node, entry.rank + 1);
    const Token token = tokens_[node.first + entry.rank];
    key = node.path | codebooks_.layout().place(token, node.level);
    if (node.level < last()) {
      if (opens(key, node.level + 1, refusals, worker)) open(key, node.level + 1, entry.cost, entry.ranks);
    } else if (!refusals.below(node.path).refused(token)) {
      return true;
    }
  }
  return false;
}

}  // namespace puresid
