// Which SIDs are given away for good: a bit per SID, the SIDs below a prefix side by side.
//
// What earlier stages gave out refuses every item of a later one, so a search that has these bits asks the
// table of owners for little but what it then gets. Kept for spaces of up to kMostBytes only, such as
// 3 x 256 or 3 x 512; for others there is nothing here, and searches learn what refuses as they go.
// Thread safety: add() is for one thread (two would spend their time on each other's cache lines); read()
// may be called from any number, but not while another adds.
#pragma once

#include <algorithm>
#include <bit>
#include <span>

#include "puresid/pages.hpp"
#include "puresid/prefetch.hpp"
#include "puresid/types.hpp"

namespace puresid {

class Settled {
 public:
  static constexpr std::size_t kMostBytes = std::size_t{32} << 20U;

  explicit Settled(const SidLayout& layout, std::size_t most_bytes = kMostBytes)
      : layout_(layout), last_(layout.levels() - 1), words_((layout.size(last_) + 63) / 64) {
    unsigned bits = 0;
    for (std::size_t level = 0; level < last_; ++level) bits += layout.bits(level);
    if (bits < 32 && (words_ * sizeof(std::uint64_t)) << bits <= most_bytes) {
      prefixes_ = std::size_t{1} << bits;
      leaves_ = Pages<std::uint64_t>(prefixes_ * words_);
    }
  }

  // Whether there is anything here for this space.
  [[nodiscard]] bool kept() const noexcept { return leaves_.data() != nullptr; }

  void add(SidKey key) {
    if (!kept()) return;
    const Token token = layout_.token(key, last_);
    below(key)[token / 64] |= std::uint64_t{1} << token % 64;
  }

  // Copies the bits below a SID's prefix of all levels but the last.
  void read(SidKey key, std::uint64_t* words) const {
    for (std::size_t word = 0; word < words_; ++word) words[word] = kept() ? below(key)[word] : 0;
  }
  // All bits, and where those below a SID's prefix begin.
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
  }
  void prefetch(SidKey key) const noexcept {
    if (kept()) prefetch_line(below(key));
  }

 private:
  [[nodiscard]] std::uint64_t* below(SidKey key) const noexcept { return leaves_.data() + place(key); }

  const SidLayout& layout_;
  std::size_t last_, words_, prefixes_ = 0;
  Pages<std::uint64_t> leaves_;
};

}  // namespace puresid
