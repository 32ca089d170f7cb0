// The least total there is: what every item would cost at every SID, and the Hungarian algorithm on all of it.
#pragma once

#include <limits>
#include <set>

#include "candidates.hpp"

namespace puresid::reference {

using Costs = std::vector<std::vector<double>>;  // by row and column, not more rows than columns

// A column for each row, all different ones, at the least total. Rows come one after the other; each takes the column
// at the end of a shortest path in reduced costs, which the potentials keep at 0 or above.
inline std::vector<std::size_t> least_matching(const Costs& costs) {
  constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
  const std::size_t columns = costs.empty() ? 0 : costs[0].size();
  std::vector<double> row_potential(costs.size()), column_potential(columns);
  std::vector<std::size_t> owner(columns, kNone), choice(costs.size(), kNone);
  for (std::size_t source = 0; source < costs.size(); ++source) {
    std::vector<double> away(columns, std::numeric_limits<double>::infinity());
    std::vector<std::size_t> before(columns, kNone), reached;
    std::vector<bool> is_reached(columns);
    std::size_t row = source, end = kNone;
    while (row != kNone) {
      end = kNone;
      for (std::size_t column = 0; column < columns; ++column) {
        if (is_reached[column]) continue;
        const double here = costs[row][column] - row_potential[row] - column_potential[column];
        if (here < away[column]) {
          away[column] = here;
          before[column] = row;
        }
        if (end == kNone || away[column] < away[end]) end = column;
      }
      const double step = away[end];
      row_potential[source] += step;
      for (const std::size_t column : reached) {
        row_potential[owner[column]] += step;
        column_potential[column] -= step;
      }
      for (std::size_t column = 0; column < columns; ++column) away[column] -= is_reached[column] ? 0 : step;
      is_reached[end] = true;
      reached.push_back(end);
      row = owner[end];
    }
    while (end != kNone) {  // to the source, which had none
      owner[end] = before[end];
      std::swap(end, choice[before[end]]);
    }
  }
  return choice;
}

inline double total(const Costs& costs, const std::vector<std::size_t>& choice) {
  double sum = 0;
  for (std::size_t row = 0; row < costs.size(); ++row) sum += costs[row][choice[row]];
  return sum;
}

// In lexicographic order.
inline std::vector<Sid> all_sids(const Spaced& levels) {
  std::vector<Sid> sids(1);
  for (std::size_t level = 0; level < levels.size(); ++level) {
    std::vector<Sid> longer;
    for (const Sid& sid : sids) {
      for (Token token = 0; token < levels.size(level); ++token) {
        longer.push_back(sid);
        longer.back().push_back(token);
      }
    }
    sids = std::move(longer);
  }
  return sids;
}

// Weights (1 where there are none) times distortions, of the SIDs that are not taken.
inline Costs free_costs(const Input& input, const std::vector<double>& weights) {
  const std::set<Sid> taken(input.taken.begin(), input.taken.end());
  Costs costs(input.vectors.size());
  for (const Sid& sid : all_sids(spaced(input))) {
    if (taken.contains(sid)) continue;
    for (std::size_t row = 0; row < costs.size(); ++row) {
      const double weight = weights.empty() ? 1 : weights[row];
      costs[row].push_back(weight * static_cast<double>(distortion(input.vectors[row], spaced(input), sid)));
    }
  }
  return costs;
}

}  // namespace puresid::reference
