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
#include <limits>
#include <mutex>
#include <optional>
#include <vector>

#include "puresid/distance.hpp"
#include "puresid/owners.hpp"
#include "puresid/parallel.hpp"
#include "puresid/prefetch.hpp"
#include "puresid/refusals.hpp"
#include "puresid/shortlists.hpp"
#include "puresid/tier_lists.hpp"
#include "puresid/tier_scores.hpp"
#include "puresid/twins.hpp"
#include "puresid/vectors.hpp"

namespace puresid {

// Remembers items whose search ended without a SID. An equal vector of worse rank meets the same
// candidates, all refused, so it need not search: a catalogue of equal vectors costs one search per
// SID given out, not one per item. Lossy (a slot holds the last failure), never wrong.
class FailedSearches {
 public:
  FailedSearches(const Vectors& vectors, const std::vector<Row>& items)
      : vectors_(vectors), items_(items), slots_(std::clamp<std::size_t>(std::bit_ceil(items.size()), 1, kMostSlots)) {}

  // `hash`: that of the item's vector.
  [[nodiscard]] bool contains(std::uint64_t hash, std::size_t position) const {
    const std::uint64_t failed = slots_[hash % slots_.size()].load(std::memory_order_acquire);
    if (failed >> 32U != hash >> 32U) return false;  // most others' vectors are not even looked at
    const auto at = static_cast<std::uint32_t>(failed);
    return at != 0 && at - 1 < position && vectors_.equal(items_[at - 1], items_[position]);
  }
  void prefetch(std::uint64_t hash) const noexcept { prefetch_line(&slots_[hash % slots_.size()]); }
  void add(std::uint64_t hash, std::size_t position) {
    slots_[hash % slots_.size()].store(hash >> 32U << 32U | (position + 1), std::memory_order_release);
  }

 private:
  static constexpr std::size_t kMostSlots = 1U << 16U;
  const Vectors& vectors_;
  const std::vector<Row>& items_;
  std::vector<std::atomic<std::uint64_t>> slots_;  // the hash's upper half, and position + 1
};

// What the items of one tier have in common.
struct Tier {
  const Vectors& vectors;
  const std::vector<Row>& items;       // still without a SID, best rank first: rows of `vectors`
  const std::vector<SidKey>& nearest;  // their greedy SIDs
  Rank first_rank = 0;                 // rank of items[0]; those of earlier stages are all better
  double max_distortion = 0;           // candidates above are passed over
  // Where it is given, what stage 0 noted of items that it calls `rows[i]`.
  const Shortlists* shortlists = nullptr;
  const std::vector<Row>* rows = nullptr;
};

// choices[i] = the SID of items[i], or nothing (found[i] = 0). `Search` is EcmSearch or another of its kind.
template <class Search>
class TierMatching {
 public:
  TierMatching(const PackedCodebooks& codebooks, const CodewordProducts& products,
               const std::vector<std::size_t>& widths, const Tier& tier, const Settled& settled, SidOwners& owners)
      : codebooks_(codebooks),
        products_(products),
        widths_(widths),
        tier_(tier),
        settled_(settled),
        owners_(owners),
        block_rows_(TierScores::block_rows(codebooks, widths)),
        failed_(tier.vectors, tier.items),
        choices_(tier.items.size()),
        found_(tier.items.size()) {}

  void run(const Execution& execution, std::string_view stage) {
    const std::size_t items = tier_.items.size();
    Execution here = execution;
    if (many_candidates()) {
      twins_ = find_twins(tier_.vectors, tier_.items, execution);
      const auto n_twins = static_cast<std::size_t>(std::count(twins_.begin(), twins_.end(), 1));
      // Threads would drop each other's twins, each of which starts afresh: here one thread is faster.
      if (n_twins > items / 16) here.threads = 1;
    }
    several_threads_ = here.threads > 1;
    refusal_bytes_ = std::min(refusal_bytes(here.threads), 64 * items);
    match_chunks(here, stage, 0);
    if (!crowded_) return;
    release_from(chunks_done_);
    here.threads = 1;
    several_threads_ = false;
    match_chunks(here, stage, chunks_done_);
  }

