// What a thread has learnt of leaves that are gone: per prefix of all levels but the last, a bit per token
// of the last level.
//
// A SID's owner only gets better, so a leaf that refused one item refuses every later one of the same
// or a worse rank. A thread that takes up items in rank order may therefore skip what it has seen
// refused, and a prefix with all bits set as a whole. Lossy (a prefix may be forgotten and learnt
// again), never wrong. Memory: as asked for, or one prefix.
// Thread safety: one object per thread.
#pragma once

#include <algorithm>
#include <bit>
#include <vector>

#include "puresid/types.hpp"

namespace puresid {

class Refusals {
 public:
  Refusals(std::size_t last_level_size, std::size_t bytes)
      : size_(last_level_size), words_((last_level_size + 63) / 64) {
    constexpr std::size_t kMost = std::size_t{1} << 16U;
    entries_.resize(std::bit_floor(std::clamp<std::size_t>(bytes / (words_ * 8 + sizeof(Entry)), 1, kMost)));
    bits_.resize(entries_.size() * words_);
  }

  // Forgets everything, at no cost: before an item of a better rank.
  void forget() noexcept { ++age_; }

  // A prefix's bits, for as long as no other prefix is asked for.
  class Leaves {
   public:
    [[nodiscard]] bool refused(Token token) const noexcept { return (bits_[token / 64] >> token % 64 & 1) != 0; }
    [[nodiscard]] bool all_refused() const noexcept { return entry_->count == size_; }
    void refuse(Token token) noexcept {
      if (refused(token)) return;
      bits_[token / 64] |= std::uint64_t{1} << token % 64;
      ++entry_->count;
    }

   private:
    friend class Refusals;
    struct Entry {
      SidKey prefix = 0;
      std::uint64_t age = 0;
      std::size_t count = 0;  // of bits set
    };
    Leaves(std::uint64_t* bits, Entry* entry, std::size_t size) : bits_(bits), entry_(entry), size_(size) {}
    std::uint64_t* bits_;
    Entry* entry_;
    std::size_t size_;
  };

  // `prefix`: a key with the last level's token 0.
  [[nodiscard]] Leaves below(SidKey prefix) {
    const std::uint64_t hash = prefix * 0x9E3779B97F4A7C15U;
    Entry& entry = entries_[(hash ^ hash >> 32) & (entries_.size() - 1)];
    std::uint64_t* bits = bits_.data() + static_cast<std::size_t>(&entry - entries_.data()) * words_;
    if (entry.age != age_ || entry.prefix != prefix) {
      entry = {prefix, age_, 0};
      std::fill_n(bits, words_, std::uint64_t{0});
    }
    return {bits, &entry, size_};
  }

 private:
  using Entry = Leaves::Entry;
  std::size_t size_, words_;
  std::uint64_t age_ = 1;
  std::vector<Entry> entries_;
  std::vector<std::uint64_t> bits_;
};

}  // namespace puresid
