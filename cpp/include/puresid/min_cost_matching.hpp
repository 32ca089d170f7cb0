// One SID per item at the least total cost, by shortest augmenting paths.
//
// Items are placed one after the other. Each takes its place along a shortest path in reduced costs: it takes a SID,
// whose owner takes another, and so on to a SID that is free (Dijkstra's algorithm; Jonker & Volgenant 1987, Crouse
// 2016). With it go prices: that of a free SID is 0, and an item's utility, the least cost plus price that it can
// have, is what it pays. So after each place() the items placed so far cost the least that they can, over their
// lists; and whatever the prices, no assignment costs less than the sum of all utilities less that of all prices.
// Lists may be prefixes of longer ones: an item is not placed while an unlisted SID could matter, and place() names
// the lists that are too short.
// Cost: O(what the search scans * log) for each item; most scan one. Memory: 76 bytes an item.
// Sequential: the order of place() decides between equal costs.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "puresid/closest_sids.hpp"
#include "puresid/pages.hpp"

namespace puresid {

// The SIDs that items with equal vectors and weights may take, closest first. Those not listed have a distortion of
// `horizon` or more.
struct CandidateList {
  const ClosestSid* sids = nullptr;
  std::uint32_t size = 0;
  float horizon = 0;
  bool searched = true;  // otherwise there is the nearest SID only, which does for an item that nobody disturbs

  [[nodiscard]] std::span<const ClosestSid> all() const noexcept { return {sids, size}; }
};

class MinCostMatching {
 public:
  enum class Outcome {
    placed,
    wants_more,  // short_lists() must grow first; nothing has changed
    no_room,     // no path leads to a free SID
  };
  // How long a search goes on.
  struct Effort {
    std::size_t most_looks = std::size_t{1} << 32U;  // at SIDs; then it takes the best place known
    double tolerance = 0;                            // it takes a place that costs so much more than the least, or less
    bool last = false;                               // it does with the lists as they are
  };

  // For `items` items, item i with the list lists[list_of[i]] and weights[i] (1 where there are none). All must
  // outlive it; lists may change between calls, but for becoming shorter.
  MinCostMatching(std::size_t items, const std::vector<CandidateList>& lists, const std::vector<Row>& list_of,
                  std::span<const double> weights);

  Outcome place(Row item, const Effort& effort);
  // By how much more the total has grown than the bound, at most, in the last call.
  [[nodiscard]] double loss() const noexcept { return loss_; }
  // Has the memory come that place() will look at first, in steps 0, 1 and 2, each of which needs the one before.
  void prefetch(Row item, int step) const noexcept;
  // Takes back the SID of an item whose list had not been searched when it was placed.
  void release(Row item);
  [[nodiscard]] const std::vector<Row>& short_lists() const noexcept { return short_; }
  // How often all calls so far have looked at a SID of a list.
  [[nodiscard]] std::size_t looks() const noexcept { return looks_; }

  // The SID of an item that has been placed.
  [[nodiscard]] SidKey sid(Row item) const { return slots_[slot_of_[item]].key; }
  // The least cost plus price on an item's list, whether it was placed or not; infinite where the list is empty.
  [[nodiscard]] double utility(Row item) const;
  // The sum of all prices.
  [[nodiscard]] double prices() const;
  [[nodiscard]] double weight(Row item) const { return weights_.empty() ? 1 : weights_[item]; }

 private:
  static constexpr Row kNoItem = std::numeric_limits<Row>::max();
  static constexpr std::size_t kGivenUp = 8;           // times as many looks as allowed, and still no place
  static constexpr std::size_t kScansBeyondShort = 8;  // a search that is in vain finds some more short lists
  struct Slot {                                        // a SID that has an owner
    SidKey key;
    double price, length;  // of the path to it, in the search of `stamp` / 2; odd where it is final
    Row owner, via;
    std::uint32_t stamp;
  };
  struct Place {  // where a path may end
    double length;
    SidKey key;
    Row via;
  };
  struct Reached {
    double length;
    SidKey key;
    std::size_t slot;
    friend bool operator<(const Reached& a, const Reached& b) noexcept {  // for a heap: the least on top
      return a.length > b.length || (a.length == b.length && a.key > b.key);
    }
  };
  struct Scanned {
    Row item;
    double length;
  };

  [[nodiscard]] std::size_t home(SidKey key) const noexcept;
  [[nodiscard]] std::size_t find(SidKey key) const noexcept;
  [[nodiscard]] std::size_t next(std::size_t slot) const noexcept { return slot + 1 == slots_count_ ? 0 : slot + 1; }
  Outcome place_at_first(Row item, const Effort& effort);
  void begin();
  void scan(Row item, double length);
  void raise(double length);
  void hand_over(Row source);

  const std::vector<CandidateList>& lists_;
  const std::vector<Row>& list_of_;
  std::span<const double> weights_;
  std::size_t slots_count_;
  Pages<Slot> slots_;
  std::vector<std::size_t> slot_of_;
  std::vector<double> utility_;
  std::vector<std::uint32_t> list_stamps_;
  std::uint32_t stamp_ = 0;
  std::size_t looks_ = 0;
  double short_length_ = 0;  // the path beyond which an unlisted SID could matter
  double loss_ = 0;
  Place best_{};
  std::vector<Reached> reached_;
  std::vector<Scanned> scanned_;
  std::vector<std::size_t> final_;
  std::vector<Row> short_;
};

}  // namespace puresid
