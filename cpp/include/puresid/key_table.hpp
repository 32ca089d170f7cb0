// A concurrent map from 64-bit keys to 32-bit values, of fixed capacity, by open addressing.
//
// Promise: at() and find() may be called from any number of threads; a key once inserted stays, with a
// value that starts at 0 and that callers change through the atomic they get. Memory: 24 bytes a key.
// Nothing a caller can observe depends on the order of insertion except the order of slots.
#pragma once

#include <atomic>
#include <cstddef>
#include <stdexcept>

#include "puresid/pages.hpp"
#include "puresid/prefetch.hpp"
#include "puresid/types.hpp"

namespace puresid {

class KeyTable {
 public:
  using Value = std::atomic<std::uint32_t>;

  explicit KeyTable(std::size_t max_keys)
      : slots_count_(checked_multiply(max_keys, 3) / 2 + 8), slots_(slots_count_ + 1) {}

  // The value of `key`, inserted if need be. Throws std::length_error when the table is full.
  [[nodiscard]] Value& at(SidKey key) {
    const SidKey stored = key + 1;
    if (stored == kEmpty) {  // the one key that looks like an empty slot has the last slot to itself
      slots_[slots_count_].key.store(kPresent, std::memory_order_relaxed);
      return slots_[slots_count_].value;
    }
    std::size_t index = home(key);
    for (std::size_t probes = 0; probes < slots_count_; ++probes) {
      Slot& slot = slots_[index];
      SidKey found = slot.key.load(std::memory_order_acquire);
      if (found == kEmpty && slot.key.compare_exchange_strong(found, stored, std::memory_order_acq_rel)) {
        return slot.value;
      }
      if (found == stored) return slot.value;
      index = index + 1 == slots_count_ ? 0 : index + 1;
    }
    throw std::length_error("KeyTable: more keys than it was made for");
  }

  // Null where `key` was never inserted.
  [[nodiscard]] const Value* find(SidKey key) const noexcept {
    const SidKey stored = key + 1;
    if (stored == kEmpty) {
      const Slot& last = slots_[slots_count_];
      return last.key.load(std::memory_order_acquire) == kEmpty ? nullptr : &last.value;
    }
    std::size_t index = home(key);
    for (std::size_t probes = 0; probes < slots_count_; ++probes) {
      const SidKey found = slots_[index].key.load(std::memory_order_acquire);
      if (found == stored) return &slots_[index].value;
      if (found == kEmpty) return nullptr;
      index = index + 1 == slots_count_ ? 0 : index + 1;
    }
    return nullptr;
  }

  void prefetch(SidKey key) const noexcept { prefetch_line(&slots_[home(key)]); }

  // Slots, for walks over all keys: visit(key, value) for each key in slots [first, last).
  [[nodiscard]] std::size_t slots() const noexcept { return slots_count_ + 1; }
  template <class Visit>
  void for_each(std::size_t first, std::size_t last, Visit&& visit) const {
    for (std::size_t index = first; index < last; ++index) {
      const SidKey stored = slots_[index].key.load(std::memory_order_relaxed);
      if (stored == kEmpty) continue;
      visit(index == slots_count_ ? ~SidKey{0} : stored - 1, slots_[index].value.load(std::memory_order_relaxed));
    }
  }

 private:
  static constexpr SidKey kEmpty = 0, kPresent = 1;
  struct Slot {
    std::atomic<SidKey> key;
    Value value;
  };

  // Mixes all bits of the key, then scales the hash to the number of slots.
  [[nodiscard]] std::size_t home(SidKey key) const noexcept {
    SidKey hash = key * 0x9E3779B97F4A7C15U;
    hash = (hash ^ hash >> 32) * 0xD6E8FEB86659FD93U;
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::size_t>(static_cast<Wide>(hash ^ hash >> 32) * slots_count_ >> 64);
  }

  std::size_t slots_count_;
  Pages<Slot> slots_;
};

}  // namespace puresid
