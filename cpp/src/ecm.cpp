#include "puresid/ecm.hpp"

#include <algorithm>
#include <cmath>

namespace puresid {
namespace {

constexpr std::uint64_t kAhead = 6;  // prefixes whose memory is on its way

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
      room_(codebooks.dim()) {
  for (const std::size_t width : widths) norms_.emplace_back(width);
  for (std::size_t level = 0; level < last(); ++level) n_prefixes_ = saturating_multiply(n_prefixes_, widths[level]);
  if (few_prefixes()) prefixes_of_.resize(max_rows * n_prefixes_);
}

void EcmSearch::prepare(const float* vectors, const SidKey* nearest, std::size_t n_rows) {
  vectors_ = vectors;
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

std::optional<SidKey> EcmSearch::foresee(std::size_t row, Refusals& refusals) {
  if (n_prefixes_ == 1) {
    const SidKey prefix = codebooks_.layout().prefix(nearest_[row], last());
    guesses_[row] = leaves_.first(scores_.of(last(), row), lists_.width(last()), refusals.below(prefix));
    if (guesses_[row] == LeafWalk::kNone) return std::nullopt;
    return prefix | codebooks_.layout().place(guesses_[row], last());
  }
  if (!few_prefixes()) return std::nullopt;
  for (std::uint64_t number = 0; number < std::min<std::uint64_t>(kAhead, n_prefixes_); ++number) {
    refusals.prefetch(prefixes_of_[row * n_prefixes_ + number]);
  }
  return std::nullopt;
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

// The place of a rank tuple's prefix among these.
std::size_t EcmSearch::number(std::uint64_t ranks) const {
  std::size_t number = 0;
  for (std::size_t level = 0; level < last(); ++level) {
    number = number * lists_.width(level) + ranks_.token(ranks, level);
  }
  return number;
}

void EcmSearch::start(std::size_t row) {
  row_ = row;
  given_ = 0;
  prefixes_ = 0;
  fresh_ = true;
  done_ = false;
  if (n_prefixes_ == 1) leaves_.start(scores_.of(last(), row), lists_.width(last()), guesses_[row]);
}

SidKey EcmSearch::prefix(std::uint64_t ranks) const {
  if (few_prefixes()) return prefixes_of_[row_ * n_prefixes_ + number(ranks)];
  SidKey key = 0;
  for (std::size_t level = 0; level < last(); ++level) {
    key |= codebooks_.layout().place(lists_.list(level, row_)[ranks_.token(ranks, level)], level);
  }
  return key;
}

// Whether a leaf of the row's list is not known to be gone.
bool EcmSearch::any_open(const Refusals::Leaves& leaves) const {
  const std::uint64_t *bits = leaf_bits_.data() + row_ * words(), *refused = leaves.words();
  std::uint64_t open = 0;
  for (std::size_t word = 0; word < words(); ++word) open |= bits[word] & ~refused[word];
  return open != 0;
}

// Sets the last rank of `ranks` to the first from `from` on whose leaf may be had; false where there is none.
bool EcmSearch::find_leaf(std::uint64_t& ranks, std::size_t from, Refusals& refusals) const {
  if (few_prefixes() && (open_ >> number(ranks) & 1) == 0) return false;
  const Refusals::Leaves leaves = refusals.below(prefix(ranks));
  if (!any_open(leaves)) return false;
  const Token* tokens = lists_.list(last(), row_);
  while (from < lists_.width(last()) && leaves.refused(tokens[from])) ++from;
  if (from == lists_.width(last())) return false;
  ranks += from - ranks_.token(ranks, last());  // the last level has the lowest bits
  return true;
}

// Looks through the prefixes of the row, few as they are, for one with a leaf that may be had.
bool EcmSearch::any_open_prefix(Refusals& refusals) {
  const SidKey* prefixes = prefixes_of_.data() + row_ * n_prefixes_;
  open_ = ~std::uint64_t{0};
  for (std::uint64_t number = 0; number < n_prefixes_; ++number) {
    if (number + kAhead < n_prefixes_) refusals.prefetch(prefixes[number + kAhead]);
    if (any_open(refusals.below(prefixes[number]))) return true;
    open_ ^= std::uint64_t{1} << number;
  }
  return false;
}

// Computes the norms of the row's ranked tokens.
void EcmSearch::measure() {
  const std::size_t dim = codebooks_.dim();
  std::copy_n(vectors_ + row_ * dim, dim, path_.data());
  for (std::size_t level = 0; level <= last(); ++level) {
    std::vector<float>& norms = norms_[level];
    const float* seen = codebooks_.seen(level, path_.data(), 1, room_.data());
    codebooks_[level].squared_distances_to(seen, lists_.list(level, row_), norms.size(), norms.data());
    float least = 0;
    for (float& norm : norms) norm = least = std::max(least, std::sqrt(norm));
    if (level < last()) codebooks_.leave(level, path_.data(), nearest_[row_]);
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
  if (n_prefixes_ == 1) {  // cost and rank order the same
    const SidKey one_prefix = codebooks_.layout().prefix(nearest_[row_], last());
    const Token token = leaves_.next(refusals.below(one_prefix));
    key = one_prefix | codebooks_.layout().place(token == LeafWalk::kNone ? 0 : token, last());
    return token != LeafWalk::kNone;
  }
  // At its end a search stays there, whatever refusals have been forgotten since.
  done_ = done_ || !next_in_queue(refusals, worker);
  if (done_) return false;
  const Token token = lists_.list(last(), row_)[ranks_.token(given_, last())];
  key = prefix(given_) | codebooks_.layout().place(token, last());
  return true;
}

bool EcmSearch::next_in_queue(Refusals& refusals, Worker& worker) {
  if (fresh_) {
    fresh_ = false;
    queue_.clear();
    if (few_prefixes() && !any_open_prefix(refusals)) return false;
    measure();
    push(0, false);
  } else if (std::uint64_t ranks = given_; find_leaf(ranks, ranks_.token(given_, last()) + std::size_t{1}, refusals)) {
    push(ranks, true);
  }
  while (!queue_.empty()) {
    std::pop_heap(queue_.begin(), queue_.end(), Later{});
    const Entry entry = queue_.back();
    queue_.pop_back();
    given_ = entry.ranks;
    if (entry.is_leaf) return true;
    if (prefixes_ == kMostPrefixes) continue;
    if (++prefixes_ % 1024 == 0) worker.poll();
    push_children(entry.ranks);
    if (!find_leaf(given_, 0, refusals)) continue;
    if (given_ == entry.ranks) return true;  // its nearest leaf: the bound was exact
    push(given_, true);
  }
  return false;
}

}  // namespace puresid
