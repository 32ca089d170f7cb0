// Who comes first where items meet. Private to the core.
#pragma once

#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

#include "puresid/matching.hpp"
#include "puresid/parallel.hpp"

namespace puresid {

// Row order, or the order that a priority gives.
struct Order {
  Order(std::span<const double> priority, const Execution& execution)
      : rows_by_rank(priority.size()), ranks(priority.size()) {
    std::iota(rows_by_rank.begin(), rows_by_rank.end(), Row{0});
    sort(priority, execution);
    for (std::size_t rank = 0; rank < ranks.size(); ++rank) ranks[rows_by_rank[rank]] = static_cast<Rank>(rank);
  }
  [[nodiscard]] Row row(std::size_t rank) const {
    return rows_by_rank.empty() ? static_cast<Row>(rank) : rows_by_rank[rank];
  }
  std::vector<Row> rows_by_rank;  // empty for row order
  std::vector<Rank> ranks;

 private:
  // A merge sort: higher priority first, equal ones in row order.
  void sort(std::span<const double> priority, const Execution& execution) {
    const std::size_t rows = rows_by_rank.size();
    std::vector<Row> merged(rows);
    const auto before = [&](Row a, Row b) { return priority[a] > priority[b]; };
    constexpr std::size_t kRun = 1U << 16U;
    const auto at = [](std::vector<Row>& all, std::size_t row) {
      return all.begin() + static_cast<std::ptrdiff_t>(row);
    };
    parallel_for(execution, "priority", (rows + kRun - 1) / kRun, rows, [&](std::size_t chunk, Worker& worker) {
      const std::size_t begin = chunk * kRun, end = std::min(begin + kRun, rows);
      std::stable_sort(at(rows_by_rank, begin), at(rows_by_rank, end), before);
      worker.advance(end - begin);
    });
    for (std::size_t run = kRun; run < rows; run *= 2) {
      parallel_for(execution, "priority", (rows + 2 * run - 1) / (2 * run), rows, [&](std::size_t chunk, Worker&) {
        const std::size_t begin = chunk * 2 * run;
        const std::size_t middle = std::min(begin + run, rows), end = std::min(middle + run, rows);
        std::merge(at(rows_by_rank, begin), at(rows_by_rank, middle), at(rows_by_rank, middle), at(rows_by_rank, end),
                   at(merged, begin), before);
      });
      rows_by_rank.swap(merged);
    }
  }
};

}  // namespace puresid
