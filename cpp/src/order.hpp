// Who comes first where items meet. Private to the core.
#pragma once

#include <algorithm>
#include <numeric>
#include <span>
#include <string_view>
#include <vector>

#include "puresid/matching.hpp"
#include "puresid/parallel.hpp"

namespace puresid {

// A merge sort; elements of which neither comes before the other stay in their order.
template <class Element, class Before>
void sort_stably(std::vector<Element>& all, const Before& before, std::string_view stage, const Execution& execution) {
  const std::size_t count = all.size();
  std::vector<Element> merged(count);
  constexpr std::size_t kRun = 1U << 16U;
  const auto at = [](std::vector<Element>& elements, std::size_t place) {
    return elements.begin() + static_cast<std::ptrdiff_t>(place);
  };
  parallel_for(execution, stage, (count + kRun - 1) / kRun, count, [&](std::size_t chunk, Worker& worker) {
    const std::size_t begin = chunk * kRun, end = std::min(begin + kRun, count);
    std::stable_sort(at(all, begin), at(all, end), before);
    worker.advance(end - begin);
  });
  for (std::size_t run = kRun; run < count; run *= 2) {
    parallel_for(execution, stage, (count + 2 * run - 1) / (2 * run), count, [&](std::size_t chunk, Worker&) {
      const std::size_t begin = chunk * 2 * run;
      const std::size_t middle = std::min(begin + run, count), end = std::min(middle + run, count);
      std::merge(at(all, begin), at(all, middle), at(all, middle), at(all, end), at(merged, begin), before);
    });
    all.swap(merged);
  }
}

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
  void sort(std::span<const double> priority, const Execution& execution) {
    sort_stably(rows_by_rank, [&](Row a, Row b) { return priority[a] > priority[b]; }, "priority", execution);
  }
};

}  // namespace puresid
