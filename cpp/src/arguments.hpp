// What assign() refuses. Private to the core.
#pragma once

#include <cmath>
#include <limits>
#include <string>

#include "puresid/assign.hpp"
#include "puresid/beam.hpp"
#include "puresid/owners.hpp"

namespace puresid {

// What those methods need that order SIDs by their distortion. Throws std::invalid_argument.
inline void check_beam(const Codebooks& codebooks, const AssignOptions& options) {
  const std::size_t width = options.width;
  if (width == 0 || width > BeamSearch::kMostWidth) {
    throw std::invalid_argument("width is " + std::to_string(width) + "; it must be from 1 to " +
                                std::to_string(BeamSearch::kMostWidth));
  }
  if (codebooks.space().scaling == Scaling::none) return;
  throw std::invalid_argument(std::string("codebooks compare residuals at length 1 (") +
                              (codebooks.space().scaling == Scaling::kept ? "normalised residuals" : "cosine") +
                              "), so distortions do not say which SID is near; method '" +
                              (options.method == Method::beam ? "beam" : "optimal") +
                              "', which orders by them, is not for these");
}

inline void check_dimension(const Vectors& vectors, const Codebooks& codebooks) {
  if (vectors.cols() == codebooks.dim()) return;
  if (codebooks.space().kind == SpaceKind::product) {
    throw std::invalid_argument("codebooks quantise " + std::to_string(codebooks.dim()) +
                                " columns in all; vectors have dimension " + std::to_string(vectors.cols()));
  }
  throw std::invalid_argument("codebooks[0] has " + std::to_string(codebooks.size(0)) + " codewords of dimension " +
                              std::to_string(codebooks.dim()) + "; vectors have dimension " +
                              std::to_string(vectors.cols()));
}

inline void check_optimal(std::size_t rows, const AssignOptions& options) {
  if (std::isnan(options.gap) || options.gap < 0 || options.gap >= 1) {
    throw std::invalid_argument("gap is " + std::to_string(options.gap) + "; it must be from 0 to less than 1");
  }
  if (!options.weights.empty() && options.weights.size() != rows) {
    throw std::invalid_argument("weights has " + std::to_string(options.weights.size()) + " values; vectors has " +
                                std::to_string(rows) + " rows");
  }
  for (std::size_t row = 0; row < options.weights.size(); ++row) {
    const double weight = options.weights[row];
    if (weight > 0 && weight < std::numeric_limits<double>::infinity()) continue;
    throw std::invalid_argument("weights[" + std::to_string(row) + "] is " + std::to_string(weight) +
                                "; it must be positive and finite");
  }
}

inline void check_arguments(std::size_t rows, const Codebooks& codebooks, const AssignOptions& options) {
  if (rows > SidOwners::kMostRanks) {
    throw std::invalid_argument("vectors has " + std::to_string(rows) + " rows; at most 2^32 - 2 fit");
  }
  if (!options.priority.empty() && options.priority.size() != rows) {
    throw std::invalid_argument("priority has " + std::to_string(options.priority.size()) + " values; vectors has " +
                                std::to_string(rows) + " rows");
  }
  for (std::size_t row = 0; row < options.priority.size(); ++row) {
    if (std::isnan(options.priority[row])) {
      throw std::invalid_argument("priority[" + std::to_string(row) + "] is NaN; every value must order");
    }
  }
  if (!(options.max_distortion >= 0)) {
    throw std::invalid_argument("max_distortion is " + std::to_string(options.max_distortion) + "; it must be >= 0");
  }
  check_optimal(rows, options);
  if (options.method == Method::beam || options.method == Method::optimal) check_beam(codebooks, options);
  const std::size_t columns = codebooks.levels() + (options.method == Method::suffix ? 1 : 0);
  if (options.taken.rows() > 0 && options.taken.cols() != columns) {
    throw std::invalid_argument("taken has " + std::to_string(options.taken.cols()) + " columns; SIDs have " +
                                std::to_string(columns) + " tokens");
  }
}

}  // namespace puresid
