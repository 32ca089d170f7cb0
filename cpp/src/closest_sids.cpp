#include "puresid/closest_sids.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

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
  for (const AlignedBuffer<float>& sums : sums_) {
    as_they_are_.emplace_back(sums.size());
    for (std::size_t token = 0; token < sums.size(); ++token) as_they_are_.back()[token] = -sums[token];
  }
}

ClosestSids::ClosestSids(const PackedCodebooks& codebooks, const CodewordProducts& products, const DeeperLeast& deeper)
    : codebooks_(codebooks),
      products_(products),
      deeper_(deeper),
      terms_(std::max(codebooks.levels(), kTogether)),
      moved_(most_padded(codebooks)),
      beside_(moved_.size()),
      leaves_(moved_.size()),
      values_(moved_.size()),
      pair_values_(moved_.size()),
      products_room_(codebooks.space().additive() ? kTogether * moved_.size() : 0),
      residuals_((kMostRows + 1) * codebooks.dim()),
      seen_(kMostRows * codebooks.dim()),
      tokens_(moved_.size()),
      pair_tokens_(moved_.size()),
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

// The scores of `level`, with what deeper ones take off, below the first `depth` <= level tokens of `path`: in place
// or in `to`.
ClosestSids::Scores ClosestSids::scores_below(std::size_t level, std::size_t depth, SidKey path, float* to) {
  const PackedCodebook& codebook = codebooks_[level];
  const float* base = bases_[level].data() + row_ * codebook.padded_size();
  if (!bounded() && depth > 0) {
    codebooks_.at(level, path).scores(vectors_ + row_ * codebooks_.dim(), 1, to);
    return {to, *std::min_element(to, to + codebook.size())};
  }
  if (depth == 0 || !codebooks_.space().additive()) return {base, least_[level * kMostRows + row_]};
  for (std::size_t before = 0; before < depth; ++before) {
    terms_[before] =
        products_.row(before, codebooks_.layout().token(path, before), level, product_room_[before].data());
  }
  const float least = codebook.lowest_moved(base, terms_.data(), depth, to);
  return {to, least};
}

// The rows of products of `count` <= kTogether codewords of level `from` with those of `to`.
const float* const* ClosestSids::products_of(std::size_t from, const Token* tokens, std::size_t count, std::size_t to) {
  for (std::size_t i = 0; i < count; ++i) {
    terms_[i] = products_.row(from, tokens[i], to, products_room_.data() + i * moved_.size());
  }
  return terms_.data();
}

// What a token adds to the cost.
double ClosestSids::score(const Scores& scores, std::size_t level, Token token) const {
  const double all = scores.of[token];
  return codebooks_.space().additive() ? all + static_cast<double>(deeper_.of(level)[token]) : all;
}

// Looks at the leaves beside `near`: where there are k of them, nothing above the k-th is wanted.
void ClosestSids::begin_at(SidKey near) {
  if (codebooks_[last()].size() < k_) return;
  double cost = 0;
  for (std::size_t level = 0; level < last() && bounded(); ++level) {
    cost += score(scores_below(level, level, near, moved_.data()), level, codebooks_.layout().token(near, level));
  }
  const Scores scores = scores_below(last(), last(), near, moved_.data());
  double kth = scores.least;
  if (k_ > 1 && k_ <= kMostLeast) {
    codebooks_[last()].least_k(scores.of, k_, tokens_.data());
    kth = scores.of[tokens_[k_ - 1]];
  } else if (k_ > 1) {
    float* values = values_.data();
    std::copy_n(scores.of, codebooks_[last()].size(), values);
    std::nth_element(values, values + k_ - 1, values + codebooks_[last()].size());
    kth = values[k_ - 1];
  }
  const double rounding = (std::fabs(cost) + std::fabs(kth)) * 0x1p-20;
  highest_ = std::min(highest_, cost + kth + rounding);
}

// Leaves the `width` that cost least; later ones must cost less than the last of them.
void ClosestSids::keep_partials(std::size_t width) {
  if (next_.size() <= width) return;
  const auto first_dropped = next_.begin() + static_cast<std::ptrdiff_t>(width);
  std::nth_element(next_.begin(), first_dropped, next_.end());
  for (auto dropped = first_dropped; dropped != next_.end(); ++dropped) dropped_ = std::min(dropped_, dropped->bound);
  dearest_ = std::min(dearest_, first_dropped->cost);
  next_.erase(first_dropped, next_.end());
}

