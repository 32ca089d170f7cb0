#include <doctest/doctest.h>

#include "optimal_question.hpp"

namespace puresid {
namespace {

using testing::Answer;
using testing::ask;
using testing::check_sids;
using testing::for_each_question;
using testing::least_total;
using testing::Question;
using testing::Random;
using testing::random_question;
using testing::total;
using testing::Values;

double slack(double value) { return 1e-6 * value + 1e-9; }

// The total and the bounds, where every item is to be served and nothing was left out.
void check_best(const Question& question, const Answer& answer, bool exact) {
  const double least = least_total(question), mine = total(question, answer);
  if (exact) CHECK(mine == least);
  CHECK(mine == doctest::Approx(least).epsilon(1e-6));
  for (const double bound : {answer.over_lists, answer.over_all}) {
    CHECK(bound <= least + slack(least));
    CHECK(mine - bound <= question.gap * mine + slack(mine));
  }
}

TEST_CASE("the total is the least there is, and the bounds say so") {
  for_each_question(150, [](const Question& question, std::size_t seed, bool exact) {
    const Answer answer = ask(question, testing::execution_number(seed));
    check_sids(question, answer);
    check_best(question, answer, exact);
    CHECK(std::count(answer.output.stages.begin(), answer.output.stages.end(), 2) == 0);
  });
}

TEST_CASE("two hundred items that compete for 343 SIDs") {
  for (std::size_t seed = 0; seed < 6; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Values values = seed % 2 == 0 ? Values::lattice : Values::gaussian;
    Question question = random_question(random, values, {3, 7, 3, 0, seed < 4 ? std::size_t{300} : std::size_t{3}});
    for (auto& codebook : question.input.levels) codebook = testing::random_vectors(random, values, 7, 3);
    question.input.taken.clear();
    const auto pool = testing::random_vectors(random, values, seed < 4 ? 300 : 3, 3);
    for (std::size_t row = 0; row < 200; ++row)
      question.input.vectors.push_back(pool[random.between(0, pool.size() - 1)]);
    question.gap = seed == 1 ? 0 : 1e-3;
    question.weights.clear();
    const Answer answer = ask(question, {});
    check_sids(question, answer);
    check_best(question, answer, values == Values::lattice);
  }
}

TEST_CASE("as many items as SIDs, all of them equal or none") {
  for (const std::size_t distinct : {1, 60}) {
    Random random(distinct);
    Question question;
    for (int level = 0; level < 3; ++level) {
      question.input.levels.push_back(testing::random_vectors(random, Values::lattice, 4, 2));
    }
    const auto pool = testing::random_vectors(random, Values::lattice, distinct, 2);
    for (std::size_t row = 0; row < 64; ++row) question.input.vectors.push_back(pool[random.between(0, distinct - 1)]);
    const Answer answer = ask(question, {});
    check_sids(question, answer);
    check_best(question, answer, true);
  }
}

TEST_CASE("of equal items the first in priority order gets the closest SID") {
  Question question;
  question.input.levels = {{{0}, {1}, {3}, {9}}};
  question.input.vectors.assign(3, {0});
  CHECK(ask(question, {}).output.sids == std::vector<reference::Sid>{{0}, {1}, {2}});
  question.input.priority = {1, 3, 2};
  CHECK(ask(question, {}).output.sids == std::vector<reference::Sid>{{2}, {0}, {1}});
}

TEST_CASE("an item that weighs more keeps the closer SID") {
  Question question;
  question.input.levels = {{{0}, {2}, {5}}};
  question.input.vectors = {{0.5F}, {0.25F}};
  question.weights = {1, 1};
  CHECK(ask(question, {}).output.sids == std::vector<reference::Sid>{{1}, {0}});
  question.weights = {8, 1};
  const Answer answer = ask(question, {});
  CHECK(answer.output.sids == std::vector<reference::Sid>{{0}, {1}});
  CHECK(answer.over_all == doctest::Approx(8 * 0.25 + 1.75 * 1.75));
}

TEST_CASE("narrow searches give unique SIDs and bounds that hold") {
  for_each_question(60, [](Question question, std::size_t seed, bool) {
    question.input.width = 1 + seed % 3;
    const Answer answer = ask(question, testing::execution_number(seed));
    check_sids(question, answer);
    const double least = least_total(question), mine = total(question, answer);
    CHECK(least <= mine + slack(mine));
    CHECK(answer.over_lists <= mine + slack(mine));
    CHECK(answer.over_all <= least + slack(least));
    const bool all_matched = std::count(answer.output.stages.begin(), answer.output.stages.end(), 2) == 0;
    if (all_matched && question.input.space.kind == SpaceKind::residual && question.input.width > 1) {
      CHECK(mine - answer.over_lists <= question.gap * mine + slack(mine));
    }
  });
}

TEST_CASE("searching for items in conflict only gives unique SIDs, the best of those listed") {
  for_each_question(100, [](Question question, std::size_t seed, bool) {
    question.all = false;
    const Answer answer = ask(question, testing::execution_number(seed));
    check_sids(question, answer);
    const double least = least_total(question), mine = total(question, answer);
    CHECK(least <= mine + slack(mine));
    CHECK(answer.over_all <= least + slack(least));
    CHECK(answer.over_lists <= mine + slack(mine));
    CHECK(mine - answer.over_lists <= question.gap * mine + slack(mine));
  });
}

TEST_CASE("as many items as can be within max_distortion get such a SID, the rest by completion or none") {
  std::size_t beyond = 0;
  for_each_question(100, [&](Question question, std::size_t seed, bool exact) {
    reference::Input& input = question.input;
    Random random(seed);
    const reference::Spaced levels = reference::spaced(input);
    input.max_distortion =
        static_cast<double>(reference::distortion(input.vectors[0], levels, testing::random_sid(random, levels))) / 2;
    input.complete = seed % 2 == 0;
    question.all = seed % 5 != 0;
    question.weights.clear();
    const Answer answer = ask(question, testing::execution_number(seed));
    check_sids(question, answer);
    reference::Costs costs = reference::free_costs(input, {});
    for (auto& row : costs) {
      for (double& cost : row) cost = cost <= input.max_distortion ? 0 : 1;
    }
    const double unserved = reference::total(costs, reference::least_matching(costs));
    const auto& stages = answer.output.stages;
    const auto served = std::count_if(stages.begin(), stages.end(), [](int stage) { return stage == 0 || stage == 1; });
    if (exact) CHECK(served == static_cast<std::ptrdiff_t>(stages.size()) - static_cast<std::ptrdiff_t>(unserved));
    if (unserved > 0) ++beyond;
    if (!input.complete) return;
    const double mine = total(question, answer), least = least_total(question);
    CHECK(answer.over_lists <= mine + slack(mine));
    CHECK(answer.over_all <= least + slack(least));
  });
  CHECK(beyond > 20);
}

TEST_CASE("without completion, more items than SIDs: all SIDs are given out, to those served at the least total") {
  for (std::size_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Question question;
    question.input.levels = {testing::random_vectors(random, Values::lattice, 3, 2),
                             testing::random_vectors(random, Values::lattice, 4, 2)};
    question.input.vectors = testing::random_vectors(random, Values::lattice, 20, 2);
    question.input.complete = false;
    const Answer answer = ask(question, {});
    check_sids(question, answer);
    double sum = 0;
    Question served;
    served.input.levels = question.input.levels;
    for (std::size_t row = 0; row < 20; ++row) {
      if (answer.output.stages[row] == -1) continue;
      served.input.vectors.push_back(question.input.vectors[row]);
      sum += static_cast<double>(answer.output.distortion[row]);
    }
    CHECK(served.input.vectors.size() == 12);
    CHECK(sum == least_total(served));
  }
}

}  // namespace
}  // namespace puresid
