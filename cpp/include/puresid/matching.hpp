// One SID per item, equal to the sequential greedy "in priority order, take your first free candidate".
//
// With one priority order that all SIDs share, that outcome is the only stable matching, so deferred
// acceptance reaches it in any order of execution (Gale & Shapley 1962): an item proposes to its
// candidates in turn, a SID keeps the proposer of best rank, and whoever it drops starts again. A SID's
// owner only ever gets better, so a candidate that refused an item once refuses it for good; a dropped
// item may therefore start its search afresh, and nothing about an item's search needs to be kept.
// Items are taken up in rank order, so drops happen only among those in flight.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>
#include <vector>

#include "puresid/distance.hpp"
#include "puresid/key_table.hpp"
#include "puresid/parallel.hpp"
#include "puresid/refusals.hpp"
#include "puresid/twins.hpp"

namespace puresid {

using Rank = std::uint32_t;  // lower is better

// Who owns which SID. Safe to call from any thread.
class SidOwners {
 public:
  static constexpr Rank kMostRanks = std::numeric_limits<Rank>::max() - 1;

  explicit SidOwners(std::size_t max_sids) : table_(max_sids) {}

  struct Answer {
    bool accepted = false;
    std::optional<Rank> dropped;  // the owner that made way
  };
  Answer propose(SidKey key, Rank rank) {
    KeyTable::Value& owner = table_.at(key);
    const std::uint32_t claim = kSettled - 1 - rank;
    std::uint32_t current = owner.load(std::memory_order_acquire);
    while (current < claim) {
      if (owner.compare_exchange_weak(current, claim, std::memory_order_acq_rel)) {
        return {true, current == kFree ? std::nullopt : std::optional<Rank>(kSettled - 1 - current)};
      }
    }
    return {false, std::nullopt};
  }
  // Whether an item of this rank has no hope of `key`. Never inserts.
  [[nodiscard]] bool refuses(SidKey key, Rank rank) const noexcept {
    const KeyTable::Value* owner = table_.find(key);
    return owner != nullptr && owner->load(std::memory_order_acquire) >= kSettled - 1 - rank;
  }
  [[nodiscard]] bool is_free(SidKey key) const noexcept {
    const KeyTable::Value* owner = table_.find(key);
    return owner == nullptr || owner->load(std::memory_order_acquire) == kFree;
  }
  // Gives `key` away for good. False where it was already.
  bool settle(SidKey key) { return table_.at(key).exchange(kSettled, std::memory_order_acq_rel) != kSettled; }

  void prefetch(SidKey key) const noexcept { table_.prefetch(key); }
  [[nodiscard]] const KeyTable& table() const noexcept { return table_; }

 private:
  static constexpr std::uint32_t kFree = 0, kSettled = std::numeric_limits<std::uint32_t>::max();
  KeyTable table_;  // 0 = free, otherwise the greater the better the owner's rank
};

// Remembers items whose search ended without a SID. An equal vector of worse rank meets the same
// candidates, all refused, so it need not search: a catalogue of equal vectors costs one search per
// SID given out, not one per item. Lossy (a slot holds the last failure), never wrong.
class FailedSearches {
 public:
  FailedSearches(MatrixView<const float> vectors, const std::vector<Row>& items)
      : vectors_(vectors), items_(items), slots_(std::clamp<std::size_t>(std::bit_ceil(items.size()), 1, kMostSlots)) {}

  // Where a vector's last failure would be noted.
  [[nodiscard]] std::size_t slot(const float* vector) const noexcept {
    return hash_of(vector, vectors_.cols()) & (slots_.size() - 1);
  }
  [[nodiscard]] bool contains(std::size_t slot, const float* vector, std::size_t position) const {
    const std::uint32_t failed = slots_[slot].load(std::memory_order_acquire);
    return failed != 0 && failed - 1 < position &&
           equal_vectors(vectors_.row(items_[failed - 1]), vector, vectors_.cols());
  }
  void add(std::size_t slot, std::size_t position) {
    slots_[slot].store(static_cast<std::uint32_t>(position + 1), std::memory_order_release);
  }

