#include "puresid/min_cost_matching.hpp"

#include <algorithm>

#include "puresid/prefetch.hpp"

namespace puresid {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

MinCostMatching::MinCostMatching(std::size_t items, const std::vector<CandidateList>& lists,
                                 const std::vector<Row>& list_of, std::span<const double> weights)
    : lists_(lists),
      list_of_(list_of),
      weights_(weights),
      slots_count_(checked_multiply(items, 3) / 2 + 8),
      slots_(slots_count_),
      slot_of_(items),
      utility_(items),
      list_stamps_(lists.size()) {}

std::size_t MinCostMatching::home(SidKey key) const noexcept {
  SidKey hash = key * 0x9E3779B97F4A7C15U;
  hash = (hash ^ hash >> 32) * 0xD6E8FEB86659FD93U;
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::size_t>(static_cast<Wide>(hash ^ hash >> 32) * slots_count_ >> 64);
}

// The slot of `key`, or the one that it would take.
std::size_t MinCostMatching::find(SidKey key) const noexcept {
  std::size_t slot = home(key);
  while (slots_[slot].stamp != 0 && slots_[slot].key != key) slot = next(slot);
  return slot;
}

void MinCostMatching::prefetch(Row item, int step) const noexcept {
  constexpr std::uint32_t kSlots = 4;
  const CandidateList& list = lists_[list_of_[item]];
  if (step == 0) prefetch_line(&list);
  if (step == 1) prefetch_line(list.sids);
  for (std::uint32_t i = 0; step == 2 && i < std::min(kSlots, list.size); ++i) {
    prefetch_line(&slots_[home(list.sids[i].key)]);
  }
}

double MinCostMatching::utility(Row item) const {
  double least = kInfinity;
  for (const ClosestSid& sid : lists_[list_of_[item]].all()) {
    const double cost = weight(item) * static_cast<double>(sid.distortion);
    if (cost >= least) break;
    const Slot& slot = slots_[find(sid.key)];
    least = std::min(least, slot.stamp == 0 ? cost : cost + slot.price);
  }
  return least;
}

double MinCostMatching::prices() const {
  double sum = 0;
  for (std::size_t slot = 0; slot < slots_count_; ++slot) sum += slots_[slot].price;
  return sum;
}

void MinCostMatching::begin() {
  if (stamp_ >= std::numeric_limits<std::uint32_t>::max() - 4) {  // start counting again
    stamp_ = 0;
    std::fill(list_stamps_.begin(), list_stamps_.end(), 0);
    for (std::size_t slot = 0; slot < slots_count_; ++slot) slots_[slot].stamp = slots_[slot].stamp != 0 ? 1 : 0;
  }
  stamp_ += 2;
  best_ = {kInfinity, 0, kNoItem};
  reached_.clear();
  scanned_.clear();
  final_.clear();
  short_.clear();
  short_length_ = kInfinity;
  loss_ = 0;
}

// Looks where `item` could go, to which a path of `length` leads.
void MinCostMatching::scan(Row item, double length) {
  scanned_.push_back({item, length});
  const Row list = list_of_[item];
  if (list_stamps_[list] == stamp_) return;  // an equal item came here by a shorter path
  list_stamps_[list] = stamp_;
  constexpr std::size_t kAhead = 16;
  const std::span<const ClosestSid> sids = lists_[list].all();
  for (std::size_t i = 0; i < std::min(kAhead, sids.size()); ++i) prefetch_line(&slots_[home(sids[i].key)]);
  const double scale = weight(item), before = length - utility_[item];
  for (const ClosestSid& sid : sids) {
    const double there = before + scale * static_cast<double>(sid.distortion);
    if (there >= best_.length) return;
    ++looks_;
    const std::size_t at = find(sid.key);
    Slot& slot = slots_[at];
    if (slot.stamp == 0) {
      best_ = {std::max(there, length), sid.key, item};
      continue;
    }
    const double here = std::max(there + slot.price, length);
    if (slot.stamp == stamp_ + 1 || here >= best_.length || (slot.stamp == stamp_ && here >= slot.length)) continue;
    slot.stamp = stamp_;
    slot.length = here;
    slot.via = item;
    reached_.push_back({here, sid.key, at});
    std::push_heap(reached_.begin(), reached_.end());
  }
  const auto horizon = static_cast<double>(lists_[list].searched ? lists_[list].horizon : 0);
  if (horizon == kInfinity || before + scale * horizon >= best_.length) return;
  short_.push_back(list);
  short_length_ = std::min(short_length_, std::max(before + scale * horizon, length));
}

// Makes what lies within `length` of the source as dear as it is worth.
void MinCostMatching::raise(double length) {
  for (const std::size_t at : final_) {
    if (slots_[at].length < length) slots_[at].price += length - slots_[at].length;
  }
  for (const Scanned& scanned : scanned_) {
    if (scanned.length < length) utility_[scanned.item] += length - scanned.length;
  }
}

// Gives the best place to the item before it on the path, that one's to the one before it, and so on.
void MinCostMatching::hand_over(Row source) {
  std::size_t to = find(best_.key);
  slots_[to] = {best_.key, 0, 0, kNoItem, best_.via, 1};
  for (;;) {
    Slot& slot = slots_[to];
    const Row item = slot.via;
    slot.owner = item;
    const std::size_t from = slot_of_[item];
    slot_of_[item] = to;
    if (item == source) return;
    to = from;
  }
}

// An item that has only been looked up takes its first SID or wants more, as does who has that.
MinCostMatching::Outcome MinCostMatching::place_at_first(Row item, const Effort& effort) {
  const CandidateList& list = lists_[list_of_[item]];
  if (list.size > 0) {
    const Slot& slot = slots_[find(list.sids[0].key)];
    if (slot.stamp == 0) {
      best_ = {0, list.sids[0].key, item};
      hand_over(item);
      return Outcome::placed;
    }
    if (!lists_[list_of_[slot.owner]].searched) short_.push_back(list_of_[slot.owner]);
  }
  if (effort.last) return Outcome::no_room;
  short_.push_back(list_of_[item]);
  return Outcome::wants_more;
}

// Empties the slot, and moves those after it that would not be found beyond an empty one.
void MinCostMatching::release(Row item) {
  std::size_t empty = slot_of_[item];
  slots_[empty] = {};
  for (std::size_t at = next(empty); slots_[at].stamp != 0; at = next(at)) {
    const std::size_t first = home(slots_[at].key);
    const bool between = empty < at ? empty < first && first <= at : empty < first || first <= at;
    if (between) continue;
    slots_[empty] = slots_[at];
    slot_of_[slots_[empty].owner] = empty;
    slots_[at] = {};
    empty = at;
  }
}

MinCostMatching::Outcome MinCostMatching::place(Row item, const Effort& effort) {
  begin();
  const CandidateList& list = lists_[list_of_[item]];
  utility_[item] = utility(item);
  if (!list.searched) return place_at_first(item, effort);
  if (list.horizon < utility_[item] / weight(item) && !effort.last) {
    short_.push_back(list_of_[item]);
    return Outcome::wants_more;
  }
  if (list.size == 0) return Outcome::no_room;
  scan(item, 0);
  double length = kInfinity;
  std::size_t left = kScansBeyondShort;
  const std::size_t looks = looks_;
  while (!reached_.empty() && reached_.front().length < best_.length) {
    if (!effort.last && best_.length - short_length_ > effort.tolerance && left-- == 0) return Outcome::wants_more;
    std::pop_heap(reached_.begin(), reached_.end());
    const Reached next = reached_.back();
    reached_.pop_back();
    Slot& slot = slots_[next.slot];
    if (slot.stamp == stamp_ + 1) continue;
    const bool tired = looks_ - looks > effort.most_looks;
    if (best_.length < kInfinity && (tired || best_.length - next.length <= effort.tolerance)) {
      length = next.length;
      break;
    }
    if (looks_ - looks > kGivenUp * effort.most_looks) return Outcome::no_room;
    slot.stamp = stamp_ + 1;
    final_.push_back(next.slot);
    scan(slot.owner, next.length);
  }
  const bool enough = effort.last || best_.length - short_length_ <= effort.tolerance;
  if (short_length_ < kInfinity && !enough) return Outcome::wants_more;
  if (best_.via == kNoItem) return Outcome::no_room;
  length = std::min({length, best_.length, short_length_});
  loss_ = best_.length - length;
  raise(length);
  hand_over(item);
  return Outcome::placed;
}

}  // namespace puresid
