// Completion: whoever is left walks down once and gets a SID, as long as there is one.
//
// In rank order; at each level the nearest codeword, to the residual of the path taken, under which a
// free SID remains. It cannot fail while items <= capacity.
//
// A walk depends on those before it only through what they exhausted. So the walks of a batch are made
// in parallel, down to the scores of the last level, and then settled in rank order: a prefix chosen in
// advance is still the right one unless it has been exhausted since, and then the rest of the batch
// walks again. Same outcome as one by one.
// Cost: O(sum of K_l * D) per item, whatever the vectors; levels at which the item's nearest SID still
// has room cost nothing, and a run of equal vectors shares its scores.
// Memory: 24 bytes per prefix in use at most, and bounded buffers.
#pragma once

#include <vector>

#include "puresid/matching.hpp"
#include "puresid/packed_codebooks.hpp"
#include "puresid/parallel.hpp"
#include "puresid/refusals.hpp"
#include "puresid/vectors.hpp"

namespace puresid {

// How many SIDs below each prefix are in use. Counts, per prefix, the children that are exhausted: a
// prefix is one itself when all its children are. So what is kept shrinks K-fold from level to level,
// and prefixes with nothing exhausted below take no memory, however large the space. Where a depth has few prefixes
// they are counted in an array.
class Occupancy {
 public:
  // Counts the SIDs in `owners`, of which there are at most `max_sids` now and later. `settled`: the same ones,
  // where it is kept.
  Occupancy(const SidLayout& layout, const SidOwners& owners, const Settled& settled, std::size_t max_sids,
            const Execution& execution);

  void add(SidKey key);
  // Whether no SID is free below the prefix of `depth` tokens of `key`, 0 < depth < levels.
  [[nodiscard]] bool exhausted(SidKey key, std::size_t depth) const;

 private:
  using Count = KeyTable::Value;
  // The exhausted children of all prefixes of a depth.
  struct Depth {
    KeyTable table;
    Pages<Count> array;  // instead, where there are few prefixes
    unsigned shift;      // of a key: its prefix's place in the array
  };
  void add_children(SidKey key, std::size_t depth, std::uint32_t count);
  [[nodiscard]] Count& at(SidKey key, std::size_t depth);

  const SidLayout& layout_;
  std::vector<Depth> depths_;  // 0..levels-1
};

class Completion {
 public:
  // `settled`: the SIDs of `owners`. `items`, rows of `vectors` in rank order, whose greedy SIDs are `nearest`. All but
  // `execution` must outlive it.
  Completion(const PackedCodebooks& codebooks, const Vectors& vectors, const std::vector<Row>& items,
             const std::vector<SidKey>& nearest, const Settled& settled, SidOwners& owners, std::size_t max_sids,
             const Execution& execution);

  // Gives each item its own SID: choices()[i] is that of items[i].
  void run();
  [[nodiscard]] const std::vector<SidKey>& choices() const noexcept { return choices_; }

 private:
  struct Scratch;

  [[nodiscard]] bool exhausted(SidKey key, std::size_t level) const;
  [[nodiscard]] Token choose(SidKey prefix, std::size_t level, const float* scores, Refusals& refusals) const;
  void gather(std::size_t first, std::size_t most);
  void walk(Scratch& scratch, std::size_t begin, std::size_t end);
  void walk_level(Scratch& scratch, std::size_t level, std::size_t n_rows);
  [[nodiscard]] std::size_t settle(std::size_t first);

  const PackedCodebooks& codebooks_;
  const Vectors& vectors_;
  const std::vector<Row>& items_;
  const std::vector<SidKey>& nearest_;
  SidOwners& owners_;
  Execution execution_;
  Occupancy occupancy_;
  Refusals leaves_;  // what settling has learnt of the last level
  std::vector<SidKey> choices_;
  // The batch at hand: the items that walk, the prefix and the last level's scores of each walk, the token
  // that was then the last level's, and the walk of each item.
  std::size_t most_walks_;
  std::vector<std::size_t> walkers_, walks_;
  std::vector<SidKey> prefixes_;
  std::vector<Token> guesses_;
  AlignedBuffer<float> scores_;
};

}  // namespace puresid
