#include "puresid/ecm.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace puresid {
namespace {

constexpr double kNothing = std::numeric_limits<double>::infinity();
constexpr std::uint64_t kAhead = 6;             // prefixes whose memory is on its way
constexpr std::size_t kFetchedRows = 2;         // rows likewise, before they are foreseen
constexpr std::size_t kWalks = 2 * kRowsAhead;  // more than are under way

}  // namespace

struct EcmSearch::Later {
  bool operator()(const Entry& a, const Entry& b) const noexcept {
    return a.cost > b.cost || (a.cost == b.cost && a.ranks > b.ranks);
  }
};

EcmSearch::EcmSearch(const PackedCodebooks& codebooks, const CodewordProducts&, const std::vector<std::size_t>& widths,
                     std::size_t max_rows)
    : codebooks_(codebooks),
      scores_(codebooks, widths, max_rows),
      lists_(widths, max_rows),
      leaves_(codebooks[widths.size() - 1]),
      ranks_(widths),
      nearest_(max_rows),
      guesses_(max_rows),
      leaf_bits_(max_rows * words()),
      path_(codebooks.dim()),
      room_(codebooks.dim()),
      walks_(std::min(max_rows, kWalks)) {
  for (Walk& walk : walks_) {
    for (const std::size_t width : widths) walk.norms.emplace_back(width);
  }
  for (std::size_t level = 0; level < last(); ++level) n_prefixes_ = saturating_multiply(n_prefixes_, widths[level]);
  if (!few_prefixes()) return;
  prefixes_of_.resize(max_rows * n_prefixes_);
  for (Walk& walk : walks_) {
    walk.bases.resize(n_prefixes_);
    walk.least.resize((n_prefixes_ + kGroup - 1) / kGroup);
    walk.costs.resize(walk.least.size() * kGroup, kNothing);
    walk.leaves.resize(n_prefixes_);
  }
}

void EcmSearch::prepare(const float* vectors, const SidKey* nearest, std::size_t n_rows) {
  vectors_ = vectors;
  n_rows_ = n_rows;
  std::copy_n(nearest, n_rows, nearest_.data());
  scores_.prepare(vectors, nearest, n_rows);
  if (n_prefixes_ == 1) return;
  for (std::size_t level = 0; level <= last(); ++level) {
    for (std::size_t row = 0; row < n_rows; ++row) {
      Token* tokens = lists_.list(level, row);
      if (lists_.width(level) == 1) {
        tokens[0] = codebooks_.layout().token(nearest[row], level);
      } else {
        codebooks_[level].least_k(scores_.of(level, row), lists_.width(level), tokens);
      }
    }
  }
  std::fill(leaf_bits_.begin(), leaf_bits_.end(), std::uint64_t{0});
  for (std::size_t row = 0; row < n_rows; ++row) {
    const Token* tokens = lists_.list(last(), row);
    std::uint64_t* bits = leaf_bits_.data() + row * words();
    for (std::size_t rank = 0; rank < lists_.width(last()); ++rank) {
      bits[tokens[rank] / 64] |= std::uint64_t{1} << tokens[rank] % 64;
    }
    if (few_prefixes()) list_prefixes(row);
  }
}

std::optional<SidKey> EcmSearch::foresee(std::size_t row, Refusals& refusals, Worker& worker) {
  if (n_prefixes_ == 1) {
    const SidKey prefix = codebooks_.layout().prefix(nearest_[row], last());
    guesses_[row] = leaves_.first(scores_.of(last(), row), lists_.width(last()), refusals.below(prefix));
    if (guesses_[row] == LeafWalk::kNone) return std::nullopt;
    return prefix | codebooks_.layout().place(guesses_[row], last());
  }
  if (row == 0) {
    for (std::size_t ahead = 0; ahead < kFetchedRows; ++ahead) prefetch(ahead, refusals);
  }
  prefetch(row + kFetchedRows, refusals);
  Walk& walk = this->walk(row);
  walk.foreseen = true;
  if (few_prefixes()) {
    walk.done = !any_open_prefix(row, refusals) || !find_least(row, refusals);
  } else {
    walk.queue.clear();
    walk.prefixes = 0;
    measure(row);
    push(walk, 0, false);
    walk.done = !pop(row, refusals, worker);
  }
  if (walk.done) return std::nullopt;
  return walk.key;
}

// Fetches what is known of the leaves below a row's prefixes.
void EcmSearch::prefetch(std::size_t row, const Refusals& refusals) const {
  if (row >= n_rows_ || !few_prefixes()) return;
  for (std::uint64_t number = 0; number < n_prefixes_; ++number) {
    refusals.prefetch(prefixes_of_[row * n_prefixes_ + number]);
  }
}