  [[nodiscard]] const std::vector<SidKey>& choices() const noexcept { return choices_; }
  [[nodiscard]] const std::vector<std::uint8_t>& found() const noexcept { return found_; }

 private:
  static constexpr std::size_t kNoRow = ~std::size_t{0}, kChunkBlocks = 4;

  struct Scratch {
    explicit Scratch(const TierMatching& matching)
        : search(matching.codebooks_, matching.products_, matching.widths_, matching.block_rows_),
          again(matching.codebooks_, matching.products_, matching.widths_, 1),
          twins(matching.codebooks_, matching.products_, matching.widths_, matching.tier_.vectors),
          refusals(matching.last_size(), matching.refusal_bytes_, &matching.settled_),
          refusals_again(matching.last_size(), std::size_t{1} << 16U, &matching.settled_),
          vectors(matching.block_rows_ * matching.codebooks_.dim()),
          vector(matching.codebooks_.dim()),
          residual(2 * matching.codebooks_.dim()) {}
    Search search, again;  // the block's, and one for items dropped on the way
    TwinSearches<Search> twins;
    Refusals refusals, refusals_again;
    AlignedBuffer<float> vectors, vector, residual;
    SidKey nearest[kMaxBlockRows];
    std::uint64_t hashes[kMaxBlockRows];  // by item of the block
    std::size_t rows[kMaxBlockRows];      // likewise
    bool ruled_out[kMaxBlockRows];        // likewise
  };

  // What each thread may remember refusals in: many threads share what two may have.
  [[nodiscard]] static std::size_t refusal_bytes(int threads) noexcept {
    constexpr std::size_t kLeast = std::size_t{4} << 20U, kMost = std::size_t{64} << 20U;
    return std::clamp(2 * kMost / static_cast<std::size_t>(std::max(threads, 1)), kLeast, kMost);
  }
  [[nodiscard]] Rank rank(std::size_t position) const noexcept {
    return tier_.first_rank + static_cast<Rank>(position);
  }
  [[nodiscard]] std::size_t last_size() const { return codebooks_[codebooks_.levels() - 1].size(); }
  // Rows that lie far apart in memory.
  void prefetch(std::size_t first, std::size_t last) const {
    for (std::size_t position = first; position < last; ++position) tier_.vectors.prefetch(tier_.items[position]);
  }

  // Whether a tier has so many candidates that a search must not start afresh for each equal item.
  [[nodiscard]] bool many_candidates() const noexcept {
    constexpr std::uint64_t kMany = 4096;
    std::uint64_t candidates = 1;
    for (const std::size_t width : widths_) candidates = saturating_multiply(candidates, width);
    return candidates > kMany;
  }

  // Serves the items of the chunks from `first_chunk` on.
  void match_chunks(const Execution& execution, std::string_view stage, std::size_t first_chunk) {
    const std::size_t items = tier_.items.size(), chunk_rows = kChunkBlocks * block_rows_;
    const std::size_t chunks = (items + chunk_rows - 1) / chunk_rows - first_chunk;
    parallel_for(
        execution, stage, chunks, items - first_chunk * chunk_rows, [&] { return Scratch(*this); },
        [&](Scratch& scratch, std::size_t chunk, Worker& worker) {
          const std::size_t begin = (first_chunk + chunk) * chunk_rows, end = std::min(begin + chunk_rows, items);
          if (gives_up()) return;
          prefetch(begin, std::min(begin + block_rows_, end));
          for (std::size_t first = begin; first < end; first += block_rows_) {
            prefetch(first + block_rows_, std::min(first + 2 * block_rows_, end));
            match_block(scratch, first, std::min(first + block_rows_, end), worker);
            if (gives_up()) return;
            worker.poll();
          }
          worker.advance(end - begin);
          if (several_threads_) end_chunk(chunk);
        });
  }

