// What the tiers of a call look at. Private to the core.
#pragma once

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "puresid/assign.hpp"
#include "puresid/beam.hpp"

namespace puresid {

// How many partial SIDs a beam keeps after each level: `width`, or all there are.
inline std::vector<std::size_t> beam_widths(std::size_t width, const SidLayout& layout) {
  std::vector<std::size_t> widths;
  std::uint64_t partial = 1;
  for (std::size_t level = 0; level < layout.levels(); ++level) {
    partial = saturating_multiply(partial, layout.size(level));
    widths.push_back(std::min<std::uint64_t>(width, partial));
  }
  return widths;
}

// Each tier's width per level, cut at what there is; the only one of a beam is beam_widths(). Throws
// std::invalid_argument.
inline std::vector<std::vector<std::size_t>> checked_tiers(const AssignOptions& options, const SidLayout& layout) {
  if (options.method == Method::optimal) return {};
  if (options.method == Method::beam) return {beam_widths(options.width, layout)};
  std::vector<std::vector<std::size_t>> tiers = options.tiers;
  if (tiers.size() > 125) {
    throw std::invalid_argument("tiers has " + std::to_string(tiers.size()) + " entries; at most 125 are possible");
  }
  for (std::size_t tier = 0; tier < tiers.size(); ++tier) {
    const std::string place = "tiers[" + std::to_string(tier) + "]";
    if (tiers[tier].size() != layout.levels()) {
      throw std::invalid_argument(place + " has " + std::to_string(tiers[tier].size()) + " entries; codebooks has " +
                                  std::to_string(layout.levels()) + " levels");
    }
    for (std::size_t level = 0; level < layout.levels(); ++level) {
      if (tiers[tier][level] == 0) {
        throw std::invalid_argument(place + "[" + std::to_string(level) + "] is 0; at least 1 is needed");
      }
      tiers[tier][level] = std::min(tiers[tier][level], layout.size(level));
    }
  }
  return tiers;
}

// Whether a tier's candidates are made up of the nearest tokens of each level of the greedy path.
inline bool goes_by_greedy_lists(const std::vector<std::size_t>& widths, Method method, const Space& space) {
  if (!space.one_codebook_a_level()) return false;
  const bool one_prefix = std::all_of(widths.begin(), widths.end() - 1, [](std::size_t width) { return width == 1; });
  return method == Method::ecm || (method == Method::rrs && one_prefix);
}

// The tiers that stage 0 takes notes for (shortlists.hpp): of vectors long enough that scores cost more than notes.
inline std::vector<std::vector<std::size_t>> noted_tiers(const std::vector<std::vector<std::size_t>>& tiers,
                                                         Method method, const Codebooks& codebooks) {
  constexpr std::size_t kLeastDim = 384;
  std::vector<std::vector<std::size_t>> noted;
  if (codebooks.dim() < kLeastDim) return noted;
  std::copy_if(tiers.begin(), tiers.end(), std::back_inserter(noted), [&](const std::vector<std::size_t>& widths) {
    return goes_by_greedy_lists(widths, method, codebooks.space());
  });
  return noted;
}

}  // namespace puresid
