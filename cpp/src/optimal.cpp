#include "puresid/optimal.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "order.hpp"

namespace puresid {
namespace {

constexpr std::size_t kChunk = 1U << 12U;
// What finding a place may cost, in looks at SIDs: as long as few have been spent on all, later, and in the end.
constexpr std::size_t kMostLooks = std::size_t{1} << 21U, kManyLooks = std::size_t{1} << 12U,
                      kFewLooks = std::size_t{1} << 8U;

// How many looks find the best places there are: fewer for more items, whose SIDs lie farther apart in memory.
std::size_t exact_looks(std::size_t items) {
  constexpr std::size_t kLeast = std::size_t{1} << 23U;
  const auto falling = [&](std::size_t most, std::size_t an_item) { return most - std::min(most, an_item * items); };
  return std::max({kLeast, falling(std::size_t{1} << 28U, 1U << 9U), falling(std::size_t{1} << 32U, 1U << 17U)});
}

// After how many more no list grows any longer.
std::size_t looks_for_the_gap(std::size_t items) { return (std::size_t{1} << 28U) + 64 * items; }

constexpr std::uint64_t kFew = 8;  // the length of a list that an item in conflict begins with

std::size_t chunks_of(std::size_t count, std::size_t chunk) { return (count + chunk - 1) / chunk; }

// Or `value` itself.
float largest_float_below(double value) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  if (value > static_cast<double>(std::numeric_limits<float>::max())) return kInfinity;
  const auto narrow = static_cast<float>(value);
  return static_cast<double>(narrow) > value ? std::nextafter(narrow, -1.0F) : narrow;
}

}  // namespace

OptimalAssignment::OptimalAssignment(const PackedCodebooks& codebooks, const CodewordProducts& products,
                                     const Vectors& vectors, const std::vector<Row>& items,
                                     const std::vector<SidKey>& nearest, const SidOwners& owners, bool any_taken,
                                     const OptimalOptions& options)
    : codebooks_(codebooks),
      products_(products),
      vectors_(vectors),
      items_(items),
      nearest_(nearest),
      owners_(owners),
      any_taken_(any_taken),
      options_(options) {
  if (options.weights.empty()) return;
  for (const Row item : items) weights_.push_back(options.weights[item]);
}

// Finds the items with equal vectors and weights: they share a list.
void OptimalAssignment::group(const Execution& execution) {
  struct Hashed {
    std::uint64_t hash;
    Row position;
  };
  Execution quiet = execution;
  quiet.progress = nullptr;
  std::vector<Hashed> all(items_.size());
  parallel_for(quiet, "twins", chunks_of(all.size(), kChunk), all.size(), [&](std::size_t chunk, Worker&) {
    for (std::size_t i = chunk * kChunk; i < std::min((chunk + 1) * kChunk, all.size()); ++i) {
      all[i] = {vectors_.hash(items_[i]), static_cast<Row>(i)};
    }
  });
  sort_stably(all, [](const Hashed& a, const Hashed& b) { return a.hash < b.hash; }, "twins", quiet);
  const auto equal = [&](Row a, Row b) {
    return (weights_.empty() || weights_[a] == weights_[b]) && vectors_.equal(items_[a], items_[b]);
  };
  constexpr std::size_t kMostCompared = 16;  // with one hash; more different vectors have lists of their own
  list_of_.resize(items_.size());
  std::iota(list_of_.begin(), list_of_.end(), Row{0});  // by the position of the first at first
  std::vector<Row> firsts;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i == 0 || all[i].hash != all[i - 1].hash) firsts.clear();
    const auto same =
        std::find_if(firsts.begin(), firsts.end(), [&](Row first) { return equal(first, all[i].position); });
    if (same != firsts.end()) {
      list_of_[all[i].position] = *same;
    } else if (firsts.size() < kMostCompared) {
      firsts.push_back(all[i].position);
    }
  }
  for (std::size_t i = 0; i < items_.size(); ++i) {
    const bool first = list_of_[i] == i;
    list_of_[i] = first ? static_cast<Row>(sample_.size()) : list_of_[list_of_[i]];
    if (first) sample_.push_back(static_cast<Row>(i));
  }
}

std::uint32_t OptimalAssignment::next_k(Row list) const {
  const std::uint64_t k = searches_[list].k, next = k == 0 ? (options_.all ? 1 : kFew) : k == 1 ? kFew : 4 * k;
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>({next, codebooks_.layout().capacity(), std::numeric_limits<std::uint32_t>::max() / 2}));
}

