// How many SIDs below each prefix are in use, for completion.
//
// Counts, per prefix, the children that are exhausted: a prefix is one itself when all its children are. So what is
// kept shrinks K-fold from level to level, and prefixes with nothing exhausted below take no memory, however large the
// space. Where a depth has few prefixes they are counted in an array.
// Thread safety: add() and exhausted() may be called from any number of threads.
#pragma once

#include <vector>

#include "puresid/key_table.hpp"
#include "puresid/pages.hpp"
#include "puresid/settled.hpp"

namespace puresid {

class Occupancy {
 public:
  // Counts the SIDs in `settled`; there are at most `max_sids`, now and later.
  Occupancy(const SidLayout& layout, const Settled& settled, std::size_t max_sids);

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

}  // namespace puresid
