// Completion: one walk down, at each level the best ranked token under which a free SID remains.
#pragma once

#include <set>
#include <stdexcept>

#include "score.hpp"

namespace puresid::reference {

inline void check_capacity(std::size_t sids, const Levels& levels) {
  double capacity = 1;
  for (const Codebook& codebook : levels) capacity *= static_cast<double>(codebook.size());
  if (static_cast<double>(sids) > capacity) throw CapacityError("more SIDs than the space has");
}

inline bool has_free(const Sid& prefix, const Levels& levels, const std::set<Sid>& used) {
  if (prefix.size() == levels.size()) return !used.contains(prefix);
  for (Token token = 0; token < levels[prefix.size()].size(); ++token) {
    Sid longer = prefix;
    longer.push_back(token);
    if (has_free(longer, levels, used)) return true;
  }
  return false;
}

inline Sid complete(Vector residual, const Levels& levels, const std::set<Sid>& used) {
  Sid sid;
  for (const Codebook& codebook : levels) {
    const std::size_t level = sid.size();
    for (const Token token : ranked(residual, codebook)) {
      sid.push_back(token);
      if (has_free(sid, levels, used)) break;
      sid.pop_back();
    }
    if (sid.size() == level) throw std::logic_error("no SID is free");
    residual = subtract(residual, codebook[sid.back()]);
  }
  return sid;
}

}  // namespace puresid::reference
