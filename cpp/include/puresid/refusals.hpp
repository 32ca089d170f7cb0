// What a thread has learnt of leaves that are gone: per prefix of all levels but the last, a bit per token
// of the last level.
//
// A SID's owner only gets better, so a leaf that refused one item refuses every later one of the same
// or a worse rank. A thread that takes up items in rank order may therefore skip what it has seen
// refused, and a prefix with all bits set as a whole. Kept for all prefixes where what is settled is, and the
// memory allows; otherwise lossy (a prefix may be forgotten and learnt again), never wrong. Memory: as asked for, or
// one prefix.
// Thread safety: one object per thread.
#pragma once

#include <algorithm>
#include <bit>

#include "puresid/matrix.hpp"
#include "puresid/prefetch.hpp"
#include "puresid/settled.hpp"
#include "puresid/types.hpp"

namespace puresid {

class Refusals {
 public:
  // What is in `settled`, where it is given, counts as learnt.
  Refusals(std::size_t last_level_size, std::size_t bytes, const Settled* settled = nullptr)
      : settled_(settled),
        size_(last_level_size),
        words_((last_level_size + 63) / 64),
        stride_(stride(kHeader + words_)),
        all_kept_(settled != nullptr && settled->is_array() && settled->all().size_bytes() <= bytes) {
    if (settled != nullptr && all_kept_) {
      data_ = AlignedBuffer<std::uint64_t>(settled->all().size());
      forget();
      return;
    }
    constexpr std::size_t kMost = std::size_t{1} << 21U;
    entries_ = std::bit_floor(std::clamp<std::size_t>(bytes / (stride_ * sizeof(std::uint64_t)), 1, kMost));
    data_ = AlignedBuffer<std::uint64_t>(entries_ * stride_);
  }

  // Forgets everything, before an item of a better rank: at no cost, or that of a copy of what is settled.
  void forget() noexcept {
    if (all_kept_) std::copy(settled_->all().begin(), settled_->all().end(), data_.data());
    ++age_;
  }

  // Whether nothing learnt is ever lost but by forget(), and below() only reads.
  [[nodiscard]] bool keeps_all() const noexcept { return all_kept_; }

  // A prefix's bits, for as long as no other prefix is asked for.
  class Leaves {
   public:
    [[nodiscard]] bool refused(Token token) const noexcept { return (words_[token / 64] >> token % 64 & 1) != 0; }
    [[nodiscard]] bool all_refused() const noexcept {
      std::size_t word = 0;
      while (word < size_ / 64 && words_[word] == ~std::uint64_t{0}) ++word;
      return word == size_ / 64 && (size_ % 64 == 0 || words_[word] == (std::uint64_t{1} << size_ % 64) - 1);
    }
    void refuse(Token token) noexcept { words_[token / 64] |= std::uint64_t{1} << token % 64; }
    // One bit per token; those beyond the last token are not set.
    [[nodiscard]] const std::uint64_t* words() const noexcept { return words_; }

   private:
    friend class Refusals;
    Leaves(std::uint64_t* words, std::size_t size) : words_(words), size_(size) {}
    std::uint64_t* words_;
    std::size_t size_;
  };

  // `prefix`: a key with the last level's token 0.
  [[nodiscard]] Leaves below(SidKey prefix) {
    if (all_kept_) return {data_.data() + settled_->place(prefix), size_};
    std::uint64_t* entry = data_.data() + at(prefix);
    if (entry[kAge] != age_ || entry[kPrefix] != prefix) {
      entry[kPrefix] = prefix;
      entry[kAge] = age_;
      if (settled_ != nullptr) {
        settled_->read(prefix, entry + kHeader);
      } else {
        std::fill_n(entry + kHeader, words_, std::uint64_t{0});
      }
    }
    return {entry + kHeader, size_};
  }
  void prefetch(SidKey prefix) const noexcept {
    if (all_kept_) {
      prefetch_line(data_.data() + settled_->place(prefix));
      return;
    }
    prefetch_line(data_.data() + at(prefix));
    if (settled_ != nullptr) settled_->prefetch(prefix);
  }
  [[nodiscard]] std::size_t words() const noexcept { return words_; }

 private:
  // An entry is the prefix, the age at which it was learnt, and the bits.
  static constexpr std::size_t kPrefix = 0, kAge = 1, kHeader = 2;

  // Whole cache lines, or an even part of one.
  [[nodiscard]] static std::size_t stride(std::size_t words) noexcept {
    constexpr std::size_t kLine = 8;
    return words < kLine ? std::bit_ceil(words) : (words + kLine - 1) / kLine * kLine;
  }
  [[nodiscard]] std::size_t at(SidKey prefix) const noexcept {
    const std::uint64_t hash = prefix * 0x9E3779B97F4A7C15U;
    return ((hash ^ hash >> 32) & (entries_ - 1)) * stride_;
  }

  const Settled* settled_;
  std::size_t size_, words_, stride_, entries_ = 1;
  bool all_kept_;
  std::uint64_t age_ = 1;
  AlignedBuffer<std::uint64_t> data_;
};

}  // namespace puresid
