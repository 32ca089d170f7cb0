// Recursive residual searching: the residual walk that steps back.
//
// Depth first: at each node the k_l nearest tokens to the residual of the path taken, nearest first;
// candidates are the leaves in the order in which the walk meets them. Leaves that have refused are
// passed over, and a node with nothing but such leaves is not entered.
// Cost: a nearest_k of one row for each node entered. The first path of all prepared rows is walked
// together, and a node's next few siblings are ranked with it: rows that share a pass over the codebook.
// Thread safety: one object per thread.
#pragma once

#include <vector>

#include "puresid/distance.hpp"
#include "puresid/parallel.hpp"
#include "puresid/refusals.hpp"
#include "puresid/tier_lists.hpp"

namespace puresid {

class RrsSearch {
 public:
  // As EcmSearch: same calls, same meaning.
  RrsSearch(const PackedCodebooks& codebooks, const std::vector<std::size_t>& widths, std::size_t max_rows);
  void prepare(const float* vectors, const SidKey* nearest, std::size_t n_rows);
  void start(std::size_t row);
  [[nodiscard]] bool next(SidKey& key, Refusals& refusals, Worker& worker);

 private:
  [[nodiscard]] std::size_t last() const noexcept { return lists_.levels() - 1; }
  [[nodiscard]] Token current(std::size_t level) const { return lists_.list(level, row_)[ranks_[level]]; }
  [[nodiscard]] bool step_back(std::size_t level);
  void list_tokens(std::size_t level);
  void list_siblings(std::size_t level);

  // Nodes of one parent that have been ranked together: residuals and lists of its children by the
  // ranks [first, first + count).
  struct Siblings {
    std::size_t first = 0, count = 0;
    AlignedBuffer<float> residuals;
    std::vector<Token> tokens;
  };

  const PackedCodebooks& codebooks_;
  TierLists lists_;
  std::size_t row_ = 0;
  std::vector<float> vectors_;      // [row][dim]
  AlignedBuffer<float> residuals_;  // the first path of the block: [row][dim]
  AlignedBuffer<float> path_;       // the row's walk: residual before each level, [level][dim]
  std::vector<Siblings> siblings_;  // by level
  std::vector<std::size_t> ranks_;  // where the walk stands in each level's list
  std::size_t n_listed_ = 0;        // levels whose list is that of the path taken
  std::size_t n_residuals_ = 0;     // levels whose residual is
  bool done_ = true;
};

}  // namespace puresid
