// The least total distortion of a whole catalogue, and a bound that tells how near it is: method "optimal".
//
// Every item gets a list of its closest SIDs (closest_sids.hpp), one long at first; items are placed one after the
// other (min_cost_matching.hpp), and lists grow where an unlisted SID could matter. Items that find no room in what
// their lists have are left for completion.
// Prices give the bound: no unique assignment over the lists has a total below `over_lists`, and none at all one below
// `over_all`, in which each item counts no more than what its search has ruled out.
// Deterministic: lists are made in parallel, each for itself; places are given in rank order by one thread.
// Cost: a search for each vector, or for those in conflict only, and again where a list grows; then some looks at SIDs
// for each item, with stated bounds on one and on all: first the gap is spent, and when that does not do, those that
// are left are served one after the other (beam.hpp).
// Memory: 180 bytes an item, and 16 for each SID listed, of which there are kListed and kMostListed an item at
// most, or 2 * kListed where that is more.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "puresid/closest_sids.hpp"
#include "puresid/min_cost_matching.hpp"
#include "puresid/owners.hpp"
#include "puresid/vectors.hpp"

namespace puresid {

struct OptimalOptions {
  std::size_t width = 64;           // partial SIDs that a search keeps after each level
  bool all = true;                  // whether every item's list is searched, or only those of items in conflict
  double gap = 1e-3;                // the total may be so much above the bound, relative to it
  std::span<const double> weights;  // by item; empty for 1
  double max_distortion = std::numeric_limits<double>::infinity();
};

class OptimalAssignment {
 public:
  static constexpr std::size_t kListed = std::size_t{1} << 22U, kMostListed = 4;

  // `items`, rows of `vectors` in rank order, have the greedy SIDs `nearest`; what is in `owners` is taken. All must
  // outlive run().
  OptimalAssignment(const PackedCodebooks& codebooks, const CodewordProducts& products, const Vectors& vectors,
                    const std::vector<Row>& items, const std::vector<SidKey>& nearest, const SidOwners& owners,
                    bool any_taken, const OptimalOptions& options);

  // `distortion` by position: that of the greedy SIDs.
  void run(std::span<const float> distortion, const Execution& execution);

  // By position in `items`: the SID, and whether one was found.
  [[nodiscard]] const std::vector<SidKey>& choices() const noexcept { return choices_; }
  [[nodiscard]] const std::vector<std::uint8_t>& found() const noexcept { return found_; }

  // Bounds on the total of weights times distortions.
  struct Bounds {
    double over_lists = 0, over_all = 0;
  };
  // `distortion` by position: what items without a place got otherwise, on top of their lists.
  [[nodiscard]] Bounds bounds(std::span<const float> distortion, const Execution& execution) const;

 private:
  struct Search {  // how a list was made
    std::uint32_t k = 0;
    float floor = 0;
  };

  struct Round {
    std::vector<Row> waiting, next, wanting;  // items now and in the next round, and lists that are to grow
    std::vector<std::uint8_t> marked;         // by list: whether it is wanted
    double allowed = 0, lost = 0;             // of the gap
  };

  void look_up(std::span<const float> distortion);
  void group(const Execution& execution);
  void grow(const std::vector<Row>& lists, const Execution& execution);
  void grow_some(std::span<const Row> lists, const Execution& execution);
  [[nodiscard]] std::uint32_t next_k(Row list) const;
  void release_unsearched(const std::vector<std::uint8_t>& marked, std::vector<Row>& waiting);
  [[nodiscard]] MinCostMatching::Effort effort(const Round& round) const;
  void place(Round& round, Worker& worker);
  void match(const Execution& execution);

  const PackedCodebooks& codebooks_;
  const CodewordProducts& products_;
  const Vectors& vectors_;
  const std::vector<Row>& items_;
  const std::vector<SidKey>& nearest_;
  const SidOwners& owners_;
  bool any_taken_;
  OptimalOptions options_;
  std::vector<double> weights_;  // by position in items_; empty for 1
  std::unique_ptr<DeeperLeast> deeper_;
  std::vector<Row> list_of_;  // by position in items_
  std::vector<Row> sample_;   // by list: the position of its first item
  std::vector<CandidateList> lists_;
  std::vector<Search> searches_;
  std::vector<std::unique_ptr<ClosestSid[]>> blocks_;
  std::size_t listed_ = 0;
  std::unique_ptr<MinCostMatching> matching_;
  std::vector<SidKey> choices_;
  std::vector<std::uint8_t> found_;
};

}  // namespace puresid
