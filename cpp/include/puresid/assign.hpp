// assign(): a SID for every item. The entry of the core.
//
// Stages: 0 nearest (greedy quantisation; the first in priority order owns a SID that several meet), then one per tier
// (ECM, RRS or a beam, which has one), then completion; or all items together (optimal.hpp says what that takes). Same
// bytes for the same input, whatever the threads, the instruction set or the neighbours of an item. Memory beyond input
// and output: 12 or 24 bytes an item for the owners (owners.hpp), 8 more with a priority, and 21 for each item in
// conflict (25 where their vectors are handed over apart), while SIDs are sorted (sorted_keys.hpp) 8 or 16 for each;
// beside that buffers of a few megabytes a thread, and what refusals, notes and products may take at most: 128, 64
// (Shortlists::kMostBytes) and 96 MiB (CodewordProducts::kMostBytes).
#pragma once

#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "puresid/codebooks.hpp"
#include "puresid/execution.hpp"
#include "puresid/matrix.hpp"
#include "puresid/types.hpp"
#include "puresid/vectors.hpp"

namespace puresid {

enum class Method {
  ecm,
  rrs,
  nearest,  // conflicts stay
  suffix,   // the field's baseline: a counter within each group of equal nearest SIDs
  beam,     // not where residuals are scaled
  optimal,  // likewise
};

struct AssignOptions {
  Method method = Method::ecm;
  // k_l per level of each tier; cut at K_l. Not for Method::beam.
  std::vector<std::vector<std::size_t>> tiers;
  // Method::beam and Method::optimal only: how many partial SIDs are kept after each level.
  std::size_t width = 64;
  // Method::optimal only: the total may be so much above the bound, relative to it; whether items that nobody contests
  // may move as well; and what an item's distortion counts, one positive value per item, empty = 1.
  double gap = 1e-3;
  bool search_all = true;
  std::span<const double> weights;
  // Whether items that no tier served get a SID by completion. Otherwise they keep their nearest one.
  bool complete = true;
  // One value per item, higher first, equal ones in row order; empty = row order.
  std::span<const double> priority;
  // SIDs that are never given out, tokens in C order; for Method::suffix with the counter as last column.
  MatrixView<const Token> taken;
  // Tiers pass over candidates of a greater squared distortion.
  double max_distortion = std::numeric_limits<double>::infinity();
};

// The default tiers, those of the paper's authors: ((1, ..., 1, 10), (5, ..., 5, 20)).
[[nodiscard]] std::vector<std::vector<std::size_t>> default_tiers(std::size_t levels);

// A caller's N x columns array of 16-bit or 32-bit tokens; only the first `levels` columns are used.
class SidArray {
 public:
  SidArray(std::uint16_t* data, std::size_t rows, const SidLayout& layout)
      : narrow_(data), rows_(rows), layout_(&layout) {}
  SidArray(std::uint32_t* data, std::size_t rows, const SidLayout& layout)
      : wide_(data), rows_(rows), layout_(&layout) {}

  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
  [[nodiscard]] SidKey load(std::size_t row) const {
    const std::size_t at = row * layout_->levels();
    SidKey key = 0;
    for (std::size_t level = 0; level < layout_->levels(); ++level) {
      key |= layout_->place(wide_ != nullptr ? wide_[at + level] : narrow_[at + level], level);
    }
    return key;
  }
  void store(std::size_t row, SidKey key) const {
    for (std::size_t level = 0; level < layout_->levels(); ++level) store(row, level, layout_->token(key, level));
  }
  void store(std::size_t row, std::size_t level, Token token) const {
    const std::size_t at = row * layout_->levels() + level;
    if (wide_ != nullptr) {
      wide_[at] = token;
    } else {
      narrow_[at] = static_cast<std::uint16_t>(token);
    }
  }

 private:
  std::uint16_t* narrow_ = nullptr;
  std::uint32_t* wide_ = nullptr;
  std::size_t rows_;
  const SidLayout* layout_;
};

// Where the results go; the caller's memory. Row i belongs to row i of the vectors.
struct Assignment {
  SidArray sids;
  std::span<std::int8_t> stages;     // 0, 1..tiers, tiers + 1 completion, -1 left on a shared SID
  std::span<float> distortion;       // ||x - sum of codewords||^2
  std::span<std::uint32_t> counter;  // Method::suffix only, else empty
  double nearest_distortion = 0;     // sum over the items, of the nearest SIDs
  // Method::optimal only: what no total of weights times distortions is below, of the SIDs that were listed and of
  // all (optimal.hpp).
  double bound_over_lists = 0, bound_over_all = 0;
};

// Throws std::invalid_argument for bad input (naming the row), CapacityError before any work, Cancelled.
void assign(const Vectors& vectors, const Codebooks& codebooks, const AssignOptions& options,
            const Execution& execution, Assignment& result);

// assign() in steps, for vectors that come in pieces and are too many to hold: add() each piece, in row
// order, then resolve() with the vectors of the items in conflict. The same bytes, however it is cut up.
// What is passed to the constructor, with all it refers to, must outlive it. Not usable after a throw.
class Assigner {
 public:
  // Which of the vectors resolve() is given.
  enum class Given {
    all,        // every item's, by row
    conflicts,  // those of the items whose stage is -1 by then, one after the other in row order
  };

  // For `rows` items. Throws CapacityError.
  Assigner(std::size_t rows, const Codebooks& codebooks, const AssignOptions& options, const Execution& execution,
           Assignment& result);
  ~Assigner();
  Assigner(const Assigner&) = delete;
  Assigner& operator=(const Assigner&) = delete;

  // Different SIDs among those taken.
  [[nodiscard]] std::size_t n_taken() const noexcept;
  // Quantises the next rows.
  void add(const Vectors& piece, const Execution& execution);
  // Gives the items in conflict their SIDs. Throws std::invalid_argument where rows are missing.
  void resolve(const Vectors& vectors, Given given, const Execution& execution);

 private:
  class Run;
  std::unique_ptr<Run> run_;
};

}  // namespace puresid
