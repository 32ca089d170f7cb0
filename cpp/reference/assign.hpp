// assign(), one item after the other: nearest, tiers, completion, with one std::set of used SIDs.
#pragma once

#include <set>

#include "candidates.hpp"
#include "completion.hpp"
#include "matching.hpp"
#include "suffix.hpp"

namespace puresid::reference {

struct Output {
  std::vector<Sid> sids;
  std::vector<int> stages;
  std::vector<float> distortion;
  std::vector<Token> counter;  // Method::suffix only
};

inline std::vector<std::size_t> priority_order(const Input& input) {
  std::vector<std::size_t> rows(input.vectors.size());
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  if (input.priority.empty()) return rows;
  std::stable_sort(rows.begin(), rows.end(),
                   [&](std::size_t a, std::size_t b) { return input.priority[a] > input.priority[b]; });
  return rows;
}

// Stages 0, tiers and completion; `output` holds the nearest SIDs already.
inline void resolve(const Input& input, std::set<Sid>& used, Output& output) {
  const std::vector<std::size_t> order = priority_order(input);
  for (const std::size_t row : order) output.stages[row] = used.insert(output.sids[row]).second ? 0 : -1;
  if (input.method == Method::nearest) return;
  for (std::size_t tier = 0; tier <= n_tiers(input); ++tier) {
    if (tier == n_tiers(input) && !input.complete) return;
    for (const std::size_t row : order) {
      if (output.stages[row] != -1) continue;
      const std::vector<Sid> choices = tier < n_tiers(input)
                                           ? candidates(input, row, tier)
                                           : std::vector<Sid>{complete(input.vectors[row], spaced(input), used)};
      const std::optional<Sid> choice = take_first_free(choices, used);
      if (!choice) continue;
      output.sids[row] = *choice;
      output.stages[row] = static_cast<int>(tier) + 1;
    }
  }
}

inline Output assign(const Input& input) {
  Output output;
  for (const Vector& vector : input.vectors) output.sids.push_back(nearest(vector, spaced(input)));
  output.stages.assign(input.vectors.size(), 0);
  if (input.method == Method::suffix) {
    const std::vector<std::size_t> order = priority_order(input);
    std::vector<Sid> in_order;
    for (const std::size_t row : order) in_order.push_back(output.sids[row]);
    const std::vector<Token> counters = suffix_counters(in_order, input.taken);
    output.counter.resize(order.size());
    for (std::size_t i = 0; i < order.size(); ++i) output.counter[order[i]] = counters[i];
  } else {
    std::set<Sid> used(input.taken.begin(), input.taken.end());
    if (input.complete && input.method != Method::nearest)
      check_capacity(input.vectors.size() + used.size(), spaced(input));
    resolve(input, used, output);
  }
  for (std::size_t row = 0; row < input.vectors.size(); ++row) {
    output.distortion.push_back(distortion(input.vectors[row], spaced(input), output.sids[row]));
  }
  return output;
}

}  // namespace puresid::reference
