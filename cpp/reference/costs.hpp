// What ECM orders candidates by.
#pragma once

#include "space.hpp"

namespace puresid::reference {

// Norms of the ranked tokens of one level. Ranks go by score, and rounding may put a farther token a
// hair lower in rank: the running maximum keeps costs from falling along the ranks.
inline std::vector<float> rank_norms(const Vector& residual, const Codebook& codebook,
                                     const std::vector<Token>& tokens) {
  std::vector<float> norms;
  float largest = 0;
  for (const Token token : tokens) {
    largest = std::max(largest, std::sqrt(squared_distance(residual, codebook[token])));
    norms.push_back(largest);
  }
  return norms;
}

struct Candidate {
  double cost = 0;
  std::vector<std::size_t> ranks;
};

// In ascending order of cost, equal ones in that of their rank tuples.
inline void sort_by_cost(std::vector<Candidate>& candidates) {
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.cost < b.cost || (a.cost == b.cost && a.ranks < b.ranks);
  });
}

}  // namespace puresid::reference
