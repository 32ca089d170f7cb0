// assign() in steps: however the vectors are cut up and handed over, the answer is the same.
#include <doctest/doctest.h>

#include <array>
#include <memory>
#include <set>

#include "halves.hpp"
#include "random.hpp"

namespace puresid {
namespace {

using Given = Assigner::Given;
using reference::Method;
using reference::Output;
using testing::Random;
using testing::Values;

// Some rows of an input in memory of their own, as float32 or float16.
class Piece {
 public:
  Piece(const std::vector<reference::Vector>& rows, std::size_t dim, bool halves) : rows_(rows, dim), halves_(halves) {
    if (!halves) return;
    for (const float value : rows_.data) narrow_.push_back(testing::half_of(value));
    std::fill(rows_.data.begin(), rows_.data.end(), 9e9F);  // not to be looked at
  }
  [[nodiscard]] Vectors view() const {
    if (halves_) return MatrixView<const Half>(narrow_.data(), rows_.n_rows, rows_.n_columns);
    return rows_.view();
  }

 private:
  testing::FlatRows<float> rows_;
  std::vector<Half> narrow_;
  bool halves_;
};

// How a run is cut up: a function of the seed.
struct Plan {
  std::uint64_t seed = 0;
  Given given = Given::all;
  bool halves = false;  // whether pieces may be float16
};

// A run in steps that a test may break off or disturb.
class Steps {
 public:
  Steps(const reference::Input& input, const Execution& execution)
      : input_(input),
        execution_(execution),
        codebooks_(input.levels),
        taken_(input.taken, input.levels.size() + (input.method == Method::suffix ? 1 : 0)),
        options_(testing::core_options(input)),
        out_(input.vectors.size(), input.levels.size(), input.method == Method::suffix),
        result_{SidArray(out_.narrow.data(), input.vectors.size(), codebooks_->layout()), out_.stages, out_.distortion,
                out_.counter} {
    options_.taken = taken_.view();
    assigner_ = std::make_unique<Assigner>(input.vectors.size(), *codebooks_, options_, execution_, result_);
  }

  void add(std::size_t begin, std::size_t end, bool halves = false) {
    const Piece piece(rows(begin, end), codebooks_->dim(), halves);  // gone when the next one comes
    assigner_->add(piece.view(), execution_);
  }
  // The vectors of the items in conflict, as resolve() is to be given them.
  [[nodiscard]] std::vector<reference::Vector> conflicts() const {
    std::vector<reference::Vector> vectors;
    for (std::size_t row = 0; row < input_.vectors.size(); ++row) {
      if (out_.stages[row] == -1) vectors.push_back(input_.vectors[row]);
    }
    return vectors;
  }
  void resolve(const std::vector<reference::Vector>& vectors, Given given, bool halves = false) {
    const Piece piece(vectors, codebooks_->dim(), halves);
    assigner_->resolve(piece.view(), given, execution_);
  }
  void resolve(Given given, bool halves = false) {
    resolve(given == Given::all ? input_.vectors : conflicts(), given, halves);
  }

  [[nodiscard]] std::size_t n_taken() const { return assigner_->n_taken(); }
  [[nodiscard]] double nearest_distortion() const { return result_.nearest_distortion; }
  [[nodiscard]] Output output() const {
    Output output;
    const std::size_t levels = input_.levels.size();
    for (auto at = out_.narrow.begin(); at != out_.narrow.end(); at += static_cast<std::ptrdiff_t>(levels)) {
      output.sids.emplace_back(at, at + static_cast<std::ptrdiff_t>(levels));
    }
    output.stages.assign(out_.stages.begin(), out_.stages.end());
    output.distortion = out_.distortion;
    output.counter.assign(out_.counter.begin(), out_.counter.end());
    return output;
  }

 private:
  [[nodiscard]] std::vector<reference::Vector> rows(std::size_t begin, std::size_t end) const {
    const auto at = [&](std::size_t row) { return input_.vectors.begin() + static_cast<std::ptrdiff_t>(row); };
    return {at(begin), at(end)};
  }

