// ECM in a tree: the candidates of one item, cheapest first, lazily.
//
// Candidates are the tuples whose token at each level is among the k_l nearest below the tokens before it. Cost = sum
// over levels of ||x - c_l||: float32 norms, not below those of nearer siblings, added in float64 in level order.
// Ascending; equal costs in lexicographic order of the rank tuple.
//
// Best first: a queue of tokens, each below a prefix that has been opened, by cost. Whoever leaves it lets its next
// sibling in and, unless it is a leaf, its nearest child. The kMostPrefixes cheapest prefixes of all levels but the
// last are opened at most; one all of whose leaves are known to be gone is not ranked.
// Cost: O(K_l * D) for each prefix opened, the greedy path's made together for a block of rows.
// Thread safety: one object per thread.
#pragma once

#include <optional>
#include <vector>

#include "puresid/codeword_products.hpp"
#include "puresid/parallel.hpp"
#include "puresid/refusals.hpp"
#include "puresid/tier_lists.hpp"
#include "puresid/tier_scores.hpp"

namespace puresid {

class TreeEcmSearch {
 public:
  // As EcmSearch: same calls, same meaning.
  TreeEcmSearch(const PackedCodebooks& codebooks, const CodewordProducts& products,
                const std::vector<std::size_t>& widths, std::size_t max_rows);
  void prepare(const float* vectors, const SidKey* nearest, std::size_t n_rows);
  [[nodiscard]] std::optional<SidKey> foresee(std::size_t row, Refusals& refusals, Worker& worker) const;
  void start(std::size_t row);
  [[nodiscard]] bool next(SidKey& key, Refusals& refusals, Worker& worker);

 private:
  // A prefix whose children have been ranked.
  struct Node {
    SidKey path;
    std::size_t level;  // of its children
    double cost;
    std::uint64_t ranks;
    std::size_t first;  // its children's place in tokens_ and norms_
  };
  struct Entry {
    double cost;
    std::uint64_t ranks;  // packed, so that they compare lexicographically
    std::size_t node, rank;
  };
  struct Later;

  [[nodiscard]] std::size_t last() const noexcept { return widths_.size() - 1; }
  [[nodiscard]] bool opens(SidKey path, std::size_t level, Refusals& refusals, Worker& worker);
  void open(SidKey path, std::size_t level, double cost, std::uint64_t ranks);
  void push(std::size_t node, std::size_t rank);

  const PackedCodebooks& codebooks_;
  std::vector<std::size_t> widths_;
  SidLayout ranks_;
  TierScores scores_;
  std::vector<AlignedBuffer<float>> below_;  // by level: scores below another prefix than the greedy one
  std::size_t row_ = 0;
  const float* vectors_ = nullptr;  // [row][dim]
  std::vector<SidKey> nearest_;     // [row]
  std::vector<Node> nodes_;
  std::vector<Token> tokens_;
  std::vector<float> norms_;
  std::vector<Entry> queue_;
  std::size_t prefixes_ = 0;
  bool fresh_ = true;
};

}  // namespace puresid
