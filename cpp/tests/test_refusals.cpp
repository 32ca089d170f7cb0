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

TEST_CASE("what is settled counts as learnt, also after forgetting, and adds up with what is refused") {
  for (const std::size_t size : {1, 63, 64, 65, 200}) {
    CAPTURE(size);
    const SidLayout layout({5, size});
    Settled settled(layout);
    const SidKey prefix = layout.place(3, 0), other = layout.place(4, 0);
    for (Token token = 0; token < size; token += 2) settled.add(prefix | layout.place(token, 1));
    Refusals refusals(size, 1U << 16U, &settled);
    for (int repeat = 0; repeat < 2; ++repeat) {
      for (Token token = 0; token < size; ++token) {
        CHECK(refusals.below(prefix).refused(token) == (token % 2 == 0));
        CHECK(!refusals.below(other).refused(token));
      }
      CHECK(refusals.below(prefix).all_refused() == (size == 1));
      for (Token token = 0; token < size; ++token) refusals.below(prefix).refuse(token);
      CHECK(refusals.below(prefix).all_refused());
      CHECK(!refusals.below(other).all_refused());
      refusals.forget();
    }
  }
}

TEST_CASE("a prefix that makes way for another comes back with what is settled") {
  for (const std::size_t room : {Settled::kMostBytes, std::size_t{0}}) {
    testing::Random random(2);
    const SidLayout layout({100, 70});
    Settled settled(layout, room);
    std::map<SidKey, std::set<Token>> given, refused;
    for (int i = 0; i < 3500; ++i) {
      const SidKey prefix = layout.place(static_cast<Token>(random.between(0, 99)), 0);
      const auto token = static_cast<Token>(random.between(0, 69));
      settled.add(prefix | layout.place(token, 1));
      given[prefix].insert(token);
    }
    settled.sort();
    refused = given;
    Refusals refusals(70, 2000, &settled);
    for (int step = 0; step < 20000; ++step) {
      const SidKey prefix = layout.place(static_cast<Token>(random.between(0, 99)), 0);
      const auto token = static_cast<Token>(random.between(0, 69));
      refusals.prefetch(prefix);
      if (refusals.below(prefix).refused(token)) CHECK(refused[prefix].contains(token));
      if (given[prefix].contains(token)) CHECK(refusals.below(prefix).refused(token));
      if (refusals.below(prefix).all_refused()) CHECK(refused[prefix].size() == 70);
      if (random.one_in(1000)) {
        refusals.forget();
        refused = given;
      } else if (random.one_in(2)) {
        refusals.below(prefix).refuse(token);
        refused[prefix].insert(token);
      }
    }
  }
}

TEST_CASE("settled SIDs count, and what is learnt besides, in spaces of more than 32 bits a SID") {
  const SidLayout layout({1U << 16U, 1U << 15U, 8});
  Settled settled(layout);
  const SidKey prefix = layout.place(7, 0);
  for (Token token = 1; token < 8; ++token) settled.add(prefix | layout.place(token, 2));
  settled.sort();
  Refusals refusals(8, 1U << 16U, &settled);
  for (int repeat = 0; repeat < 2; ++repeat) {
    CHECK(!refusals.below(prefix).refused(0));
    CHECK(refusals.below(prefix).refused(7));
    refusals.below(prefix).refuse(0);
    CHECK(refusals.below(prefix).all_refused());
    CHECK(!refusals.below(layout.place(8, 0)).refused(7));
    refusals.forget();
  }
}

}  // namespace
}  // namespace puresid
