#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "puresid/nearest_search.hpp"
#include "puresid/shortlists.hpp"
#include "search_cases.hpp"

namespace puresid {
namespace {

using testing::Case;
using testing::Random;
using Note = Shortlists::Note;
using Widths = std::vector<std::size_t>;

// Notes of one level, in the place that Writer::add() expects.
void put(std::vector<Note>& notes, std::size_t level, const std::vector<std::vector<Note>>& groups) {
  Note* counts = notes.data() + level * Shortlists::kLevelNotes;
  Note* tokens = counts + groups.size();
  Note total = 0;
  for (std::size_t w = 0; w < groups.size(); ++w) {
    tokens = std::copy(groups[w].begin(), groups[w].end(), tokens);
    counts[w] = total = static_cast<Note>(total + groups[w].size());
  }
}

// Two levels of 4 and 70 tokens, tiers (1, 2) and (2, 3); the notes of an item whose greedy SID is (3, .).
struct Noted {
  Noted() : shortlists(layout, {{1, 2}, {2, 3}}, 10), notes(2 * Shortlists::kLevelNotes) {
    put(notes, 0, {{1, 3}});
    put(notes, 1, {{0, 65}, {69}});
    Shortlists::Writer(&shortlists).add(7, notes.data(), Shortlists::kLevelNotes);
  }
  [[nodiscard]] SidKey key(Token first, Token last) const { return layout.place(first, 0) | layout.place(last, 1); }
  void refuse(Token first, Token last) { refusals.below(key(first, 0)).refuse(last); }
  [[nodiscard]] bool rules_out(const Widths& widths, std::size_t row = 7) {
    return shortlists.rules_out(row, key(3, 65), widths, refusals);
  }

