// The fuzzer's input, read as numbers; 0 once it has come to its end.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace puresid::fuzz {

class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

  [[nodiscard]] bool empty() const { return at_ == size_; }
  std::uint8_t byte() { return at_ < size_ ? data_[at_++] : std::uint8_t{0}; }
  std::size_t between(std::size_t low, std::size_t high) { return low + byte() % (high - low + 1); }
  bool flag() { return (byte() & 1) != 0; }
  std::uint64_t word(int bytes = 8) {
    std::uint64_t bits = 0;
    for (int i = 0; i < bytes; ++i) bits = bits << 8U | byte();
    return bits;
  }
  // A small number as a rule, or any at all.
  std::uint64_t number() {
    const std::uint8_t small = byte();
    return small < 250 ? small : word();
  }
  // Any float32 up to 2^40 in magnitude, or a small integer: exact, and full of ties.
  float value(bool lattice) {
    if (lattice) return static_cast<float>(byte() % 5) - 2.0F;
    const auto any = std::bit_cast<float>(static_cast<std::uint32_t>(word(4)));
    return std::fabs(any) <= 0x1p40F ? any : 0.0F;  // also for NaN
  }
  // A small integer, or any float32, NaN and infinity too.
  float wild() { return byte() < 230 ? value(true) : std::bit_cast<float>(static_cast<std::uint32_t>(word(4))); }

 private:
  const std::uint8_t* data_;
  std::size_t size_, at_ = 0;
};

// Ends the process, which the fuzzer takes for a finding.
inline void require(bool holds, const char* what) {
  if (holds) return;
  static_cast<void>(std::fprintf(stderr, "does not hold: %s\n", what));
  std::abort();
}

}  // namespace puresid::fuzz
