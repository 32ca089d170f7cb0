#include "puresid/balanced.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "puresid/parallel.hpp"

namespace puresid {
namespace {

constexpr std::size_t kBidsPerPoll = 1024;
constexpr double kLeastStep = 1e-9;  // of the highest price: what it is raised by must not vanish beside it

Token cheapest(const float* costs, std::size_t clusters) {
  return static_cast<Token>(std::min_element(costs, costs + clusters) - costs);
}

}  // namespace

BalancedAssignment::BalancedAssignment(std::size_t rows, std::size_t clusters)
    : tokens_(rows), prices_(clusters), capacities_(clusters), places_(clusters) {}

void BalancedAssignment::set_capacities(MatrixView<const float> costs) {
  const std::size_t rows = tokens_.size(), clusters = prices_.size();
  std::vector<std::size_t> wanted(clusters);
  for (std::size_t row = 0; row < rows; ++row) ++wanted[cheapest(costs.row(row), clusters)];
  std::vector<std::size_t> order(clusters);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return wanted[a] > wanted[b]; });
  for (std::size_t rank = 0; rank < clusters; ++rank) {
    capacities_[order[rank]] = rows / clusters + (rank < rows % clusters ? 1 : 0);
  }
}

std::pair<Token, double> BalancedAssignment::bid(const float* costs, double step) const {
  double least = std::numeric_limits<double>::infinity(), second = least;
  std::size_t best = 0;
  for (std::size_t token = 0; token < prices_.size(); ++token) {
    const double paid = static_cast<double>(costs[token]) + prices_[token];
    if (paid >= second) continue;
    if (paid < least) {
      second = least;
      least = paid;
      best = token;
    } else {
      second = paid;
    }
  }
  return {static_cast<Token>(best), prices_[best] + (second - least) + step};
}

void BalancedAssignment::hold_auction(MatrixView<const float> costs, double step, Worker& worker) {
  for (auto& heap : places_) heap.clear();
  // Nobody can be without a place for ever: a price rises with every row that is turned out.
  std::vector<Row> bidders(tokens_.size()), turned_out;
  std::iota(bidders.begin(), bidders.end(), Row{0});
  std::size_t bids = 0;
  while (!bidders.empty()) {
    for (const Row row : bidders) {
      const auto [token, price] = bid(costs.row(row), step);
      auto& heap = places_[token];
      if (heap.size() == capacities_[token]) {
        turned_out.push_back(heap.front().row);
        std::pop_heap(heap.begin(), heap.end());
        heap.pop_back();
      }
      heap.push_back({price, row});
      std::push_heap(heap.begin(), heap.end());
      tokens_[row] = token;
      if (heap.size() == capacities_[token]) prices_[token] = heap.front().price;
      if (++bids % kBidsPerPoll == 0) worker.poll();
    }
    bidders.swap(turned_out);
    turned_out.clear();
  }
  sum_ = 0;
  for (std::size_t row = 0; row < tokens_.size(); ++row) sum_ += static_cast<double>(costs.row(row)[tokens_[row]]);
}

void BalancedAssignment::solve(MatrixView<const float> costs, const Execution& execution) {
  const auto rows = static_cast<double>(tokens_.size());
  const std::size_t clusters = prices_.size();
  if (clusters == 1) {  // nothing to bid against
    sum_ = 0;
    for (std::size_t row = 0; row < tokens_.size(); ++row) sum_ += static_cast<double>(costs.row(row)[0]);
    return;
  }
  set_capacities(costs);
  double all = 0;
  for (std::size_t row = 0; row < tokens_.size(); ++row) {
    const float* from = costs.row(row);
    all += std::accumulate(from, from + clusters, 0.0,
                           [](double sum, float cost) { return sum + static_cast<double>(cost); });
  }
  Execution quiet = execution;
  quiet.progress = nullptr;
  parallel_for(quiet, "balancing", 1, 1, [&](std::size_t, Worker& worker) {
    double step = all > 0 ? all / (4 * rows * static_cast<double>(clusters)) : 1;
    // Costs far below those of the call before: bids would take for ever to tell its prices apart.
    if (step < kLeastStep * *std::max_element(prices_.begin(), prices_.end()))
      std::fill(prices_.begin(), prices_.end(), 0);
    hold_auction(costs, step, worker);
    while (sum_ > 0 && rows * step > kTolerance * sum_) {
      step /= 4;
      // Where nearly all rows cost nothing.
      if (step < kLeastStep * *std::max_element(prices_.begin(), prices_.end())) break;
      hold_auction(costs, step, worker);
    }
  });
  // Only differences of prices matter; kept small, they lose no digits from call to call.
  const double lowest = *std::min_element(prices_.begin(), prices_.end());
  for (double& price : prices_) price -= lowest;
}

}  // namespace puresid
