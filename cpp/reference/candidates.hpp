// What assign() is asked, and the candidates of an item in a tier, whatever the method.
#pragma once

#include <limits>

#include "beam.hpp"
#include "ecm.hpp"
#include "rrs.hpp"

namespace puresid::reference {

enum class Method { ecm, rrs, nearest, suffix, beam };

struct Input {
  std::vector<Vector> vectors;
  Levels levels;
  Space space = {};
  Method method = Method::ecm;
  std::vector<Widths> tiers;
  bool complete = true;
  std::vector<double> priority;  // or empty
  std::vector<Sid> taken;
  double max_distortion = std::numeric_limits<double>::infinity();
  std::size_t width = 64;  // Method::beam only, which has one tier
};

inline Spaced spaced(const Input& input) { return {input.levels, input.space}; }

inline std::size_t n_tiers(const Input& input) { return input.method == Method::beam ? 1 : input.tiers.size(); }

inline std::vector<Sid> all_candidates(const Input& input, std::size_t row, std::size_t tier) {
  const Vector& vector = input.vectors[row];
  if (input.method == Method::beam) return beam_candidates(vector, spaced(input), input.width);
  return input.method == Method::ecm ? ecm_candidates(vector, spaced(input), input.tiers[tier])
                                     : rrs_candidates(vector, spaced(input), input.tiers[tier]);
}

inline std::vector<Sid> candidates(const Input& input, std::size_t row, std::size_t tier) {
  std::vector<Sid> sids = all_candidates(input, row, tier);
  std::erase_if(sids, [&](const Sid& sid) {
    return static_cast<double>(distortion(input.vectors[row], spaced(input), sid)) > input.max_distortion;
  });
  return sids;
}

}  // namespace puresid::reference
