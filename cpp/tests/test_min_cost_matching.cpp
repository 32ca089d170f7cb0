#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <set>

#include "optimal.hpp"  // the twin
#include "puresid/min_cost_matching.hpp"
#include "random.hpp"

namespace puresid {
namespace {

using testing::Random;
using Outcome = MinCostMatching::Outcome;
using Effort = MinCostMatching::Effort;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Market {
  std::size_t items, sids, distinct;  // `distinct`: how many different lists at most
  bool whole = true;                  // whole numbers: exact, full of ties
  bool weighted = false;
};

// Random costs of items at SIDs, lists that are prefixes of all, and their matching.
class Game {
 public:
  Game(Random& random, const Market& market, std::size_t listed, bool searched = true) : full_(market.distinct) {
    for (std::vector<ClosestSid>& list : full_) {
      for (std::size_t sid = 0; sid < market.sids; ++sid) {
        const auto cost = market.whole ? static_cast<float>(random.between(0, 9)) : static_cast<float>(random.unit());
        list.push_back({key(sid), cost});
      }
      std::sort(list.begin(), list.end(), [](const ClosestSid& a, const ClosestSid& b) {
        return a.distortion < b.distortion || (a.distortion == b.distortion && a.key < b.key);
      });
    }
    lists_.resize(full_.size());
    for (Row list = 0; list < lists_.size(); ++list) show(list, listed, searched);
    std::vector<double> list_weights;
    for (std::size_t list = 0; list < full_.size(); ++list) {
      list_weights.push_back(market.whole ? static_cast<double>(random.between(1, 4)) : 0.1 + random.unit());
    }
    for (std::size_t item = 0; item < market.items; ++item) {
      list_of_.push_back(static_cast<Row>(random.between(0, full_.size() - 1)));
      if (market.weighted) weights_.push_back(list_weights[list_of_.back()]);
    }
    placed_.resize(market.items);
    matching_ = std::make_unique<MinCostMatching>(market.items, lists_, list_of_, weights_);
  }

  // Keys far apart and close together.
  [[nodiscard]] static SidKey key(std::size_t sid) { return sid % 2 == 0 ? sid : (SidKey{sid} << 40U) + 7; }

  [[nodiscard]] MinCostMatching& operator*() { return *matching_; }
  [[nodiscard]] std::size_t items() const { return list_of_.size(); }
  [[nodiscard]] std::size_t n_placed() const {
    return static_cast<std::size_t>(std::count(placed_.begin(), placed_.end(), true));
  }
  [[nodiscard]] double loss() const { return loss_; }

  void show(Row list, std::size_t listed, bool searched = true) {
    const std::size_t size = std::min(listed, full_[list].size());
    const bool complete = searched && size == full_[list].size();
    const float horizon = size == 0 ? 0 : full_[list][size - 1].distortion;
    lists_[list] = {full_[list].data(), static_cast<std::uint32_t>(size), complete ? kInfinity : horizon, searched};
  }

  // One try; what was placed before stays placed, and stays as it is unless `item` gets a place.
  Outcome place(Row item, const Effort& effort) {
    std::vector<SidKey> before;
    for (Row other = 0; other < items(); ++other) before.push_back(placed_[other] ? matching_->sid(other) : 0);
    const Outcome outcome = matching_->place(item, effort);
    CHECK(matching_->loss() >= 0);
    loss_ += matching_->loss();
    if (outcome == Outcome::placed) placed_[item] = true;
    for (Row other = 0; other < items() && outcome != Outcome::placed; ++other) {
      if (placed_[other]) CHECK(matching_->sid(other) == before[other]);
    }
    return outcome;
  }

  // Until it says something else than that lists are short.
  Outcome settle(Row item, const Effort& effort, std::size_t* grown = nullptr) {
    for (;;) {
      for (int step = 0; step < 3; ++step) matching_->prefetch(item, step);
      const Outcome outcome = place(item, effort);
      if (outcome != Outcome::wants_more) return outcome;
      const std::vector<Row> wanted = matching_->short_lists();
      REQUIRE(!wanted.empty());
      for (const Row list : wanted) {
        CHECK((!lists_[list].searched || lists_[list].size < full_[list].size()));
        if (!lists_[list].searched) release(list);
        show(list, lists_[list].searched ? 2 * lists_[list].size + 1 : 2);
        if (grown != nullptr) ++*grown;
      }
    }
  }
  void settle_all(const Effort& effort, std::size_t* grown = nullptr) {
    for (;;) {
      const auto next = std::find(placed_.begin(), placed_.end(), false);
      if (next == placed_.end()) return;
      REQUIRE(settle(static_cast<Row>(next - placed_.begin()), effort, grown) == Outcome::placed);
    }
  }

