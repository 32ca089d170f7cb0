// Beam search: the candidates of one item in order of their distance to its vector.
//
// Level by level the partial SIDs of the least cost are kept, widths[l] of them after level l. Candidates are the
// leaves below those kept of all levels but the last: widths[last] of them at a time, by cost, kMostGroups times at
// most, and those of a group in order of their distortion. Equal ones go in lexicographic order of their tokens.
// The cost of a partial SID is half its squared distance to the vector, less what all of them share: the scores of
// its tokens, each for the path before it (as RRS has them), added in float64 in level order; in a tree the score of
// its last token. So groups follow one another as distortions do but for the rounding of scores, and distortions,
// computed from x - c, decide within a group.
// In a product space nothing is lost by keeping few: what is kept is the least there is.
// Cost: the greedy path's scores, made together for a block of rows; O(K_l * L) for each partial SID kept before the
// last level, in a tree O(K_l * D), the last level's again where one group is not enough; O(L * D) for each leaf of a
// group that is not known to be gone. For spaces whose residuals are not scaled. Thread safety: one object per thread.
#pragma once

#include <limits>
#include <optional>
#include <vector>

#include "puresid/codeword_products.hpp"
#include "puresid/parallel.hpp"
#include "puresid/refusals.hpp"
#include "puresid/tier_scores.hpp"

namespace puresid {

class BeamSearch {
 public:
  static constexpr std::size_t kMostGroups = 16, kMostWidth = 1024;

  // As EcmSearch: same calls, same meaning, but for `widths`: that of a level is at most the number of its partial
  // SIDs.
  BeamSearch(const PackedCodebooks& codebooks, const CodewordProducts& products, const std::vector<std::size_t>& widths,
             std::size_t max_rows);
  void prepare(const float* vectors, const SidKey* nearest, std::size_t n_rows);
  [[nodiscard]] std::optional<SidKey> foresee(std::size_t row, Refusals& refusals, Worker& worker) const;
  void start(std::size_t row);
  [[nodiscard]] bool next(SidKey& key, Refusals& refusals, Worker& worker);

 private:
  struct Partial {
    double cost;
    SidKey key;  // the tokens that there are
    [[nodiscard]] bool operator<(const Partial& other) const noexcept {
      return cost < other.cost || (cost == other.cost && key < other.key);
    }
  };
  static constexpr Partial kBeforeAll = {-std::numeric_limits<double>::infinity(), 0};

  [[nodiscard]] std::size_t last() const noexcept { return widths_.size() - 1; }
  [[nodiscard]] bool any_open(Refusals& refusals) const;
  [[nodiscard]] bool is_refused(SidKey key, Refusals& refusals) const;
  [[nodiscard]] bool next_group(Refusals& refusals, Worker& worker);
  void search(Worker& worker);
  void find_leaves(Refusals& refusals, Worker& worker);
  void extend(std::size_t level, const Partial& after, std::size_t wanted, Worker& worker);
  void take(std::size_t level, const Partial& prefix, const Partial& after);
  void keep_least();
  void measure();
  [[nodiscard]] const float* scores(std::size_t level, SidKey path);

  const PackedCodebooks& codebooks_;
  const CodewordProducts& products_;
  std::vector<std::size_t> widths_;
  TierScores scores_;
  AlignedBuffer<float> moved_, plus_, minus_;  // scores below another prefix than the greedy one, and products
  AlignedBuffer<float> residuals_;             // a block of leaves, and room for one more
  std::size_t row_ = 0;
  const float* vectors_ = nullptr;  // [row][dim]
  std::vector<SidKey> nearest_;     // [row]
  std::vector<Partial> kept_;       // before the level at hand, in order
  std::vector<Partial> found_;      // of the level at hand; at the end a group of leaves
  std::size_t wanted_ = 0;          // how many of them at most
  Partial bound_ = kBeforeAll;      // none after it is wanted
  std::vector<Partial> leaves_;     // of the groups from one on, by cost
  std::size_t next_leaf_ = 0;       // the first of the group to come
  std::size_t groups_ = 0, at_ = 0;
  bool done_ = true;  // no group is left
};

}  // namespace puresid