// The prefixes of a row in the order of their rank tuples.
void EcmSearch::list_prefixes(std::size_t row) {
  SidKey* prefixes = prefixes_of_.data() + row * n_prefixes_;
  std::size_t count = 1;
  prefixes[0] = 0;
  for (std::size_t level = 0; level < last(); ++level) {
    const std::size_t width = lists_.width(level);
    const Token* tokens = lists_.list(level, row);
    for (std::size_t i = count; i-- > 0;) {  // from behind: the longer ones take the place of the shorter
      const SidKey shorter = prefixes[i];
      for (std::size_t rank = width; rank-- > 0;) {
        prefixes[i * width + rank] = shorter | codebooks_.layout().place(tokens[rank], level);
      }
    }
    count *= width;
  }
}

void EcmSearch::start(std::size_t row) {
  row_ = row;
  if (n_prefixes_ == 1) leaves_.start(scores_.of(last(), row), lists_.width(last()), guesses_[row]);
}

bool EcmSearch::next(SidKey& key, Refusals& refusals, Worker& worker) {
  if (n_prefixes_ == 1) {  // cost and rank order the same
    const SidKey one_prefix = codebooks_.layout().prefix(nearest_[row_], last());
    const Token token = leaves_.next(refusals.below(one_prefix));
    key = one_prefix | codebooks_.layout().place(token == LeafWalk::kNone ? 0 : token, last());
    return token != LeafWalk::kNone;
  }
  Walk& walk = this->walk(row_);
  if (!walk.foreseen && !walk.done) {  // at its end a search stays there, whatever refusals have been forgotten since
    if (few_prefixes()) {
      find_leaf(row_, walk.number, walk.leaves[walk.number] + 1, refusals);
      walk.done = !find_least(row_, refusals);
    } else {
      std::uint64_t ranks = walk.given;
      if (raise_to_leaf(row_, ranks, ranks_.token(ranks, last()) + std::size_t{1}, refusals)) push(walk, ranks, true);
      walk.done = !pop(row_, refusals, worker);
    }
  }
  walk.foreseen = false;
  key = walk.key;
  return !walk.done;
}

// Whether a leaf of the row's list is not known to be gone.
bool EcmSearch::is_open(std::size_t row, const Refusals::Leaves& leaves) const {
  const std::uint64_t *bits = leaf_bits_.data() + row * words(), *refused = leaves.words();
  std::uint64_t open = 0;
  for (std::size_t word = 0; word < words(); ++word) open |= bits[word] & ~refused[word];
  return open != 0;
}

// The first rank from `from` on in the row's list of leaves that is not known to be gone; kUnknown where there is none.
std::size_t EcmSearch::next_leaf(std::size_t row, std::size_t from, const Refusals::Leaves& leaves) const {
  if (!is_open(row, leaves)) return kUnknown;
  const Token* tokens = lists_.list(last(), row);
  while (from < lists_.width(last()) && leaves.refused(tokens[from])) ++from;
  return from < lists_.width(last()) ? from : kUnknown;
}

SidKey EcmSearch::leaf(std::size_t row, SidKey prefix, std::size_t rank) const {
  return prefix | codebooks_.layout().place(lists_.list(last(), row)[rank], last());
}

// Computes the norms of the row's ranked tokens.
void EcmSearch::measure(std::size_t row) {
  const std::size_t dim = codebooks_.dim();
  std::copy_n(vectors_ + row * dim, dim, path_.data());
  for (std::size_t level = 0; level <= last(); ++level) {
    std::vector<float>& norms = walk(row).norms[level];
    const float* seen = codebooks_.seen(level, path_.data(), 1, room_.data());
    codebooks_[level].squared_distances_to(seen, lists_.list(level, row), norms.size(), norms.data());
    float least = 0;
    for (float& norm : norms) norm = least = std::max(least, std::sqrt(norm));
    if (level < last()) codebooks_.leave(level, path_.data(), nearest_[row]);
  }
}

// ---- few prefixes

// Looks through the prefixes of the row for one with a leaf that may be had, and begins there.
bool EcmSearch::any_open_prefix(std::size_t row, Refusals& refusals) {
  const SidKey* prefixes = prefixes_of_.data() + row * n_prefixes_;
  for (std::uint64_t number = 0; number < n_prefixes_; ++number) {
    if (number + kAhead < n_prefixes_) refusals.prefetch(prefixes[number + kAhead]);
    if (!is_open(row, refusals.below(prefixes[number]))) continue;
    measure(row);
    add_up_costs(walk(row), number);
    return true;
  }
  return false;
}

// What prefixes cost, from number `first` on: those before it have no leaf to give.
void EcmSearch::add_up_costs(Walk& walk, std::size_t first) const {
  std::size_t count = 1;
  walk.bases[0] = 0;
  for (std::size_t level = 0; level < last(); ++level) {
    const std::vector<float>& norms = walk.norms[level];
    for (std::size_t i = count; i-- > 0;) {
      const double shorter = walk.bases[i];
      for (std::size_t rank = norms.size(); rank-- > 0;) {
        walk.bases[i * norms.size() + rank] = shorter + static_cast<double>(norms[rank]);
      }
    }
    count *= norms.size();
  }
  const auto nearest = static_cast<double>(walk.norms[last()][0]);
  for (std::size_t number = 0; number < count; ++number) {
    walk.costs[number] = number < first ? kNothing : walk.bases[number] + nearest;
    walk.leaves[number] = kUnknown;
  }
  for (std::size_t group = 0; group < walk.least.size(); ++group) compare_costs(walk, group);
}

