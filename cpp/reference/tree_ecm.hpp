// ECM in a tree as it is defined: all tuples of the nearest children, sorted by cost, below the prefixes that are
// looked at.
#pragma once

#include "costs.hpp"

namespace puresid::reference {

struct TreeCandidate {
  Candidate cost;
  Sid sid;
};

inline void sort_by_cost(std::vector<TreeCandidate>& candidates) {
  std::sort(candidates.begin(), candidates.end(), [](const TreeCandidate& a, const TreeCandidate& b) {
    return a.cost.cost < b.cost.cost || (a.cost.cost == b.cost.cost && a.cost.ranks < b.cost.ranks);
  });
}

inline std::vector<Sid> tree_ecm_candidates(const Vector& vector, const Spaced& levels, const Widths& widths) {
  std::vector<TreeCandidate> found(1);
  for (std::size_t level = 0; level < levels.size(); ++level) {
    if (level + 1 == levels.size()) {  // the cheapest prefixes are opened
      sort_by_cost(found);
      found.resize(std::min(found.size(), kMostPrefixes));
    }
    std::vector<TreeCandidate> longer;
    for (const TreeCandidate& above : found) {
      const Codebook codebook = levels.below(above.sid);
      const std::vector<Token> tokens = nearest_tokens(vector, codebook, widths[level]);
      const std::vector<float> norms = rank_norms(vector, codebook, tokens);
      for (std::size_t rank = 0; rank < tokens.size(); ++rank) {
        longer.push_back(above);
        longer.back().cost.cost += static_cast<double>(norms[rank]);
        longer.back().cost.ranks.push_back(rank);
        longer.back().sid.push_back(tokens[rank]);
      }
    }
    found = std::move(longer);
  }
  sort_by_cost(found);
  std::vector<Sid> sids;
  for (const TreeCandidate& candidate : found) sids.push_back(candidate.sid);
  return sids;
}

}  // namespace puresid::reference
