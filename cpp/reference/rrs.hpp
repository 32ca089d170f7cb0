// Recursive residual searching, by recursion: depth first over the ranked tokens of the path taken.
#pragma once

#include "nearest.hpp"

namespace puresid::reference {

inline float negated_product(const Vector& a, const Vector& b) {
  float sum = 0;
  for (std::size_t d = 0; d < a.size(); ++d) sum = std::fma(-a[d], b[d], sum);
  return sum;
}

// What a path's tokens of the next level are ranked by. In an additive space: the scores along the greedy path, and
// what each codeword that departs from it changes in them.
inline std::vector<float> path_scores(const Vector& vector, const Spaced& levels, const Sid& greedy, const Sid& path) {
  const std::size_t level = path.size();
  const bool additive = levels.space.additive();
  const Sid from = additive ? Sid(greedy.begin(), greedy.begin() + static_cast<std::ptrdiff_t>(level)) : path;
  const Vector seen = levels.seen(residual_after(vector, levels, from), level);
  std::vector<float> scores;
  for (const Vector& codeword : levels.below(path)) {
    scores.push_back(score(seen, codeword));
    for (std::size_t before = 0; additive && before < level; ++before) {
      if (path[before] == greedy[before]) continue;
      scores.back() += negated_product(levels.levels[before][greedy[before]], codeword) -
                       negated_product(levels.levels[before][path[before]], codeword);
    }
  }
  return scores;
}

inline void rrs_walk(const Vector& vector, const Spaced& levels, const Widths& widths, const Sid& greedy,
                     const Sid& path, std::size_t& prefixes, std::vector<Sid>& leaves) {
  const std::size_t level = path.size();
  if (level == levels.size()) {
    leaves.push_back(path);
    return;
  }
  if (level + 1 == levels.size() && prefixes++ >= kMostPrefixes) return;
  for (const Token token : first_ranked(path_scores(vector, levels, greedy, path), widths[level])) {
    Sid longer = path;
    longer.push_back(token);
    rrs_walk(vector, levels, widths, greedy, longer, prefixes, leaves);
  }
}

inline std::vector<Sid> rrs_candidates(const Vector& vector, const Spaced& levels, const Widths& widths) {
  std::vector<Sid> leaves;
  std::size_t prefixes = 0;
  rrs_walk(vector, levels, widths, nearest(vector, levels), {}, prefixes, leaves);
  return leaves;
}

}  // namespace puresid::reference