  SidLayout layout{{4, 70}};
  Shortlists shortlists;
  std::vector<Note> notes;
  Refusals refusals{70, 1U << 16U};
};

TEST_CASE("an item is ruled out once all SIDs that its notes make up are gone, tier by tier") {
  Noted noted;
  CHECK(noted.shortlists.widths(0) == Widths{2});
  CHECK(noted.shortlists.widths(1) == Widths{2, 3});
  CHECK(!noted.rules_out({1, 2}));
  noted.refuse(3, 0);
  CHECK(!noted.rules_out({1, 2}));
  noted.refuse(3, 65);
  CHECK(noted.rules_out({1, 2}));
  CHECK(!noted.rules_out({2, 3}));
  noted.refuse(3, 69);
  for (const Token last : {0U, 65U}) noted.refuse(1, last);
  CHECK(!noted.rules_out({2, 3}));
  noted.refuse(1, 69);
  CHECK(noted.rules_out({2, 3}));
  CHECK(!noted.rules_out({2, 3}, 6));  // of whom nothing is known
}

TEST_CASE("an item of which one level is not known is not noted") {
  Noted noted;
  put(noted.notes, 0, {{}});
  Shortlists::Writer(&noted.shortlists).add(5, noted.notes.data(), Shortlists::kLevelNotes);
  for (const Token first : {1U, 3U}) {
    for (Token last = 0; last < 70; ++last) noted.refuse(first, last);
  }
  CHECK(noted.rules_out({2, 3}));
  CHECK(!noted.rules_out({2, 3}, 5));
}

TEST_CASE("there is nothing to note for large codebooks, wide lists, many widths or single candidates") {
  const auto empty = [](const std::vector<std::size_t>& sizes, const std::vector<Widths>& tiers) {
    const SidLayout layout(sizes);
    return Shortlists(layout, tiers, 100).empty();
  };
  CHECK(!empty({256, 256}, {{1, 10}, {5, 20}}));
  CHECK(empty({256, 257}, {{1, 10}, {5, 20}}));
  CHECK(empty({256, 256}, {{1, Shortlists::kMostWidth + 1}}));
  CHECK(empty({256, 256}, {{1, 2}, {1, 3}, {1, 4}, {1, 5}, {1, 6}}));
  CHECK(empty({256, 256}, {{1, 1}}));
  CHECK(empty({256, 256}, {}));
}

TEST_CASE("more items than there is room for: those that fit are noted, the others are not") {
  const SidLayout layout({256});
  const std::size_t rows = Shortlists::kMostBytes / sizeof(Note) / 40;
  Shortlists shortlists(layout, {{31}}, rows);
  std::vector<Note> tokens(60), notes(Shortlists::kLevelNotes);
  for (Note token = 0; token < 60; ++token) tokens[token] = token;
  put(notes, 0, {tokens});
  Shortlists::Writer writer(&shortlists);
  for (std::size_t row = 0; row < rows; ++row) writer.add(row, notes.data(), Shortlists::kLevelNotes);
  Refusals refusals(256, 1U << 12U);
  for (Token token = 0; token < 60; ++token) refusals.below(0).refuse(token);
  std::size_t noted = 0;
  for (std::size_t row = 0; row < rows; ++row) noted += shortlists.rules_out(row, 0, {31}, refusals) ? 1 : 0;
  CHECK(noted > rows / 2);
  CHECK(noted < rows);
  CHECK(shortlists.rules_out(0, 0, {31}, refusals));
}

// What is listed for each k has the twin's k nearest among it.
void check_listed(const Case& c, const std::string& name) {
  CAPTURE(name);
  CAPTURE(c.size);
  CAPTURE(c.dim);
  if (c.size > Shortlists::kMostSize) return;
  std::vector<float> scores;
  const std::vector<Token> expected = c.expected(&scores);
  Widths widths = {2, 5, 20, 31};
  std::erase_if(widths, [&](std::size_t k) { return k > c.size; });
  for (const Simd simd : available_simd()) {
    const PackedCodebook packed(c.codebook(), simd);
    const NearestSearch search({&packed}, std::size_t{1} << 20U);
    NearestSearch::Scratch scratch(search);
    std::vector<Token> tokens(c.n_rows);
    std::vector<Note> notes(kMaxBlockRows * Shortlists::kLevelNotes);
    const std::size_t n_rows = std::min(c.n_rows, kMaxBlockRows);
    search.nearest(0, c.rows.data(), n_rows, tokens.data(), scratch, widths, notes.data());
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < n_rows; ++i) {
      wrong += tokens[i] != expected[i];
      const Note* counts = notes.data() + i * Shortlists::kLevelNotes;
      std::vector<std::pair<float, Token>> ranked;
      for (Token token = 0; token < c.size; ++token) ranked.emplace_back(scores[i * c.size + token], token);
      std::sort(ranked.begin(), ranked.end());
      if (!widths.empty() && counts[widths.size() - 1] == 0) continue;  // not known
      for (std::size_t w = 0; w < widths.size(); ++w) {
        const std::set<Token> listed(counts + widths.size(), counts + widths.size() + counts[w]);
        wrong += listed.size() != counts[w];
        for (std::size_t rank = 0; rank < widths[w]; ++rank) wrong += !listed.contains(ranked[rank].second);
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("shortlists hold the nearest at every shape, magnitude and distance") { testing::scaled_cases(check_listed); }
TEST_CASE("shortlists of ties, twins among codewords, rows on codewords and rows of zeros") {
  testing::tied_cases(check_listed);
}
TEST_CASE("shortlists beside a huge coordinate, dimension or codeword, norms of all sizes, sums that cancel") {
  testing::uneven_cases(check_listed);
}

TEST_CASE("shortlists are short") {
  const Case c = testing::clustered(256, 256, 48);
  const Widths widths = {10, 20};
  for (const Simd simd : testing::with_pruning()) {
    const PackedCodebook packed(c.codebook(), simd);
    const NearestSearch search({&packed}, std::size_t{1} << 20U);
    NearestSearch::Scratch scratch(search);
    Token tokens[kMaxBlockRows];
    std::vector<Note> notes(kMaxBlockRows * Shortlists::kLevelNotes);
    search.nearest(0, c.rows.data(), c.n_rows, tokens, scratch, widths, notes.data());
    std::size_t first = 0, second = 0;
    for (std::size_t i = 0; i < c.n_rows; ++i) {
      first += notes[i * Shortlists::kLevelNotes];
      second += notes[i * Shortlists::kLevelNotes + 1];
    }
    CHECK(first < c.n_rows * 25);   // by bounds alone
    CHECK(second < c.n_rows * 27);  // by scores, but for the first
    CHECK(first > 0);
  }
}

// Far more items than places near them, of enough dimensions for notes to be taken.
reference::Input crowded(Random& random, std::size_t rows, Space space) {
  constexpr std::size_t kDim = 384, kSize = 64;
  const std::size_t level_dim = space.kind == SpaceKind::product ? kDim / 2 : kDim;
  reference::Input input;
  input.space = space;
  for (int level = 0; level < 2; ++level) {
    input.levels.push_back(testing::random_vectors(random, testing::Values::gaussian, kSize, level_dim));
  }
  const auto centres = testing::random_vectors(random, testing::Values::gaussian, 40, kDim);
  for (std::size_t row = 0; row < rows; ++row) {
    reference::Vector vector = centres[random.between(0, 39)];
    for (float& value : vector) value += 0.2F * random.gaussian();
    input.vectors.push_back(std::move(vector));
  }
  return input;
}

// The same SIDs as without an instruction set that prunes, from any number of threads.
void check_crowded(const reference::Input& input) {
  Execution execution;
  execution.simd = Simd::scalar;
  const auto expected = testing::run_core(input, execution);
  const auto lost = std::count_if(expected.stages.begin(), expected.stages.end(), [](int stage) { return stage != 0; });
  CHECK(8 * static_cast<std::size_t>(lost) > 7 * expected.stages.size());
  for (const Simd simd : testing::with_pruning()) {
    for (const int threads : {1, 3}) {
      execution.simd = simd;
      execution.threads = threads;
      CHECK(testing::difference(expected, testing::run_core(input, execution)) == "");
    }
  }
}

TEST_CASE("crowded catalogues get the same SIDs with notes and without, in every space with lists of its own") {
  Random random(1);
  for (const Space space : {Space{}, Space{SpaceKind::residual, Scaling::kept}, Space{SpaceKind::product}}) {
    reference::Input input = crowded(random, 2400, space);
    input.tiers = {{1, 10}, {5, 20}};
    check_crowded(input);
    input.method = reference::Method::rrs;
    check_crowded(input);
  }
}

TEST_CASE("crowded catalogues of other tiers, taken SIDs and priorities") {
  Random random(2);
  reference::Input input = crowded(random, 2400, {});
  input.tiers = {{1, 3}, {1, 31}, {2, 30}};
  input.priority.resize(input.vectors.size());
  for (double& value : input.priority) value = static_cast<double>(random.between(0, 9));
  for (int i = 0; i < 300; ++i) input.taken.push_back(testing::random_sid(random, {input.levels, {}}));
  check_crowded(input);
}

}  // namespace
}  // namespace puresid
