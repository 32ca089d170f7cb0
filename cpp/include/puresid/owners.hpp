// Who owns which SID. Safe to call from any thread.
//
// A claim is the greater the better its owner's rank, so an owner only ever makes way for a better one:
// one compare-and-swap. Where SIDs fit 32 bits, key and claim share a word of an open-addressed table, 12
// bytes a SID; otherwise they lie in a KeyTable, 24 bytes a SID.
#pragma once

#include <atomic>
#include <limits>
#include <optional>
#include <stdexcept>

#include "puresid/key_table.hpp"
#include "puresid/pages.hpp"
#include "puresid/prefetch.hpp"
#include "puresid/types.hpp"

namespace puresid {

using Rank = std::uint32_t;  // lower is better

class SidOwners {
 public:
  static constexpr Rank kMostRanks = std::numeric_limits<Rank>::max() - 2;  // ranks are below it

  // For `max_sids` SIDs of a space at most.
  SidOwners(const SidLayout& layout, std::size_t max_sids)
      : narrow_(key_bits(layout) <= 32),
        slots_(narrow_ ? checked_multiply(max_sids, 3) / 2 + 8 : 0),
        words_(slots_),
        wide_(narrow_ ? 0 : max_sids) {}

  struct Answer {
    bool accepted = false;
    std::optional<Rank> dropped;  // the owner that made way
  };
  Answer propose(SidKey key, Rank rank) {
    const Claim claim = kSettled - 1 - rank, before = raise(key, claim);
    if (before >= claim) return {false, std::nullopt};
    return {true, before <= kReleased ? std::nullopt : std::optional<Rank>(kSettled - 1 - before)};
  }
  // Whether an item of this rank has no hope of `key`. Never inserts.
  [[nodiscard]] bool refuses(SidKey key, Rank rank) const noexcept { return find(key) >= kSettled - 1 - rank; }
  [[nodiscard]] bool is_free(SidKey key) const noexcept { return find(key) <= kReleased; }
  // Gives `key` away for good. False where it was already.
  bool settle(SidKey key) { return raise(key, kSettled) != kSettled; }

  // Takes `key` back from an owner of this rank; does nothing where another owns it.
  void release(SidKey key, Rank rank) {
    Claim claim = kSettled - 1 - rank;
    if (!narrow_) {
      wide_.at(key).compare_exchange_strong(claim, kReleased, std::memory_order_acq_rel);
      return;
    }
    std::uint64_t word = key << 32U | claim;
    for (std::size_t slot = home(key);; slot = slot + 1 == slots_ ? 0 : slot + 1) {
      const std::uint64_t found = words_[slot].load(std::memory_order_acquire);
      if (found != 0 && found >> 32U != key) continue;
      words_[slot].compare_exchange_strong(word, key << 32U | kReleased, std::memory_order_acq_rel);
      return;
    }
  }

  void prefetch(SidKey key) const noexcept {
    if (narrow_) {
      prefetch_line(&words_[home(key)]);
    } else {
      wide_.prefetch(key);
    }
  }

  // Slots, for walks over all SIDs that are owned: visit(key) for those in slots [first, last).
  [[nodiscard]] std::size_t slots() const noexcept { return narrow_ ? slots_ : wide_.slots(); }
  template <class Visit>
  void for_each(std::size_t first, std::size_t last, Visit&& visit) const {
    if (!narrow_) {
      wide_.for_each(first, last, [&](SidKey key, Claim claim) {
        if (claim > kReleased) visit(key);
      });
      return;
    }
    for (std::size_t slot = first; slot < last; ++slot) {
      const std::uint64_t word = words_[slot].load(std::memory_order_relaxed);
      if (static_cast<Claim>(word) > kReleased) visit(SidKey{word >> 32U});
    }
  }

 private:
  using Claim = std::uint32_t;
  // kReleased: free again; a narrow table's slot must not become empty, or those behind it would be lost.
  static constexpr Claim kFree = 0, kReleased = 1, kSettled = std::numeric_limits<Claim>::max();

  [[nodiscard]] static unsigned key_bits(const SidLayout& layout) noexcept {
    unsigned bits = 0;
    for (std::size_t level = 0; level < layout.levels(); ++level) bits += layout.bits(level);
    return bits;
  }
  [[nodiscard]] std::size_t home(SidKey key) const noexcept {
    const std::uint64_t hash = key * 0x9E3779B97F4A7C15U;
    return static_cast<std::size_t>(((hash ^ hash >> 29U) * 0xD6E8FEB86659FD93U >> 32U) * slots_ >> 32U);
  }

  // Raises the claim on `key` to `claim`, if it is lower; what it was.
  Claim raise(SidKey key, Claim claim) { return narrow_ ? raise_narrow(key, claim) : raise_wide(key, claim); }
  Claim raise_wide(SidKey key, Claim claim) {
    KeyTable::Value& owner = wide_.at(key);
    Claim before = owner.load(std::memory_order_acquire);
    while (before < claim && !owner.compare_exchange_weak(before, claim, std::memory_order_acq_rel)) {
    }
    return before;
  }
  Claim raise_narrow(SidKey key, Claim claim) {
    const std::uint64_t word = key << 32U | claim;
    std::size_t slot = home(key);
    for (std::size_t probes = 0; probes < slots_; ++probes) {
      std::uint64_t found = words_[slot].load(std::memory_order_acquire);
      while (found == 0 || found >> 32U == key) {
        const auto before = static_cast<Claim>(found);
        if (before >= claim) return before;
        if (words_[slot].compare_exchange_weak(found, word, std::memory_order_acq_rel)) return before;
      }
      slot = slot + 1 == slots_ ? 0 : slot + 1;
    }
    throw std::length_error("SidOwners: more SIDs than it was made for");
  }
  // The claim on `key`.
  [[nodiscard]] Claim find(SidKey key) const noexcept {
    if (!narrow_) {
      const KeyTable::Value* owner = wide_.find(key);
      return owner == nullptr ? kFree : owner->load(std::memory_order_acquire);
    }
    std::size_t slot = home(key);
    for (std::size_t probes = 0; probes < slots_; ++probes) {
      const std::uint64_t found = words_[slot].load(std::memory_order_acquire);
      if (found == 0) return kFree;
      if (found >> 32U == key) return static_cast<Claim>(found);
      slot = slot + 1 == slots_ ? 0 : slot + 1;
    }
    return kFree;
  }

  bool narrow_;
  std::size_t slots_;
  Pages<std::atomic<std::uint64_t>> words_;  // key and claim; 0 = empty, as no claim that is made is 0
  KeyTable wide_;
};

}  // namespace puresid
