// The sequential loop that matching must equal: in priority order, the first free candidate.
#pragma once

#include <optional>
#include <set>

#include "score.hpp"

namespace puresid::reference {

// The first of `candidates` that is in no other hands, which is used from then on.
inline std::optional<Sid> take_first_free(const std::vector<Sid>& candidates, std::set<Sid>& used) {
  for (const Sid& sid : candidates) {
    if (used.insert(sid).second) return sid;
  }
  return std::nullopt;
}

}  // namespace puresid::reference
