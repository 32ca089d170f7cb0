// Stage 0: greedy quantisation of all items, and who owns the SIDs they meet at. Private to the core.
#pragma once

#include <span>

#include "puresid/assign.hpp"
#include "puresid/matching.hpp"

namespace puresid {

// Fills sids, distortion and nearest_distortion. With `owners`, items propose to their SID with their
// rank (`ranks`, or their row where it is empty), and stages become 0 for owners, -1 for the others;
// `first_rank` is added to every rank. Throws std::invalid_argument naming the first row that has a
// NaN, an infinity or a value above Codebooks::largest_value().
void quantise_nearest(MatrixView<const float> vectors, const Codebooks& codebooks, const PackedCodebooks& packed,
                      std::span<const Rank> ranks, std::span<const Row> rows_by_rank, SidOwners* owners,
                      const Execution& execution, Assignment& result);

}  // namespace puresid
