// The vocabulary of the core: tokens, SID keys, checked arithmetic, errors.
//
// A SID is a tuple of L tokens. Inside the core it travels as one 64-bit key: token l occupies
// ceil(log2 K_l) bits, level 0 the most significant, so keys compare like tuples and a prefix is a
// right shift. `SidLayout` holds the widths; it refuses spaces that need more than 64 bits.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace puresid {

using Token = std::uint32_t;
using SidKey = std::uint64_t;
using Row = std::uint32_t;  // index of an item: catalogues hold fewer than 2^32 - 2 items

// More SIDs are asked for than the space has. Thrown before any work.
class CapacityError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

template <class To, class From>
[[nodiscard]] constexpr To narrow(From value) {
  const auto result = static_cast<To>(value);
  if (!std::in_range<To>(value)) {
    throw std::out_of_range("a value of " + std::to_string(value) + " does not fit its type");
  }
  return result;
}

// a * b, or the largest value where the product does not fit.
[[nodiscard]] constexpr std::uint64_t saturating_multiply(std::uint64_t a, std::uint64_t b) noexcept {
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  return b != 0 && a > most / b ? most : a * b;
}

[[nodiscard]] inline std::size_t checked_multiply(std::size_t a, std::size_t b) {
  if (b != 0 && a > std::numeric_limits<std::size_t>::max() / b) {
    throw std::length_error(std::to_string(a) + " * " + std::to_string(b) + " overflows");
  }
  return a * b;
}

// How tokens make a vector.
enum class SpaceKind {
  residual,  // the sum of the codewords; each level quantises what those before it left
  tree,      // the last codeword; a level's codewords depend on the tokens before
  product,   // the codewords one after the other; each level quantises its own columns
};

// What is done to a residual before its level compares it.
enum class Scaling {
  none,
  compared,  // it is compared at length 1, and goes on as it is: cosine, for codewords of length 1
  kept,      // it is compared at length 1 and goes on so
};

struct Space {
  SpaceKind kind = SpaceKind::residual;
  Scaling scaling = Scaling::none;  // residual only

  // Whether a level has the same codewords below every prefix.
  [[nodiscard]] bool one_codebook_a_level() const noexcept { return kind != SpaceKind::tree; }
  // Whether a level's scores along another path are those of the greedy path and codeword products.
  [[nodiscard]] bool additive() const noexcept { return kind == SpaceKind::residual && scaling == Scaling::none; }
};

// How the tokens of a SID share the 64 bits of a key. Also packs rank tuples in the searches.
class SidLayout {
 public:
  SidLayout() = default;
  explicit SidLayout(std::vector<std::size_t> sizes) : sizes_(std::move(sizes)) {
    shifts_.resize(sizes_.size());
    unsigned used = 0;
    for (std::size_t level = sizes_.size(); level-- > 0;) {
      shifts_[level] = used;
      used += bits(level);
      capacity_ = saturating_multiply(capacity_, sizes_[level]);
    }
    if (used > 64) {
      throw std::invalid_argument("the codebook sizes need " + std::to_string(used) +
                                  " bits a SID (the sum of ceil(log2 size) over the levels), more than 64; "
                                  "use fewer or smaller levels");
    }
  }

  [[nodiscard]] std::size_t levels() const noexcept { return sizes_.size(); }
  [[nodiscard]] std::size_t size(std::size_t level) const noexcept { return sizes_[level]; }
  // Number of SIDs; the largest 64-bit value also stands for 2^64.
  [[nodiscard]] std::uint64_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] unsigned bits(std::size_t level) const noexcept {
    return static_cast<unsigned>(std::bit_width(sizes_[level] - 1));
  }

  [[nodiscard]] Token token(SidKey key, std::size_t level) const noexcept {
    const unsigned width = bits(level);
    return width == 0 ? 0 : static_cast<Token>(key >> shifts_[level] & ((SidKey{1} << width) - 1));
  }
  // The key's bits of one token, to be combined with `|`.
  [[nodiscard]] SidKey place(Token token, std::size_t level) const noexcept {
    return bits(level) == 0 ? 0 : SidKey{token} << shifts_[level];
  }
  [[nodiscard]] SidKey pack(const Token* tokens) const noexcept {
    SidKey key = 0;
    for (std::size_t level = 0; level < levels(); ++level) key |= place(tokens[level], level);
    return key;
  }
  // The key with all tokens from level `depth` on set to 0: names the prefix of that many tokens.
  [[nodiscard]] SidKey prefix(SidKey key, std::size_t depth) const noexcept {
    if (depth == 0) return 0;
    const unsigned shift = shifts_[depth - 1];
    return bits(depth - 1) == 0 && shift == 64 ? 0 : key >> shift << shift;
  }

 private:
  std::vector<std::size_t> sizes_;
  std::vector<unsigned> shifts_;
  std::uint64_t capacity_ = 1;
};

}  // namespace puresid
