// A linear map of vectors: rotations, and the layers of encoders.
//
// Promise: as the kernel's (distance.hpp). One lane per output, sequentially over dimensions, with fused
// multiply-add, then the bias: a row's result does not depend on the rows beside it, the threads or the instruction
// set, which that of a BLAS does.
#pragma once

#include <span>

#include "puresid/execution.hpp"
#include "puresid/matrix.hpp"

namespace puresid {

// out[i][j] = sum_d rows[i][d] * weight[j][d] + bias[j]; no bias where it is empty. `out` has weight.rows() columns.
// Throws std::invalid_argument where shapes do not fit, Cancelled.
void linear(MatrixView<const float> rows, MatrixView<const float> weight, std::span<const float> bias,
            std::span<float> out, const Execution& execution);

}  // namespace puresid