// What the tokens of `level` add to the cost: in place or in leaves_.
const float* ClosestSids::costs(const Scores& scores, std::size_t level) {
  if (!codebooks_.space().additive()) return scores.of;
  const float* added = deeper_.as_they_are(level);
  static_cast<void>(codebooks_[level].lowest_moved(scores.of, &added, 1, leaves_.data()));
  return leaves_.data();
}

// Adds what comes below `prefix` at `level` to the next ones. Which ones are kept depends on their costs alone, so
// that a search for more SIDs finds all that one for fewer did.
void ClosestSids::expand(const Partial& prefix, std::size_t level, std::size_t width) {
  const double spent = bounded() ? prefix.cost : 0;
  const std::size_t depth = level;  // tokens that the prefix has
  double before = spent;
  for (std::size_t below = level + 1; below <= last() && bounded(); ++below) {
    before += scores_below(below, depth, prefix.key, moved_.data()).least;
  }
  const Scores scores = scores_below(level, level, prefix.key, moved_.data());
  const float* costs = this->costs(scores, level);
  const PackedCodebook& codebook = codebooks_[level];
  std::size_t count = std::min(width, codebook.size());
  if (count == codebook.size()) {
    std::iota(tokens_.begin(), tokens_.begin() + static_cast<std::ptrdiff_t>(count), Token{0});
  } else if (width <= kMostLeast) {
    codebook.least_k(costs, width, tokens_.data());
    dropped_ = std::min(dropped_, before + scores.least);
  } else {
    count = codebook.at_most(costs, as_score(dearest_ - spent), values_.data(), tokens_.data());
    if (count < codebook.size()) dropped_ = std::min(dropped_, before + scores.least);
  }
  for (std::size_t i = 0; i < count; ++i) {
    const Token token = tokens_[i];
    next_.push_back({spent + score(scores, level, token), before + static_cast<double>(scores.of[token]),
                     prefix.key | codebooks_.layout().place(token, level)});
  }
  if (next_.size() > 8 * width + 1024) keep_partials(width);
}

// Bounds of those kept that know their own tokens, least first; what the highest rules out goes.
void ClosestSids::tighten() {
  const std::size_t depth = last() - 1;
  if (depth == 0) return;
  for (std::size_t first = 0; first < kept_.size(); first += kTogether) {
    const std::size_t count = std::min(kTogether, kept_.size() - first);
    double bounds[kTogether];
    for (std::size_t i = 0; i < count; ++i) bounds[i] = kept_[first + i].cost;
    for (std::size_t level = depth; level <= last(); ++level) {
      if (depth == 1 && codebooks_.space().additive()) {
        Token tokens[kTogether];
        float least[kTogether];
        for (std::size_t i = 0; i < count; ++i) tokens[i] = codebooks_.layout().token(kept_[first + i].key, 0);
        const float* base = bases_[level].data() + row_ * codebooks_[level].padded_size();
        codebooks_[level].least_differences(base, products_of(0, tokens, count, level), count, least);
        for (std::size_t i = 0; i < count; ++i) bounds[i] += static_cast<double>(least[i]);
      } else {
        for (std::size_t i = 0; i < count; ++i) {
          bounds[i] += scores_below(level, depth, kept_[first + i].key, moved_.data()).least;
        }
      }
    }
    for (std::size_t i = 0; i < count; ++i) kept_[first + i].bound = bounds[i];
  }
  std::erase_if(kept_, [&](const Partial& prefix) { return prefix.bound > highest_; });
  std::sort(kept_.begin(), kept_.end(), [](const Partial& a, const Partial& b) {
    return a.bound < b.bound || (a.bound == b.bound && a.key < b.key);
  });
}

void ClosestSids::keep_leaves() {
  if (found_.size() < k_) return;
  const auto kth = found_.begin() + static_cast<std::ptrdiff_t>(k_ - 1);
  std::nth_element(found_.begin(), kth, found_.end());
  found_.resize(k_);
  highest_ = std::min(highest_, found_.back().cost);
}

// The leaves below `prefix`, by the scores of the last level.
void ClosestSids::take_leaves(const float* scores, double before, SidKey prefix) {
  const std::size_t count =
      codebooks_[last()].at_most(scores, as_score(highest_ - before), values_.data(), tokens_.data());
  for (std::size_t i = 0; i < count; ++i) {
    const double cost = before + static_cast<double>(values_[i]);
    found_.push_back({cost, cost, prefix | codebooks_.layout().place(tokens_[i], last())});
  }
  if (k_ == 1 || found_.size() > 2 * k_ + 64) keep_leaves();
}

