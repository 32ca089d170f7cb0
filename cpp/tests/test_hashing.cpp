#include <doctest/doctest.h>

#include <cmath>
#include <set>
#include <vector>

#include "hashing.hpp"  // the twin
#include "puresid/hashing.hpp"
#include "random.hpp"

namespace puresid {
namespace {

using Bytes = std::vector<std::uint8_t>;
using testing::Random;

Bytes counting(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i % 251);
  return bytes;
}

TEST_CASE("bytes hash as in SipHash's paper and its test vectors") {
  CHECK(hash_bytes({}) == 0x726fdb47dd0e0e31);
  CHECK(hash_bytes(counting(1)) == 0x74f839c593dc67fd);
  CHECK(hash_bytes(counting(15)) == 0xa129ca6149be45e5);
}

TEST_CASE("bytes hash as the twin does, at every length around whole words and beyond 255") {
  Random random(1);
  for (std::size_t size = 0; size < 600; size = size < 40 ? size + 1 : size + 37) {
    CAPTURE(size);
    Bytes bytes(size);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.between(0, 255));
    CHECK(hash_bytes(bytes) == reference::siphash(bytes));
  }
}

TEST_CASE("integers keep to the mixer's known values, and none meet") {
  CHECK(hash_integer(0) == 0xe220a8397b1dcdaf);
  CHECK(hash_integer(1) == 0x910a2dec89025cc1);
  CHECK(hash_integer(-1) == 0xe4d971771b652c20);
  std::set<std::uint64_t> seen;
  for (std::int64_t i = -5000; i < 5000; ++i) seen.insert(hash_integer(i));
  CHECK(seen.size() == 10000);
}

TEST_CASE("digests are BLAKE2b's, at every side of a block") {
  CHECK(blake2b_128({}) == Digest{0x40bdefd94169e6ca, 0x7076a68e75884d4e});
  CHECK(blake2b_128(Bytes{'a', 'b', 'c'}) == Digest{0x2b8d2bc691b74acf, 0x1678287502c90921});
  CHECK(blake2b_128(counting(128)) == Digest{0xe389f54e008747a7, 0x4a29d00039184911});
  CHECK(blake2b_128(counting(129)) == Digest{0xe44e6d1f37b0f1aa, 0xef499cdd5dfbe49e});
  CHECK(blake2b_128(counting(300)) == Digest{0xe7bcbbda19a721a0, 0x65986c7a9ec4be07});
}

TEST_CASE("a vector's digest is that of its little-endian values, with 0 for -0, whatever the threads") {
  for (std::size_t dim : {1, 2, 31, 32, 33, 64, 65, 257}) {
    CAPTURE(dim);
    Random random(dim);
    const std::size_t rows = 600;
    std::vector<float> values(rows * dim);
    for (float& value : values) value = random.one_in(5) ? -0.0F : random.gaussian();
    std::vector<Digest> expected;
    for (std::size_t row = 0; row < rows; ++row) {
      Bytes bytes;
      for (std::size_t d = 0; d < dim; ++d) {
        const float value = values[row * dim + d];
        const auto bits = std::bit_cast<std::uint32_t>(value == 0 ? 0.0F : value);
        for (unsigned shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<std::uint8_t>(bits >> shift));
      }
      expected.push_back(blake2b_128(bytes));
    }
    for (const int threads : {1, 3}) {
      Execution execution;
      execution.threads = threads;
      std::vector<Digest> out(rows);
      vector_digests({values.data(), rows, dim}, out, execution);
      CHECK(out == expected);
    }
  }
}

TEST_CASE("one digest for each row is needed") {
  const float values[2] = {};
  std::vector<Digest> out(1);
  CHECK_THROWS_WITH_AS(vector_digests({values, 2, 1}, out, {}), "out has another size", std::invalid_argument);
  out.clear();
  vector_digests({values, 0, 1}, out, {});
}

}  // namespace
}  // namespace puresid
