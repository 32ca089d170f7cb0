// Intervals of a sorted column: which of its values lie between two bounds.
//
// Promise: of values that do not ascend (a file that nobody has checked) some interval of [0, n) comes out, never one
// beyond. Cost: log2(n) steps a query, many queries side by side, so that their waits for memory overlap.
// Thread safety: may be called from any number of threads.
#pragma once

#include <cstdint>
#include <span>

#include "puresid/execution.hpp"

namespace puresid {

// first[i] and last[i]: the half-open interval of the values v of `values` with low[i] <= v <= high[i]. Where it is
// empty, last[i] = first[i]. Throws std::invalid_argument where sizes differ, Cancelled.
void find_intervals(std::span<const std::uint64_t> values, std::span<const std::uint64_t> low,
                    std::span<const std::uint64_t> high, std::span<std::int64_t> first, std::span<std::int64_t> last,
                    const Execution& execution);

}  // namespace puresid
