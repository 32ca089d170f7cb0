#include "puresid/beam.hpp"

#include <algorithm>
#include <cmath>

namespace puresid {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::size_t most_padded(const PackedCodebooks& codebooks) {
  std::size_t most = 0;
  for (std::size_t level = 0; level < codebooks.levels(); ++level) {
    most = std::max(most, codebooks[level].padded_size());
  }
  return most;
}

// No score above this makes a cost of `bound` or less when it is added to `before`.
float highest_score(double bound, double before) {
  if (bound == kInfinity) return std::numeric_limits<float>::infinity();
  const double rounding = (std::fabs(bound) + std::fabs(before)) * 0x1p-50;
  return std::nextafter(static_cast<float>(bound - before + rounding), std::numeric_limits<float>::infinity());
}

}  // namespace

BeamSearch::BeamSearch(const PackedCodebooks& codebooks, const CodewordProducts& products,
                       const std::vector<std::size_t>& widths, std::size_t max_rows)
    : codebooks_(codebooks),
      products_(products),
      widths_(widths),
      scores_(codebooks, std::vector<std::size_t>(widths.size(), 2), max_rows),  // of every level
      moved_(most_padded(codebooks)),
      plus_(moved_.size()),
      minus_(moved_.size()),
      residuals_((kMaxBlockRows + 1) * codebooks.dim()),
      nearest_(max_rows) {}

void BeamSearch::prepare(const float* vectors, const SidKey* nearest, std::size_t n_rows) {
  vectors_ = vectors;
  std::copy_n(nearest, n_rows, nearest_.data());
  scores_.prepare(vectors, nearest, n_rows);
}

std::optional<SidKey> BeamSearch::foresee(std::size_t row, Refusals& refusals, Worker&) const {
  refusals.prefetch(codebooks_.layout().prefix(nearest_[row], last()));
  return std::nullopt;
}

void BeamSearch::start(std::size_t row) {
  row_ = row;
  found_.clear();
  at_ = 0;
  groups_ = 0;
  done_ = false;
}

// The scores of `level` below the tokens that `path` has before it.
const float* BeamSearch::scores(std::size_t level, SidKey path) {
  const SidLayout& layout = codebooks_.layout();
  const float* from = scores_.of(level, row_);
  const SidKey greedy = nearest_[row_];
  if (layout.prefix(greedy, level) == path) return from;
  if (!codebooks_.space().one_codebook_a_level()) {
    codebooks_.at(level, path).scores(vectors_ + row_ * codebooks_.dim(), 1, moved_.data());
    return moved_.data();
  }
  if (!codebooks_.space().additive()) return from;
  for (std::size_t before = 0; before < level; ++before) {
    const Token taken = layout.token(path, before);
    if (taken == layout.token(greedy, before)) continue;
    const float* plus = products_.row(before, layout.token(greedy, before), level, plus_.data());
    const float* minus = products_.row(before, taken, level, minus_.data());
    codebooks_[level].add_difference(from, plus, minus, moved_.data());
    from = moved_.data();
  }
  return from;
}

// Keeps as many as are wanted of those found; none after them is wanted then.
void BeamSearch::keep_least() {
  if (found_.size() < wanted_) return;
  const auto last_kept = found_.begin() + static_cast<std::ptrdiff_t>(wanted_ - 1);
  std::nth_element(found_.begin(), last_kept, found_.end());
  found_.resize(wanted_);
  bound_ = found_.back();
}

// Adds to those found what comes after `after` below one prefix.
void BeamSearch::take(std::size_t level, const Partial& prefix, const Partial& after) {
  constexpr std::size_t kStep = 16;  // a look at so many scores costs little more than at one
  const float* scores = this->scores(level, prefix.key);
  const double before = codebooks_.space().one_codebook_a_level() ? prefix.cost : 0;
  const std::size_t size = codebooks_[level].size(), room = std::max(2 * wanted_, wanted_ + 64);
  float highest = highest_score(bound_.cost, before);
  for (std::size_t first = 0; first < size; first += kStep) {
    const std::size_t end = std::min(first + kStep, size);
    bool any = false;
    for (std::size_t token = first; token < end; ++token) any |= scores[token] <= highest;
    if (!any) continue;
    for (std::size_t token = first; token < end; ++token) {
      if (!(scores[token] <= highest)) continue;
      const Partial longer = {before + static_cast<double>(scores[token]),
                              prefix.key | codebooks_.layout().place(static_cast<Token>(token), level)};
      if (after < longer && longer < bound_) found_.push_back(longer);
    }
    if (found_.size() < room) continue;
    keep_least();
    highest = highest_score(bound_.cost, before);
  }
}

