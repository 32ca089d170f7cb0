#include "suffix.hpp"

#include <algorithm>
#include <functional>

#include "puresid/key_table.hpp"
#include "puresid/parallel.hpp"
#include "taken.hpp"

namespace puresid {

TakenSuffixes::TakenSuffixes(const MatrixView<const Token>& taken, const SidLayout& layout, const Execution& execution)
    : sids_(taken.rows()) {
  constexpr std::size_t kChunk = 1U << 14U;
  parallel_for(execution, "taken", (taken.rows() + kChunk - 1) / kChunk, taken.rows(),
               [&](std::size_t chunk, Worker& worker) {
                 const std::size_t begin = chunk * kChunk, end = std::min(begin + kChunk, taken.rows());
                 for (std::size_t row = begin; row < end; ++row) {
                   check_taken(taken, row, layout);
                   sids_[row] = {layout.pack(taken.row(row)), taken.row(row)[layout.levels()]};
                 }
                 worker.advance(end - begin);
               });
  Execution quiet = execution;
  quiet.progress = nullptr;
  sort_stably(sids_, std::less<>(), "taken", quiet);
  sids_.erase(std::unique(sids_.begin(), sids_.end()), sids_.end());
}

bool TakenSuffixes::has(SidKey key, std::uint32_t counter) const {
  return std::binary_search(sids_.begin(), sids_.end(), std::pair(key, counter));
}

void count_suffixes(const TakenSuffixes& taken, const Order& order, const Execution& execution, Assignment& result) {
  const std::size_t rows = result.sids.rows();
  KeyTable next(rows);
  const auto count = [&](Row row) {
    const SidKey key = result.sids.load(row);
    KeyTable::Value& counter = next.at(key);
    std::uint32_t value = counter.load(std::memory_order_relaxed);
    while (taken.has(key, value)) ++value;
    result.counter[row] = value;
    counter.store(value + 1, std::memory_order_relaxed);
  };
  Execution serial = execution;
  serial.threads = 1;
  constexpr std::size_t kChunk = 1U << 14U;
  parallel_for(serial, "suffix", (rows + kChunk - 1) / kChunk, rows, [&](std::size_t chunk, Worker& worker) {
    const std::size_t begin = chunk * kChunk, end = std::min(begin + kChunk, rows);
    for (std::size_t rank = begin; rank < end; ++rank) count(order.row(rank));
    worker.advance(end - begin);
  });
}

}  // namespace puresid
