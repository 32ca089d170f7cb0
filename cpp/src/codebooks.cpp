#include "puresid/codebooks.hpp"

#include <cmath>
#include <limits>
#include <string>

namespace puresid {
namespace {

std::string place(std::size_t level) { return "codebooks[" + std::to_string(level) + "]"; }

SidLayout checked_layout(const std::vector<MatrixView<const float>>& levels) {
  if (levels.empty()) throw std::invalid_argument("codebooks has no level; at least one is needed");
  const std::size_t dim = levels[0].cols();
  std::vector<std::size_t> sizes;
  for (std::size_t level = 0; level < levels.size(); ++level) {
    const std::size_t size = levels[level].rows();
    if (size == 0) throw std::invalid_argument(place(level) + " has no codeword; at least one is needed");
    if (levels[level].cols() != dim) {
      throw std::invalid_argument(place(level) + " has " + std::to_string(size) + " codewords of dimension " +
                                  std::to_string(levels[level].cols()) + "; codebooks[0] has dimension " +
                                  std::to_string(dim));
    }
    if (size > std::numeric_limits<Token>::max()) {
      throw std::invalid_argument(place(level) + " has " + std::to_string(size) + " codewords; at most 2^32 - 1 fit");
    }
    sizes.push_back(size);
  }
  if (dim == 0) throw std::invalid_argument("codebooks[0] has dimension 0; at least 1 is needed");
  return SidLayout(std::move(sizes));
}

double largest_magnitude(const MatrixView<const float>& codebook, std::size_t level) {
  float largest = 0;
  for (std::size_t token = 0; token < codebook.rows(); ++token) {
    const float* codeword = codebook.row(token);
    for (std::size_t d = 0; d < codebook.cols(); ++d) {
      if (!std::isfinite(codeword[d])) {
        throw std::invalid_argument(place(level) + " has " +
                                    (std::isnan(codeword[d]) ? "NaN" : "an infinity (in float32)") + " in codeword " +
                                    std::to_string(token) + "; every value must be finite");
      }
      largest = std::fmax(largest, std::fabs(codeword[d]));
    }
  }
  return largest;
}

}  // namespace

Codebooks::Codebooks(std::vector<MatrixView<const float>> levels)
    : levels_(std::move(levels)), layout_(checked_layout(levels_)) {
  // A residual is at most |x| plus one codeword of each level so far, and every sum that the kernels
  // make stays below 2 * D * (|x| + all of those)^2. Half the largest float leaves room for rounding.
  const double room = std::sqrt(std::numeric_limits<float>::max() / (4.0 * static_cast<double>(dim())));
  double reach = 0;
  for (std::size_t level = 0; level < levels_.size(); ++level) {
    reach += largest_magnitude(levels_[level], level);
    if (reach >= room) {
      throw std::invalid_argument(place(level) + " has values up to " + std::to_string(reach) +
                                  ", whose squared distances overflow float32; scale vectors and codebooks down");
    }
  }
  largest_value_ = static_cast<float>(room - reach);
}

}  // namespace puresid
