// Completion: one walk down, at each level the best ranked token under which a free SID remains.
#pragma once

#include <set>
#include <stdexcept>

#include "space.hpp"

namespace puresid::reference {

inline void check_capacity(std::size_t sids, const Spaced& levels) {
  double capacity = 1;
  for (std::size_t level = 0; level < levels.size(); ++level) capacity *= static_cast<double>(levels.size(level));
  if (static_cast<double>(sids) > capacity) throw CapacityError("more SIDs than the space has");
}

inline bool has_free(const Sid& prefix, const Spaced& levels, const std::set<Sid>& used) {
  if (prefix.size() == levels.size()) return !used.contains(prefix);
  for (Token token = 0; token < levels.size(prefix.size()); ++token) {
    Sid longer = prefix;
    longer.push_back(token);
    if (has_free(longer, levels, used)) return true;
  }
  return false;
}

inline Sid complete(Vector residual, const Spaced& levels, const std::set<Sid>& used) {
  Sid sid;
  for (std::size_t level = 0; level < levels.size(); ++level) {
    for (const Token token : ranked(levels.seen(residual, level), levels.below(sid))) {
      sid.push_back(token);
      if (has_free(sid, levels, used)) break;
      sid.pop_back();
    }
    if (sid.size() == level) throw std::logic_error("no SID is free");
    residual = levels.left(residual, sid);
  }
  return sid;
}

}  // namespace puresid::reference
