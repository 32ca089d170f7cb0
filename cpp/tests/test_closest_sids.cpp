#include <doctest/doctest.h>

#include <bit>
#include <memory>
#include <set>

#include "optimal.hpp"  // the twin
#include "puresid/closest_sids.hpp"
#include "random.hpp"

namespace puresid {
namespace {

using testing::Random;
using testing::Values;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::array kSpaces = {Space{}, Space{SpaceKind::product}, Space{SpaceKind::tree}};

struct Answer {
  std::vector<ClosestSid> sids;
  float horizon, floor;
};

bool same_bits(float a, float b) { return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b); }

bool same(const std::vector<ClosestSid>& a, const std::vector<ClosestSid>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const ClosestSid& x, const ClosestSid& y) {
    return x.key == y.key && same_bits(x.distortion, y.distortion);
  });
}

bool closer(const ClosestSid& a, const ClosestSid& b) {
  return a.distortion < b.distortion || (a.distortion == b.distortion && a.key < b.key);
}

std::set<SidKey> keys(const std::vector<ClosestSid>& sids) {
  std::set<SidKey> keys;
  for (const ClosestSid& sid : sids) keys.insert(sid.key);
  return keys;
}

// A space and a block of vectors.
struct Place {
  Place(Random& random, Values values, const testing::Shape& shape)
      : levels(testing::random_levels(random, values, shape)),
        flat(levels, shape.space),
        rows(testing::random_vectors(random, values, shape.rows, flat->dim())),
        flat_rows(rows, flat->dim()) {}

  // One of its vectors alone.
  Place(const Place& other, std::size_t row)
      : levels(other.levels), flat(levels, other.flat->space()), rows{other.rows[row]}, flat_rows(rows, flat->dim()) {}

  [[nodiscard]] reference::Spaced spaced() const { return {levels, flat->space()}; }
  [[nodiscard]] std::size_t capacity() const { return flat->layout().capacity(); }
  [[nodiscard]] SidKey key(const reference::Sid& sid) const { return flat->layout().pack(sid.data()); }
  [[nodiscard]] ClosestSid measured(std::size_t row, const reference::Sid& sid) const {
    return {key(sid), reference::distortion(rows[row], spaced(), sid)};
  }
  [[nodiscard]] std::vector<ClosestSid> all(std::size_t row) const {
    std::vector<ClosestSid> sids;
    for (const reference::Sid& sid : reference::all_sids(spaced())) sids.push_back(measured(row, sid));
    std::sort(sids.begin(), sids.end(), closer);
    return sids;
  }
  // What the scores of a row may be off by, as a distortion.
  [[nodiscard]] float rounding(std::size_t row) const {
    float length = std::sqrt(reference::squared_norm(rows[row]));
    for (const reference::Codebook& codebook : levels) {
      float longest = 0;
      for (const reference::Vector& codeword : codebook) longest = std::max(longest, reference::squared_norm(codeword));
      length += std::sqrt(longest);
    }
    return 0x1p-19F * length * length;
  }

  reference::Levels levels;
  testing::FlatCodebooks flat;
  std::vector<reference::Vector> rows;
  testing::FlatRows<float> flat_rows;
};

class Search {
 public:
  explicit Search(const Place& place, Simd simd = best_simd())
      : place_(place),
        packed_(*place.flat, simd),
        products_(packed_),
        deeper_(packed_, products_, {}),
        search_(packed_, products_, deeper_) {
    search_.prepare(place.flat_rows.data.data(), place.rows.size());
  }
  // From the greedy SID.
  Answer find(std::size_t row, std::size_t k, std::size_t width, float most = kInfinity) {
    return find(row, k, width, place_.key(reference::nearest(place_.rows[row], place_.spaced())), most);
  }
  Answer find(std::size_t row, std::size_t k, std::size_t width, SidKey near, float most) {
    Answer answer{};
    parallel_for({}, "search", 1, 1, [&](std::size_t, Worker& worker) {
      const ClosestSids::Found found = search_.find(row, k, width, near, most, worker);
      answer = {*found.sids, found.horizon, found.floor};
    });
    return answer;
  }

 private:
  const Place& place_;
  PackedCodebooks packed_;
  CodewordProducts products_;
  DeeperLeast deeper_;
  ClosestSids search_;
};

