#include <doctest/doctest.h>

#include <map>
#include <set>

#include "puresid/refusals.hpp"
#include "random.hpp"

namespace puresid {
namespace {

TEST_CASE("what was refused is remembered, per prefix and token") {
  Refusals refusals(70, 1U << 16U);
  CHECK(!refusals.below(0).refused(69));
  refusals.below(0).refuse(69);
  refusals.below(128).refuse(0);
  CHECK(refusals.below(0).refused(69));
  CHECK(!refusals.below(0).refused(0));
  CHECK(refusals.below(128).refused(0));
  CHECK(!refusals.below(128).refused(69));
}

TEST_CASE("all are refused once each token is, however often each was") {
  for (const Token size : {1U, 2U, 63U, 64U, 65U, 200U}) {
    Refusals refusals(size, 1);
    Refusals::Leaves leaves = refusals.below(~SidKey{0} << 8U);
    for (Token token = 0; token < size; ++token) {
      CHECK(!leaves.all_refused());
      leaves.refuse(token);
      leaves.refuse(token);
    }
    CHECK(leaves.all_refused());
    refusals.forget();
    CHECK(!refusals.below(~SidKey{0} << 8U).all_refused());
    CHECK(!refusals.below(~SidKey{0} << 8U).refused(0));
  }
}

TEST_CASE("with room for few prefixes it forgets, but never takes one prefix's tokens for another's") {
  testing::Random random(1);
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{200}, std::size_t{1} << 12U, std::size_t{1} << 30U}) {
    Refusals refusals(8, bytes);
    std::map<SidKey, std::set<Token>> refused;
    for (int step = 0; step < 5000; ++step) {
      const SidKey prefix = SidKey{random.between(0, 99)} << 3U;
      const auto token = static_cast<Token>(random.between(0, 7));
      if (refusals.below(prefix).refused(token)) CHECK(refused[prefix].contains(token));
      if (refusals.below(prefix).all_refused()) CHECK(refused[prefix].size() == 8);
      if (random.one_in(500)) {
        refusals.forget();
        refused.clear();
      } else {
        refusals.below(prefix).refuse(token);
        refused[prefix].insert(token);
        CHECK(refusals.below(prefix).refused(token));
      }
    }
  }
}

}  // namespace
}  // namespace puresid
