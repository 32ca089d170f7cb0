// Greedy quantisation: at each level the token of the lowest score, to the residual so far.
#pragma once

#include "score.hpp"

namespace puresid::reference {

inline Sid nearest(Vector residual, const Levels& levels) {
  Sid sid;
  for (const Codebook& codebook : levels) {
    sid.push_back(ranked(residual, codebook)[0]);
    residual = subtract(residual, codebook[sid.back()]);
  }
  return sid;
}

}  // namespace puresid::reference
