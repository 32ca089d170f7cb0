// Items with equal vectors. They meet the same candidates in the same order, so where one stopped, the
// next in rank order goes on: what the first was refused, the second is refused too. Without that, n
// equal items would look through n^2 / 2 candidates, which hurts where a tier has very many.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "puresid/codeword_products.hpp"
#include "puresid/parallel.hpp"
#include "puresid/refusals.hpp"
#include "puresid/vectors.hpp"

namespace puresid {

// flags[i] = whether items[i], a row of `vectors`, is known to equal an earlier one. Some twins may be missed.
[[nodiscard]] inline std::vector<std::uint8_t> find_twins(const Vectors& vectors, const std::vector<Row>& items,
                                                          const Execution& execution = {}) {
  constexpr std::size_t kSlots = 1U << 16U, kChunk = 1U << 12U, kAhead = 16;
  std::vector<std::uint64_t> hashes(items.size());
  Execution quiet = execution;
  quiet.progress = nullptr;
  parallel_for(quiet, "twins", (items.size() + kChunk - 1) / kChunk, items.size(), [&](std::size_t chunk, Worker&) {
    const std::size_t end = std::min((chunk + 1) * kChunk, items.size());
    for (std::size_t i = chunk * kChunk; i < end; ++i) {
      if (i + kAhead < end) vectors.prefetch(items[i + kAhead]);
      hashes[i] = vectors.hash(items[i]);
    }
  });
  std::vector<std::size_t> last(kSlots);  // position + 1 of the last item of that slot
  std::vector<std::uint8_t> flags(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    std::size_t& seen = last[hashes[i] % kSlots];
    flags[i] = seen != 0 && hashes[seen - 1] == hashes[i] && vectors.equal(items[seen - 1], items[i]) ? 1 : 0;
    seen = i + 1;
  }
  return flags;
}

// Searches that stay where they stopped, for a few of the vectors that many items have.
// Thread safety: one object per thread, which takes up items in rank order.
template <class Search>
class TwinSearches {
 public:
  TwinSearches(const PackedCodebooks& codebooks, const CodewordProducts& products,
               const std::vector<std::size_t>& widths, const Vectors& vectors)
      : codebooks_(codebooks), products_(products), widths_(widths), vectors_(vectors), entries_(kEntries) {}

  // The search of the item in `row`, whose greedy SID is `nearest`: that of the last equal one, or a new one.
  [[nodiscard]] Search& of(Row row, SidKey nearest, Refusals& refusals, Worker& worker) {
    Entry& entry = entries_[vectors_.hash(row) % kEntries];
    if (entry.search == nullptr) {
      entry.search = std::make_unique<Search>(codebooks_, products_, widths_, 1);
      entry.vector = AlignedBuffer<float>(vectors_.cols());
    } else if (vectors_.equal(entry.row, row)) {
      return *entry.search;
    }
    entry.row = row;
    vectors_.copy(row, entry.vector.data());
    entry.search->prepare(entry.vector.data(), &nearest, 1);
    static_cast<void>(entry.search->foresee(0, refusals, worker));
    entry.search->start(0);
    return *entry.search;
  }

 private:
  static constexpr std::size_t kEntries = 64;
  struct Entry {
    Row row = 0;
    AlignedBuffer<float> vector;
    std::unique_ptr<Search> search;
  };
  const PackedCodebooks& codebooks_;
  const CodewordProducts& products_;
  const std::vector<std::size_t>& widths_;
  const Vectors& vectors_;
  std::vector<Entry> entries_;
};

}  // namespace puresid