  // Those placed have SIDs of their lists, each its own. What they cost together.
  [[nodiscard]] double total() const {
    std::set<SidKey> used;
    double sum = 0;
    for (Row item = 0; item < items(); ++item) {
      if (!placed_[item]) continue;
      const SidKey mine = matching_->sid(item);
      CHECK(used.insert(mine).second);
      const auto all = lists_[list_of_[item]].all();
      const auto at = std::find_if(all.begin(), all.end(), [&](const ClosestSid& sid) { return sid.key == mine; });
      REQUIRE(at != all.end());
      sum += matching_->weight(item) * static_cast<double>(at->distortion);
    }
    return sum;
  }
  // Below which no assignment of those placed can be.
  [[nodiscard]] double bound() const {
    double sum = -matching_->prices();
    for (Row item = 0; item < items(); ++item) sum += placed_[item] ? matching_->utility(item) : 0;
    return sum;
  }
  [[nodiscard]] double twins_total() const {
    reference::Costs costs;
    for (Row item = 0; item < items(); ++item) {
      if (!placed_[item]) continue;
      std::map<SidKey, double> by_key;
      for (const ClosestSid& sid : full_[list_of_[item]]) {
        by_key[sid.key] = matching_->weight(item) * static_cast<double>(sid.distortion);
      }
      costs.emplace_back();
      for (const auto& [sid, cost] : by_key) costs.back().push_back(cost);
    }
    return reference::total(costs, reference::least_matching(costs));
  }

 private:
  void release(Row list) {
    for (Row item = 0; item < items(); ++item) {
      if (list_of_[item] != list || !placed_[item]) continue;
      matching_->release(item);
      placed_[item] = false;
    }
  }

