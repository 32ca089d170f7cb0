// Exhaustive candidate matching: the candidates of one item, cheapest first, lazily.
//
// Candidates are all tuples of the k_l nearest tokens of each level, ranked by their distances to the
// residual on the item's greedy path. Cost = sum over levels of ||r_l - c_l||: float32 norms, not below
// those of nearer ranks (rounding could put them there), added in float64 in level order. Ascending;
// equal costs in lexicographic order of the rank tuple (rank 0 = nearest).
//
// Where the prefixes of all levels but the last are few, as with the default tiers, the next candidate is the least of
// what each prefix has to give; what it costs at least, with its nearest leaf, is known before its leaves are looked
// at. Otherwise there is a queue: the multi-sequence algorithm (Babenko & Lempitsky, CVPR 2012) over the prefixes of
// all levels but the last, without a visited set: a prefix is pushed by the one parent that has its last non-zero rank
// lowered by one. It enters with the cost of its nearest leaf, a lower bound, and again with the cost of its nearest
// leaf that has not refused; leaves known to be gone cost a bit test, and an item all of whose leaves are known to be
// gone needs no distances at all. The kMostPrefixes cheapest prefixes are looked below at most. Cost: the greedy path's
// scores, made together for a block of rows; O(L log n) for the n-th prefix, and the distances of the ranked tokens
// once a choice between prefixes has to be made. For residual and product spaces; in the latter lists do not depend on
// the path at all. For trees see tree_ecm.hpp. Thread safety: one object per thread.
#pragma once

#include <optional>
#include <vector>

#include "puresid/codeword_products.hpp"
#include "puresid/leaf_walk.hpp"
#include "puresid/parallel.hpp"
#include "puresid/tier_lists.hpp"
#include "puresid/tier_scores.hpp"

namespace puresid {

class EcmSearch {
 public:
  // `widths` are the k_l of a tier, each in [1, K_l]. Room for `max_rows` rows at a time.
  EcmSearch(const PackedCodebooks& codebooks, const CodewordProducts& products, const std::vector<std::size_t>& widths,
            std::size_t max_rows);

  // Ranks the tokens of `n_rows` vectors (C order) whose greedy SIDs are `nearest`. The vectors must stay.
  void prepare(const float* vectors, const SidKey* nearest, std::size_t n_rows);
  // Before start(row), at most kRowsAhead rows before it and in order: finds its first candidate, whose memory can then
  // be fetched. In between items of better ranks may be served, none of worse ones.
  [[nodiscard]] std::optional<SidKey> foresee(std::size_t row, Refusals& refusals, Worker& worker);
  // Turns to prepared row `row`; next() then gives its candidates until it answers false.
  void start(std::size_t row);
  // Passes over leaves that `refusals` knows to be gone. Polls `worker` where that takes long.
  [[nodiscard]] bool next(SidKey& key, Refusals& refusals, Worker& worker);

 private:
  struct Entry {
    double cost;
    std::uint64_t ranks;  // packed, so that they compare lexicographically
    bool is_leaf;         // a candidate; otherwise a prefix that has not been opened
  };
  struct Later;
  // Where the search of a row stands, if there is more than one prefix.
  struct Walk {
    std::vector<std::vector<float>> norms;  // [level][rank]
    SidKey key = 0;                         // the candidate found last
    bool foreseen = false;                  // which is still to be given
    bool done = true;                       // after the last
    // Where prefixes are few, by their number:
    std::vector<double> bases;        // cost of the prefix
    std::vector<double> costs;        // of its next candidate, or less; infinite where there is none, and at the end
    std::vector<double> least;        // of each kGroup costs
    std::vector<std::size_t> leaves;  // that candidate's last rank; kUnknown where it has not been looked for
    std::size_t number = 0;           // the prefix of `key`
    // Where they are many:
    std::vector<Entry> queue;
    std::uint64_t given = 0;   // ranks of `key`
    std::size_t prefixes = 0;  // opened so far
  };
  static constexpr std::size_t kUnknown = ~std::size_t{0}, kGroup = 16;

  [[nodiscard]] std::size_t last() const noexcept { return lists_.levels() - 1; }
  [[nodiscard]] std::size_t words() const noexcept { return (codebooks_[last()].size() + 63) / 64; }
  // Few enough to look through all of them before distances are computed.
  [[nodiscard]] bool few_prefixes() const noexcept { return n_prefixes_ <= 128; }
  void list_prefixes(std::size_t row);
  [[nodiscard]] Walk& walk(std::size_t row) noexcept { return walks_[row % walks_.size()]; }
  void prefetch(std::size_t row, const Refusals& refusals) const;
  [[nodiscard]] bool is_open(std::size_t row, const Refusals::Leaves& leaves) const;
  [[nodiscard]] std::size_t next_leaf(std::size_t row, std::size_t from, const Refusals::Leaves& leaves) const;
  void measure(std::size_t row);
  [[nodiscard]] SidKey leaf(std::size_t row, SidKey prefix, std::size_t rank) const;

  [[nodiscard]] bool any_open_prefix(std::size_t row, Refusals& refusals);
  void add_up_costs(Walk& walk, std::size_t first) const;
  static void compare_costs(Walk& walk, std::size_t group);
  void find_leaf(std::size_t row, std::size_t number, std::size_t from, Refusals& refusals);
  [[nodiscard]] bool find_least(std::size_t row, Refusals& refusals);

  [[nodiscard]] SidKey prefix(std::size_t row, std::uint64_t ranks) const;
  [[nodiscard]] bool raise_to_leaf(std::size_t row, std::uint64_t& ranks, std::size_t from, Refusals& refusals) const;
  void push(Walk& walk, std::uint64_t ranks, bool is_leaf) const;
  void push_children(Walk& walk, std::uint64_t ranks) const;
  [[nodiscard]] bool pop(std::size_t row, Refusals& refusals, Worker& worker);

  const PackedCodebooks& codebooks_;
  TierScores scores_;
  TierLists lists_;
  LeafWalk leaves_;  // where there is one prefix
  SidLayout ranks_;
  std::uint64_t n_prefixes_ = 1;
  std::size_t row_ = 0, n_rows_ = 0;
  const float* vectors_ = nullptr;        // [row][dim]
  std::vector<SidKey> nearest_;           // [row]
  std::vector<Token> guesses_;            // [row]: where there is one prefix, its first leaf
  std::vector<std::uint64_t> leaf_bits_;  // [row][word]: the last level's list as a bit per token
  std::vector<SidKey> prefixes_of_;       // [row][number], where they are few: all in the order of their ranks
  AlignedBuffer<float> path_, room_;      // the row's residual while it is measured
  std::vector<Walk> walks_;               // of the rows at hand and those ahead of them
};

}  // namespace puresid
