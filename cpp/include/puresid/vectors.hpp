// Items' vectors as a caller holds them: rows of float32 or float16 in C order, which must outlive this.
//
// float16 rows become float32 as they are read, exactly.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "puresid/matrix.hpp"
#include "puresid/prefetch.hpp"

namespace puresid {

using Half = std::uint16_t;  // the bits of an IEEE 754 binary16

[[nodiscard]] constexpr float widen(Half half) noexcept {
  const std::uint32_t magnitude = half & 0x7FFFU;
  // The exponent's bias differs by 112; what a binary16 has below the normal numbers comes out right too.
  const float scaled = std::bit_cast<float>(magnitude << 13U) * 0x1p112F;
  const std::uint32_t finite = std::bit_cast<std::uint32_t>(scaled), other = magnitude << 13U | 0x7F800000U;
  return std::bit_cast<float>((magnitude < 0x7C00U ? finite : other) | (half & 0x8000U) << 16U);
}

class Vectors {
 public:
  Vectors(MatrixView<const float> rows) : wide_(rows), rows_(rows.rows()), cols_(rows.cols()) {}   // NOLINT: a view
  Vectors(MatrixView<const Half> rows) : narrow_(rows), rows_(rows.rows()), cols_(rows.cols()) {}  // NOLINT

  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::size_t cols() const noexcept { return cols_; }

  // The row as float32: in place where it is that already, otherwise in `scratch`, room for cols() values.
  [[nodiscard]] const float* read(std::size_t row, float* scratch) const {
    if (narrow_.data() == nullptr) return wide_.row(row);
    const Half* from = narrow_.row(row);
    for (std::size_t d = 0; d < cols_; ++d) scratch[d] = widen(from[d]);
    return scratch;
  }
  // The row as float32, into `to`.
  void copy(std::size_t row, float* to) const {
    const float* from = read(row, to);
    if (from != to) std::memcpy(to, from, cols_ * sizeof(float));
  }
  void prefetch(std::size_t row) const {
    constexpr std::size_t kLine = 64, kMostLines = 4;  // the hardware follows a longer row by itself
    const char* from = bytes(row);
    for (std::size_t at = 0; at < row_bytes() && at < kMostLines * kLine; at += kLine) prefetch_line(from + at);
  }

  // To the bit.
  [[nodiscard]] bool equal(std::size_t a, std::size_t b) const {
    return std::memcmp(bytes(a), bytes(b), row_bytes()) == 0;  // NOLINT(clang-analyzer-unix.cstring.*): caller's rows
  }
  // Of a part of the row's bits.
  [[nodiscard]] std::uint64_t hash(std::size_t row) const {
    constexpr std::size_t kChains = 4, kMostWords = 32;
    const char* from = bytes(row);
    const std::size_t words = row_bytes() / 4, step = 1 + words / kMostWords;
    std::uint64_t chains[kChains] = {1, 2, 3, 4};
    std::size_t chain = row_bytes() % 4;
    for (std::size_t word = 0; word < words; word += step) {
      std::uint32_t bits = 0;
      std::memcpy(&bits, from + 4 * word, sizeof bits);
      std::uint64_t& sum = chains[chain++ % kChains];
      sum = (sum ^ bits) * 0x9E3779B97F4A7C15U;
      sum ^= sum >> 29U;
    }
    if (words == 0) std::memcpy(&chains[1], from, row_bytes());
    std::uint64_t hash = 0;
    for (const std::uint64_t sum : chains) hash = (hash ^ sum) * 0xD6E8FEB86659FD93U;
    return hash ^ hash >> 32U;
  }

 private:
  [[nodiscard]] std::size_t row_bytes() const noexcept {
    return cols_ * (narrow_.data() == nullptr ? sizeof(float) : sizeof(Half));
  }
  [[nodiscard]] const char* bytes(std::size_t row) const {
    return narrow_.data() == nullptr ? reinterpret_cast<const char*>(wide_.row(row))
                                     : reinterpret_cast<const char*>(narrow_.row(row));
  }

  MatrixView<const float> wide_;
  MatrixView<const Half> narrow_;
  std::size_t rows_, cols_;
};

}  // namespace puresid
