// The SIDs that lie closest to a vector, all over the space: what method "optimal" chooses from.
//
// Order: by squared distortion, computed from x - c in float32 as it is reported, equal ones in lexicographic order.
// The search goes down level by level and keeps `width` partial SIDs after each level but the last two, those that
// cost least: half the squared distance to the vector, less what all SIDs share. Below those it looks for the last
// two tokens, and nowhere that the closest SIDs found so far rule out: all that lies below a partial SID costs at least
//   its own cost + sum over the deeper levels m of min over c of (s_m(c) + sum over m' > m of min over c' of c . c'),
// in which s_m(c) = ||c||^2 / 2 - r . c for the residual r after it, and the second sum comes from a table (in a
// product space it is not there). So what a search finds is the closest there is below the partial SIDs that it kept,
// and `floor` says below which distortion nothing can lie elsewhere, but for the rounding of scores.
// In a tree a token says nothing about those below it: partial SIDs are kept after each level but the last by their own
// distance, and where one is left out nothing can be promised.
// Cost: the scores of all levels, made together for a block of rows; O((L - l) * K) for each partial SID kept after
// level l and for each pair of last tokens not ruled out, in a tree O(K * D); O(L * D) for each SID listed. For spaces
// whose residuals are not scaled.
// Thread safety: one object per thread; DeeperLeast is shared.
#pragma once

#include <limits>
#include <vector>

#include "puresid/codeword_products.hpp"
#include "puresid/parallel.hpp"

namespace puresid {

struct ClosestSid {
  SidKey key;
  float distortion;
};

// By level and token c: the sum over the deeper levels of the least product of c with one of their codewords; of()
// has it negated, as products are.
class DeeperLeast {
 public:
  DeeperLeast(const PackedCodebooks& codebooks, const CodewordProducts& products, const Execution& execution);
  [[nodiscard]] const float* of(std::size_t level) const { return sums_[level].data(); }
  [[nodiscard]] const float* as_they_are(std::size_t level) const { return as_they_are_[level].data(); }

 private:
  std::vector<AlignedBuffer<float>> sums_, as_they_are_;  // none in spaces that are not additive
};

class ClosestSids {
 public:
  static constexpr std::size_t kMostRows = kMaxBlockRows;

  // All must outlive it.
  ClosestSids(const PackedCodebooks& codebooks, const CodewordProducts& products, const DeeperLeast& deeper);

  // Turns to a block of at most kMostRows vectors, dim() apart, which must stay.
  void prepare(const float* vectors, std::size_t n_rows);

  struct Found {
    // Closest first. Valid until the next call.
    const std::vector<ClosestSid>* sids = nullptr;
    // A larger k finds no SID below this distortion with the same width; infinite where it finds none at all.
    float horizon = std::numeric_limits<float>::infinity();
    // No SID but those listed has a distortion below this, whatever the width; 0 where nothing can be said.
    float floor = std::numeric_limits<float>::infinity();
  };
  // The k SIDs closest to row `row` of the block of those that `width` partial SIDs a level lead to and whose squared
  // distortion is at most `most`. The search begins at `near`, any SID: the nearer, the shorter it is.
  [[nodiscard]] Found find(std::size_t row, std::size_t k, std::size_t width, SidKey near, float most, Worker& worker);

 private:
  static constexpr std::size_t kMostLeast = 32;  // that PackedCodebook::least_k() finds
  static constexpr std::size_t kTogether = 16;   // rows of products that are looked through in one go
  struct Partial {
    double cost, bound;  // halves of squared distances, less what all SIDs share
    SidKey key;
    friend bool operator<(const Partial& a, const Partial& b) noexcept {
      return a.cost < b.cost || (a.cost == b.cost && a.key < b.key);
    }
  };
  struct Scores {
    const float* of;
    double least;
  };

  [[nodiscard]] std::size_t last() const noexcept { return codebooks_.levels() - 1; }
  [[nodiscard]] bool bounded() const noexcept { return codebooks_.space().one_codebook_a_level(); }
  [[nodiscard]] double score(const Scores& scores, std::size_t level, Token token) const;
  Scores scores_below(std::size_t level, std::size_t depth, SidKey path, float* to);
  const float* const* products_of(std::size_t from, const Token* tokens, std::size_t count, std::size_t to);
  void begin_at(SidKey near);
  void expand(const Partial& prefix, std::size_t level, std::size_t width);
  void keep_partials(std::size_t width);
  void tighten();
  [[nodiscard]] const float* costs(const Scores& scores, std::size_t level);
  std::size_t choose_pairs(const Scores& scores, double before, std::size_t width);
  void take_pairs(const Partial& prefix, std::size_t width);
  void take_leaves(const float* scores, double before, SidKey prefix);
  void keep_leaves();
  void search(std::size_t width, Worker& worker);
  void measure();

  const PackedCodebooks& codebooks_;
  const CodewordProducts& products_;
  const DeeperLeast& deeper_;
  const float* vectors_ = nullptr;
  std::vector<AlignedBuffer<float>> bases_;         // by level: scores of whole vectors, and what DeeperLeast adds
  std::vector<AlignedBuffer<float>> product_room_;  // by level
  std::vector<const float*> terms_;
  AlignedBuffer<float> moved_, beside_, leaves_, values_, pair_values_, products_room_, residuals_, seen_;
  std::vector<Token> tokens_, pair_tokens_;
  std::vector<double> least_;  // [level][row] of bases_
  std::vector<Partial> kept_, next_, found_;
  std::vector<ClosestSid> sids_;
  std::size_t row_ = 0, k_ = 0;
  double highest_ = 0;  // what is above it is not wanted
  double dearest_ = 0;  // partial SIDs that cost more are not kept
  double dropped_ = 0;  // the least bound of what the width left out
};

}  // namespace puresid