 private:
  static constexpr std::size_t kMostSlots = 1U << 16U;
  MatrixView<const float> vectors_;
  const std::vector<Row>& items_;
  std::vector<std::atomic<std::uint32_t>> slots_;
};

// What the items of one tier have in common.
struct Tier {
  MatrixView<const float> vectors;
  const std::vector<Row>& items;       // still without a SID, best rank first
  const std::vector<SidKey>& nearest;  // their greedy SIDs
  Rank first_rank = 0;                 // rank of items[0]; those of earlier stages are all better
  double max_distortion = 0;           // candidates above are passed over
};

// choices[i] = the SID of items[i], or nothing (found[i] = 0). `Search` is EcmSearch or RrsSearch.
template <class Search>
class TierMatching {
 public:
  TierMatching(const PackedCodebooks& codebooks, const std::vector<std::size_t>& widths, const Tier& tier,
               SidOwners& owners)
      : codebooks_(codebooks),
        widths_(widths),
        tier_(tier),
        owners_(owners),
        failed_(tier.vectors, tier.items),
        choices_(tier.items.size()),
        found_(tier.items.size()) {}

  void run(const Execution& execution, std::string_view stage) {
    const std::size_t items = tier_.items.size();
    Execution here = execution;
    if (many_candidates()) {
      twins_ = find_twins(tier_.vectors, tier_.items);
      const auto n_twins = static_cast<std::size_t>(std::count(twins_.begin(), twins_.end(), 1));
      // Threads would drop each other's twins, each of which starts afresh: here one thread is faster.
      if (n_twins > items / 16) here.threads = 1;
    }
    parallel_for(
        here, stage, (items + kMaxBlockRows - 1) / kMaxBlockRows, items,
        [&] { return Scratch(codebooks_, widths_, tier_.items.size()); },
        [&](Scratch& scratch, std::size_t chunk, Worker& worker) {
          const std::size_t first = chunk * kMaxBlockRows;
          match_block(scratch, first, std::min(first + kMaxBlockRows, items), worker);
          worker.advance(std::min(kMaxBlockRows, items - first));
        });
  }

  [[nodiscard]] const std::vector<SidKey>& choices() const noexcept { return choices_; }
  [[nodiscard]] const std::vector<std::uint8_t>& found() const noexcept { return found_; }

 private:
  static constexpr std::size_t kNoRow = ~std::size_t{0};

  struct Scratch {
    Scratch(const PackedCodebooks& codebooks, const std::vector<std::size_t>& widths, std::size_t items)
        : search(codebooks, widths, kMaxBlockRows),
          again(codebooks, widths, 1),
          twins(codebooks, widths),
          refusals(codebooks[codebooks.levels() - 1].size(), std::min(std::size_t{4} << 20U, 64 * items)),
          refusals_again(codebooks[codebooks.levels() - 1].size(), std::size_t{1} << 16U),
          vectors(kMaxBlockRows * codebooks.dim()),
          residual(codebooks.dim()) {}
    Search search, again;  // the block's, and one for items dropped on the way
    TwinSearches<Search> twins;
    Refusals refusals, refusals_again;
    AlignedBuffer<float> vectors, residual;
    SidKey nearest[kMaxBlockRows];
    std::size_t rows[kMaxBlockRows], slots[kMaxBlockRows];  // by item of the block
  };

  [[nodiscard]] const float* vector(std::size_t position) const { return tier_.vectors.row(tier_.items[position]); }

  // Whether a tier has so many candidates that a search must not start afresh for each equal item.
  [[nodiscard]] bool many_candidates() const noexcept {
    constexpr std::uint64_t kMany = 4096;
    std::uint64_t candidates = 1;
    for (const std::size_t width : widths_) candidates = saturating_multiply(candidates, width);
    return candidates > kMany;
  }

