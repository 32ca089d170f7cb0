// assign() against its twin: bytes become a small instance, and any difference aborts.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "bytes.hpp"
#include "instance.hpp"

namespace {

namespace reference = puresid::reference;
using puresid::Execution;
using puresid::Simd;
using puresid::Token;
using puresid::fuzz::Bytes;

reference::Vector vector(Bytes& bytes, std::size_t dim, bool lattice) {
  reference::Vector result(dim);
  for (float& value_of : result) value_of = bytes.value(lattice);
  return result;
}

reference::Input decode(Bytes& bytes) {
  reference::Input input;
  const std::size_t n_levels = bytes.between(1, 4), dim = bytes.between(1, 3), rows = bytes.between(0, 10);
  const bool lattice = bytes.flag();
  constexpr reference::Method kMethods[] = {reference::Method::ecm, reference::Method::rrs, reference::Method::nearest,
                                            reference::Method::suffix, reference::Method::beam};
  input.method = kMethods[bytes.between(0, 4)];
  input.width = bytes.between(1, 9);
  input.complete = bytes.flag();
  constexpr puresid::Space kSpaces[] = {{},
                                        {puresid::SpaceKind::tree},
                                        {puresid::SpaceKind::product},
                                        {puresid::SpaceKind::residual, puresid::Scaling::compared},
                                        {puresid::SpaceKind::residual, puresid::Scaling::kept}};
  input.space = kSpaces[bytes.between(0, 4)];
  const bool scaled = input.space.scaling != puresid::Scaling::none;
  if (scaled && input.method == reference::Method::beam) input.space = {};  // refused
  const bool tree = input.space.kind == puresid::SpaceKind::tree;
  for (std::size_t level = 0; level < n_levels; ++level) {
    const std::size_t above = tree && level > 0 ? input.levels.back().size() : 1;
    reference::Codebook codebook(above * bytes.between(1, tree ? 3 : 5));
    for (reference::Vector& codeword : codebook) codeword = vector(bytes, dim, lattice);
    input.levels.push_back(codebook);
  }
  for (std::size_t tiers = bytes.between(0, 3); tiers > 0; --tiers) {
    input.tiers.emplace_back();
    for (std::size_t level = 0; level < n_levels; ++level) input.tiers.back().push_back(bytes.between(1, 6));
  }
  for (std::size_t taken = bytes.between(0, 5); taken > 0; --taken) {
    input.taken.emplace_back();
    for (std::size_t level = 0; level < n_levels; ++level) {
      input.taken.back().push_back(static_cast<Token>(bytes.between(0, reference::spaced(input).size(level) - 1)));
    }
    if (input.method == reference::Method::suffix) input.taken.back().push_back(bytes.byte() % 4);
  }
  if (bytes.flag()) {
    for (std::size_t row = 0; row < rows; ++row) input.priority.push_back(bytes.byte() % 4);
  }
  if (bytes.flag()) input.max_distortion = static_cast<double>(std::fabs(bytes.value(lattice))) * 2;
  while (input.vectors.size() < rows) {
    const bool again = !input.vectors.empty() && bytes.flag();
    input.vectors.push_back(again ? input.vectors.back() : vector(bytes, reference::spaced(input).dim(), lattice));
  }
  if (input.space.scaling == puresid::Scaling::kept) {  // longer ones are refused: distortions could overflow
    const auto shorten = [](reference::Vector& vector) {
      for (float& value : vector) value = std::fabs(value) <= 0x1p10F ? value : 0;
    };
    for (reference::Codebook& codebook : input.levels) std::for_each(codebook.begin(), codebook.end(), shorten);
    std::for_each(input.vectors.begin(), input.vectors.end(), shorten);
  }
  return input;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes bytes(data, size);
  const std::vector<Simd> simd = puresid::available_simd();
  Execution execution;
  execution.simd = simd[bytes.byte() % simd.size()];
  execution.threads = bytes.byte() % 16 == 0 ? 3 : 1;  // starting threads is slow
  const std::string found = puresid::testing::disagreement(decode(bytes), execution);
  puresid::fuzz::require(found.empty(), found.c_str());
  return 0;
}
