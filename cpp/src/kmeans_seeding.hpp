// Greedy k-means++: the start of a Lloyd iteration. Private to the core.
#pragma once

#include <cstdint>
#include <vector>

#include "puresid/execution.hpp"
#include "puresid/matrix.hpp"

namespace puresid {

// Names a stream of draws: each is a function of (seed, level, step, trial) alone.
struct Draws {
  std::uint64_t seed, level;
};

// `size` rows (copied, size x dim) that are spread out: each is the best of several draws with
// probability proportional to the squared distance to those chosen so far, on a stratified sample of
// at most max(4 * size, 65,536) rows and 64 * size. rows.rows() >= size.
[[nodiscard]] std::vector<float> seed_codewords(MatrixView<const float> rows, std::size_t size, const Draws& draws,
                                                const Execution& execution);

}  // namespace puresid
