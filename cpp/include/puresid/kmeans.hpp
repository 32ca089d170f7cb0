// Residual k-means on the distance kernel: trains the codebooks that assign() uses.
//
// Each level is a Lloyd iteration from a greedy k-means++ start (Arthur & Vassilvitskii 2007; several
// trials a step, the best kept), on the residuals that the level before left. Empty clusters are
// refilled with the rows that are worst served. Same bytes for the same input and seed at any number
// of threads: sums run over fixed blocks in row order, draws depend on (seed, level, step, trial).
// Balanced, every cluster of a level has floor(N / K) rows or one more, by balanced.hpp; a level then ends
// when an iteration gains less than that assignment's tolerance.
// Cost: 2 * N * K * D operations per iteration. Memory beyond the input: N x D floats of residuals; balanced,
// N x K floats of distances.
#pragma once

#include <cstdint>
#include <vector>

#include "puresid/execution.hpp"
#include "puresid/matrix.hpp"

namespace puresid {

struct KMeansOptions {
  std::size_t n_iter = 25;  // Lloyd iterations of each level at most; a level stops early when nothing moves
  std::uint64_t seed = 0;
  bool balanced = false;
  // Codewords to start from, size x dim for each level; none: they are drawn.
  std::vector<MatrixView<const float>> start = {};
};

struct KMeansLevel {
  std::vector<float> codewords;    // size x dim
  std::vector<double> distortion;  // mean squared distance of the rows, before each iteration and at the end
  std::vector<Token> tokens;       // of each row, at the end
};

// Throws std::invalid_argument where there are fewer vectors than codewords, or values are not finite
// or too large (naming the row).
[[nodiscard]] std::vector<KMeansLevel> train_residual_kmeans(MatrixView<const float> vectors,
                                                             const std::vector<std::size_t>& sizes,
                                                             const KMeansOptions& options, const Execution& execution);

}  // namespace puresid