// Calls check(place, random) for all spaces and 1 to 4 levels.
template <class Check>
void for_each_place(Values values, std::size_t seeds, Check&& check) {
  for (std::size_t seed = 0; seed < seeds; ++seed) {
    Random random(seed);
    const std::size_t levels = 1 + seed / 3 % 4;
    const testing::Shape shape{levels,           levels == 1 ? std::size_t{90} : 7 - levels, 1 + seed % 4, 3, 3,
                               kSpaces[seed % 3]};
    CAPTURE(static_cast<int>(values));
    CAPTURE(seed);
    check(Place(random, values, shape), random);
  }
}

std::vector<std::size_t> counts(Random& random, std::size_t capacity) {
  return {1, std::min<std::size_t>(2, capacity), random.between(1, capacity), random.between(1, capacity), capacity};
}

TEST_CASE("a wide search lists the closest SIDs, to the bit and to the last tie where sums are exact") {
  for_each_place(Values::lattice, 60, [](const Place& place, Random& random) {
    Search search(place, testing::execution_number(random.between(0, 9)).simd);
    for (std::size_t row = 0; row < place.rows.size(); ++row) {
      const auto all = place.all(row);
      for (const std::size_t k : counts(random, all.size())) {
        CAPTURE(k);
        const Answer answer = search.find(row, k, place.capacity());
        CHECK(same(answer.sids, {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(k)}));
        CHECK(answer.horizon == (k < all.size() ? all[k - 1].distortion : kInfinity));
        CHECK(answer.floor == answer.horizon);
      }
    }
  });
}

// What holds of any answer: right distortions, ascending, each once, and bounds on those that are not listed.
void check_promises(const Place& place, std::size_t row, const Answer& answer, const std::vector<ClosestSid>& others) {
  CHECK(std::is_sorted(answer.sids.begin(), answer.sids.end(), closer));
  const std::set<SidKey> listed = keys(answer.sids);
  CHECK(listed.size() == answer.sids.size());
  std::size_t wrong = 0, below = 0;
  const SidLayout& layout = place.flat->layout();
  for (const ClosestSid& sid : answer.sids) {
    reference::Sid tokens;
    for (std::size_t level = 0; level < layout.levels(); ++level) tokens.push_back(layout.token(sid.key, level));
    wrong += !same_bits(sid.distortion, reference::distortion(place.rows[row], place.spaced(), tokens));
  }
  const float rounding = place.rounding(row);
  for (const ClosestSid& sid : others) below += !listed.contains(sid.key) && sid.distortion < answer.floor - rounding;
  CHECK(wrong == 0);
  CHECK(below == 0);
}

TEST_CASE("a wide search lists the closest SIDs but for rounding") {
  for (const Values values : {Values::gaussian, Values::close, Values::spread}) {
    for_each_place(values, 36, [](const Place& place, Random& random) {
      Search search(place);
      for (std::size_t row = 0; row < place.rows.size(); ++row) {
        const auto all = place.all(row);
        for (const std::size_t k : counts(random, all.size())) {
          const Answer answer = search.find(row, k, place.capacity());
          check_promises(place, row, answer, all);
          REQUIRE(answer.sids.size() == k);
          std::size_t off = 0;
          for (std::size_t i = 0; i < k; ++i) {
            off += answer.sids[i].distortion > all[i].distortion + place.rounding(row);
          }
          CHECK(off == 0);
          CHECK(answer.horizon == (k < all.size() ? answer.sids.back().distortion : kInfinity));
          CHECK(answer.floor == answer.horizon);
        }
      }
    });
  }
}

// Two searches of the same width, one for fewer SIDs.
void check_nested(const Answer& few, const Answer& more, std::size_t k, float rounding) {
  const std::set<SidKey> first = keys(few.sids);
  std::vector<ClosestSid> again, fresh;
  for (const ClosestSid& sid : more.sids) (first.contains(sid.key) ? again : fresh).push_back(sid);
  CHECK(same(again, few.sids));
  for (const ClosestSid& sid : fresh) CHECK(sid.distortion >= few.horizon - rounding);
  if (few.horizon == kInfinity) CHECK(fresh.empty());
  if (few.sids.size() < k) CHECK(few.horizon == kInfinity);
}

