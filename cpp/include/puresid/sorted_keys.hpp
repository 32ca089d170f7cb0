// SIDs in order, found by their prefix: where a space is too large for a bit per SID.
//
// Memory: 4 bytes a SID where it fits 32 bits, otherwise 8, twice that while they are sorted; and 4 for each group of
// prefixes, of which there are about as many as SIDs, up to 2^22. Cost: add() and sort() a few steps a SID; what is
// below a prefix lies together.
// Thread safety: that of a vector.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <numeric>
#include <vector>

#include "puresid/prefetch.hpp"
#include "puresid/types.hpp"

namespace puresid {

template <class Key>
class SortedKeys {
 public:
  // prefix_bits, leaf_bits: of a key, that all of its bits make up, those of the leaf below the others.
  SortedKeys(unsigned prefix_bits, unsigned leaf_bits)
      : prefix_bits_(prefix_bits), leaf_bits_(leaf_bits), shift_(std::max(prefix_bits, 1U) - 1), starts_(3) {}

  // Counts once sort() has been called. The same SID may come again.
  void add(SidKey key) { fresh_.push_back(static_cast<Key>(key)); }
  void reserve(std::size_t count) { fresh_.reserve(count); }
  // `poll` is called now and then; what it throws leaves nothing of use here.
  void sort(const std::function<void()>& poll = [] {}) {
    if (fresh_.empty()) return;
    sort_by_digits(poll);
    poll();
    if (keys_.empty()) {
      keys_.swap(fresh_);
    } else {
      std::vector<Key> merged;
      merged.reserve(keys_.size() + fresh_.size());
      std::merge(keys_.begin(), keys_.end(), fresh_.begin(), fresh_.end(), std::back_inserter(merged));
      keys_.swap(merged);
    }
    keys_.erase(std::unique(keys_.begin(), keys_.end()), keys_.end());
    fresh_ = {};
    poll();
    find_starts();
  }

  // visit(leaf) for each SID below the prefix of `key`.
  template <class Visit>
  void for_each_leaf(SidKey key, Visit&& visit) const {
    const SidKey wanted = prefix(key);
    const std::uint32_t* start = &starts_[wanted >> shift_];
    const Key *at = keys_.data() + start[0], *const end = keys_.data() + start[1];
    // Groups are small, but not where items crowd below a few of the first tokens.
    if (end - at > kFew) at = std::lower_bound(at, end, static_cast<Key>(wanted << leaf_bits_));
    for (; at != end && prefix(*at) <= wanted; ++at) {
      if (prefix(*at) == wanted) visit(*at & ((SidKey{1} << leaf_bits_) - 1));
    }
  }
  // visit(prefix, count) for each prefix with SIDs below it.
  template <class Visit>
  void for_each_prefix(Visit&& visit) const {
    for (std::size_t first = 0, end = 0; first < keys_.size(); first = end) {
      while (end < keys_.size() && prefix(keys_[end]) == prefix(keys_[first])) ++end;
      visit(prefix(keys_[first]) << leaf_bits_, end - first);
    }
  }
  void prefetch(SidKey key) const noexcept { prefetch_line(&starts_[prefix(key) >> shift_]); }

 private:
  static constexpr std::ptrdiff_t kFew = 8;

  [[nodiscard]] SidKey prefix(SidKey key) const noexcept { return key >> leaf_bits_; }

  // Those added since, by digits of 11 bits, the lowest first.
  void sort_by_digits(const std::function<void()>& poll) {
    constexpr unsigned kDigit = 11;
    std::vector<Key> to(fresh_.size());
    for (unsigned shift = 0; shift < prefix_bits_ + leaf_bits_; shift += kDigit) {
      poll();
      const auto digit = [&](Key key) { return key >> shift & ((1U << kDigit) - 1); };
      std::vector<std::size_t> places((std::size_t{1} << kDigit) + 1);
      for (const Key key : fresh_) ++places[digit(key) + 1];
      std::partial_sum(places.begin(), places.end(), places.begin());
      for (const Key key : fresh_) to[places[digit(key)]++] = key;
      fresh_.swap(to);
    }
  }

  void find_starts() {
    constexpr unsigned kMostBits = 22;
    const unsigned bits = std::min({prefix_bits_, kMostBits, static_cast<unsigned>(std::bit_width(keys_.size()))});
    shift_ = prefix_bits_ - bits;
    starts_.assign((std::size_t{1} << bits) + 1, 0);
    for (const Key key : keys_) ++starts_[(prefix(key) >> shift_) + 1];
    std::partial_sum(starts_.begin(), starts_.end(), starts_.begin());
  }

  unsigned prefix_bits_, leaf_bits_;
  unsigned shift_;                     // from a prefix to its group
  std::vector<Key> keys_, fresh_;      // sorted; added since
  std::vector<std::uint32_t> starts_;  // by group of prefixes: where it begins in keys_; and the end
};

}  // namespace puresid
