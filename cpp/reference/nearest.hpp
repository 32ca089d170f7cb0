// Greedy quantisation: at each level the token of the lowest score, to the residual so far.
#pragma once

#include "space.hpp"

namespace puresid::reference {

inline Sid nearest(Vector residual, const Spaced& levels) {
  Sid sid;
  while (sid.size() < levels.size()) {
    sid.push_back(ranked(levels.seen(residual, sid.size()), levels.below(sid))[0]);
    residual = levels.left(residual, sid);
  }
  return sid;
}

}  // namespace puresid::reference
