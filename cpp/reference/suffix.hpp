// The field's baseline: the nearest SID and a counter, 0, 1, 2 ... within each group in priority order.
#pragma once

#include <map>
#include <set>

#include "score.hpp"

namespace puresid::reference {

// Counters of items in priority order; those in `taken` (SIDs with the counter as last token) are passed over.
inline std::vector<Token> suffix_counters(const std::vector<Sid>& nearest_sids, const std::vector<Sid>& taken) {
  std::set<Sid> used(taken.begin(), taken.end());
  std::map<Sid, Token> next;
  std::vector<Token> counters;
  for (const Sid& sid : nearest_sids) {
    Sid longer = sid;
    longer.push_back(next[sid]);
    while (used.contains(longer)) ++longer.back();
    counters.push_back(longer.back());
    next[sid] = longer.back() + 1;
  }
  return counters;
}

}  // namespace puresid::reference
