// Fixed hashes: of keys, to look them up, and of vectors, to tell whether one has changed.
//
// Promise: a function of the bytes alone, the same on every platform and in every version, for files hold the
// results. Not a defence by itself: anybody can compute them. Cost: hash_bytes about 1 ns a byte, digests about 1 ns a
// byte. Thread safety: all may be called from any number of threads.
// Sources: Aumasson & Bernstein, SipHash, INDOCRYPT 2012; RFC 7693 (BLAKE2b); Steele, Lea & Flood, Fast splittable
// pseudorandom number generators, OOPSLA 2014 (the mixer).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "puresid/execution.hpp"
#include "puresid/matrix.hpp"

namespace puresid {

// SipHash-2-4 under the key of the paper's own example, 00 01 .. 0f: no two inputs are known to meet but by a search
// of some 2^32 trials, so a file cannot cheaply be made whose keys all meet.
[[nodiscard]] std::uint64_t hash_bytes(std::span<const std::uint8_t> bytes) noexcept;

// A bijection of 64 bits: different integers never meet.
[[nodiscard]] constexpr std::uint64_t hash_integer(std::int64_t value) noexcept {
  auto x = static_cast<std::uint64_t>(value) + 0x9E3779B97F4A7C15U;
  x = (x ^ x >> 30U) * 0xBF58476D1CE4E5B9U;
  x = (x ^ x >> 27U) * 0x94D049BB133111EBU;
  return x ^ x >> 31U;
}

// 128 bits: the 16 bytes as two little-endian words.
using Digest = std::array<std::uint64_t, 2>;

// BLAKE2b with 16 bytes out, without a key.
[[nodiscard]] Digest blake2b_128(std::span<const std::uint8_t> bytes) noexcept;

// The same of a vector's little-endian float32 values; -0 counts as 0.
[[nodiscard]] Digest vector_digest(std::span<const float> vector) noexcept;

// Of each row; out[i] belongs to row i. Throws std::invalid_argument where `out` has another size, Cancelled.
void vector_digests(MatrixView<const float> vectors, std::span<Digest> out, const Execution& execution);

}  // namespace puresid
