#include <doctest/doctest.h>

#include <map>
#include <set>
#include <thread>
#include <vector>

#include "puresid/key_table.hpp"

namespace puresid {
namespace {

constexpr SidKey kLargest = ~SidKey{0};

std::map<SidKey, std::uint32_t> contents(const KeyTable& table) {
  std::map<SidKey, std::uint32_t> found;
  table.for_each(0, table.slots(), [&](SidKey key, std::uint32_t value) {
    CHECK(found.emplace(key, value).second);  // each key once
  });
  return found;
}

TEST_CASE("a key that was never inserted is not found, and looking for it does not insert it") {
  const KeyTable table(10);
  for (const SidKey key : {SidKey{0}, SidKey{1}, kLargest - 1, kLargest}) CHECK(table.find(key) == nullptr);
  CHECK(contents(table).empty());
}

TEST_CASE("a value starts at 0 and is kept, also for the keys 0, 2^64 - 2 and 2^64 - 1") {
  KeyTable table(4);
  std::uint32_t number = 0;
  for (const SidKey key : {SidKey{0}, SidKey{1}, kLargest - 1, kLargest}) {
    CHECK(table.at(key) == 0);
    table.at(key) = ++number;
  }
  CHECK(contents(table) == std::map<SidKey, std::uint32_t>{{0, 1}, {1, 2}, {kLargest - 1, 3}, {kLargest, 4}});
  CHECK(table.find(kLargest)->load() == 4);
  CHECK(&table.at(kLargest) == table.find(kLargest));
}

TEST_CASE("a walk in parts meets every key once") {
  KeyTable table(100);
  std::set<SidKey> expected;
  for (SidKey key = 0; key < 99; ++key) {
    static_cast<void>(table.at(key * 0x10001));
    expected.insert(key * 0x10001);
  }
  static_cast<void>(table.at(kLargest));
  expected.insert(kLargest);
  std::set<SidKey> found;
  for (std::size_t first = 0; first < table.slots(); first += 7) {
    table.for_each(first, std::min(first + 7, table.slots()),
                   [&](SidKey key, std::uint32_t) { CHECK(found.insert(key).second); });
  }
  CHECK(found == expected);
}

TEST_CASE("as many keys fit as were asked for; a full table says so and still finds what it has") {
  for (const std::size_t most : {std::size_t{0}, std::size_t{1}, std::size_t{1000}}) {
    KeyTable table(most);
    for (SidKey key = 0; key < most; ++key) table.at(key << 40U) = static_cast<std::uint32_t>(key) + 1;
    const auto fill = [&] {
      for (SidKey key = 0; key < 2 * most + 100; ++key) static_cast<void>(table.at(key + (SidKey{1} << 60U)));
    };
    CHECK_THROWS_WITH_AS(fill(), "KeyTable: more keys than it was made for", std::length_error);
    for (SidKey key = 0; key < most; ++key) CHECK(table.find(key << 40U)->load() == key + 1);
    CHECK(table.find(1) == nullptr);  // every slot is probed, and the search ends
  }
}

TEST_CASE("threads that insert the same keys at the same time share one value for each") {
  constexpr std::size_t kThreads = 4;
  constexpr SidKey kKeys = 3000;
  KeyTable table(kKeys + 1);
  const auto insert = [&](std::size_t thread) {
    for (SidKey i = 0; i <= kKeys; ++i) {
      const SidKey at = (i + thread * 701) % (kKeys + 1);  // each thread in another order
      table.at(at == kKeys ? kLargest : at << 30U).fetch_add(1, std::memory_order_relaxed);
    }
  };
  std::vector<std::thread> threads;
  for (std::size_t thread = 0; thread < kThreads; ++thread) threads.emplace_back(insert, thread);
  for (std::thread& thread : threads) thread.join();
  const auto found = contents(table);
  CHECK(found.size() == kKeys + 1);
  for (const auto& [key, value] : found) CHECK(value == kThreads);
}

}  // namespace
}  // namespace puresid
