// Exhaustive candidate matching: the candidates of one item, cheapest first, lazily.
//
// Candidates are all tuples of the k_l nearest tokens of each level, ranked by their distances to the
// residual on the item's greedy path. Cost = sum over levels of ||r_l - c_l||: float32 norms, not below
// those of nearer ranks (rounding could put them there), added in float64 in level order. Ascending;
// equal costs in lexicographic order of the rank tuple (rank 0 = nearest).
//
// The queue is the multi-sequence algorithm (Babenko & Lempitsky, CVPR 2012) over the prefixes of all
// levels but the last, without a visited set: a prefix is pushed by the one parent that has its last
// non-zero rank lowered by one. It enters with the cost of its nearest leaf, a lower bound, and again
// with the cost of its nearest leaf that has not refused; leaves known to be gone cost a bit test, and
// an item all of whose leaves are known to be gone needs no distances at all.
// Cost: O(L log n) for the n-th prefix; a nearest_k for each level with k_l > 1 to prepare a row, and
// the distances of its ranked tokens once a choice between prefixes has to be made.
// Thread safety: one object per thread.
#pragma once

#include <vector>

#include "puresid/distance.hpp"
#include "puresid/parallel.hpp"
#include "puresid/refusals.hpp"
#include "puresid/tier_lists.hpp"

namespace puresid {

class EcmSearch {
 public:
  // `widths` are the k_l of a tier, each in [1, K_l]. Room for `max_rows` rows at a time.
  EcmSearch(const PackedCodebooks& codebooks, const std::vector<std::size_t>& widths, std::size_t max_rows);

  // Ranks the tokens of `n_rows` vectors (C order) whose greedy SIDs are `nearest`.
  void prepare(const float* vectors, const SidKey* nearest, std::size_t n_rows);
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

  [[nodiscard]] std::size_t last() const noexcept { return lists_.levels() - 1; }
  [[nodiscard]] SidKey prefix(std::uint64_t ranks) const;
  [[nodiscard]] bool find_leaf(std::uint64_t& ranks, std::size_t from, Refusals& refusals) const;
  [[nodiscard]] bool next_under_one_prefix(Refusals& refusals);
  [[nodiscard]] bool next_in_queue(Refusals& refusals, Worker& worker);
  [[nodiscard]] bool any_leaf(Refusals& refusals) const;
  [[nodiscard]] bool next_prefix(std::uint64_t& ranks) const;
  void measure();
  void push(std::uint64_t ranks, bool is_leaf);
  void push_children(std::uint64_t ranks);

  const PackedCodebooks& codebooks_;
  TierLists lists_;
  SidLayout ranks_;
  std::uint64_t n_prefixes_ = 1;
  std::size_t row_ = 0;
  std::vector<float> vectors_;             // [row][dim]
  std::vector<SidKey> nearest_;            // [row]
  AlignedBuffer<float> residuals_;         // [row][dim]
  AlignedBuffer<float> path_;              // the row's residual while it is measured
  std::vector<std::vector<float>> norms_;  // [level][rank], of the row in hand
  std::vector<Entry> queue_;
  std::uint64_t given_ = 0;  // ranks of the candidate given last
  bool fresh_ = true;        // none has been given since start()
};

}  // namespace puresid
