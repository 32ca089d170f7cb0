// Which SIDs are given away for good: those below a prefix, as a bit per token of the last level.
//
// What earlier stages gave out refuses every item of a later one, so a search that has these bits asks the
// table of owners for little but what it then gets. Where all bits of a space take up to kMostBytes, as for
// 3 x 256 or 3 x 512, they lie side by side; otherwise SIDs are kept in order (sorted_keys.hpp).
// Thread safety: add() and sort() are for one thread (two would spend their time on each other's cache lines);
// read() may be called from any number, but not while another adds or sorts.
#pragma once

#include <algorithm>
#include <bit>
#include <functional>
#include <span>

#include "puresid/pages.hpp"
#include "puresid/prefetch.hpp"
#include "puresid/sorted_keys.hpp"
#include "puresid/types.hpp"

namespace puresid {

class Settled {
 public:
  static constexpr std::size_t kMostBytes = std::size_t{32} << 20U;

  explicit Settled(const SidLayout& layout, std::size_t most_bytes = kMostBytes)
      : layout_(layout),
        last_(layout.levels() - 1),
        words_((layout.size(last_) + 63) / 64),
        bits_(prefix_bits(layout)),
        is_narrow_(bits_ + layout.bits(last_) <= 32),
        narrow_(bits_, layout.bits(last_)),
        wide_(bits_, layout.bits(last_)) {
    if (bits_ >= 32 || (words_ * sizeof(std::uint64_t)) << bits_ > most_bytes) return;
    prefixes_ = std::size_t{1} << bits_;
    leaves_ = Pages<std::uint64_t>(prefixes_ * words_);
  }

  // Whether there is an array of bits.
  [[nodiscard]] bool is_array() const noexcept { return leaves_.data() != nullptr; }

  // Counts once sort() has been called.
  void add(SidKey key) {
    if (is_array()) {
      const Token token = layout_.token(key, last_);
      below(key)[token / 64] |= std::uint64_t{1} << token % 64;
    } else if (is_narrow_) {
      narrow_.add(key);
    } else {
      wide_.add(key);
    }
  }
  // So many are about to be added.
  void reserve(std::size_t count) {
    if (is_array()) return;
    is_narrow_ ? narrow_.reserve(count) : wide_.reserve(count);
  }
  void sort(const std::function<void()>& poll = [] {}) {
    narrow_.sort(poll);
    wide_.sort(poll);
  }

  // Copies the bits below a SID's prefix of all levels but the last.
  void read(SidKey key, std::uint64_t* words) const;
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
    narrow_.for_each_prefix(visit);
    wide_.for_each_prefix(visit);
  }
  void prefetch(SidKey key) const noexcept {
    if (is_array()) {
      prefetch_line(below(key));
    } else if (is_narrow_) {
      narrow_.prefetch(key);
    } else {
      wide_.prefetch(key);
    }
  }

 private:
  [[nodiscard]] std::uint64_t* below(SidKey key) const noexcept { return leaves_.data() + place(key); }
  [[nodiscard]] static unsigned prefix_bits(const SidLayout& layout) noexcept {
    unsigned bits = 0;
    for (std::size_t level = 0; level + 1 < layout.levels(); ++level) bits += layout.bits(level);
    return bits;
  }

  const SidLayout& layout_;
  std::size_t last_, words_, prefixes_ = 0;
  unsigned bits_;                // of a prefix
  bool is_narrow_;               // whether SIDs fit 32 bits
  Pages<std::uint64_t> leaves_;  // of an array; otherwise one of these holds what is given away:
  SortedKeys<std::uint32_t> narrow_;
  SortedKeys<std::uint64_t> wide_;
};

}  // namespace puresid
