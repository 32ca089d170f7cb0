// Recursive residual searching: the residual walk that steps back.
//
// Depth first: at each node the k_l nearest tokens to the residual of the path taken, nearest first;
// candidates are the leaves in the order in which the walk meets them, below the first kMostPrefixes
// prefixes at most. Leaves that have refused are passed over; a prefix all of whose leaves are known to
// be gone is not ranked at all.
// In an additive space the scores of a path are those of the greedy path plus what its other codewords change in
// them: level by level, s + ((-g.c) - (-p.c)) where the path takes p and the greedy one g (codeword_products.hpp). In
// a product space nothing changes; in trees, and where residuals are scaled, the path is gone down afresh.
// Cost: the greedy path's scores, made together for a block of rows; O(K_l * L) for each node ranked, or
// O(K_l * D).
// Thread safety: one object per thread.
#pragma once

#include <optional>
#include <vector>

#include "puresid/codeword_products.hpp"
#include "puresid/leaf_walk.hpp"
#include "puresid/parallel.hpp"
#include "puresid/tier_lists.hpp"
#include "puresid/tier_scores.hpp"

namespace puresid {

class RrsSearch {
 public:
  // As EcmSearch: same calls, same meaning.
  RrsSearch(const PackedCodebooks& codebooks, const CodewordProducts& products, const std::vector<std::size_t>& widths,
            std::size_t max_rows);
  void prepare(const float* vectors, const SidKey* nearest, std::size_t n_rows);
  [[nodiscard]] std::optional<SidKey> foresee(std::size_t row, Refusals& refusals, Worker& worker);
  void start(std::size_t row);
  [[nodiscard]] bool next(SidKey& key, Refusals& refusals, Worker& worker);

 private:
  // Where the search of a row stands.
  struct Walk {
    Walk(const PackedCodebooks& codebooks, const std::vector<std::size_t>& widths);

    std::size_t row = 0;
    TierLists lists;                          // of the path taken
    LeafWalk leaves;                          // below `prefix`, once that has been entered
    std::vector<AlignedBuffer<float>> moved;  // by level: scores of a path that has left the greedy one
    // The last level's scores as the tokens of the path's first levels move them, by the last of these, in a buffer
    // each; up to `steps` levels they are those of the path taken.
    std::vector<AlignedBuffer<float>> rooms;
    std::vector<const float*> steps_to;
    std::size_t steps = 0;
    std::vector<Token> path;           // by level but the last
    std::vector<std::size_t> ranks;    // likewise: where it stands in the level's list
    std::vector<std::uint8_t> listed;  // likewise: whether that list has been made
    SidKey prefix = 0;
    std::size_t prefixes = 0;  // met so far
    SidKey key = 0;            // the candidate found last
    bool foreseen = false;     // which is still to be given
    bool entered = false;
    bool done = true;
  };

  // What a token taken instead of the greedy one adds to another level's scores: plus - minus.
  struct Change {
    const float *plus, *minus;
  };

  [[nodiscard]] std::size_t last() const noexcept { return codebooks_.levels() - 1; }
  [[nodiscard]] Walk& walk(std::size_t row) noexcept { return walks_[row % walks_.size()]; }
  [[nodiscard]] Token greedy(const Walk& walk, std::size_t level) const {
    return codebooks_.layout().token(nearest_[walk.row], level);
  }
  [[nodiscard]] bool on_greedy_path(const Walk& walk, std::size_t level) const;
  [[nodiscard]] bool depends_on_path() const noexcept {
    return !codebooks_.space().additive() && codebooks_.space().kind != SpaceKind::product;
  }
  void begin(Walk& walk, std::size_t row, Refusals& refusals) const;
  [[nodiscard]] bool leaves_greedy(const Walk& walk, std::size_t level) const {
    return codebooks_.space().additive() && walk.path[level] != greedy(walk, level);
  }
  [[nodiscard]] Change change(const Walk& walk, std::size_t at, std::size_t level);
  [[nodiscard]] const float* scores(Walk& walk, std::size_t level);
  [[nodiscard]] const float* moved_but_once(Walk& walk);
  void score_afresh(const Walk& walk, std::size_t level, float* to);
  void list(Walk& walk, std::size_t level, Refusals& refusals);
  [[nodiscard]] bool step_back(Walk& walk, Refusals& refusals);
  [[nodiscard]] bool enter(Walk& walk, Refusals& refusals);
  [[nodiscard]] bool advance(Walk& walk, Refusals& refusals, Worker& worker);

  const PackedCodebooks& codebooks_;
  const CodewordProducts& products_;
  TierScores scores_;
  std::size_t row_ = 0;
  const float* vectors_ = nullptr;        // [row][dim]
  AlignedBuffer<float> residual_, room_;  // of the path, where it is gone down afresh
  std::vector<SidKey> nearest_;           // [row]
  AlignedBuffer<float> plus_, minus_;     // room for a row of products each
  std::vector<Walk> walks_;               // of the rows at hand and those ahead of them
};

}  // namespace puresid