void EcmSearch::compare_costs(Walk& walk, std::size_t group) {
  const double* costs = walk.costs.data() + group * kGroup;
  double even = costs[0], odd = costs[1];
  for (std::size_t i = 2; i < kGroup; i += 2) {
    even = costs[i] < even ? costs[i] : even;
    odd = costs[i + 1] < odd ? costs[i + 1] : odd;
  }
  walk.least[group] = odd < even ? odd : even;
}

// Goes on to the next leaf of a prefix, from rank `from` on.
void EcmSearch::find_leaf(std::size_t row, std::size_t number, std::size_t from, Refusals& refusals) {
  Walk& walk = this->walk(row);
  const std::size_t rank = next_leaf(row, from, refusals.below(prefixes_of_[row * n_prefixes_ + number]));
  walk.leaves[number] = rank;
  walk.costs[number] = rank == kUnknown ? kNothing : walk.bases[number] + static_cast<double>(walk.norms[last()][rank]);
  compare_costs(walk, number / kGroup);
}

// Finds the candidate of the least cost, of equal ones that of the first prefix.
bool EcmSearch::find_least(std::size_t row, Refusals& refusals) {
  Walk& walk = this->walk(row);
  for (;;) {
    const auto group = std::min_element(walk.least.begin(), walk.least.end());
    if (*group == kNothing) return false;
    auto number = static_cast<std::size_t>(group - walk.least.begin()) * kGroup;
    while (walk.costs[number] != *group) ++number;
    if (walk.leaves[number] != kUnknown) {
      walk.number = number;
      walk.key = leaf(row, prefixes_of_[row * n_prefixes_ + number], walk.leaves[number]);
      return true;
    }
    find_leaf(row, number, 0, refusals);
  }
}

// ---- many prefixes

SidKey EcmSearch::prefix(std::size_t row, std::uint64_t ranks) const {
  SidKey key = 0;
  for (std::size_t level = 0; level < last(); ++level) {
    key |= codebooks_.layout().place(lists_.list(level, row)[ranks_.token(ranks, level)], level);
  }
  return key;
}

// Sets the last rank of `ranks` to the first from `from` on whose leaf may be had; false where there is none.
bool EcmSearch::raise_to_leaf(std::size_t row, std::uint64_t& ranks, std::size_t from, Refusals& refusals) const {
  const std::size_t rank = next_leaf(row, from, refusals.below(prefix(row, ranks)));
  if (rank == kUnknown) return false;
  ranks += rank - ranks_.token(ranks, last());  // the last level has the lowest bits
  return true;
}

void EcmSearch::push(Walk& walk, std::uint64_t ranks, bool is_leaf) const {
  double cost = 0;
  for (std::size_t level = 0; level <= last(); ++level) {
    cost += static_cast<double>(walk.norms[level][ranks_.token(ranks, level)]);
  }
  walk.queue.push_back({cost, ranks, is_leaf});
  std::push_heap(walk.queue.begin(), walk.queue.end(), Later{});
}

// Pushes the prefixes whose parent is `ranks`: one rank raised, at or after the last that is not 0.
void EcmSearch::push_children(Walk& walk, std::uint64_t ranks) const {
  std::size_t level = last();
  while (level > 0 && ranks_.token(ranks, level - 1) == 0) --level;
  for (level = level == 0 ? 0 : level - 1; level < last(); ++level) {
    if (ranks_.token(ranks, level) + 1 < lists_.width(level)) push(walk, ranks + ranks_.place(1, level), false);
  }
}

// Finds the next candidate in the queue.
bool EcmSearch::pop(std::size_t row, Refusals& refusals, Worker& worker) {
  Walk& walk = this->walk(row);
  while (!walk.queue.empty()) {
    std::pop_heap(walk.queue.begin(), walk.queue.end(), Later{});
    const Entry entry = walk.queue.back();
    walk.queue.pop_back();
    bool found = entry.is_leaf;
    walk.given = entry.ranks;
    if (!found) {
      if (walk.prefixes == kMostPrefixes) continue;
      if (++walk.prefixes % 1024 == 0) worker.poll();
      push_children(walk, entry.ranks);
      if (!raise_to_leaf(row, walk.given, 0, refusals)) continue;
      found = walk.given == entry.ranks;  // its nearest leaf: the bound was exact
    }
    if (found) {
      walk.key = leaf(row, prefix(row, walk.given), ranks_.token(walk.given, last()));
      return true;
    }
    push(walk, walk.given, true);
  }
  return false;
}

}  // namespace puresid
