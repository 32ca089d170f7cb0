// Rows to clusters of nearly equal size, at nearly the least sum of costs.
//
// Promise: of `rows` rows each cluster gets floor(rows / clusters) or one more; the clusters that get one more
// are those that are the cheapest of the most rows, the lower token of equal ones. Given these sizes, the sum
// of costs is at most 1 / (1 - kTolerance) times the least possible.
// Method: the auction algorithm for objects of which there are several alike (Bertsekas & Castanon, "The
// auction algorithm for the transportation problem", Annals of Operations Research 20, 1989). Rows bid for the
// places of a cluster; a bid exceeds the price by what the place is worth more than the second best, and a
// step. An assignment is within rows * step of the least sum, so the step is divided by four until that
// is a small part of the sum itself. Prices are kept from call to call: a good start where costs changed little.
// Cost: `clusters` operations a bid, about ten bids a row and step. One thread, so that bids come in one order.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "puresid/execution.hpp"
#include "puresid/matrix.hpp"
#include "puresid/types.hpp"

namespace puresid {

class Worker;

class BalancedAssignment {
 public:
  static constexpr double kTolerance = 0.005;

  // clusters <= rows < 2^32, both at least 1.
  BalancedAssignment(std::size_t rows, std::size_t clusters);

  // costs: rows x stride, of which the first `clusters` count; finite and not negative. tokens()[row] is then
  // the row's cluster.
  void solve(MatrixView<const float> costs, const Execution& execution);

  [[nodiscard]] const std::vector<Token>& tokens() const noexcept { return tokens_; }
  [[nodiscard]] double sum() const noexcept { return sum_; }

 private:
  struct Place {
    double price;
    Row row;
    // The place that is lost first comes first in a heap.
    [[nodiscard]] bool operator<(const Place& other) const noexcept {
      return price > other.price || (price == other.price && row > other.row);
    }
  };

  void set_capacities(MatrixView<const float> costs);
  void hold_auction(MatrixView<const float> costs, double step, Worker& worker);
  // The cluster that a row bids for, and its bid.
  [[nodiscard]] std::pair<Token, double> bid(const float* costs, double step) const;

  std::vector<Token> tokens_;
  std::vector<double> prices_;  // of the cheapest place of each cluster
  std::vector<std::size_t> capacities_;
  std::vector<std::vector<Place>> places_;  // heaps
  double sum_ = 0;
};

}  // namespace puresid
