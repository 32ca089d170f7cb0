#include "suffix.hpp"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "nearest.hpp"
#include "order.hpp"
#include "puresid/key_table.hpp"
#include "puresid/parallel.hpp"
#include "taken.hpp"

namespace puresid {

void assign_suffix(MatrixView<const float> vectors, const Codebooks& codebooks, const AssignOptions& options,
                   const Execution& execution, Assignment& result) {
  const PackedCodebooks packed(codebooks, execution.simd);
  std::unordered_map<SidKey, std::vector<std::uint32_t>> taken;
  for (std::size_t row = 0; row < options.taken.rows(); ++row) {
    check_taken(options.taken, row, codebooks.layout());
    const Token* tokens = options.taken.row(row);
    taken[codebooks.layout().pack(tokens)].push_back(tokens[codebooks.levels()]);
  }
  for (auto& [key, counters] : taken) std::sort(counters.begin(), counters.end());
  const Order order(options.priority, execution);
  quantise_nearest(vectors, codebooks, packed, {}, {}, nullptr, execution, result);
  KeyTable next(vectors.rows());
  const auto count = [&](Row row) {
    const SidKey key = result.sids.load(row);
    KeyTable::Value& counter = next.at(key);
    std::uint32_t value = counter.load(std::memory_order_relaxed);
    if (const auto group = taken.find(key); group != taken.end()) {
      while (std::binary_search(group->second.begin(), group->second.end(), value)) ++value;
    }
    result.counter[row] = value;
    counter.store(value + 1, std::memory_order_relaxed);
  };
  Execution serial = execution;
  serial.threads = 1;
  constexpr std::size_t kChunk = 1U << 14U;
  parallel_for(serial, "suffix", (vectors.rows() + kChunk - 1) / kChunk, vectors.rows(),
               [&](std::size_t chunk, Worker& worker) {
                 const std::size_t begin = chunk * kChunk, end = std::min(begin + kChunk, vectors.rows());
                 for (std::size_t rank = begin; rank < end; ++rank) count(order.row(rank));
                 worker.advance(end - begin);
               });
}

}  // namespace puresid
