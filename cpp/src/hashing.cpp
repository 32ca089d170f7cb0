#include "puresid/hashing.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <stdexcept>

#include "puresid/parallel.hpp"

namespace puresid {
namespace {

// The first `count` <= 8 bytes as a little-endian word, on any machine.
std::uint64_t little_endian(const std::uint8_t* bytes, std::size_t count) noexcept {
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < count; ++i) word |= std::uint64_t{bytes[i]} << (8 * i);
  return word;
}

std::uint64_t full_word(const std::uint8_t* bytes) noexcept { return little_endian(bytes, 8); }

class Sip {
 public:
  void take(std::uint64_t word) noexcept {
    v3_ ^= word;
    rounds(2);
    v0_ ^= word;
  }
  std::uint64_t finish() noexcept {
    v2_ ^= 0xFFU;
    rounds(4);
    return v0_ ^ v1_ ^ v2_ ^ v3_;
  }

 private:
  static constexpr std::uint64_t kKey0 = 0x0706050403020100U, kKey1 = 0x0F0E0D0C0B0A0908U;

  void rounds(int count) noexcept {
    for (int i = 0; i < count; ++i) {
      v0_ += v1_;
      v2_ += v3_;
      v1_ = std::rotl(v1_, 13) ^ v0_;
      v3_ = std::rotl(v3_, 16) ^ v2_;
      v0_ = std::rotl(v0_, 32);
      v2_ += v1_;
      v0_ += v3_;
      v1_ = std::rotl(v1_, 17) ^ v2_;
      v3_ = std::rotl(v3_, 21) ^ v0_;
      v2_ = std::rotl(v2_, 32);
    }
  }

  std::uint64_t v0_ = kKey0 ^ 0x736F6D6570736575U, v1_ = kKey1 ^ 0x646F72616E646F6DU;
  std::uint64_t v2_ = kKey0 ^ 0x6C7967656E657261U, v3_ = kKey1 ^ 0x7465646279746573U;
};

using Block = std::array<std::uint64_t, 16>;
constexpr std::size_t kBlockBytes = 128;

constexpr std::array<std::uint64_t, 8> kInitial = {0x6A09E667F3BCC908U, 0xBB67AE8584CAA73BU, 0x3C6EF372FE94F82BU,
                                                   0xA54FF53A5F1D36F1U, 0x510E527FADE682D1U, 0x9B05688C2B3E6C1FU,
                                                   0x1F83D9ABFB41BD6BU, 0x5BE0CD19137E2179U};

// Which words of a block the rounds take; round 10 and 11 take those of 0 and 1.
constexpr std::uint8_t kOrder[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

class Blake {
 public:
  Blake() noexcept { state_[0] ^= 0x01010010U; }  // no key, one chunk, 16 bytes out

  void take(const Block& block, std::size_t bytes, bool last) noexcept {
    taken_ += bytes;
    std::array<std::uint64_t, 16> v{};
    std::copy(state_.begin(), state_.end(), v.begin());
    std::copy(kInitial.begin(), kInitial.end(), v.begin() + 8);
    v[12] ^= taken_;
    if (last) v[14] = ~v[14];
    for (std::size_t round = 0; round < 12; ++round) {
      const std::uint8_t* order = kOrder[round % 10];
      for (std::size_t i = 0; i < 4; ++i) {  // columns
        mix(v[i], v[4 + i], v[8 + i], v[12 + i], block[order[2 * i]], block[order[2 * i + 1]]);
      }
      for (std::size_t i = 0; i < 4; ++i) {  // diagonals
        mix(v[i], v[4 + (i + 1) % 4], v[8 + (i + 2) % 4], v[12 + (i + 3) % 4], block[order[8 + 2 * i]],
            block[order[9 + 2 * i]]);
      }
    }
    for (std::size_t i = 0; i < 8; ++i) state_[i] ^= v[i] ^ v[8 + i];
  }
  [[nodiscard]] Digest digest() const noexcept { return {state_[0], state_[1]}; }

 private:
  static void mix(std::uint64_t& a, std::uint64_t& b, std::uint64_t& c, std::uint64_t& d, std::uint64_t x,
                  std::uint64_t y) noexcept {
    a += b + x;
    d = std::rotr(d ^ a, 32);
    c += d;
    b = std::rotr(b ^ c, 24);
    a += b + y;
    d = std::rotr(d ^ a, 16);
    c += d;
    b = std::rotr(b ^ c, 63);
  }

  std::array<std::uint64_t, 8> state_ = kInitial;
  std::uint64_t taken_ = 0;
};

// `fill(block, begin, count)` writes the words of `count` bytes from `begin` on into a zeroed block.
template <class Fill>
Digest digest_of(std::size_t size, Fill&& fill) noexcept {
  Blake blake;
  std::size_t begin = 0;
  for (bool last = false; !last; begin += kBlockBytes) {
    last = size - begin <= kBlockBytes;
    const std::size_t count = last ? size - begin : kBlockBytes;
    Block block{};
    fill(block, begin, count);
    blake.take(block, count, last);
  }
  return blake.digest();
}

std::uint64_t bits_of(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return bits == 0x80000000U ? 0 : bits;
}

}  // namespace

std::uint64_t hash_bytes(std::span<const std::uint8_t> bytes) noexcept {
  Sip sip;
  const std::size_t whole = bytes.size() / 8 * 8;
  for (std::size_t at = 0; at < whole; at += 8) sip.take(full_word(bytes.data() + at));
  sip.take(std::uint64_t{bytes.size()} << 56U | little_endian(bytes.data() + whole, bytes.size() - whole));
  return sip.finish();
}

Digest blake2b_128(std::span<const std::uint8_t> bytes) noexcept {
  return digest_of(bytes.size(), [bytes](Block& block, std::size_t begin, std::size_t count) {
    for (std::size_t at = 0; at < count; at += 8) {
      block[at / 8] = little_endian(bytes.data() + begin + at, std::min<std::size_t>(8, count - at));
    }
  });
}

Digest vector_digest(std::span<const float> vector) noexcept {
  return digest_of(vector.size() * 4, [vector](Block& block, std::size_t begin, std::size_t count) {
    const std::span<const float> values = vector.subspan(begin / 4, count / 4);
    for (std::size_t i = 0; i < values.size(); ++i) block[i / 2] |= bits_of(values[i]) << (i % 2 * 32);
  });
}

void vector_digests(MatrixView<const float> vectors, std::span<Digest> out, const Execution& execution) {
  constexpr std::size_t kChunk = 256;
  const std::size_t rows = vectors.rows();
  if (out.size() != rows) throw std::invalid_argument("out has another size");
  parallel_for(execution, "digests", (rows + kChunk - 1) / kChunk, rows, [&](std::size_t chunk, Worker& worker) {
    const std::size_t begin = chunk * kChunk, end = std::min(rows, begin + kChunk);
    for (std::size_t i = begin; i < end; ++i) out[i] = vector_digest({vectors.row(i), vectors.cols()});
    worker.advance(end - begin);
  });
}

}  // namespace puresid