  // Where very many items want the same SIDs, each that a better one drops takes that of a worse one, and so on
  // through all those in flight. Then threads are of no use: the tier goes on with one, in rank order, in
  // which no one is dropped, from the first item whose SID is not final yet.
  [[nodiscard]] bool gives_up() {
    constexpr std::size_t kFree = 50'000, kPerItem = 32;
    if (!several_threads_) return false;
    const std::size_t again = again_.load(std::memory_order_relaxed);
    if (again > kFree && again > kPerItem * served_.load(std::memory_order_relaxed)) crowded_.store(true);
    return crowded_.load(std::memory_order_relaxed);
  }
  // Counts the chunks before which all are done.
  void end_chunk(std::size_t chunk) {
    const std::scoped_lock lock(mutex_);
    done_.push_back(chunk);
    for (auto at = done_.begin(); (at = std::find(done_.begin(), done_.end(), chunks_done_)) != done_.end();) {
      done_.erase(at);
      ++chunks_done_;
    }
  }
  // Takes the SIDs back that the items of chunk `chunk` and later ones hold. Those whose search failed need not
  // search again: what is to come only makes owners better.
  void release_from(std::size_t chunk) {
    for (std::size_t position = chunk * kChunkBlocks * block_rows_; position < found_.size(); ++position) {
      if (found_[position] != 0) owners_.release(choices_[position], rank(position));
      found_[position] = 0;
    }
  }

  // Serves the items [first, last). Those without an earlier twin are ranked together beforehand.
  void match_block(Scratch& scratch, std::size_t first, std::size_t last, Worker& worker) {
    const std::size_t dim = codebooks_.dim();
    std::size_t n_rows = 0;
    for (std::size_t position = first; position < last; ++position) {
      scratch.ruled_out[position - first] = is_ruled_out(position, scratch.refusals);
      if (scratch.ruled_out[position - first]) continue;
      std::uint64_t& hash = scratch.hashes[position - first];
      hash = tier_.vectors.hash(tier_.items[position]);
      failed_.prefetch(hash);
    }
    for (std::size_t position = first; position < last; ++position) {
      std::size_t& row = scratch.rows[position - first];
      row = kNoRow;
      if (scratch.ruled_out[position - first] || is_twin(position) ||
          failed_.contains(scratch.hashes[position - first], position))
        continue;
      tier_.vectors.copy(tier_.items[position], scratch.vectors.data() + n_rows * dim);
      scratch.nearest[n_rows] = tier_.nearest[position];
      scratch.refusals.prefetch(codebooks_.layout().prefix(tier_.nearest[position], codebooks_.levels() - 1));
      row = n_rows++;
    }
    if (n_rows > 0) scratch.search.prepare(scratch.vectors.data(), scratch.nearest, n_rows);
    for (std::size_t row = 0; row < std::min(n_rows, kRowsAhead); ++row) foresee(scratch, row, worker);
    for (std::size_t position = first; position < last; ++position) {
      const std::size_t row = scratch.rows[position - first];
      if (row != kNoRow && row + kRowsAhead < n_rows) foresee(scratch, row + kRowsAhead, worker);
      if (scratch.ruled_out[position - first]) continue;
      if (failed_.contains(scratch.hashes[position - first], position)) continue;
      if (gives_up()) return;
      if (row != kNoRow) scratch.search.start(row);
      Search& search = row != kNoRow
                           ? scratch.search
                           : scratch.twins.of(tier_.items[position], tier_.nearest[position], scratch.refusals, worker);
      serve(scratch, search, position, scratch.hashes[position - first], worker);
    }
    served_.fetch_add(last - first, std::memory_order_relaxed);
  }

  // Whether notes say that nothing is left for an item.
  [[nodiscard]] bool is_ruled_out(std::size_t position, Refusals& refusals) const {
    return tier_.shortlists != nullptr &&
           tier_.shortlists->rules_out((*tier_.rows)[position], tier_.nearest[position], widths_, refusals);
  }
  [[nodiscard]] bool is_twin(std::size_t position) const { return !twins_.empty() && twins_[position] != 0; }

