// Exhaustive candidate matching as it is defined: the full product of the ranked tokens, sorted by cost.
#pragma once

#include "score.hpp"

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

// Ascending by (cost, rank tuple).
inline std::vector<Sid> ecm_candidates(const Vector& vector, const Levels& levels, const Widths& widths) {
  std::vector<std::vector<Token>> tokens;
  std::vector<std::vector<float>> norms;
  Vector residual = vector;
  for (std::size_t level = 0; level < levels.size(); ++level) {
    tokens.push_back(nearest_tokens(residual, levels[level], widths[level]));
    norms.push_back(rank_norms(residual, levels[level], tokens[level]));
    residual = subtract(residual, levels[level][tokens[level][0]]);
  }

  struct Candidate {
    double cost;
    Sid sid;
  };
  std::vector<Candidate> candidates = {{0.0, {}}};
  for (std::size_t level = 0; level < levels.size(); ++level) {  // in the order of their rank tuples
    std::vector<Candidate> longer;
    for (const Candidate& start : candidates) {
      for (std::size_t rank = 0; rank < tokens[level].size(); ++rank) {
        longer.push_back({start.cost + static_cast<double>(norms[level][rank]), start.sid});
        longer.back().sid.push_back(tokens[level][rank]);
      }
    }
    candidates = longer;
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.cost < b.cost; });
  std::vector<Sid> sids;
  for (const Candidate& candidate : candidates) sids.push_back(candidate.sid);
  return sids;
}

}  // namespace puresid::reference
