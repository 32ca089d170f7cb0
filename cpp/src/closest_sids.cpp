#include "puresid/closest_sids.hpp"

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

// The largest float that is not above `bound`, but for one step: comparisons of scores are not to miss an equal one.
float as_score(double bound) {
  constexpr float kMost = std::numeric_limits<float>::max();
  if (!(bound < static_cast<double>(kMost))) return kMost;
  return std::nextafter(static_cast<float>(bound), kMost);
}

}  // namespace

DeeperLeast::DeeperLeast(const PackedCodebooks& codebooks, const CodewordProducts& products,
                         const Execution& execution) {
  if (!codebooks.space().additive()) return;
  Execution quiet = execution;
  quiet.progress = nullptr;
  for (std::size_t level = 0; level < codebooks.levels(); ++level) {
    sums_.emplace_back(codebooks[level].padded_size());
    float* sums = sums_.back().data();
    for (std::size_t deeper = level + 1; deeper < codebooks.levels(); ++deeper) {
      const PackedCodebook& codebook = codebooks[deeper];
      AlignedBuffer<float> zeros(codebook.padded_size());
      std::fill(zeros.data() + codebook.size(), zeros.data() + zeros.size(), std::numeric_limits<float>::infinity());
      parallel_for(
          quiet, "products", codebooks[level].size(), codebooks[level].size(),
          [&] { return AlignedBuffer<float>(2 * codebook.padded_size()); },
          [&](AlignedBuffer<float>& room, std::size_t token, Worker&) {
            const float* row = products.row(level, static_cast<Token>(token), deeper, room.data());
            sums[token] -= codebook.lowest_moved(zeros.data(), &row, 1, room.data() + codebook.padded_size());
          });
    }
  }
}

ClosestSids::ClosestSids(const PackedCodebooks& codebooks, const CodewordProducts& products, const DeeperLeast& deeper)
    : codebooks_(codebooks),
      products_(products),
      deeper_(deeper),
      terms_(codebooks.levels()),
      moved_(most_padded(codebooks)),
      values_(moved_.size()),
      residuals_((kMostRows + 1) * codebooks.dim()),
      seen_(kMostRows * codebooks.dim()),
      tokens_(moved_.size()),
      least_(codebooks.levels() * kMostRows) {
  for (std::size_t level = 0; level < codebooks.levels(); ++level) {
    bases_.emplace_back(kMostRows * codebooks[level].padded_size());
    product_room_.emplace_back(codebooks.space().additive() ? moved_.size() : 0);
  }
}

void ClosestSids::prepare(const float* vectors, std::size_t n_rows) {
  vectors_ = vectors;
  const std::size_t levels = bounded() ? codebooks_.levels() : 1;
  std::copy_n(vectors, n_rows * codebooks_.dim(), residuals_.data());
  for (std::size_t level = 0; level < levels; ++level) {
    const std::size_t stride = codebooks_[level].padded_size();
    float* base = bases_[level].data();
    codebooks_[level].scores(codebooks_.seen(level, residuals_.data(), n_rows, seen_.data()), n_rows, base);
    for (std::size_t row = 0; row < n_rows; ++row, base += stride) {
      if (codebooks_.space().additive()) {
        const float* deeper = deeper_.of(level);
        least_[level * kMostRows + row] = codebooks_[level].lowest_moved(base, &deeper, 1, base);
      } else {
        least_[level * kMostRows + row] = *std::min_element(base, base + codebooks_[level].size());
      }
    }
  }
}

// The scores of `level`, with what deeper ones take off, below the first `depth` <= level tokens of `path`.
ClosestSids::Scores ClosestSids::scores_below(std::size_t level, std::size_t depth, SidKey path) {
  const PackedCodebook& codebook = codebooks_[level];
  const float* base = bases_[level].data() + row_ * codebook.padded_size();
  if (!bounded() && depth > 0) {
    codebooks_.at(level, path).scores(vectors_ + row_ * codebooks_.dim(), 1, moved_.data());
    return {moved_.data(), *std::min_element(moved_.data(), moved_.data() + codebook.size())};
  }
  if (depth == 0 || !codebooks_.space().additive()) return {base, least_[level * kMostRows + row_]};
  for (std::size_t before = 0; before < depth; ++before) {
    terms_[before] =
        products_.row(before, codebooks_.layout().token(path, before), level, product_room_[before].data());
  }
  const float least = codebook.lowest_moved(base, terms_.data(), depth, moved_.data());
  return {moved_.data(), least};
}

// What a token adds to the cost.
double ClosestSids::score(const Scores& scores, std::size_t level, Token token) const {
  const double all = scores.of[token];
  return codebooks_.space().additive() ? all + static_cast<double>(deeper_.of(level)[token]) : all;
}

// Looks at the leaves beside `near`: where there are k of them, nothing above the k-th is wanted.
void ClosestSids::begin_at(SidKey near) {
  double cost = 0;
  for (std::size_t level = 0; level < last() && bounded(); ++level) {
    cost += score(scores_below(level, level, near), level, codebooks_.layout().token(near, level));
  }
  if (codebooks_[last()].size() < k_) return;
  const Scores scores = scores_below(last(), last(), near);
  double kth = scores.least;
  if (k_ > 1) {
    float* values = values_.data();
    std::copy_n(scores.of, codebooks_[last()].size(), values);
    std::nth_element(values, values + k_ - 1, values + codebooks_[last()].size());
    kth = values[k_ - 1];
  }
  const double rounding = (std::fabs(cost) + std::fabs(kth)) * 0x1p-20;
  highest_ = std::min(highest_, cost + kth + rounding);
}

