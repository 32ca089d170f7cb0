// Completion: whoever is left walks down once and gets a SID, as long as there is one.
//
// In rank order; at each level the nearest codeword, to the residual of the path taken, under which a
// free SID remains. It cannot fail while items <= capacity.
//
// A walk depends on those before it only through what they exhausted. So the walks of a batch are made
// in parallel, down to the last level, and then settled in rank order: a prefix chosen in advance is
// still the right one unless it has been exhausted since, and then it and all others like it are walked
// again; where those are too many, the batch ends there. Same outcome as one by one.
// Cost: O(sum of K_l * D) per item, whatever the vectors; levels at which the item's nearest SID still
// has room cost nothing, a run of equal vectors shares its scores, and int8 products rule codewords out
// where NearestSearch has them.
// Memory: 24 bytes per prefix in use at most, and bounded buffers.
#pragma once

#include <chrono>
#include <span>
#include <vector>

#include "puresid/nearest_search.hpp"
#include "puresid/occupancy.hpp"
#include "puresid/owners.hpp"
#include "puresid/packed_codebooks.hpp"
#include "puresid/parallel.hpp"
#include "puresid/refusals.hpp"
#include "puresid/vectors.hpp"

namespace puresid {

class Completion {
 public:
  // `settled`: the SIDs of `owners`. `items`, rows of `vectors` in rank order, whose greedy SIDs are `nearest`. All but
  // `execution` must outlive it.
  Completion(const PackedCodebooks& codebooks, const Vectors& vectors, const std::vector<Row>& items,
             const std::vector<SidKey>& nearest, const Settled& settled, SidOwners& owners, std::size_t max_sids,
             const Execution& execution);
  ~Completion();
  Completion(const Completion&) = delete;
  Completion& operator=(const Completion&) = delete;

  // Gives each item its own SID: choices()[i] is that of items[i].
  void run();
  [[nodiscard]] const std::vector<SidKey>& choices() const noexcept { return choices_; }

 private:
  struct Scratch;

  [[nodiscard]] bool exhausted(SidKey key, std::size_t level) const;
  void look_up(SidKey prefix, std::size_t level, Refusals::Leaves known) const;
  [[nodiscard]] Token choose(SidKey prefix, std::size_t level, const float* scores, Refusals& refusals) const;
  [[nodiscard]] Token choose_leaf(std::size_t walk, bool shared);
  void choose_pruned(Scratch& scratch, std::size_t level, std::size_t n_rows) const;
  void gather(std::size_t first, std::size_t most);
  void make_walks(std::span<const std::size_t> walks);
  void show_progress(std::size_t done);
  void walk(Scratch& scratch, std::span<const std::size_t> walks);
  void walk_level(Scratch& scratch, std::size_t level, std::size_t n_rows);
  void end_walks(Scratch& scratch, std::span<const std::size_t> walks);
  [[nodiscard]] std::size_t settle(std::size_t first);

  const PackedCodebooks& codebooks_;
  const Vectors& vectors_;
  const std::vector<Row>& items_;
  const std::vector<SidKey>& nearest_;
  SidOwners& owners_;
  Execution execution_;
  std::chrono::steady_clock::time_point last_shown_{};
  Occupancy occupancy_;
  Refusals leaves_;  // what settling has learnt of the last level
  NearestSearch search_;
  bool last_is_pruned_;
  std::vector<SidKey> choices_;
  std::vector<Scratch> scratches_;  // by thread, kept from batch to batch with what they have learnt
  // The batch at hand: the items that walk and the walk of each item; by walk its prefix, the token that was then the
  // last level's, and that level's scores or, where it is pruned, what it compares.
  std::size_t most_walks_;
  std::vector<std::size_t> walkers_, walks_, numbers_, again_;
  std::vector<SidKey> prefixes_;
  std::vector<Token> guesses_;
  AlignedBuffer<float> last_rows_;
  // The scores of a walk that many items share, where the last level is pruned.
  static constexpr std::size_t kNoWalk = ~std::size_t{0};
  AlignedBuffer<float> shared_scores_;
  std::size_t shared_walk_ = kNoWalk;
};

}  // namespace puresid