// Finds the first `wanted` partial SIDs of `level` that come after `after`, below those kept.
void BeamSearch::extend(std::size_t level, const Partial& after, std::size_t wanted, Worker& worker) {
  found_.clear();
  wanted_ = wanted;
  bound_ = {kInfinity, ~SidKey{0}};
  std::size_t prefixes = 0;
  for (const Partial& prefix : kept_) {
    if (++prefixes % 16 == 0) worker.poll();
    take(level, prefix, after);
  }
  keep_least();
  std::sort(found_.begin(), found_.end());
}

// Finds the partial SIDs to look for leaves below.
void BeamSearch::search(Worker& worker) {
  kept_.assign(1, Partial{0, 0});
  for (std::size_t level = 0; level < last(); ++level) {
    extend(level, kBeforeAll, widths_[level], worker);
    kept_.swap(found_);
  }
}

// Puts distortions in the place of costs.
void BeamSearch::measure() {
  const std::size_t dim = codebooks_.dim();
  float* room = residuals_.data() + kMaxBlockRows * dim;
  for (std::size_t first = 0; first < found_.size(); first += kMaxBlockRows) {
    const std::size_t n_rows = std::min(kMaxBlockRows, found_.size() - first);
    for (std::size_t i = 0; i < n_rows; ++i) {
      float* residual = residuals_.data() + i * dim;
      std::copy_n(vectors_ + row_ * dim, dim, residual);
      codebooks_.subtract(residual, found_[first + i].key, room);
    }
    float squared[kMaxBlockRows];
    codebooks_.squared_norms(residuals_.data(), n_rows, squared);
    for (std::size_t i = 0; i < n_rows; ++i) found_[first + i].cost = static_cast<double>(squared[i]);
  }
  std::sort(found_.begin(), found_.end());
}

// Whether a leaf below a prefix that was kept is not known to be gone.
bool BeamSearch::any_open(Refusals& refusals) const {
  return std::any_of(kept_.begin(), kept_.end(),
                     [&](const Partial& prefix) { return !refusals.below(prefix.key).all_refused(); });
}

bool BeamSearch::is_refused(SidKey key, Refusals& refusals) const {
  const SidLayout& layout = codebooks_.layout();
  return refusals.below(layout.prefix(key, last())).refused(layout.token(key, last()));
}

// Finds the leaves of the first group, or, for the few items that need more, those of all others at once.
void BeamSearch::find_leaves(Refusals& refusals, Worker& worker) {
  const Partial after = groups_ == 0 ? kBeforeAll : leaves_.back();
  found_.clear();
  if (any_open(refusals)) {
    extend(last(), after, widths_[last()] * (groups_ == 0 ? 1 : kMostGroups - 1), worker);
  }
  leaves_.swap(found_);
  next_leaf_ = 0;
}

// Turns to the next group of leaves, of which it keeps those not known to be gone; false where there is none.
bool BeamSearch::next_group(Refusals& refusals, Worker& worker) {
  if (done_) return false;
  if (groups_ == 0) search(worker);
  if (groups_ <= 1) find_leaves(refusals, worker);
  const std::size_t width = widths_[last()], end = std::min(next_leaf_ + width, leaves_.size());
  const auto at = [&](std::size_t leaf) { return leaves_.begin() + static_cast<std::ptrdiff_t>(leaf); };
  found_.assign(at(next_leaf_), at(end));
  next_leaf_ = end;
  done_ = found_.size() < width || ++groups_ == kMostGroups;
  at_ = 0;
  if (found_.empty()) return false;
  std::erase_if(found_, [&](const Partial& leaf) { return is_refused(leaf.key, refusals); });
  measure();
  return true;
}

bool BeamSearch::next(SidKey& key, Refusals& refusals, Worker& worker) {
  do {
    while (at_ < found_.size()) {
      key = found_[at_++].key;
      if (!is_refused(key, refusals)) return true;
    }
  } while (next_group(refusals, worker));
  return false;
}

}  // namespace puresid