// Leaves the `width` of the least bounds; later ones must be below them.
void ClosestSids::keep_partials(std::size_t width) {
  if (next_.size() <= width) return;
  const auto first_dropped = next_.begin() + static_cast<std::ptrdiff_t>(width);
  std::nth_element(next_.begin(), first_dropped, next_.end());
  dropped_ = std::min(dropped_, first_dropped->bound);
  next_.erase(first_dropped, next_.end());
}

// Adds what comes below `prefix` at `level`, which is not the last, to the next ones.
void ClosestSids::expand(const Partial& prefix, std::size_t level, std::size_t width) {
  double before = bounded() ? prefix.cost : 0;
  for (std::size_t deeper = level + 1; deeper <= last() && bounded(); ++deeper) {
    before += scores_below(deeper, level, prefix.key).least;
  }
  const double highest = bounded() ? highest_ : kInfinity;
  const Scores scores = scores_below(level, level, prefix.key);
  if (before + scores.least > highest) return;
  const std::size_t count =
      codebooks_[level].at_most(scores.of, as_score(highest - before), values_.data(), tokens_.data());
  for (std::size_t i = 0; i < count; ++i) {
    const double cost = (bounded() ? prefix.cost : 0) + score(scores, level, tokens_[i]);
    next_.push_back({before + static_cast<double>(values_[i]), cost,
                     prefix.key | codebooks_.layout().place(tokens_[i], level)});
  }
  if (next_.size() > 8 * width + 1024) keep_partials(width);
}

void ClosestSids::keep_leaves() {
  if (found_.size() < k_) return;
  const auto kth = found_.begin() + static_cast<std::ptrdiff_t>(k_ - 1);
  std::nth_element(found_.begin(), kth, found_.end());
  found_.resize(k_);
  highest_ = std::min(highest_, found_.back().bound);
}

void ClosestSids::take_leaves(const Partial& prefix) {
  const double before = bounded() ? prefix.cost : 0;
  const Scores scores = scores_below(last(), last(), prefix.key);
  if (before + scores.least > highest_) return;
  const std::size_t count =
      codebooks_[last()].at_most(scores.of, as_score(highest_ - before), values_.data(), tokens_.data());
  for (std::size_t i = 0; i < count; ++i) {
    const double cost = before + static_cast<double>(values_[i]);
    found_.push_back({cost, cost, prefix.key | codebooks_.layout().place(tokens_[i], last())});
  }
  if (k_ == 1 || found_.size() > 2 * k_ + 64) keep_leaves();
}

void ClosestSids::search(std::size_t width, Worker& worker) {
  std::size_t prefixes = 0;
  kept_.assign(1, Partial{-kInfinity, 0, 0});
  for (std::size_t level = 0; level < last(); ++level) {
    next_.clear();
    for (const Partial& prefix : kept_) {
      if (++prefixes % 64 == 0) worker.poll();
      expand(prefix, level, width);
    }
    keep_partials(width);
    kept_.swap(next_);
  }
  std::sort(kept_.begin(), kept_.end());
  for (const Partial& prefix : kept_) {
    if (++prefixes % 64 == 0) worker.poll();
    if (bounded() && prefix.bound > highest_) break;
    take_leaves(prefix);
  }
  keep_leaves();
}

// Puts distortions in the place of costs.
void ClosestSids::measure() {
  const std::size_t dim = codebooks_.dim();
  float* room = residuals_.data() + kMostRows * dim;
  sids_.resize(found_.size());
  for (std::size_t first = 0; first < found_.size(); first += kMostRows) {
    const std::size_t n_rows = std::min(kMostRows, found_.size() - first);
    for (std::size_t i = 0; i < n_rows; ++i) {
      float* residual = residuals_.data() + i * dim;
      std::copy_n(vectors_ + row_ * dim, dim, residual);
      codebooks_.subtract(residual, found_[first + i].key, room);
    }
    float squared[kMostRows];
    codebooks_.squared_norms(residuals_.data(), n_rows, squared);
    for (std::size_t i = 0; i < n_rows; ++i) sids_[first + i] = {found_[first + i].key, squared[i]};
  }
  std::sort(sids_.begin(), sids_.end(), [](const ClosestSid& a, const ClosestSid& b) {
    return a.distortion < b.distortion || (a.distortion == b.distortion && a.key < b.key);
  });
}

ClosestSids::Found ClosestSids::find(std::size_t row, std::size_t k, std::size_t width, SidKey near, float most,
                                     Worker& worker) {
  constexpr float kMost = std::numeric_limits<float>::infinity();
  row_ = row;
  k_ = k;
  found_.clear();
  dropped_ = kInfinity;
  double squared = 0;
  for (std::size_t d = 0; d < codebooks_.dim(); ++d) {
    const auto value = static_cast<double>(vectors_[row * codebooks_.dim() + d]);
    squared += value * value;
  }
  highest_ = most < kMost ? (static_cast<double>(most) * (1 + 0x1p-20) - squared) / 2 : kInfinity;
  begin_at(near);
  search(width, worker);
  measure();
  Found found;
  found.sids = &sids_;
  if (sids_.size() == k && k < codebooks_.layout().capacity()) found.horizon = found.floor = sids_.back().distortion;
  if (!bounded()) {
    if (dropped_ < kInfinity) found.floor = 0;
  } else if (dropped_ < kInfinity) {
    found.floor = std::min(found.floor, static_cast<float>(std::max(squared + 2 * dropped_, 0.0)));
  }
  found.floor = std::min(found.floor, most);
  std::erase_if(sids_, [&](const ClosestSid& sid) { return sid.distortion > most; });
  return found;
}

}  // namespace puresid