  // Has the memory that a row's search meets first on its way while the rows before it are served.
  void foresee(Scratch& scratch, std::size_t row, Worker& worker) const {
    const std::optional<SidKey> key = scratch.search.foresee(row, scratch.refusals, worker);
    if (key) owners_.prefetch(*key);
  }

  // Lets an item propose, and then whoever had to make way.
  void serve(Scratch& scratch, Search& search, std::size_t position, std::uint64_t hash, Worker& worker) {
    auto dropped = propose(search, scratch.refusals, scratch, position, hash, worker);
    if (dropped) scratch.refusals_again.forget();  // may outrank what was served before
    while (dropped) {                              // and drops ever lower ranks
      if (gives_up()) return;
      const std::size_t again = *dropped;
      scratch.again.prepare(tier_.vectors.read(tier_.items[again], scratch.vector.data()), &tier_.nearest[again], 1);
      static_cast<void>(scratch.again.foresee(0, scratch.refusals_again, worker));
      scratch.again.start(0);
      dropped = propose(scratch.again, scratch.refusals_again, scratch, again, tier_.vectors.hash(tier_.items[again]),
                        worker);
    }
  }

  // Whether the item may have `key` for its distance.
  [[nodiscard]] bool near_enough(Scratch& scratch, std::size_t position, SidKey key) const {
    if (tier_.max_distortion == std::numeric_limits<double>::infinity()) return true;
    float* residual = scratch.residual.data();
    return codebooks_.distortion(tier_.vectors.read(tier_.items[position], residual), key, residual) <=
           tier_.max_distortion;
  }

  // Proposes to the candidates of a started search in turn. Returns the position of the item that made way.
  std::optional<std::size_t> propose(Search& search, Refusals& refusals, Scratch& scratch, std::size_t position,
                                     std::uint64_t hash, Worker& worker) {
    const Rank rank = this->rank(position);
    SidKey key = 0;
    for (std::size_t candidates = 1; search.next(key, refusals, worker); ++candidates) {
      if (&search == &scratch.again) again_.fetch_add(1, std::memory_order_relaxed);
      if (candidates % 256 == 0) worker.poll();
      if (owners_.refuses(key, rank)) {
        learn(refusals, key);
        continue;
      }
      if (!near_enough(scratch, position, key)) continue;
      choices_[position] = key;  // before the proposal: once accepted, the item may be dropped by others
      found_[position] = 1;
      const SidOwners::Answer answer = owners_.propose(key, rank);
      learn(refusals, key);  // refused, or its own: gone for every later item
      if (!answer.accepted) continue;
      if (!answer.dropped) return std::nullopt;
      return *answer.dropped - tier_.first_rank;
    }
    found_[position] = 0;
    failed_.add(hash, position);
    return std::nullopt;
  }

  void learn(Refusals& refusals, SidKey key) const {
    const std::size_t last = codebooks_.levels() - 1;
    refusals.below(codebooks_.layout().prefix(key, last)).refuse(codebooks_.layout().token(key, last));
  }

  const PackedCodebooks& codebooks_;
  const CodewordProducts& products_;
  const std::vector<std::size_t>& widths_;
  const Tier& tier_;
  const Settled& settled_;  // the SIDs of earlier stages
  SidOwners& owners_;
  std::size_t block_rows_;
  FailedSearches failed_;
  std::vector<std::uint8_t> twins_;  // whether an earlier item equals it; empty where that is of no use
  std::vector<SidKey> choices_;
  std::vector<std::uint8_t> found_;
  std::atomic<std::size_t> served_{0};  // items, but for those dropped
  std::atomic<std::size_t> again_{0};   // candidates that items dropped looked at
  bool several_threads_ = false;
  std::size_t refusal_bytes_ = 0;  // of each thread
  std::atomic<bool> crowded_{false};
  std::mutex mutex_;
  std::size_t chunks_done_ = 0;    // all before it are
  std::vector<std::size_t> done_;  // chunks beyond that
};

}  // namespace puresid