// Makes lists longer, or says for good that they are not to be.
void OptimalAssignment::grow(const std::vector<Row>& lists, const Execution& execution) {
  constexpr std::size_t kAtOnce = std::size_t{1} << 20U;
  const std::size_t most_listed = std::max(2 * kListed, kListed + kMostListed * list_of_.size());
  std::size_t first = 0;
  while (first < lists.size()) {
    std::size_t wanted = 0, last = first;
    for (; last < lists.size() && wanted < kAtOnce; ++last) wanted += next_k(lists[last]);
    if (listed_ + wanted <= most_listed) {
      grow_some({lists.data() + first, last - first}, execution);
    } else {
      for (std::size_t i = first; i < last; ++i) {
        lists_[lists[i]].horizon = std::numeric_limits<float>::infinity();
        lists_[lists[i]].searched = true;
      }
    }
    first = last;
  }
}

void OptimalAssignment::grow_some(std::span<const Row> lists, const Execution& execution) {
  std::vector<std::size_t> offsets(lists.size() + 1);
  for (std::size_t i = 0; i < lists.size(); ++i) offsets[i + 1] = offsets[i] + next_k(lists[i]);
  std::vector<ClosestSid> found(offsets.back());
  std::vector<std::uint32_t> sizes(lists.size());
  const std::size_t dim = codebooks_.dim();
  const float most = largest_float_below(options_.max_distortion);
  struct State {
    ClosestSids search;
    AlignedBuffer<float> vectors;
  };
  parallel_for(
      execution, "search", chunks_of(lists.size(), ClosestSids::kMostRows), lists.size(),
      [&] {
        return State{ClosestSids(codebooks_, products_, *deeper_), AlignedBuffer<float>(ClosestSids::kMostRows * dim)};
      },
      [&](State& state, std::size_t chunk, Worker& worker) {
        const std::size_t begin = chunk * ClosestSids::kMostRows;
        const std::size_t n_rows = std::min(ClosestSids::kMostRows, lists.size() - begin);
        for (std::size_t row = 0; row < n_rows; ++row) {
          vectors_.copy(items_[sample_[lists[begin + row]]], state.vectors.data() + row * dim);
        }
        state.search.prepare(state.vectors.data(), n_rows);
        for (std::size_t row = 0; row < n_rows; ++row) {
          const std::size_t i = begin + row;
          CandidateList& list = lists_[lists[i]];
          const SidKey near = list.size > 0 ? list.sids[0].key : nearest_[sample_[lists[i]]];
          const std::size_t k = offsets[i + 1] - offsets[i];
          const ClosestSids::Found result = state.search.find(row, k, options_.width, near, most, worker);
          ClosestSid* to = found.data() + offsets[i];
          for (const ClosestSid& sid : *result.sids) {
            if (!any_taken_ || owners_.is_free(sid.key)) to[sizes[i]++] = sid;
          }
          list.horizon = result.horizon;
          searches_[lists[i]] = {static_cast<std::uint32_t>(k), result.floor};
          worker.poll();
        }
        worker.advance(n_rows);
      });
  const std::size_t total = std::accumulate(sizes.begin(), sizes.end(), std::size_t{0});
  blocks_.push_back(std::make_unique<ClosestSid[]>(total));
  ClosestSid* to = blocks_.back().get();
  for (std::size_t i = 0; i < lists.size(); ++i) {
    CandidateList& list = lists_[lists[i]];
    std::copy_n(found.begin() + static_cast<std::ptrdiff_t>(offsets[i]), sizes[i], to);
    list.sids = to;
    list.size = sizes[i];
    list.searched = true;
    to += sizes[i];
  }
  listed_ += total;
}

// Takes the SIDs of those items back whose lists are marked and had not been searched.
void OptimalAssignment::release_unsearched(const std::vector<std::uint8_t>& marked, std::vector<Row>& waiting) {
  if (options_.all) return;
  const std::size_t before = waiting.size();
  for (std::size_t i = 0; i < items_.size(); ++i) {
    if (found_[i] == 0 || marked[list_of_[i]] == 0 || lists_[list_of_[i]].searched) continue;
    matching_->release(static_cast<Row>(i));
    found_[i] = 0;
    waiting.push_back(static_cast<Row>(i));
  }
  const auto middle = waiting.begin() + static_cast<std::ptrdiff_t>(before);
  std::inplace_merge(waiting.begin(), middle, waiting.end());
}

// The effort that an item's place is worth after what has been spent.
MinCostMatching::Effort OptimalAssignment::effort(const Round& round) const {
  const std::size_t looks = matching_->looks(), exact = exact_looks(items_.size());
  if (looks <= exact) return {kMostLooks};
  const bool last = looks > exact + looks_for_the_gap(items_.size());
  const double left = std::max(round.allowed - round.lost, 0.0);
  return {last ? kFewLooks : kManyLooks, left / (2 * static_cast<double>(round.waiting.size())), last};
}

