// Stage 0: greedy quantisation of the items, and who owns the SIDs they meet at. Private to the core.
#pragma once

#include <span>

#include "puresid/assign.hpp"
#include "puresid/matching.hpp"
#include "puresid/shortlists.hpp"
#include "puresid/vectors.hpp"

namespace puresid {

// Fills sids and distortion for the rows from `first_row` on, as many as there are vectors. With `owners`,
// items propose to their SID with their rank (`ranks`, or their row where it is empty), and whoever loses
// gets stage -1; all others' stays as it was. `shortlists`, where given, are noted once most lose. Throws
// std::invalid_argument naming the first row that has a NaN, an infinity or a value above Codebooks::largest_value().
void quantise_nearest(const Vectors& vectors, std::size_t first_row, const Codebooks& codebooks,
                      const PackedCodebooks& packed, std::span<const Rank> ranks, std::span<const Row> rows_by_rank,
                      SidOwners* owners, Shortlists* shortlists, const Execution& execution, Assignment& result);

// The distortion of all rows added up, in an order of its own.
[[nodiscard]] double sum_distortion(const Assignment& result, const Execution& execution);

}  // namespace puresid
