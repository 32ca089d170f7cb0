#include <doctest/doctest.h>

#include <limits>
#include <map>
#include <set>

#include "puresid/settled.hpp"
#include "random.hpp"

namespace puresid {
namespace {

using testing::Random;

// The tokens whose bits are set below a prefix.
std::set<Token> tokens_below(const Settled& settled, const SidLayout& layout, SidKey prefix) {
  const std::size_t size = layout.size(layout.levels() - 1);
  std::vector<std::uint64_t> words((size + 63) / 64 + 1, ~std::uint64_t{0});  // one more, not to be touched
  settled.read(prefix, words.data());
  CHECK(words.back() == ~std::uint64_t{0});
  std::set<Token> tokens;
  for (std::size_t token = 0; token + 64 < 64 * words.size(); ++token) {
    if ((words[token / 64] >> token % 64 & 1) != 0) tokens.insert(static_cast<Token>(token));
  }
  CHECK((tokens.empty() || *tokens.rbegin() < size));
  return tokens;
}

SidKey random_key(Random& random, const SidLayout& layout) {
  SidKey key = 0;
  for (std::size_t level = 0; level < layout.levels(); ++level) {
    key |= layout.place(static_cast<Token>(random.between(0, layout.size(level) - 1)), level);
  }
  return key;
}

using Contents = std::map<SidKey, std::set<Token>>;

Contents fill(Settled& settled, const SidLayout& layout, std::size_t count, std::uint64_t seed) {
  Random random(seed);
  Contents contents;
  const std::size_t last = layout.levels() - 1;
  for (std::size_t i = 0; i < count; ++i) {
    const SidKey key = random_key(random, layout);
    settled.add(key);
    if (random.one_in(3)) settled.add(key);  // once more changes nothing
    contents[layout.prefix(key, last)].insert(layout.token(key, last));
  }
  settled.sort();
  return contents;
}

TEST_CASE("nothing is settled at first") {
  const SidLayout layout({4, 70});
  const Settled settled(layout);
  for (Token token = 0; token < 4; ++token) CHECK(tokens_below(settled, layout, layout.place(token, 0)).empty());
  settled.for_each_prefix([](SidKey, std::size_t) { CHECK(false); });
}

TEST_CASE("bits are those of what was added, for last levels of any size") {
  for (const std::size_t size : {1, 2, 63, 64, 65, 448, 449, 5000}) {
    for (const std::vector<std::size_t>& above : {std::vector<std::size_t>{6, 5}, {1, 1}, {3}, {2, 1, 2, 1}}) {
      CAPTURE(size);
      std::vector<std::size_t> sizes = above;
      sizes.push_back(size);
      const SidLayout layout(sizes);
      for (const std::size_t room : {Settled::kMostBytes, std::size_t{0}}) {
        Settled settled(layout, room);
        REQUIRE(settled.is_array() == (room > 0));
        Contents contents = fill(settled, layout, 400, size);
        for (const auto& [prefix, tokens] : fill(settled, layout, 200, size + 1)) {
          contents[prefix].insert(tokens.begin(), tokens.end());
        }
        const SidKey last_token = layout.place(static_cast<Token>(size - 1), layout.levels() - 1);
        for (const auto& [prefix, tokens] : contents) {
          CHECK(tokens_below(settled, layout, prefix) == tokens);
          CHECK(tokens_below(settled, layout, prefix | last_token) == tokens);  // any SID names its prefix
          settled.prefetch(prefix);
        }
        settled.for_each_prefix([&](SidKey prefix, std::size_t count) {
          CHECK(contents.at(prefix).size() == count);
          contents.erase(prefix);  // each once
        });
        CHECK(contents.empty());
      }
    }
  }
}

TEST_CASE("with one level there is one prefix") {
  const SidLayout layout({300});
  Settled settled(layout);
  std::set<Token> tokens;
  for (const Token token : {0U, 1U, 63U, 64U, 255U, 299U}) {
    settled.add(token);
    tokens.insert(token);
    CHECK(tokens_below(settled, layout, 0) == tokens);
  }
  for (Token token = 0; token < 300; ++token) settled.add(token);
  CHECK(tokens_below(settled, layout, 0).size() == 300);
}

TEST_CASE("a space is an array up to its room, to the byte, and otherwise sorted SIDs") {
  struct Case {
    std::vector<std::size_t> sizes;
    std::size_t bytes = 0;  // what it needs: prefixes as far as their keys go, whole words for leaves
  };
  for (const Case& c : std::vector<Case>{{{256, 256, 256}, 2U << 20U},
                                         {{3, 64}, 4 * 8},
                                         {{4, 65}, 4 * 16},
                                         {{5, 3, 1}, 32 * 8},
                                         {{1, 1}, 8},
                                         {{1000}, 128}}) {
    const SidLayout layout(c.sizes);
    SidKey largest = 0;
    for (std::size_t level = 0; level < c.sizes.size(); ++level) {
      largest |= layout.place(static_cast<Token>(c.sizes[level] - 1), level);
    }
    for (const std::size_t bytes : {std::size_t{0}, c.bytes - 1, c.bytes}) {
      Settled settled(layout, bytes);
      CHECK(settled.is_array() == (bytes == c.bytes));
      settled.add(largest);
      settled.add(0);
      settled.prefetch(largest);
      CHECK(tokens_below(settled, layout, largest).empty() != settled.is_array());  // SIDs are to be sorted first
      settled.sort();
      CHECK(tokens_below(settled, layout, largest).contains(layout.token(largest, layout.levels() - 1)));
      std::set<SidKey> prefixes;
      settled.for_each_prefix([&](SidKey prefix, std::size_t) { CHECK(prefixes.insert(prefix).second); });
      CHECK(prefixes == std::set<SidKey>{0, layout.prefix(largest, layout.levels() - 1)});
    }
  }
}

TEST_CASE("spaces beyond any room, up to keys of 64 bits") {
  for (const std::vector<std::size_t>& sizes : {std::vector<std::size_t>{65536, 65536, 65536, 65536},
                                                {65536, 65536, 65536, 65536, 1},
                                                {65536, 65536, 2},
                                                {65536, 65536, 1}}) {
    const SidLayout layout(sizes);
    for (const std::size_t count : {1, 2, 3000}) {
      CAPTURE(count);
      Settled settled(layout, std::numeric_limits<std::size_t>::max() / 2);
      REQUIRE(!settled.is_array());
      settled.reserve(count);
      Contents contents = fill(settled, layout, count, count);
      for (const auto& [prefix, tokens] : fill(settled, layout, count / 2, 5)) {
        contents[prefix].insert(tokens.begin(), tokens.end());
      }
      for (const auto& [prefix, tokens] : contents) {
        settled.prefetch(prefix);
        CHECK(tokens_below(settled, layout, prefix) == tokens);
      }
      for (const SidKey key : {SidKey{0}, layout.place(65535, 0), layout.place(1, 1)}) {
        const SidKey prefix = layout.prefix(key, sizes.size() - 1);
        CHECK(tokens_below(settled, layout, prefix).empty() == !contents.contains(prefix));
      }
      settled.for_each_prefix([&](SidKey prefix, std::size_t below) {
        CHECK(contents.at(prefix).size() == below);
        contents.erase(prefix);
      });
      CHECK(contents.empty());
    }
  }
}

}  // namespace
}  // namespace puresid
