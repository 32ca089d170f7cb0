#include "puresid/settled.hpp"

#include <algorithm>

namespace puresid {

void Settled::read(SidKey key, std::uint64_t* words) const {
  if (is_array()) {
    std::copy_n(below(key), words_, words);
    return;
  }
  std::fill_n(words, words_, std::uint64_t{0});
  const auto set = [&](SidKey token) { words[token / 64] |= std::uint64_t{1} << token % 64; };
  is_narrow_ ? narrow_.for_each_leaf(key, set) : wide_.for_each_leaf(key, set);
}

}  // namespace puresid