  // Serves the items [first, last). Those without an earlier twin are ranked together beforehand.
  void match_block(Scratch& scratch, std::size_t first, std::size_t last, Worker& worker) {
    const std::size_t dim = codebooks_.dim();
    std::size_t n_rows = 0;
    for (std::size_t position = first; position < last; ++position) {  // rows far apart in memory
      __builtin_prefetch(vector(position));
      __builtin_prefetch(vector(position) + dim / 2);
    }
    for (std::size_t position = first; position < last; ++position) {
      std::size_t& row = scratch.rows[position - first];
      std::size_t& slot = scratch.slots[position - first];
      row = kNoRow;
      slot = failed_.slot(vector(position));
      if (is_twin(position) || failed_.contains(slot, vector(position), position)) continue;
      std::copy_n(vector(position), dim, scratch.vectors.data() + n_rows * dim);
      scratch.nearest[n_rows] = tier_.nearest[position];
      row = n_rows++;
    }
    if (n_rows > 0) scratch.search.prepare(scratch.vectors.data(), scratch.nearest, n_rows);
    for (std::size_t position = first; position < last; ++position) {
      const std::size_t row = scratch.rows[position - first], slot = scratch.slots[position - first];
      if (failed_.contains(slot, vector(position), position)) continue;
      if (row != kNoRow) scratch.search.start(row);
      Search& search = row != kNoRow ? scratch.search : scratch.twins.of(vector(position), tier_.nearest[position]);
      serve(scratch, search, position, slot, worker);
    }
  }

  [[nodiscard]] bool is_twin(std::size_t position) const { return !twins_.empty() && twins_[position] != 0; }

  // Lets an item propose, and then whoever had to make way.
  void serve(Scratch& scratch, Search& search, std::size_t position, std::size_t slot, Worker& worker) {
    auto dropped = propose(search, scratch.refusals, scratch.residual.data(), position, slot, worker);
    if (dropped) scratch.refusals_again.forget();  // may outrank what was served before
    while (dropped) {                              // and drops ever lower ranks
      const std::size_t again = *dropped;
      scratch.again.prepare(vector(again), &tier_.nearest[again], 1);
      scratch.again.start(0);
      dropped = propose(scratch.again, scratch.refusals_again, scratch.residual.data(), again,
                        failed_.slot(vector(again)), worker);
    }
  }

  // Proposes to the candidates of a started search in turn. Returns the position of the item that made way.
  std::optional<std::size_t> propose(Search& search, Refusals& refusals, float* residual, std::size_t position,
                                     std::size_t slot, Worker& worker) {
    const Rank rank = tier_.first_rank + static_cast<Rank>(position);
    SidKey key = 0;
    for (std::size_t candidates = 1; search.next(key, refusals, worker); ++candidates) {
      if (candidates % 256 == 0) worker.poll();
      if (owners_.refuses(key, rank)) {
        learn(refusals, key);
        continue;
      }
      if (tier_.max_distortion < std::numeric_limits<double>::infinity() &&
          codebooks_.distortion(vector(position), key, residual) > tier_.max_distortion) {
        continue;
      }
      choices_[position] = key;  // before the proposal: once accepted, the item may be dropped by others
      found_[position] = 1;
      const SidOwners::Answer answer = owners_.propose(key, rank);
      learn(refusals, key);  // refused, or its own: gone for every later item
      if (!answer.accepted) continue;
      if (!answer.dropped) return std::nullopt;
      return *answer.dropped - tier_.first_rank;
    }
    found_[position] = 0;
    failed_.add(slot, position);
    return std::nullopt;
  }

  void learn(Refusals& refusals, SidKey key) const {
    const std::size_t last = codebooks_.levels() - 1;
    refusals.below(codebooks_.layout().prefix(key, last)).refuse(codebooks_.layout().token(key, last));
  }

  const PackedCodebooks& codebooks_;
  const std::vector<std::size_t>& widths_;
  const Tier& tier_;
  SidOwners& owners_;
  FailedSearches failed_;
  std::vector<std::uint8_t> twins_;  // whether an earlier item equals it; empty where that is of no use
  std::vector<SidKey> choices_;
  std::vector<std::uint8_t> found_;
};

}  // namespace puresid
