#include <doctest/doctest.h>

#include <algorithm>

#include "puresid/types.hpp"

namespace puresid {
namespace {

constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max();

// Every SID of a small space, in lexicographic order.
std::vector<std::vector<Token>> all_sids(const std::vector<std::size_t>& sizes) {
  std::vector<std::vector<Token>> sids = {{}};
  for (const std::size_t size : sizes) {
    std::vector<std::vector<Token>> longer;
    for (const std::vector<Token>& sid : sids) {
      for (Token token = 0; token < size; ++token) {
        longer.push_back(sid);
        longer.back().push_back(token);
      }
    }
    sids = longer;
  }
  return sids;
}

TEST_CASE("narrow gives back every value that fits and refuses the others with the value") {
  CHECK(narrow<std::uint8_t>(255) == 255);
  CHECK(narrow<std::int8_t>(-128) == -128);
  CHECK(narrow<std::uint64_t>(std::int64_t{7}) == 7);
  CHECK_THROWS_WITH_AS(static_cast<void>(narrow<std::uint8_t>(256)), "a value of 256 does not fit its type",
                       std::out_of_range);
  CHECK_THROWS_WITH_AS(static_cast<void>(narrow<std::uint32_t>(-1)), "a value of -1 does not fit its type",
                       std::out_of_range);
  CHECK_THROWS_AS(static_cast<void>(narrow<std::int64_t>(kMost)), std::out_of_range);
}

TEST_CASE("checked_multiply multiplies exactly or throws") {
  CHECK(checked_multiply(0, kMost) == 0);
  CHECK(checked_multiply(kMost, 0) == 0);
  CHECK(checked_multiply(kMost, 1) == kMost);
  CHECK(checked_multiply(std::size_t{1} << 32U, (std::size_t{1} << 32U) - 1) == kMost - ((std::size_t{1} << 32U) - 1));
  CHECK_THROWS_WITH_AS(static_cast<void>(checked_multiply(kMost / 2 + 1, 2)), "9223372036854775808 * 2 overflows",
                       std::length_error);
}

TEST_CASE("saturating_multiply stops at the largest value") {
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  CHECK(saturating_multiply(3, 5) == 15);
  CHECK(saturating_multiply(0, most) == 0);
  CHECK(saturating_multiply(most, 0) == 0);
  CHECK(saturating_multiply(most, 1) == most);
  CHECK(saturating_multiply(most / 2 + 1, 2) == most);
}

TEST_CASE("keys compare like tuples, and give their tokens back") {
  for (const std::vector<std::size_t>& sizes : {std::vector<std::size_t>{5},
                                                {1},
                                                {1, 1, 1},
                                                {3, 1, 4},
                                                {2, 3, 5},
                                                {1, 4, 1},
                                                {8, 8},
                                                {4, 3, 1},
                                                {9, 2, 1, 3}}) {
    const SidLayout layout(sizes);
    const auto sids = all_sids(sizes);
    CHECK(layout.levels() == sizes.size());
    CHECK(layout.capacity() == sids.size());
    for (std::size_t i = 0; i < sids.size(); ++i) {
      const SidKey key = layout.pack(sids[i].data());
      if (i > 0) CHECK(layout.pack(sids[i - 1].data()) < key);
      for (std::size_t level = 0; level < sizes.size(); ++level) CHECK(layout.token(key, level) == sids[i][level]);
    }
  }
}

TEST_CASE("two keys share a prefix exactly where their first tokens are the same") {
  const std::vector<std::size_t> sizes = {3, 1, 4, 1};
  const SidLayout layout(sizes);
  for (const auto& a : all_sids(sizes)) {
    for (const auto& b : all_sids(sizes)) {
      for (std::size_t depth = 0; depth <= sizes.size(); ++depth) {
        const bool same = std::equal(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(depth), b.begin());
        CHECK((layout.prefix(layout.pack(a.data()), depth) == layout.prefix(layout.pack(b.data()), depth)) == same);
      }
    }
  }
}

TEST_CASE("a prefix is the key with the later tokens set to 0") {
  const SidLayout layout({5, 7, 3});
  const Token tokens[] = {4, 6, 2}, first_two[] = {4, 6, 0}, first[] = {4, 0, 0};
  const SidKey key = layout.pack(tokens);
  CHECK(layout.prefix(key, 3) == key);
  CHECK(layout.prefix(key, 2) == layout.pack(first_two));
  CHECK(layout.prefix(key, 1) == layout.pack(first));
  CHECK(layout.prefix(key, 0) == 0);
}

TEST_CASE("a space of exactly 64 bits fits, its last key being 2^64 - 1") {
  const SidLayout layout({65536, 65536, 65536, 65536});
  const Token last[] = {65535, 65535, 65535, 65535};
  const SidKey key = layout.pack(last);
  CHECK(key == ~SidKey{0});
  CHECK(layout.capacity() == std::numeric_limits<std::uint64_t>::max());
  for (std::size_t level = 0; level < 4; ++level) CHECK(layout.token(key, level) == 65535);
  CHECK(layout.prefix(key, 1) == SidKey{65535} << 48U);
  CHECK(layout.prefix(key, 4) == key);
}

TEST_CASE("levels of one codeword take no bits, wherever they stand in a space of 64 bits") {
  const std::size_t big = std::size_t{1} << 32U;
  const std::vector<std::size_t> sizes = {1, big, 1, big, 1};
  const SidLayout layout(sizes);
  const Token last[] = {0, 0xFFFFFFFF, 0, 0xFFFFFFFF, 0};
  const SidKey key = layout.pack(last);
  CHECK(key == ~SidKey{0});
  for (std::size_t level = 0; level < sizes.size(); ++level) {
    CHECK(layout.bits(level) == (level % 2 == 1 ? 32 : 0));
    CHECK(layout.token(key, level) == last[level]);
    CHECK(layout.place(0, level) == 0);
  }
  CHECK(layout.prefix(key, 1) == 0);
  CHECK(layout.prefix(key, 2) == SidKey{0xFFFFFFFF} << 32U);
  CHECK(layout.prefix(key, 3) == SidKey{0xFFFFFFFF} << 32U);
  CHECK(layout.prefix(key, 5) == key);
}

TEST_CASE("a space that needs more than 64 bits is refused, although its capacity may fit") {
  CHECK_NOTHROW(SidLayout({std::size_t{1} << 32U, std::size_t{1} << 32U}));
  CHECK_THROWS_WITH_AS(SidLayout({2, std::size_t{1} << 32U, std::size_t{1} << 32U}),
                       "the codebook sizes need 65 bits a SID (the sum of ceil(log2 size) over the levels), more than "
                       "64; use fewer or smaller levels",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(SidLayout(std::vector<std::size_t>(22, 5)), doctest::Contains("need 66 bits a SID"),
                       std::invalid_argument);  // 5^22 is less than 2^64
  CHECK_NOTHROW(SidLayout(std::vector<std::size_t>(21, 5)));
}

}  // namespace
}  // namespace puresid