// Places who is waiting, in rank order; those that need longer lists are next.
void OptimalAssignment::place(Round& round, Worker& worker) {
  constexpr std::size_t kAhead = 8, kPolled = 64, kPolledLooks = 1U << 14U;
  std::size_t polled = matching_->looks();
  for (std::size_t at = 0; at < round.waiting.size(); ++at) {
    if (at % kPolled == 0 || matching_->looks() > polled + kPolledLooks) {
      worker.poll();
      polled = matching_->looks();
    }
    for (int step = 0; step < 3; ++step) {
      const std::size_t ahead = at + static_cast<std::size_t>(3 - step) * kAhead;
      if (ahead < round.waiting.size()) matching_->prefetch(round.waiting[ahead], step);
    }
    const Row item = round.waiting[at];
    const MinCostMatching::Outcome outcome = matching_->place(item, effort(round));
    round.lost += matching_->loss();
    if (outcome == MinCostMatching::Outcome::placed) found_[item] = 1;
    if (outcome != MinCostMatching::Outcome::wants_more) continue;
    round.next.push_back(item);
    for (const Row list : matching_->short_lists()) {
      if (round.marked[list] == 0) round.wanting.push_back(list);
      round.marked[list] = 1;
    }
  }
}

// Places all, round by round, and has lists grow in between.
void OptimalAssignment::match(const Execution& execution) {
  matching_ = std::make_unique<MinCostMatching>(items_.size(), lists_, list_of_, weights_);
  Round round;
  for (std::size_t i = 0; i < items_.size(); ++i) {
    const CandidateList& list = lists_[list_of_[i]];
    const double weight = matching_->weight(static_cast<Row>(i));
    if (list.size > 0) round.allowed += options_.gap * weight * static_cast<double>(list.sids[0].distortion);
  }
  round.waiting.resize(items_.size());
  std::iota(round.waiting.begin(), round.waiting.end(), Row{0});
  round.marked.resize(lists_.size());
  found_.assign(items_.size(), 0);
  Execution alone = execution;
  alone.threads = 1;
  while (!round.waiting.empty()) {
    round.next.clear();
    round.wanting.clear();
    parallel_for(alone, "match", 1, round.waiting.size(), [&](std::size_t, Worker& worker) { place(round, worker); });
    release_unsearched(round.marked, round.next);
    for (const Row list : round.wanting) round.marked[list] = 0;
    grow(round.wanting, execution);
    round.waiting.swap(round.next);
  }
  choices_.resize(items_.size());
  for (std::size_t i = 0; i < items_.size(); ++i) {
    choices_[i] = found_[i] != 0 ? matching_->sid(static_cast<Row>(i)) : nearest_[i];
  }
}

// Lists of the greedy SIDs.
void OptimalAssignment::look_up(std::span<const float> distortion) {
  blocks_.push_back(std::make_unique<ClosestSid[]>(sample_.size()));
  for (std::size_t list = 0; list < sample_.size(); ++list) {
    const Row first = sample_[list];
    blocks_[0][list] = {nearest_[first], distortion[first]};
    const bool usable = static_cast<double>(distortion[first]) <= options_.max_distortion &&
                        (!any_taken_ || owners_.is_free(nearest_[first]));
    lists_[list] = {&blocks_[0][list], usable ? 1U : 0U, 0, false};
  }
}

void OptimalAssignment::run(std::span<const float> distortion, const Execution& execution) {
  group(execution);
  deeper_ = std::make_unique<DeeperLeast>(codebooks_, products_, execution);
  lists_.resize(sample_.size());
  searches_.resize(sample_.size());
  if (options_.all) {
    std::vector<Row> all(sample_.size());
    std::iota(all.begin(), all.end(), Row{0});
    grow(all, execution);
  } else {
    look_up(distortion);
  }
  match(execution);
}

OptimalAssignment::Bounds OptimalAssignment::bounds(std::span<const float> distortion,
                                                    const Execution& execution) const {
  std::vector<Bounds> parts(chunks_of(list_of_.size(), kChunk));
  Execution quiet = execution;
  quiet.progress = nullptr;
  parallel_for(quiet, "bounds", parts.size(), list_of_.size(), [&](std::size_t chunk, Worker&) {
    for (std::size_t i = chunk * kChunk; i < std::min((chunk + 1) * kChunk, list_of_.size()); ++i) {
      const auto item = static_cast<Row>(i);
      const double weight = matching_->weight(item), utility = matching_->utility(item);
      const double otherwise = weight * static_cast<double>(distortion[i]);  // of a SID without a price
      parts[chunk].over_lists += found_[i] != 0 ? utility : std::min(utility, otherwise);
      parts[chunk].over_all += std::min(utility, weight * static_cast<double>(searches_[list_of_[i]].floor));
    }
  });
  Bounds bounds;
  for (const Bounds& part : parts) {
    bounds.over_lists += part.over_lists;
    bounds.over_all += part.over_all;
  }
  const double prices = matching_->prices();
  bounds.over_lists -= prices;
  bounds.over_all -= prices;
  return bounds;
}

}  // namespace puresid
