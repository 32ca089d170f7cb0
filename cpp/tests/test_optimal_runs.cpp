// Method "optimal": the same answer however it is run, what it refuses, and how it stops.
#include <doctest/doctest.h>

#include "optimal_question.hpp"
#include "puresid/beam.hpp"

namespace puresid {
namespace {

using Given = Assigner::Given;
using testing::Answer;
using testing::ask;
using testing::check_sids;
using testing::for_each_question;
using testing::Question;
using testing::Random;
using testing::Values;

bool same(const Answer& a, const Answer& b) {
  return testing::difference(a.output, b.output).empty() && a.over_lists == b.over_lists && a.over_all == b.over_all;
}

// Crowded enough for several rounds of longer lists.
Question crowded_question(std::size_t seed) {
  Random random(seed);
  const Values values = testing::kAllValues[seed % 3];
  Question question;
  for (int level = 0; level < 3; ++level)
    question.input.levels.push_back(testing::random_vectors(random, values, 7, 4));
  const auto pool = testing::random_vectors(random, values, seed % 2 == 0 ? 220 : 12, 4);
  for (std::size_t row = 0; row < 220; ++row) {
    question.input.vectors.push_back(pool[random.between(0, pool.size() - 1)]);
    question.input.priority.push_back(static_cast<double>(random.between(0, 9)));
    if (seed % 2 == 0) question.weights.push_back(0.5 + random.unit());
  }
  for (int i = 0; i < 40; ++i) question.input.taken.push_back(testing::random_sid(random, question.input.levels));
  question.all = seed % 4 < 2;
  question.input.width = seed % 3 == 0 ? 5 : 64;
  return question;
}

TEST_CASE("the same bytes whatever the threads, the instruction set and how vectors are handed over") {
  for (std::size_t seed = 0; seed < 5; ++seed) {
    CAPTURE(seed);
    Question question = crowded_question(seed);
    const Answer expected = ask(question, {});
    check_sids(question, expected);
    for (const Simd simd : available_simd()) {
      for (const int threads : {1, 2, 3, 8}) {
        Execution execution;
        execution.simd = simd;
        execution.threads = threads;
        question.given = threads % 2 == 0 ? Given::conflicts : Given::all;
        CAPTURE(simd_name(simd));
        CAPTURE(threads);
        CHECK(same(ask(question, execution), expected));
      }
    }
  }
}

TEST_CASE("given the vectors in conflict, which are all: the same answer") {
  for_each_question(40, [](Question question, std::size_t seed, bool) {
    question.all = seed % 2 == 0;
    const Answer expected = ask(question, {});
    question.given = Given::conflicts;
    CHECK(same(ask(question, {}), expected));
  });
}

TEST_CASE("no items at all have a total of 0") {
  Question question;
  question.input.levels = {{{0}, {1}}};
  const Answer answer = ask(question, {});
  CHECK(answer.over_lists == 0);
  CHECK(answer.over_all == 0);
}

void refuse(const Question& question, const std::string& message) {
  CHECK_THROWS_WITH_AS(ask(question, {}), doctest::Contains(message.c_str()), std::invalid_argument);
}

TEST_CASE("gaps, weights and widths out of range, and scaled residuals, are refused") {
  Question good;
  good.input.levels = {{{0}, {1}}};
  good.input.vectors = {{0}, {0.5F}};
  good.weights = {1, 2};
  for (const double gap : {-0.5, 1.0, static_cast<double>(NAN)}) {
    Question question = good;
    question.gap = gap;
    refuse(question, "gap is " + std::to_string(gap) + "; it must be from 0 to less than 1");
  }
  Question question = good;
  question.weights = {1};
  refuse(question, "weights has 1 values; vectors has 2 rows");
  for (const double weight : {0.0, -1.0, static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    question.weights = {1, weight};
    refuse(question, "weights[1] is " + std::to_string(weight) + "; it must be positive and finite");
  }
  question = good;
  question.input.width = 0;
  refuse(question, "width is 0; it must be from 1 to 1024");
  question.input.width = BeamSearch::kMostWidth + 1;
  refuse(question, "width is 1025; it must be from 1 to 1024");
  question = good;
  question.input.space.scaling = Scaling::kept;
  refuse(question, "(normalised residuals), so distortions do not say which SID is near; method 'optimal', which");
  question.input.space.scaling = Scaling::compared;
  refuse(question, "(cosine), so distortions do not say which SID is near; method 'optimal', which");
  question = good;
  question.input.taken = {{0}};
  CHECK_THROWS_AS(ask(question, {}), CapacityError);
}

TEST_CASE("searching and matching stop soon after `interrupted` answers true") {
  Random random(1);
  Question question;
  for (int level = 0; level < 3; ++level) {
    question.input.levels.push_back(testing::random_vectors(random, Values::gaussian, 16, 8));
  }
  question.input.vectors.assign(3500, reference::Vector(8, 0.5F));
  for (std::size_t row = 0; row < 3500; ++row) question.input.vectors[row][0] = static_cast<float>(row) * 1e-5F;
  for (const char* wanted : {"search", "match"}) {
    for (const int threads : {1, 3}) {
      CAPTURE(wanted);
      CAPTURE(threads);
      Execution execution;
      execution.threads = threads;
      bool reached = false;
      execution.progress = [&](std::string_view stage, std::size_t, std::size_t) {
        reached = reached || stage == wanted;
        if (reached) *execution.last_asked = {};  // the next question comes at once
      };
      execution.interrupted = [&] { return reached; };
      CHECK_THROWS_AS(ask(question, execution), Cancelled);
      CHECK(reached);
    }
  }
}

}  // namespace
}  // namespace puresid