  std::vector<std::vector<ClosestSid>> full_;
  std::vector<CandidateList> lists_;
  std::vector<Row> list_of_;
  std::vector<double> weights_;
  std::vector<bool> placed_;
  std::unique_ptr<MinCostMatching> matching_;
  double loss_ = 0;
};

template <class Check>
void for_each_market(std::size_t seeds, Check&& check) {
  for (std::size_t seed = 0; seed < seeds; ++seed) {
    Random random(seed);
    Market market{random.between(1, 24), 0, 0, seed % 2 == 0, seed % 4 >= 2};
    market.sids = random.one_in(3) ? market.items : market.items + random.between(0, 40);
    market.distinct = random.one_in(3) ? random.between(1, 4) : 30;
    CAPTURE(seed);
    check(random, market);
  }
}

// Equal, to the bit where costs are whole numbers.
void check_total(double actual, double expected, const Market& market) {
  if (market.whole) CHECK(actual == expected);
  CHECK(actual == doctest::Approx(expected).epsilon(1e-12));
}

TEST_CASE("whole lists: after each place those placed cost the least that they can, and the bound says so") {
  for_each_market(200, [](Random& random, const Market& market) {
    Game game(random, market, market.sids);
    for (Row item = 0; item < market.items; ++item) {
      REQUIRE(game.place(item, {}) == Outcome::placed);
      CHECK((*game).short_lists().empty());
      if (item % 5 != 0 && item + 1 != market.items) continue;
      const double total = game.total();
      check_total(total, game.twins_total(), market);
      check_total(game.bound(), total, market);
    }
    CHECK((market.whole ? game.loss() == 0 : game.loss() < 1e-12));
    CHECK((*game).looks() >= market.items);
  });
}

TEST_CASE("lists that grow where it is wanted come to the same total") {
  std::size_t grown = 0, most = 0;
  for_each_market(200, [&](Random& random, const Market& market) {
    Game game(random, market, random.between(0, 2));
    game.settle_all({}, &grown);
    most += market.items * market.sids;
    check_total(game.total(), game.twins_total(), market);
    check_total(game.bound(), game.twins_total(), market);
  });
  CHECK(grown > 0);
  CHECK(grown < most / 20);
}

TEST_CASE("items that take their first SID unsearched are taken back when they are in the way") {
  for_each_market(200, [](Random& random, const Market& market) {
    Game game(random, market, 1, false);
    game.settle_all({});
    check_total(game.total(), game.twins_total(), market);
  });
}

TEST_CASE("a list that nobody searched says so: for its own item and for the owner") {
  const ClosestSid sids[] = {{5, 1}, {6, 2}};
  std::vector<CandidateList> lists = {{sids, 1, 0, false}, {sids, 1, 0, false}, {sids, 0, 0, false}};
  const std::vector<Row> list_of = {0, 1, 2};
  MinCostMatching matching(3, lists, list_of, {});
  CHECK(matching.place(0, {}) == Outcome::placed);
  CHECK(matching.sid(0) == 5);
  CHECK(matching.place(1, {}) == Outcome::wants_more);
  CHECK(matching.short_lists() == std::vector<Row>{0, 1});
  CHECK(matching.place(2, {}) == Outcome::wants_more);
  CHECK(matching.short_lists() == std::vector<Row>{2});
  Effort last;
  last.last = true;
  CHECK(matching.place(1, last) == Outcome::no_room);
  matching.release(0);
  CHECK(matching.place(1, {}) == Outcome::placed);
  CHECK(matching.sid(1) == 5);
  lists[1] = lists[0] = {sids, 2, kInfinity, true};
  matching.release(1);
  CHECK(matching.place(0, {}) == Outcome::placed);
  CHECK(matching.place(1, {}) == Outcome::placed);
  CHECK(matching.sid(0) == 5);
  CHECK(matching.sid(1) == 6);
}

TEST_CASE("where whole lists have too few SIDs, those that come later find no room and disturb nobody") {
  for_each_market(60, [](Random& random, const Market& market) {
    Market narrow = market;
    narrow.sids = random.between(1, market.items);
    Game game(random, narrow, narrow.sids);
    for (Row item = 0; item < market.items; ++item) {
      CHECK(game.place(item, {}) == (item < narrow.sids ? Outcome::placed : Outcome::no_room));
    }
    CHECK(game.n_placed() == narrow.sids);
    check_total(game.total(), game.twins_total(), market);
  });
}

TEST_CASE("an empty list that is complete has no room, and infinite utility") {
  const std::vector<CandidateList> lists = {{nullptr, 0, kInfinity, true}};
  const std::vector<Row> list_of = {0};
  MinCostMatching matching(1, lists, list_of, {});
  CHECK(matching.place(0, {}) == Outcome::no_room);
  CHECK(matching.utility(0) == std::numeric_limits<double>::infinity());
  CHECK(matching.prices() == 0);
}

TEST_CASE("a tolerance, few looks or lists as they are cost no more than the losses say") {
  double lost = 0;
  for_each_market(200, [&](Random& random, const Market& market) {
    Effort effort;
    effort.tolerance = random.one_in(3) ? 0 : 3 * random.unit();
    if (random.one_in(3)) effort.most_looks = random.between(30, 60);
    effort.last = random.one_in(3);
    const std::size_t listed = effort.last ? std::max(market.items, market.sids / 2) : random.between(1, 4);
    CAPTURE(effort.tolerance);
    CAPTURE(effort.last);
    Game game(random, market, listed);
    for (Row item = 0; item < market.items; ++item) {
      const Outcome outcome = game.settle(item, effort);
      CHECK((outcome == Outcome::placed || outcome == Outcome::no_room));
    }
    const double rounding = 1e-12 * static_cast<double>(1 + market.items), total = game.total();
    CHECK(total - game.bound() <= game.loss() + rounding);
    if (!effort.last) CHECK(game.bound() <= game.twins_total() + rounding);
    CHECK(game.twins_total() <= total + rounding);
    if (effort.most_looks > 60 && !effort.last) {
      CHECK(game.n_placed() == market.items);
      CHECK(game.loss() <= effort.tolerance * static_cast<double>(market.items) + rounding);
    }
    lost += game.loss();
  });
  CHECK(lost > 0);
}

TEST_CASE("who finds no free SID in many times the looks allowed gives up") {
  // Everybody wants the same SIDs; the last list alone has a free one, many steps away.
  constexpr Row kItems = 64;
  std::vector<ClosestSid> sids;
  for (SidKey key = 0; key <= kItems; ++key) sids.push_back({key, 1});
  std::vector<CandidateList> lists;
  for (Row item = 0; item < kItems; ++item) lists.push_back({&sids[item], 2, kInfinity, true});
  lists.push_back({sids.data(), 1, kInfinity, true});
  std::vector<Row> list_of(kItems + 1);
  std::iota(list_of.begin(), list_of.end(), Row{0});
  MinCostMatching matching(kItems + 1, lists, list_of, {});
  for (Row item = 0; item < kItems; ++item) REQUIRE(matching.place(item, {}) == Outcome::placed);
  Effort few;
  few.most_looks = 1;
  CHECK(matching.place(kItems, few) == Outcome::no_room);
  CHECK(matching.place(kItems, {}) == Outcome::placed);
  for (Row item = 0; item < kItems; ++item) CHECK(matching.sid(item) == item + 1);
}

}  // namespace
}  // namespace puresid
