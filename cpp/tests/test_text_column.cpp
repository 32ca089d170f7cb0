#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

#include "puresid/hashing.hpp"
#include "puresid/text_column.hpp"
#include "random.hpp"

namespace puresid {
namespace {

using testing::Random;

struct Texts {
  std::vector<std::uint8_t> bytes;
  std::vector<std::int64_t> offsets = {0};

  explicit Texts(const std::vector<std::string>& texts) {
    for (const std::string& text : texts) {
      bytes.insert(bytes.end(), text.begin(), text.end());
      offsets.push_back(static_cast<std::int64_t>(bytes.size()));
    }
  }
  [[nodiscard]] TextColumn view() const { return {bytes, offsets}; }
};

std::vector<std::string> random_texts(Random& random, std::size_t count) {
  std::vector<std::string> texts(count);
  for (std::string& text : texts) text = std::string(random.between(0, 3), random.one_in(2) ? 'a' : 'b');
  return texts;
}

TEST_CASE("hashing, comparing and taking are those of the texts one by one, whatever the threads") {
  for (std::size_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const std::vector<std::string> texts = random_texts(random, random.between(1, 9000));
    const std::vector<std::string> others = random_texts(random, random.between(1, 50));
    const Texts a(texts), b(others);
    std::vector<std::int64_t> rows, other_rows;
    for (std::size_t i = random.between(0, 9000); i > 0; --i) {
      rows.push_back(static_cast<std::int64_t>(random.between(0, texts.size() - 1)));
      other_rows.push_back(static_cast<std::int64_t>(random.between(0, others.size() - 1)));
    }
    Execution execution;
    execution.threads = seed % 2 == 0 ? 1 : 3;
    std::vector<std::uint64_t> hashes(texts.size());
    hash_texts(a.view(), hashes, execution);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      REQUIRE(hashes[i] == hash_bytes({reinterpret_cast<const std::uint8_t*>(texts[i].data()), texts[i].size()}));
    }
    std::vector<std::uint8_t> same(rows.size());
    equal_texts(a.view(), rows, b.view(), other_rows, same, execution);
    std::vector<std::string> taken;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      taken.push_back(texts[static_cast<std::size_t>(rows[i])]);
      REQUIRE((same[i] == 1) == (taken.back() == others[static_cast<std::size_t>(other_rows[i])]));
    }
    const Texts expected(taken);
    std::vector<std::int64_t> offsets(rows.size() + 1);
    offsets_of(a.view(), rows, offsets);
    CHECK(offsets == expected.offsets);
    std::vector<std::uint8_t> bytes(expected.bytes.size());
    copy_texts(a.view(), rows, offsets, bytes, execution);
    CHECK(bytes == expected.bytes);
  }
}

TEST_CASE("rows that are not there are refused") {
  const Texts texts({"a", "b"});
  CHECK_THROWS_WITH_AS(static_cast<void>(texts.view().text(2)), "row 2 of 2 texts", std::out_of_range);
  CHECK_THROWS_WITH_AS(static_cast<void>(texts.view().text(-1)), "row -1 of 2 texts", std::out_of_range);
}

TEST_CASE("offsets of a damaged file are refused where they are used") {
  const std::vector<std::uint8_t> bytes = {1, 2, 3};
  std::vector<std::uint64_t> out(1);
  for (const auto& [begin, end] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{2, 1},
                                                          {0, 4},
                                                          {-1, 2},
                                                          {4, 4},
                                                          {0, std::numeric_limits<std::int64_t>::max()},
                                                          {std::numeric_limits<std::int64_t>::min(), 1}}) {
    const std::vector<std::int64_t> offsets = {begin, end};
    CHECK_THROWS_WITH_AS(hash_texts({bytes, offsets}, out, {}), doctest::Contains("of 3 bytes"), std::out_of_range);
  }
  CHECK_THROWS_WITH_AS(TextColumn(bytes, {}), "offsets is empty; one more than texts is needed", std::invalid_argument);
}

TEST_CASE("sizes that do not fit are refused") {
  const Texts texts({"abc", "b"});
  const std::vector<std::int64_t> rows = {0, 1}, one = {0}, wrong = {0, 1, 4};
  std::vector<std::uint64_t> hashes(1);
  std::vector<std::uint8_t> same(2), bytes(4);
  std::vector<std::int64_t> offsets(2);
  CHECK_THROWS_WITH_AS(hash_texts(texts.view(), hashes, {}), "out has 1 values; 2 are needed", std::invalid_argument);
  CHECK_THROWS_WITH_AS(equal_texts(texts.view(), rows, texts.view(), one, same, {}),
                       "b_rows has 1 values; 2 are needed", std::invalid_argument);
  CHECK_THROWS_WITH_AS(offsets_of(texts.view(), rows, offsets), "out has 2 values; 3 are needed",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(copy_texts(texts.view(), rows, offsets, bytes, {}), "offsets has 2 values; 3 are needed",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(copy_texts(texts.view(), rows, wrong, bytes, {}), "a text's place has 1 values; 3 are needed",
                       std::invalid_argument);
}

}  // namespace
}  // namespace puresid
