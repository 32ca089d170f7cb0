// What method "optimal" is asked in the tests, and what it answers.
#pragma once

#include <doctest/doctest.h>

#include <set>

#include "optimal.hpp"  // the twin
#include "puresid/optimal.hpp"
#include "random.hpp"

namespace puresid::testing {

struct Question {
  reference::Input input;
  std::vector<double> weights = {};
  double gap = 1e-3;
  bool all = true;
  Assigner::Given given = Assigner::Given::all;
};

struct Answer {
  reference::Output output;
  double over_lists, over_all;
};

inline Answer ask(const Question& question, const Execution& execution) {
  const reference::Input& input = question.input;
  const FlatCodebooks codebooks(input.levels, input.space);
  const std::size_t rows = input.vectors.size(), levels = codebooks->levels();
  const FlatRows<float> vectors(input.vectors, codebooks->dim());
  const FlatRows<Token> taken(input.taken, levels);
  AssignOptions options = core_options(input);
  options.method = Method::optimal;
  options.taken = taken.view();
  options.weights = question.weights;
  options.gap = question.gap;
  options.search_all = question.all;
  CoreOutput out(rows, levels, false);
  Assignment result{SidArray(out.wide.data(), rows, codebooks->layout()), out.stages, out.distortion, out.counter};
  Assigner assigner(rows, *codebooks, options, execution, result);
  assigner.add(vectors.view(), execution);
  for (const std::int8_t stage : out.stages) REQUIRE(stage == -1);  // so all are in conflict
  assigner.resolve(vectors.view(), question.given, execution);
  Answer answer{{}, result.bound_over_lists, result.bound_over_all};
  for (std::size_t at = 0; at < rows * levels; at += levels) {
    const auto first = out.wide.begin() + static_cast<std::ptrdiff_t>(at);
    answer.output.sids.emplace_back(first, first + static_cast<std::ptrdiff_t>(levels));
  }
  answer.output.stages.assign(out.stages.begin(), out.stages.end());
  answer.output.distortion = out.distortion;
  return answer;
}

inline double total(const Question& question, const Answer& answer) {
  double sum = 0;
  for (std::size_t row = 0; row < question.input.vectors.size(); ++row) {
    const double weight = question.weights.empty() ? 1 : question.weights[row];
    sum += weight * static_cast<double>(answer.output.distortion[row]);
  }
  return sum;
}

inline double least_total(const Question& question) {
  const reference::Costs costs = reference::free_costs(question.input, question.weights);
  return reference::total(costs, reference::least_matching(costs));
}

// Each has its own SID, none that is taken, and what is said about it is right.
inline void check_sids(const Question& question, const Answer& answer) {
  const reference::Input& input = question.input;
  const reference::Spaced levels = reference::spaced(input);
  std::set<reference::Sid> used(input.taken.begin(), input.taken.end());
  for (std::size_t row = 0; row < input.vectors.size(); ++row) {
    const reference::Sid& sid = answer.output.sids[row];
    CHECK(answer.output.distortion[row] == reference::distortion(input.vectors[row], levels, sid));
    const bool nearest = sid == reference::nearest(input.vectors[row], levels);
    const int stage = answer.output.stages[row];
    if (stage == -1) {
      CHECK(!input.complete);
      CHECK(nearest);
      continue;
    }
    CHECK(used.insert(sid).second);
    if (stage != 2) CHECK(nearest == (stage == 0));
    if (stage != 2) CHECK(static_cast<double>(answer.output.distortion[row]) <= input.max_distortion);
  }
}

// Priorities, taken SIDs, weights, equal vectors: each in some.
inline Question random_question(Random& random, Values values, const Shape& shape) {
  Question question;
  question.input.space = shape.space;
  question.input.levels = random_levels(random, values, shape);
  const reference::Spaced levels = reference::spaced(question.input);
  std::size_t capacity = 1;
  for (std::size_t level = 0; level < levels.size(); ++level) capacity *= levels.size(level);
  std::set<reference::Sid> taken;
  if (random.one_in(3)) {
    for (std::size_t i = capacity / 3; i > 0; --i) taken.insert(random_sid(random, levels));
  }
  question.input.taken.assign(taken.begin(), taken.end());
  const std::size_t rows = std::min(shape.rows, capacity - taken.size());
  const auto pool = random_vectors(random, values, shape.distinct, levels.dim());
  const bool prioritised = random.one_in(3), weighted = random.one_in(3);
  for (std::size_t row = 0; row < rows; ++row) {
    question.input.vectors.push_back(pool[random.between(0, pool.size() - 1)]);
    if (prioritised) question.input.priority.push_back(static_cast<double>(random.between(0, 3)));
    if (weighted) question.weights.push_back(static_cast<double>(random.between(1, 5)));
  }
  return question;
}

// One of a few dozen items in any space.
inline Question small_question(std::size_t seed, Values values) {
  constexpr std::array kSpaces = {Space{}, Space{SpaceKind::product}, Space{SpaceKind::tree}};
  Random random(seed);
  const std::size_t levels = 1 + seed / 3 % 4, rows = random.between(1, 40);
  const std::size_t distinct = random.one_in(3) ? random.between(1, 3) : 60;
  constexpr std::size_t kSizes[] = {60, 8, 5, 4};
  return random_question(random, values,
                         {levels, kSizes[levels - 1], random.between(1, 4), rows, distinct, kSpaces[seed % 3]});
}

template <class Check>
void for_each_question(std::size_t seeds, Check&& check) {
  for (const Values values : {Values::lattice, Values::gaussian}) {
    for (std::size_t seed = 0; seed < seeds; ++seed) {
      CAPTURE(static_cast<int>(values));
      CAPTURE(seed);
      check(small_question(seed, values), seed, values == Values::lattice);
    }
  }
}

}  // namespace puresid::testing