// The last tokens but one that may lead to a leaf that is wanted: of all, or of the `width` that cost least where that
// is little.
std::size_t ClosestSids::choose_pairs(const Scores& scores, double before, std::size_t width) {
  const PackedCodebook& codebook = codebooks_[last() - 1];
  const float highest = as_score(highest_ - before);
  if (width > kMostLeast || width >= codebook.size()) {
    return codebook.at_most(scores.of, highest, pair_values_.data(), pair_tokens_.data());
  }
  codebook.least_k(costs(scores, last() - 1), width, tokens_.data());
  dropped_ = std::min(dropped_, before + scores.least);
  std::size_t count = 0;
  for (std::size_t i = 0; i < width; ++i) {
    const float value = scores.of[tokens_[i]];
    if (value > highest) continue;
    pair_values_[count] = value;
    pair_tokens_[count++] = tokens_[i];
  }
  return count;
}

// The leaves below `prefix`, which has all tokens but the last two.
void ClosestSids::take_pairs(const Partial& prefix, std::size_t width) {
  const std::size_t level = last() - 1;
  const SidLayout& layout = codebooks_.layout();
  const Scores scores = scores_below(level, level, prefix.key, moved_.data());
  const Scores beside = scores_below(last(), level, prefix.key, beside_.data());
  const double before = prefix.cost + beside.least;
  if (before + scores.least > highest_) return;
  const std::size_t count = choose_pairs(scores, before, width);
  if (count == 0) return;
  const auto first = std::min_element(pair_values_.data(), pair_values_.data() + count) - pair_values_.data();
  std::swap(pair_values_[0], pair_values_[static_cast<std::size_t>(first)]);
  std::swap(pair_tokens_[0], pair_tokens_[static_cast<std::size_t>(first)]);
  Token tokens[kTogether];
  float least[kTogether];
  std::size_t together = 1;  // the first alone: what it finds rules out others
  for (std::size_t at = 0; at < count;) {
    std::size_t n = 0;
    for (; at < count && n < together; ++at) {
      if (before + static_cast<double>(pair_values_[at]) <= highest_) tokens[n++] = pair_tokens_[at];
    }
    together = kTogether;
    const bool additive = codebooks_.space().additive();
    const float* const* rows = additive ? products_of(level, tokens, n, last()) : nullptr;
    if (additive) codebooks_[last()].least_differences(beside.of, rows, n, least);
    for (std::size_t i = 0; i < n; ++i) {
      const double cost = prefix.cost + score(scores, level, tokens[i]);
      if (cost + (additive ? static_cast<double>(least[i]) : beside.least) > highest_) continue;
      const float* leaves = beside.of;
      if (additive) {
        static_cast<void>(codebooks_[last()].lowest_moved(beside.of, rows + i, 1, leaves_.data()));
        leaves = leaves_.data();
      }
      take_leaves(leaves, cost, prefix.key | layout.place(tokens[i], level));
    }
  }
}

void ClosestSids::search(std::size_t width, Worker& worker) {
  const std::size_t together = bounded() ? 2 : 1;  // the levels that are searched below those kept
  std::size_t prefixes = 0;
  kept_.assign(1, Partial{0, -kInfinity, 0});
  for (std::size_t level = 0; level + together < codebooks_.levels(); ++level) {
    next_.clear();
    dearest_ = kInfinity;
    for (const Partial& prefix : kept_) {
      if (++prefixes % 64 == 0) worker.poll();
      expand(prefix, level, width);
    }
    keep_partials(width);
    if (bounded()) std::erase_if(next_, [&](const Partial& prefix) { return prefix.bound > highest_; });
    kept_.swap(next_);
  }
  if (bounded() && last() > 0) tighten();
  for (const Partial& prefix : kept_) {
    if (++prefixes % 8 == 0) worker.poll();
    if (bounded() && prefix.bound > highest_) break;
    if (bounded() && last() > 0) {
      take_pairs(prefix, width);
    } else {
      take_leaves(scores_below(last(), last(), prefix.key, moved_.data()).of, 0, prefix.key);
    }
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
  const auto limit = static_cast<double>(most);
  const double highest = most < kMost ? (limit - squared) / 2 + (limit + squared) * 0x1p-20 : kInfinity;
  highest_ = highest;
  begin_at(near);
  search(width, worker);
  if (found_.size() < k && highest_ < highest) {  // `near` is not below what was kept, and ruled out too much
    found_.clear();
    dropped_ = kInfinity;
    highest_ = highest;
    search(width, worker);
  }
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
