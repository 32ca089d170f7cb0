// Which SIDs are given away for good: those below a prefix, as a bit per token of the last level.
//
// What earlier stages gave out refuses every item of a later one, so a search that has these bits asks the
// table of owners for little but what it then gets. Where all bits of a space take up to kMostBytes, as for
// 3 x 256 or 3 x 512, they lie side by side; where a SID fits 32 bits, as in 4 x 256, SIDs are kept sorted, 4 bytes
// each; for larger spaces there is nothing here, and searches learn what refuses as they go.
// Thread safety: add() and sort() are for one thread (two would spend their time on each other's cache lines);
// read() may be called from any number, but not while another adds or sorts.
#pragma once

#include <algorithm>
#include <bit>
#include <numeric>
#include <span>
#include <vector>

#include "puresid/pages.hpp"
#include "puresid/prefetch.hpp"
#include "puresid/types.hpp"

namespace puresid {

class Settled {
 public:
  static constexpr std::size_t kMostBytes = std::size_t{32} << 20U;

  explicit Settled(const SidLayout& layout, std::size_t most_bytes = kMostBytes)
      : layout_(layout), last_(layout.levels() - 1), words_((layout.size(last_) + 63) / 64) {
    for (std::size_t level = 0; level < last_; ++level) bits_ += layout.bits(level);
    if (bits_ < 32 && (words_ * sizeof(std::uint64_t)) << bits_ <= most_bytes) {
      prefixes_ = std::size_t{1} << bits_;
      leaves_ = Pages<std::uint64_t>(prefixes_ * words_);
    } else if (bits_ + layout.bits(last_) <= 32) {
      starts_.assign(2, 0);
    }
  }

  // Whether there is anything here for this space; whether as an array of bits.
  [[nodiscard]] bool kept() const noexcept { return is_array() || !starts_.empty(); }
  [[nodiscard]] bool is_array() const noexcept { return leaves_.data() != nullptr; }

  // Counts once sort() has been called.
  void add(SidKey key) {
    if (is_array()) {
      const Token token = layout_.token(key, last_);
      below(key)[token / 64] |= std::uint64_t{1} << token % 64;
    } else if (kept()) {
      fresh_.push_back(static_cast<std::uint32_t>(key));
    }
  }
  void sort() {
    if (fresh_.empty()) return;
    sort_fresh();
    std::vector<std::uint32_t> merged(keys_.size() + fresh_.size());
    std::merge(keys_.begin(), keys_.end(), fresh_.begin(), fresh_.end(), merged.begin());
    merged.erase(std::unique(merged.begin(), merged.end()), merged.end());
    keys_ = std::move(merged);
    fresh_.clear();
    find_starts();
  }

  // Copies the bits below a SID's prefix of all levels but the last.
  void read(SidKey key, std::uint64_t* words) const {
    if (is_array()) {
      std::copy_n(below(key), words_, words);
      return;
    }
    std::fill_n(words, words_, std::uint64_t{0});
    if (!kept()) return;
    const SidKey prefix = key >> layout_.bits(last_);
    const std::uint32_t* start = &starts_[prefix >> shift_];
    for (std::size_t i = start[0]; i < start[1]; ++i) {
      if (SidKey{keys_[i]} >> layout_.bits(last_) != prefix) continue;
      const Token token = layout_.token(keys_[i], last_);
      words[token / 64] |= std::uint64_t{1} << token % 64;
    }
  }
  // All bits of an array, and where those below a SID's prefix begin.
  [[nodiscard]] std::span<const std::uint64_t> all() const noexcept { return {leaves_.data(), prefixes_ * words_}; }
  [[nodiscard]] std::size_t place(SidKey key) const noexcept { return (key >> layout_.bits(last_)) * words_; }

  // visit(prefix, count) for each prefix (last token 0) below which `count` > 0 SIDs are given away.
  template <class Visit>
  void for_each_prefix(Visit&& visit) const {
    for (std::size_t prefix = 0; prefix < prefixes_; ++prefix) {
      std::size_t count = 0;
      for (std::size_t word = 0; word < words_; ++word) {
        count += static_cast<std::size_t>(std::popcount(leaves_[prefix * words_ + word]));
      }
      if (count > 0) visit(SidKey{prefix} << layout_.bits(last_), count);
    }
    for (std::size_t first = 0, end = 0; first < keys_.size(); first = end) {
      const SidKey prefix = SidKey{keys_[first]} >> layout_.bits(last_);
      while (end < keys_.size() && SidKey{keys_[end]} >> layout_.bits(last_) == prefix) ++end;
      visit(prefix << layout_.bits(last_), end - first);
    }
  }
  void prefetch(SidKey key) const noexcept {
    if (is_array()) {
      prefetch_line(below(key));
    } else if (kept()) {
      prefetch_line(&starts_[key >> layout_.bits(last_) >> shift_]);
    }
  }

 private:
  [[nodiscard]] std::uint64_t* below(SidKey key) const noexcept { return leaves_.data() + place(key); }

  // By their digits of 11 bits, the lowest first.
  void sort_fresh() {
    constexpr unsigned kDigit = 11;
    std::vector<std::uint32_t> to(fresh_.size());
    for (unsigned shift = 0; shift < 32; shift += kDigit) {
      const auto digit = [&](std::uint32_t key) { return key >> shift & ((1U << kDigit) - 1); };
      std::vector<std::size_t> places((std::size_t{1} << kDigit) + 1);
      for (const std::uint32_t key : fresh_) ++places[digit(key) + 1];
      std::partial_sum(places.begin(), places.end(), places.begin());
      for (const std::uint32_t key : fresh_) to[places[digit(key)]++] = key;
      fresh_.swap(to);
    }
  }

  // Where the keys of each group of prefixes begin: about as many groups as keys.
  void find_starts() {
    constexpr unsigned kMostBits = 22;
    const unsigned bits = std::min({bits_, kMostBits, static_cast<unsigned>(std::bit_width(keys_.size()))});
    shift_ = bits_ - bits;
    starts_.assign((std::size_t{1} << bits) + 1, 0);
    for (const std::uint32_t key : keys_) ++starts_[(SidKey{key} >> layout_.bits(last_) >> shift_) + 1];
    std::partial_sum(starts_.begin(), starts_.end(), starts_.begin());
  }

  const SidLayout& layout_;
  std::size_t last_, words_, prefixes_ = 0;
  unsigned bits_ = 0;  // of a prefix
  Pages<std::uint64_t> leaves_;
  std::vector<std::uint32_t> keys_, fresh_;  // sorted; added since
  std::vector<std::uint32_t> starts_;        // by group of prefixes: where it begins in keys_; and the end
  unsigned shift_ = 32;                      // from a prefix to its group
};

}  // namespace puresid
