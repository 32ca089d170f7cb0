// Items with equal vectors. They meet the same candidates in the same order, so where one stopped, the
// next in rank order goes on: what the first was refused, the second is refused too. Without that, n
// equal items would look through n^2 / 2 candidates, which hurts where a tier has very many.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "puresid/distance.hpp"

namespace puresid {

// A hash of a few values of a vector.
[[nodiscard]] inline std::uint64_t hash_of(const float* vector, std::size_t dim) noexcept {
  constexpr std::size_t kHashedValues = 32;
  std::uint64_t hash = 0;
  for (std::size_t d = 0; d < dim; d += 1 + dim / kHashedValues) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, vector + d, sizeof bits);
    hash = (hash ^ bits) * 0x9E3779B97F4A7C15U;
    hash ^= hash >> 29;
  }
  return hash >> 32;
}

[[nodiscard]] inline bool equal_vectors(const float* a, const float* b, std::size_t dim) noexcept {
  return std::memcmp(a, b, dim * sizeof(float)) == 0;
}

// flags[i] = whether items[i] is known to equal an earlier one. Some twins may be missed.
[[nodiscard]] inline std::vector<std::uint8_t> find_twins(MatrixView<const float> vectors,
                                                          const std::vector<Row>& items) {
  constexpr std::size_t kSlots = 1U << 16U;
  std::vector<std::size_t> last(kSlots);  // position + 1 of the last item with that hash
  std::vector<std::uint8_t> flags(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    const float* vector = vectors.row(items[i]);
    std::size_t& seen = last[hash_of(vector, vectors.cols()) % kSlots];
    flags[i] = seen != 0 && equal_vectors(vectors.row(items[seen - 1]), vector, vectors.cols()) ? 1 : 0;
    seen = i + 1;
  }
  return flags;
}

// Searches that stay where they stopped, for a few of the vectors that many items have.
// Thread safety: one object per thread, which takes up items in rank order.
template <class Search>
class TwinSearches {
 public:
  TwinSearches(const PackedCodebooks& codebooks, const std::vector<std::size_t>& widths)
      : codebooks_(codebooks), widths_(widths), entries_(kEntries) {}

  // The search of an item whose greedy SID is `nearest`: that of the last equal one, or a new one.
  [[nodiscard]] Search& of(const float* vector, SidKey nearest) {
    const std::size_t dim = codebooks_.dim();
    Entry& entry = entries_[hash_of(vector, dim) % kEntries];
    if (entry.search == nullptr) {
      entry.search = std::make_unique<Search>(codebooks_, widths_, 1);
    } else if (equal_vectors(entry.vector, vector, dim)) {
      return *entry.search;
    }
    entry.vector = vector;
    entry.search->prepare(vector, &nearest, 1);
    entry.search->start(0);
    return *entry.search;
  }

 private:
  static constexpr std::size_t kEntries = 64;
  struct Entry {
    const float* vector = nullptr;
    std::unique_ptr<Search> search;
  };
  const PackedCodebooks& codebooks_;
  const std::vector<std::size_t>& widths_;
  std::vector<Entry> entries_;
};

}  // namespace puresid
