#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <set>

#include "puresid/matching.hpp"
#include "random.hpp"

namespace puresid {
namespace {

using reference::Sid;
using testing::Random;
using testing::Values;

TEST_CASE("a failed search speaks for equal vectors of worse rank only") {
  const std::vector<float> data = {1, 2, 1, 2, 3, 4, 0.0F, 1, -0.0F, 1};
  const Vectors vectors(MatrixView<const float>(data.data(), 5, 2));
  const std::vector<Row> items = {4, 1, 2, 0, 3};
  FailedSearches failed(vectors, items);
  const std::uint64_t hash = vectors.hash(1);
  CHECK(hash == vectors.hash(0));
  CHECK(!failed.contains(hash, 3));
  failed.add(hash, 1);               // row 1
  CHECK(failed.contains(hash, 3));   // row 0, equal and after it
  CHECK(!failed.contains(hash, 1));  // itself
  failed.add(hash, 3);               // row 0
  CHECK(!failed.contains(hash, 1));  // before it
  CHECK(!failed.contains(hash, 4));  // another vector, as if of the same hash
  CHECK(!failed.contains(hash ^ std::uint64_t{1} << 63U, 4));
}

// What tier 1 can be asked, as preference lists: those of the items that stage 0 left, best rank first.
std::vector<std::vector<Sid>> preferences(const reference::Input& input, std::set<Sid>& used) {
  std::vector<std::vector<Sid>> lists;
  used.insert(input.taken.begin(), input.taken.end());
  std::vector<std::size_t> left;
  for (const std::size_t row : reference::priority_order(input)) {
    if (!used.insert(reference::nearest(input.vectors[row], input.levels)).second) left.push_back(row);
  }
  for (const std::size_t row : left) {
    lists.push_back(reference::candidates(input, row, 0));
    std::erase_if(lists.back(), [&](const Sid& sid) { return used.contains(sid); });
  }
  return lists;
}

// Whether no item would rather have a SID that is free or in the hands of an item of worse rank.
bool stable(const std::vector<std::vector<Sid>>& lists, const std::vector<std::size_t>& chosen) {
  for (std::size_t item = 0; item < lists.size(); ++item) {
    for (std::size_t wish = 0; wish < chosen[item]; ++wish) {
      bool better_owner = false;
      for (std::size_t other = 0; other < item; ++other) {
        better_owner |= chosen[other] < lists[other].size() && lists[other][chosen[other]] == lists[item][wish];
      }
      if (!better_owner) return false;
    }
  }
  return true;
}

// All stable outcomes, by trying every way to give SIDs to items. The last choice stands for none.
std::vector<std::vector<std::size_t>> stable_outcomes(const std::vector<std::vector<Sid>>& lists) {
  std::vector<std::vector<std::size_t>> found;
  std::vector<std::size_t> chosen;
  std::set<Sid> used;
  const std::function<void()> next = [&] {
    const std::size_t item = chosen.size();
    if (item == lists.size()) {
      if (stable(lists, chosen)) found.push_back(chosen);
      return;
    }
    for (std::size_t choice = 0; choice <= lists[item].size(); ++choice) {
      const bool some = choice < lists[item].size();
      if (some && !used.insert(lists[item][choice]).second) continue;
      chosen.push_back(choice);
      next();
      chosen.pop_back();
      if (some) used.erase(lists[item][choice]);
    }
  };
  next();
  return found;
}

TEST_CASE("brute force over all outcomes finds one that is stable: the core's") {
  std::size_t contested = 0;
  for (std::size_t seed = 0; seed < 400; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    auto input = testing::random_input(random, seed % 2 == 0 ? Values::lattice : Values::gaussian,
                                       {random.between(1, 3), 3, 2, random.between(2, 6), random.between(1, 2)});
    input.method = seed % 4 < 2 ? reference::Method::ecm : reference::Method::rrs;
    if (!input.taken.empty() && input.taken[0].size() > input.levels.size()) input.taken.clear();
    input.complete = false;
    input.tiers.assign(1, reference::Widths(input.levels.size(), 2));
    std::set<Sid> used;
    const auto lists = preferences(input, used);
    const auto outcomes = stable_outcomes(lists);
    REQUIRE(outcomes.size() == 1);
    contested += lists.size() > 1 ? 1 : 0;

    const auto output = testing::run_core(input, testing::execution_number(seed));
    std::size_t item = 0;
    std::set<Sid> before(input.taken.begin(), input.taken.end());
    for (const std::size_t row : reference::priority_order(input)) {
      if (before.insert(reference::nearest(input.vectors[row], input.levels)).second) continue;
      const std::size_t choice = outcomes[0][item];
      CHECK(output.stages[row] == (choice < lists[item].size() ? 1 : -1));
      if (choice < lists[item].size()) CHECK(output.sids[row] == lists[item][choice]);
      ++item;
    }
    CHECK(item == lists.size());
  }
  CHECK(contested > 100);
}

// Different items that all want the same SIDs in almost the same order: of those in flight each drops many, and
// where that gets out of hand the matching goes on with one thread.
reference::Input crowded_input(std::uint64_t seed, std::size_t rows, std::size_t wanted) {
  Random random(seed);
  reference::Input input;
  input.levels = {testing::random_vectors(random, Values::gaussian, 2, 3),
                  testing::random_vectors(random, Values::gaussian, wanted + wanted / 8, 3)};
  const auto vector = testing::random_vectors(random, Values::gaussian, 1, 3)[0];
  for (std::size_t row = 0; row < rows; ++row) {
    input.vectors.push_back(vector);
    for (float& value : input.vectors.back()) value += 1e-4F * random.gaussian();
  }
  input.method = seed % 2 == 0 ? reference::Method::ecm : reference::Method::rrs;
  input.tiers = {{1, wanted}, {2, 16}};
  input.complete = false;
  if (seed % 4 >= 2) {
    for (std::size_t row = 0; row < rows; ++row) input.priority.push_back(static_cast<double>(random.between(0, rows)));
  }
  for (std::size_t i = 0; i < wanted / 8; ++i) input.taken.push_back(testing::random_sid(random, input.levels));
  return input;
}

TEST_CASE("items in flight that all want the same get what one after the other would") {
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    CAPTURE(seed);
    const auto small = crowded_input(seed, 250, 150);
    CHECK(testing::disagreement(small, testing::execution_number(seed)) == "");
    const auto large = crowded_input(seed, 2000, 700);
    const auto expected = testing::run_core(large, {});
    CHECK(std::count(expected.stages.begin(), expected.stages.end(), 1) > 500);
    for (const int threads : {2, 4}) {
      Execution execution = testing::execution_number(seed);
      execution.threads = threads;
      CHECK(testing::difference(expected, testing::run_core(large, execution)) == "");
      CHECK(testing::disagreement(small, execution) == "");
    }
  }
}

}  // namespace
}  // namespace puresid
