// Method::suffix: a counter within each group of equal nearest SIDs. Private to the core.
#pragma once

#include "puresid/assign.hpp"

namespace puresid {

// Counts 0, 1, 2, ... in priority order, passing over those that are taken. The arguments are checked.
void assign_suffix(MatrixView<const float> vectors, const Codebooks& codebooks, const AssignOptions& options,
                   const Execution& execution, Assignment& result);

}  // namespace puresid
