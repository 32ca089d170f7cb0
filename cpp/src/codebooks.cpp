#include "puresid/codebooks.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

namespace puresid {
namespace {

std::string place(std::size_t level) { return "codebooks[" + std::to_string(level) + "]"; }

// How many tokens level `level` has, `above` codewords being those of the level above.
std::size_t checked_size(const MatrixView<const float>& codebook, std::size_t level, SpaceKind kind,
                         std::size_t above) {
  std::size_t size = codebook.rows();
  if (size == 0) throw std::invalid_argument(place(level) + " has no codeword; at least one is needed");
  if (kind == SpaceKind::tree) {
    if (size % above != 0) {
      throw std::invalid_argument(place(level) + " has " + std::to_string(size) + " codewords for " +
                                  std::to_string(above) + " of the level above; each needs equally many");
    }
    size /= above;
  }
  if (size > std::numeric_limits<Token>::max()) {
    throw std::invalid_argument(place(level) + " has " + std::to_string(size) + " codewords; at most 2^32 - 1 fit");
  }
  return size;
}

SidLayout checked_layout(const std::vector<MatrixView<const float>>& levels, const Space& space) {
  if (levels.empty()) throw std::invalid_argument("codebooks has no level; at least one is needed");
  if (space.scaling != Scaling::none && space.kind != SpaceKind::residual) {
    throw std::invalid_argument("codebooks that scale residuals must be of the residual space");
  }
  const std::size_t dim = levels[0].cols();
  std::vector<std::size_t> sizes;
  std::size_t above = 1;
  for (std::size_t level = 0; level < levels.size(); ++level) {
    sizes.push_back(checked_size(levels[level], level, space.kind, above));
    above = levels[level].rows();
    if (space.kind != SpaceKind::product && levels[level].cols() != dim) {
      throw std::invalid_argument(place(level) + " has " + std::to_string(levels[level].rows()) +
                                  " codewords of dimension " + std::to_string(levels[level].cols()) +
                                  "; codebooks[0] has dimension " + std::to_string(dim));
    }
    if (levels[level].cols() == 0) {
      throw std::invalid_argument(place(level) + " has dimension 0; at least 1 is needed");
    }
  }
  return SidLayout(std::move(sizes));
}

std::vector<std::size_t> columns(const std::vector<MatrixView<const float>>& levels, SpaceKind kind) {
  if (kind != SpaceKind::product) return {levels[0].cols()};
  std::vector<std::size_t> first = {0};
  for (const MatrixView<const float>& level : levels) first.push_back(first.back() + level.cols());
  return first;
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

Codebooks::Codebooks(std::vector<MatrixView<const float>> levels, Space space)
    : levels_(std::move(levels)),
      space_(space),
      layout_(checked_layout(levels_, space)),
      first_columns_(columns(levels_, space.kind)) {
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
  if (space_.scaling != Scaling::kept) return;
  // What is left has a length of at most 1 + |c| at each level, and distortion takes it times the lengths before.
  double growth = 1;
  for (std::size_t level = 0; level < levels_.size(); ++level) {
    growth *= 1 + std::sqrt(static_cast<double>(dim())) * largest_magnitude(levels_[level], level);
    if (growth >= room) {
      throw std::invalid_argument(place(level) +
                                  " has codewords so long that distortions overflow float32 where residuals are "
                                  "scaled; scale codebooks down");
    }
  }
  largest_value_ = std::min(largest_value_, static_cast<float>(room / growth));
}

}  // namespace puresid