  const reference::Input& input_;
  const Execution& execution_;
  testing::FlatCodebooks codebooks_;
  testing::FlatRows<Token> taken_;
  AssignOptions options_;
  testing::CoreOutput out_;
  Assignment result_;
  std::unique_ptr<Assigner> assigner_;
};

Output run_in_steps(const reference::Input& input, const Execution& execution, const Plan& plan) {
  Random random(plan.seed);
  const auto halves = [&] { return plan.halves && random.one_in(2); };
  Steps steps(input, execution);
  const std::size_t rows = input.vectors.size(), most = random.one_in(2) ? rows : random.between(1, 5);
  for (std::size_t begin = 0; begin < rows;) {
    const std::size_t end = std::min(rows, begin + random.between(0, most));  // a piece may be empty
    steps.add(begin, end, halves());
    begin = end;
  }
  steps.resolve(plan.given, halves());
  return steps.output();
}

// "" where the run in steps gives the twin's answer and the bytes of assign().
std::string disagreement(const reference::Input& input, const Execution& execution, const Plan& plan) {
  try {
    const Output expected = reference::assign(input);
    const std::string whole = testing::difference(expected, testing::run_core(input, execution));
    return whole + testing::difference(expected, run_in_steps(input, execution, plan));
  } catch (const CapacityError&) {
    CHECK_THROWS_AS(Steps(input, execution), CapacityError);  // before any vector has been seen
    return "";
  }
}

void round_to_halves(reference::Input& input) {
  for (reference::Vector& vector : input.vectors) {
    for (float& value : vector) value = testing::rounded_to_half(value);
  }
}

TEST_CASE("in pieces of any size, with all vectors or those in conflict: the twin's answer and assign()'s") {
  for (const Values values : testing::kAllValues) {
    for (std::size_t seed = 0; seed < 300; ++seed) {
      CAPTURE(static_cast<int>(values));
      CAPTURE(seed);
      Random random(seed + 5000);
      auto input = testing::random_input(random, values, testing::random_shape(random));
      const Plan plan{seed, seed % 3 == 0 ? Given::all : Given::conflicts, seed % 2 == 0};
      if (plan.halves) round_to_halves(input);
      REQUIRE(disagreement(input, testing::execution_number(seed), plan) == "");
    }
  }
}

// Hundreds of items in conflict, so that several tiers and completion see vectors handed over apart.
reference::Input contested_input(std::size_t seed) {
  Random random(seed);
  const Values values = seed % 2 == 0 ? Values::lattice : Values::gaussian;
  auto input = testing::random_input(random, values, {3, 9, 3, 400, random.between(1, 300)});
  for (auto& codebook : input.levels) codebook = testing::random_vectors(random, values, 9, 3);
  input.method = seed % 4 < 2 ? Method::ecm : Method::rrs;
  input.tiers = {{1, 1, 10}, {3, 3, 7}, {4, 9, 9}};
  input.complete = seed % 5 != 0;
  input.taken.clear();
  for (std::size_t i = 0; i < 200; ++i) input.taken.push_back(testing::random_sid(random, input.levels));
  input.priority.clear();
  for (std::size_t row = 0; row < 400 && seed % 8 >= 4; ++row) {
    input.priority.push_back(static_cast<double>(random.between(0, 20)));
  }
  return input;
}

TEST_CASE("contested SIDs of items handed over apart, with priority and without, in float16 and on threads") {
  for (std::size_t seed = 0; seed < 16; ++seed) {
    CAPTURE(seed);
    auto input = contested_input(seed);
    round_to_halves(input);
    Execution execution = testing::execution_number(seed);
    execution.threads = static_cast<int>(1 + seed % 4);
    const Output expected = reference::assign(input);
    for (const Given given : {Given::all, Given::conflicts}) {
      for (const bool halves : {false, true}) {
        REQUIRE(testing::difference(expected, run_in_steps(input, execution, {seed, given, halves})) == "");
      }
    }
  }
}

TEST_CASE("different SIDs among those taken are counted by every method, before any vector is seen") {
  for (std::size_t seed = 0; seed < 32; ++seed) {
    CAPTURE(seed);
    auto input = contested_input(seed);
    constexpr std::array kMethods = {Method::ecm, Method::rrs, Method::nearest, Method::suffix};
    input.method = kMethods[seed % 4];
    if (input.method == Method::suffix) {
      Random random(seed);
      for (auto& sid : input.taken) sid.push_back(static_cast<Token>(random.between(0, 2)));
    }
    const auto once = input.taken;
    input.taken.insert(input.taken.end(), once.begin(), once.begin() + 77);
    Execution execution;
    execution.threads = static_cast<int>(1 + seed % 3);
    CHECK(Steps(input, execution).n_taken() == std::set(once.begin(), once.end()).size());
    input.taken.clear();
    CHECK(Steps(input, execution).n_taken() == 0);
  }
}

TEST_CASE("counters pass over very many taken ones, given in any order and more than once") {
  constexpr std::size_t kTaken = 150'000;
  reference::Input input;
  input.levels = {{{0.0F}, {8.0F}}};
  input.method = Method::suffix;
  input.vectors = {{0.1F}, {8.1F}, {0.2F}, {7.9F}};
  for (std::size_t i = 0; i < kTaken; ++i) {  // counters 0, 2, 4, ... of one SID, and 0, 1, 2, ... of the other
    const std::size_t place = i * 77'777 % kTaken, counter = place / 2;
    input.taken.push_back({static_cast<Token>(place % 2), static_cast<Token>(place % 2 == 0 ? 2 * counter : counter)});
  }
  input.taken.insert(input.taken.end(), input.taken.begin(), input.taken.begin() + 1000);
  for (const int threads : {1, 3}) {
    Execution execution;
    execution.threads = threads;
    Steps steps(input, execution);
    CHECK(steps.n_taken() == kTaken);
    steps.add(0, 4);
    steps.resolve(Given::all);
    CHECK(steps.output().counter == std::vector<std::uint32_t>{1, kTaken / 2, 3, kTaken / 2 + 1});
  }
}

TEST_CASE("the nearest distortion is the same sum however it is cut up") {
  Random random(6);
  auto input = testing::random_input(random, Values::gaussian, {2, 7, 3, 500, 500});
  input.method = Method::nearest;
  input.taken.clear();
  const Execution execution;
  Steps whole(input, execution), cut(input, execution);
  whole.add(0, 500);
  for (std::size_t row = 0; row < 500; ++row) cut.add(row, row + 1);
  whole.resolve(Given::all);
  cut.resolve({}, Given::conflicts);  // this method needs no vectors
  CHECK(whole.nearest_distortion() == cut.nearest_distortion());
  CHECK(whole.nearest_distortion() > 0);
}

// Three items at (0, 0), one at (1, 0).
reference::Input small_input() {
  reference::Input input;
  input.levels = {{{0, 0}, {1, 1}, {2, 2}}, {{0, 0}, {1, 0}}};
  input.vectors = {{0, 0}, {1, 1}, {0, 0}, {0, 0}};
  input.tiers = {{1, 2}};
  return input;
}

TEST_CASE("rows that are missing or too many are refused with the numbers") {
  const reference::Input input = small_input();
  const Execution execution;
  Steps missing(input, execution);
  missing.add(0, 3);
  CHECK_THROWS_WITH_AS(missing.resolve(Given::conflicts), "vectors has 3 rows; 4 were promised", std::invalid_argument);
  Steps none(input, execution);
  CHECK_THROWS_WITH_AS(none.resolve(Given::all), "vectors has 0 rows; 4 were promised", std::invalid_argument);
  Steps more(input, execution);
  more.add(0, 4);
  more.add(2, 2);  // no rows are not too many
  CHECK_THROWS_WITH_AS(more.add(3, 4), "vectors has more than the 4 rows that were promised", std::invalid_argument);
}

TEST_CASE("resolve() refuses another number of vectors than was said") {
  const reference::Input input = small_input();
  const Execution execution;
  for (const std::size_t count : {0, 1, 3, 4}) {
    Steps steps(input, execution);
    steps.add(0, 4);
    CHECK(steps.conflicts().size() == 2);
    const std::string message = "vectors has " + std::to_string(count) + " rows; there are 4 items, 2 in conflict";
    CHECK_THROWS_WITH_AS(steps.resolve({count, {0, 0}}, Given::conflicts), message.c_str(), std::invalid_argument);
  }
  Steps all(input, execution);
  all.add(0, 4);
  CHECK_THROWS_WITH_AS(all.resolve({2, {0, 0}}, Given::all), "vectors has 2 rows; there are 4 items, 2 in conflict",
                       std::invalid_argument);
}

TEST_CASE("another vector the second time is refused with its row") {
  const reference::Input input = small_input();
  const Execution execution;
  for (const reference::Vector& other : std::vector<reference::Vector>{{0, 0.5F}, {NAN, 0}, {INFINITY, 0}, {5, 5}}) {
    Steps steps(input, execution);
    steps.add(0, 2);
    steps.add(2, 4);
    CHECK_THROWS_WITH_AS(steps.resolve({{0, 0}, other}, Given::conflicts),
                         "vectors[3] is another one than when it was first read", std::invalid_argument);
  }
  Steps same(input, execution);
  same.add(0, 4);
  same.resolve(Given::conflicts);
  CHECK(testing::difference(reference::assign(input), same.output()) == "");
}

TEST_CASE("a piece of another dimension is refused, the first or a later one") {
  const reference::Input input = small_input();
  const testing::FlatCodebooks codebooks(input.levels);
  testing::CoreOutput out(4, 2, false);
  Assignment result{SidArray(out.narrow.data(), 4, codebooks->layout()), out.stages, out.distortion, out.counter};
  const std::vector<float> data(8);
  const AssignOptions options;
  for (const std::size_t before : {0, 2}) {
    Assigner assigner(4, *codebooks, options, {}, result);
    assigner.add(MatrixView<const float>(data.data(), before, 2), {});
    CHECK_THROWS_WITH_AS(assigner.add(MatrixView<const float>(data.data(), 1, 3), {}),
                         "codebooks[0] has 3 codewords of dimension 2; vectors have dimension 3",
                         std::invalid_argument);
  }
}

TEST_CASE("a value that is not finite is refused with its row in the catalogue, not in the piece") {
  reference::Input input = small_input();
  input.vectors[3][1] = NAN;
  const Execution execution;
  Steps steps(input, execution);
  steps.add(0, 3);
  CHECK_THROWS_WITH_AS(steps.add(3, 4), "vectors[3] has NaN in column 1; every value must be finite",
                       std::invalid_argument);
}

TEST_CASE("progress counts the rows of all pieces") {
  const reference::Input input = small_input();
  std::vector<std::size_t> done;
  Execution execution;
  execution.progress = [&](std::string_view stage, std::size_t rows, std::size_t total) {
    if (stage != "nearest") return;
    done.push_back(rows);
    CHECK(total == 4);
  };
  Steps steps(input, execution);
  steps.add(0, 1);
  CHECK(done.back() == 1);
  steps.add(1, 4);
  CHECK(done.back() == 4);
  CHECK(std::is_sorted(done.begin(), done.end()));
}

}  // namespace
}  // namespace puresid
