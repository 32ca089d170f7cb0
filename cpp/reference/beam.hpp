// Beam search as it is defined: all partial SIDs below those kept, sorted, and the leaves in groups.
#pragma once

#include <tuple>

#include "rrs.hpp"

namespace puresid::reference {

// A beam gives so many groups of candidates at most.
inline constexpr std::size_t kMostGroups = 16;

struct Partial {
  double cost = 0;
  Sid sid;
  bool operator<(const Partial& other) const { return std::tie(cost, sid) < std::tie(other.cost, other.sid); }
};

// The leaves below the `width` partial SIDs of the least cost of each level but the last, by cost.
inline std::vector<Partial> beam_leaves(const Vector& vector, const Spaced& levels, std::size_t width) {
  const Sid greedy = nearest(vector, levels);
  std::vector<Partial> found(1);
  for (std::size_t level = 0; level < levels.size(); ++level) {
    found.resize(std::min(found.size(), width));
    std::vector<Partial> longer;
    for (const Partial& above : found) {
      const std::vector<float> scores = path_scores(vector, levels, greedy, above.sid);
      for (Token token = 0; token < scores.size(); ++token) {
        longer.push_back(above);
        longer.back().sid.push_back(token);
        if (levels.space.kind == SpaceKind::tree) longer.back().cost = 0;
        longer.back().cost += static_cast<double>(scores[token]);
      }
    }
    std::sort(longer.begin(), longer.end());
    found = std::move(longer);
  }
  return found;
}

// The leaves, `width` at a time in order of their distortion.
inline std::vector<Sid> beam_candidates(const Vector& vector, const Spaced& levels, std::size_t width) {
  std::vector<Partial> leaves = beam_leaves(vector, levels, width);
  leaves.resize(std::min(leaves.size(), kMostGroups * width));
  for (Partial& leaf : leaves) leaf.cost = static_cast<double>(distortion(vector, levels, leaf.sid));
  for (std::size_t first = 0; first < leaves.size(); first += width) {
    const auto begin = leaves.begin() + static_cast<std::ptrdiff_t>(first);
    std::sort(begin, begin + static_cast<std::ptrdiff_t>(std::min(width, leaves.size() - first)));
  }
  std::vector<Sid> sids;
  for (const Partial& leaf : leaves) sids.push_back(leaf.sid);
  return sids;
}

}  // namespace puresid::reference