TEST_CASE("a narrow search keeps its promises, whatever the width and wherever it begins") {
  for (const Values values : {Values::lattice, Values::gaussian}) {
    for_each_place(values, 48, [](const Place& place, Random& random) {
      Search search(place);
      for (std::size_t row = 0; row < place.rows.size(); ++row) {
        const auto all = place.all(row);
        for (const std::size_t width : {1, 2, 3, 9}) {
          CAPTURE(width);
          const std::size_t k = random.between(1, std::min<std::size_t>(12, place.capacity()));
          const Answer few = search.find(row, k, width), more = search.find(row, 4 * k, width);
          check_promises(place, row, few, all);
          check_promises(place, row, more, all);
          check_nested(few, more, k, place.rounding(row));
          const SidKey near = place.key(testing::random_sid(random, place.spaced()));
          const Answer other = search.find(row, k, width, near, kInfinity);
          CHECK(same(other.sids, few.sids));
          CHECK(other.horizon == few.horizon);
          CHECK(!few.sids.empty());
        }
      }
    });
  }
}

TEST_CASE("codebooks of many panels and widths around what is ranked at once") {
  for (const Space& space : kSpaces) {
    for (std::size_t seed = 0; seed < 4; ++seed) {
      CAPTURE(static_cast<int>(space.kind));
      CAPTURE(seed);
      Random random(seed);
      const bool tree = space.kind == SpaceKind::tree;
      const std::size_t depth = tree ? 2 : 3 + seed % 2;
      const Place place(random, Values::gaussian, {depth, 90, 3, 2, 2, space});
      std::vector<ClosestSid> some;
      for (int i = 0; i < 3000; ++i) some.push_back(place.measured(0, testing::random_sid(random, place.spaced())));
      Search search(place);
      for (const std::size_t width : {2, 31, 32, 33, 40, 100}) {
        CAPTURE(width);
        const std::size_t k = random.between(1, 40);
        const Answer few = search.find(0, k, width), more = search.find(0, 4 * k, width);
        check_promises(place, 0, few, some);
        check_promises(place, 0, more, some);
        check_nested(few, more, k, place.rounding(0));
      }
    }
  }
}

TEST_CASE("nothing above `most` is listed, and what it rules out is not below the floor") {
  for_each_place(Values::lattice, 48, [](const Place& place, Random& random) {
    Search search(place);
    const auto all = place.all(0);
    for (const std::size_t width : {std::size_t{2}, place.capacity()}) {
      const float most = all[random.between(0, all.size() - 1)].distortion;  // some SID has just that
      const std::size_t k = random.between(1, all.size());
      const Answer answer = search.find(0, k, width, most);
      check_promises(place, 0, answer, all);
      CHECK(answer.floor <= most);
      if (!answer.sids.empty()) CHECK(answer.sids.back().distortion <= most);
      if (width < all.size()) continue;
      std::vector<ClosestSid> expected(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(k));
      std::erase_if(expected, [&](const ClosestSid& sid) { return sid.distortion > most; });
      CHECK(same(answer.sids, expected));
    }
    CHECK(search.find(0, 3, 4, all[0].distortion / 2 - 0.5F).sids.empty());
  });
}

TEST_CASE("every instruction set gives the same bytes") {
  for (const Values values : testing::kAllValues) {
    for_each_place(values, 24, [](const Place& place, Random& random) {
      const std::size_t k = random.between(1, place.capacity());
      std::vector<std::unique_ptr<Search>> searches;
      for (const Simd simd : available_simd()) searches.push_back(std::make_unique<Search>(place, simd));
      for (const std::size_t width : {1, 3, 40}) {
        const Answer expected = searches[0]->find(1, k, width);
        for (const auto& search : searches) {
          const Answer answer = search->find(1, k, width);
          CHECK(same(answer.sids, expected.sids));
          CHECK(same_bits(answer.horizon, expected.horizon));
          CHECK(same_bits(answer.floor, expected.floor));
        }
      }
    });
  }
}

TEST_CASE("a row's answer does not depend on its block") {
  Random random(3);
  const Place place(random, Values::gaussian, {3, 9, 4, ClosestSids::kMostRows, 1});
  Search together(place);
  for (std::size_t row = 0; row < place.rows.size(); row += 5) {
    const Place alone(place, row);
    const Answer answer = together.find(row, 7, 5);
    CHECK(same(Search(alone).find(0, 7, 5).sids, answer.sids));
    check_promises(place, row, answer, place.all(row));
  }
}

}  // namespace
}  // namespace puresid
