// Exhaustive candidate matching as it is defined: the full product of the ranked tokens, sorted by cost, below
// the prefixes that are looked at.
#pragma once

#include "tree_ecm.hpp"

namespace puresid::reference {

// Each of `starts` followed by each of the first `width` ranks of a level.
inline std::vector<Candidate> followed_by(const std::vector<Candidate>& starts, const std::vector<float>& norms,
                                          std::size_t width) {
  std::vector<Candidate> longer;
  for (const Candidate& start : starts) {
    for (std::size_t rank = 0; rank < width; ++rank) {
      longer.push_back({start.cost + static_cast<double>(norms[rank]), start.ranks});
      longer.back().ranks.push_back(rank);
    }
  }
  return longer;
}

// The prefixes of all levels but the last that are looked below: those whose nearest leaves cost least.
inline std::vector<Candidate> open_prefixes(const std::vector<std::vector<float>>& norms) {
  std::vector<Candidate> prefixes(1);
  for (std::size_t level = 0; level + 1 < norms.size(); ++level) {
    prefixes = followed_by(prefixes, norms[level], norms[level].size());
  }
  std::vector<Candidate> leaves = followed_by(prefixes, norms.back(), 1);
  sort_by_cost(leaves);
  leaves.resize(std::min(leaves.size(), kMostPrefixes));
  for (Candidate& leaf : leaves) {  // back to the prefix, its cost added up afresh
    leaf.ranks.pop_back();
    leaf.cost = 0;
    for (std::size_t level = 0; level < leaf.ranks.size(); ++level) {
      leaf.cost += static_cast<double>(norms[level][leaf.ranks[level]]);
    }
  }
  return leaves;
}

// Ascending by (cost, rank tuple).
inline std::vector<Sid> ecm_candidates(const Vector& vector, const Spaced& levels, const Widths& widths) {
  if (levels.space.kind == SpaceKind::tree) return tree_ecm_candidates(vector, levels, widths);
  std::vector<std::vector<Token>> tokens;
  std::vector<std::vector<float>> norms;
  Vector residual = vector;
  Sid greedy;
  for (std::size_t level = 0; level < levels.size(); ++level) {
    const Vector seen = levels.seen(residual, level);
    tokens.push_back(nearest_tokens(seen, levels.levels[level], widths[level]));
    norms.push_back(rank_norms(seen, levels.levels[level], tokens[level]));
    greedy.push_back(tokens[level][0]);
    residual = levels.left(residual, greedy);
  }
  std::vector<Candidate> candidates = followed_by(open_prefixes(norms), norms.back(), norms.back().size());
  sort_by_cost(candidates);
  std::vector<Sid> sids;
  for (const Candidate& candidate : candidates) {
    sids.emplace_back();
    for (std::size_t level = 0; level < levels.size(); ++level) {
      sids.back().push_back(tokens[level][candidate.ranks[level]]);
    }
  }
  return sids;
}

}  // namespace puresid::reference
