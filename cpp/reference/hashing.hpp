// SipHash-2-4 as its paper writes it: a message padded to whole words, and rounds of one step after the other.
#pragma once

#include <cstdint>
#include <vector>

namespace puresid::reference {

inline std::uint64_t siphash(std::vector<std::uint8_t> message) {
  const auto rotate = [](std::uint64_t x, unsigned by) { return x << by | x >> (64 - by); };
  const std::uint64_t k0 = 0x0706050403020100, k1 = 0x0f0e0d0c0b0a0908;
  std::uint64_t v0 = k0 ^ 0x736f6d6570736575, v1 = k1 ^ 0x646f72616e646f6d;
  std::uint64_t v2 = k0 ^ 0x6c7967656e657261, v3 = k1 ^ 0x7465646279746573;
  const auto round = [&] {
    v0 += v1, v1 = rotate(v1, 13), v1 ^= v0, v0 = rotate(v0, 32);
    v2 += v3, v3 = rotate(v3, 16), v3 ^= v2;
    v0 += v3, v3 = rotate(v3, 21), v3 ^= v0;
    v2 += v1, v1 = rotate(v1, 17), v1 ^= v2, v2 = rotate(v2, 32);
  };
  const auto length = static_cast<std::uint8_t>(message.size() % 256);
  while (message.size() % 8 != 7) message.push_back(0);
  message.push_back(length);
  for (std::size_t begin = 0; begin < message.size(); begin += 8) {
    std::uint64_t word = 0;
    for (std::size_t i = 8; i-- > 0;) word = word << 8 | message[begin + i];
    v3 ^= word;
    for (int i = 0; i < 2; ++i) round();
    v0 ^= word;
  }
  v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) round();
  return v0 ^ v1 ^ v2 ^ v3;
}

}  // namespace puresid::reference
