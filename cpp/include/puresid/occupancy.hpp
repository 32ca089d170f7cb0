// How many SIDs below each prefix are in use, for completion.
//
// Counts, per prefix, the children that are exhausted: a prefix is one itself when all its children are. So what is
// kept shrinks K-fold from level to level, and prefixes with nothing exhausted below take no memory, however large the
// space. Where a depth has few prefixes they are counted in an array.
// Thread safety: add() and exhausted() may be called from any number of threads.
#pragma once

#include <vector>

#include "puresid/execution.hpp"
#include "puresid/key_table.hpp"
#include "puresid/pages.hpp"
#include "puresid/settled.hpp"

namespace puresid {

class Occupancy {
 public:
  // Counts the SIDs in `settled`; there are at most `max_sids`, now and later.
  Occupancy(const SidLayout& layout, const Settled& settled, std::size_t max_sids, const Execution& execution);

  void add(SidKey key);
  // Whether no SID is free below the prefix of `depth` tokens of `key`, 0 < depth < levels.
  [[nodiscard]] bool exhausted(SidKey key, std::size_t depth) const;
  // visit(token) for those of level `depth` < levels - 1 that no SID is free below, after the prefix of `depth` tokens.
  template <class Visit>
  void for_each_exhausted(SidKey prefix, std::size_t depth, Visit&& visit) const {
    const Depth& below = depths_[depth + 1];
    const std::size_t size = layout_.size(depth);
    if (below.array.data() == nullptr) {
      for (std::size_t token = 0; token < size; ++token) {
        const auto number = static_cast<Token>(token);
        if (exhausted(prefix | layout_.place(number, depth), depth + 1)) visit(number);
      }
      return;
    }
    const Count* counts = &below.array[place(below, prefix)];  // their places follow one another
    for (std::size_t token = 0; token < size; ++token) {
      if (counts[token].load(std::memory_order_relaxed) == layout_.size(depth + 1)) visit(static_cast<Token>(token));
    }
  }

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
  [[nodiscard]] static std::size_t place(const Depth& depth, SidKey key) noexcept {
    return depth.shift == 64 ? 0 : static_cast<std::size_t>(key >> depth.shift);  // levels of one codeword have no bits
  }

  const SidLayout& layout_;
  std::vector<Depth> depths_;  // 0..levels-1
};

}  // namespace puresid
