// Method::suffix: a counter within each group of equal nearest SIDs. Private to the core.
#pragma once

#include <utility>
#include <vector>

#include "order.hpp"
#include "puresid/assign.hpp"

namespace puresid {

// The taken SIDs of this method, counters included: 16 bytes for each that is given.
class TakenSuffixes {
 public:
  TakenSuffixes() = default;
  // Throws std::invalid_argument where a row of `taken` names a token that there is not.
  TakenSuffixes(const MatrixView<const Token>& taken, const SidLayout& layout, const Execution& execution);

  // How many different ones there are.
  [[nodiscard]] std::size_t size() const noexcept { return sids_.size(); }
  [[nodiscard]] bool has(SidKey key, std::uint32_t counter) const;

 private:
  std::vector<std::pair<SidKey, std::uint32_t>> sids_;  // ascending, each once
};

// Counts 0, 1, 2, ... in priority order, passing over those that are taken. result.sids holds the nearest SIDs.
void count_suffixes(const TakenSuffixes& taken, const Order& order, const Execution& execution, Assignment& result);

}  // namespace puresid
