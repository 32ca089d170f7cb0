// Completion: whoever is left walks down once and gets a SID, as long as there is one.
//
// In rank order; at each level the nearest codeword, to the residual of the path taken, under which a
// free SID remains. It cannot fail while items <= capacity. Serial, because each walk may fill a prefix
// that the next one meets. Cost: O(sum of K_l * D) per item, whatever the vectors: scores of one row per
// level, and look-ups of which tokens are exhausted, amortised over the items that meet a prefix. An
// item equal to the one before reuses its scores. Memory: 24 bytes per prefix in use, and a bounded cache.
#pragma once

#include <vector>

#include "puresid/distance.hpp"
#include "puresid/matching.hpp"
#include "puresid/parallel.hpp"

namespace puresid {

// How many SIDs below each prefix are in use. Counts, per prefix, the children that are exhausted: a
// prefix is one itself when all its children are. So what is kept shrinks K-fold from level to level,
// and prefixes with nothing exhausted below take no memory, however large the space.
class Occupancy {
 public:
  // Counts the SIDs in `owners`, of which there are at most `max_sids` now and later.
  Occupancy(const SidLayout& layout, const SidOwners& owners, std::size_t max_sids, const Execution& execution);

  void add(SidKey key);
  // Whether no SID is free below the prefix of `depth` tokens of `key`, 0 < depth < levels.
  [[nodiscard]] bool exhausted(SidKey key, std::size_t depth) const;

 private:
  const SidLayout& layout_;
  std::vector<KeyTable> exhausted_children_;  // by depth 0..levels-1 of the prefix
};

class Completion {
 public:
  Completion(const PackedCodebooks& codebooks, SidOwners& owners, std::size_t max_sids, const Execution& execution);

  // The SID of the next item in rank order, which is its own from now on.
  [[nodiscard]] SidKey next(const float* vector);

 private:
  // Tokens of one level under one prefix that are known to be exhausted. Only ever a subset of the
  // truth, so an entry may be forgotten and made again.
  struct Mask {
    SidKey prefix = 0;
    std::size_t level = 0;
    bool used = false, complete = false;
    std::vector<std::uint64_t> bits;
  };

  [[nodiscard]] Mask& mask(SidKey prefix, std::size_t level);
  [[nodiscard]] bool exhausted(SidKey key, std::size_t level) const;
  [[nodiscard]] Token choose(SidKey prefix, std::size_t level, const float* scores);

  const PackedCodebooks& codebooks_;
  SidOwners& owners_;
  Occupancy occupancy_;
  std::vector<AlignedBuffer<float>> scores_, residuals_;  // by level, of the last walk
  std::vector<Token> path_;
  std::size_t levels_scored_ = 0;  // levels of the last walk whose scores hold
  std::vector<Mask> masks_;
};

}  // namespace puresid
