// Recursive residual searching, by recursion: depth first over the ranked tokens of the path taken.
#pragma once

#include "score.hpp"

namespace puresid::reference {

inline void rrs_walk(const Vector& residual, const Levels& levels, const Widths& widths, const Sid& path,
                     std::vector<Sid>& leaves) {
  const std::size_t level = path.size();
  if (level == levels.size()) {
    leaves.push_back(path);
    return;
  }
  for (const Token token : nearest_tokens(residual, levels[level], widths[level])) {
    Sid longer = path;
    longer.push_back(token);
    rrs_walk(subtract(residual, levels[level][token]), levels, widths, longer, leaves);
  }
}

inline std::vector<Sid> rrs_candidates(const Vector& vector, const Levels& levels, const Widths& widths) {
  std::vector<Sid> leaves;
  rrs_walk(vector, levels, widths, {}, leaves);
  return leaves;
}

}  // namespace puresid::reference
