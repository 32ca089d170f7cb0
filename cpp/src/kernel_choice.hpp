// Which table of kernels runs; private to the core.
#pragma once

#include "puresid/execution.hpp"
#include "simd/kernels.hpp"

namespace puresid {

// The kernels of an instruction set for a codebook of `size` codewords. Throws std::invalid_argument where this
// build has none.
[[nodiscard]] const simd::KernelTable& kernels_for(Simd simd, std::size_t size);

}  // namespace puresid
