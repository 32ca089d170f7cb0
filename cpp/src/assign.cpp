#include "puresid/assign.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>
#include <string>

#include "arguments.hpp"
#include "nearest.hpp"
#include "order.hpp"
#include "puresid/beam.hpp"
#include "puresid/completion.hpp"
#include "puresid/ecm.hpp"
#include "puresid/matching.hpp"
#include "puresid/optimal.hpp"
#include "puresid/parallel.hpp"
#include "puresid/rrs.hpp"
#include "puresid/tree_ecm.hpp"
#include "suffix.hpp"
#include "taken.hpp"
#include "tiers.hpp"

namespace puresid {
namespace {

using Widths = std::vector<std::size_t>;

// Gives away the SIDs of `taken`. Returns how many different ones there are.
std::size_t settle_taken(const MatrixView<const Token>& taken, const SidLayout& layout, SidOwners& owners,
                         const Execution& execution) {
  constexpr std::size_t kChunk = 1U << 14U;
  std::atomic<std::size_t> distinct{0};
  parallel_for(execution, "taken", (taken.rows() + kChunk - 1) / kChunk, taken.rows(),
               [&](std::size_t chunk, Worker& worker) {
                 const std::size_t begin = chunk * kChunk, end = std::min(begin + kChunk, taken.rows());
                 std::size_t fresh = 0;
                 for (std::size_t row = begin; row < end; ++row) {
                   check_taken(taken, row, layout);
                   if (owners.settle(layout.pack(taken.row(row)))) ++fresh;
                 }
                 distinct += fresh;
                 worker.advance(end - begin);
               });
  return distinct;
}

// Owners for `items` items, the taken SIDs settled; `taken` becomes the number of different ones. Throws
// CapacityError where there is no room for all.
SidOwners owners_beside_taken(std::size_t items, const SidLayout& layout, const AssignOptions& options,
                              const Execution& execution, std::size_t& taken) {
  if (options.method == Method::suffix) return {layout, 0};  // which counts instead
  SidOwners owners(layout, items + options.taken.rows());
  taken = settle_taken(options.taken, layout, owners, execution);
  const bool must_fit = options.complete && options.method != Method::nearest;
  if (must_fit && (taken > layout.capacity() || items > layout.capacity() - taken)) {
    throw CapacityError(std::to_string(items) + " items and " + std::to_string(taken) +
                        " taken SIDs need more than the capacity of " + std::to_string(layout.capacity()) +
                        " SIDs; use more levels or larger codebooks");
  }
  return owners;
}

}  // namespace

class Assigner::Run {
 public:
  Run(std::size_t rows, const Codebooks& codebooks, const AssignOptions& options, const Execution& execution,
      Assignment& result)
      : codebooks_(codebooks),
        options_(options),
        result_(result),
        tiers_(checked_tiers(options, codebooks.layout())),
        rows_(rows),
        max_sids_(rows + options.taken.rows()),
        owners_(owners_beside_taken(rows, codebooks.layout(), options, execution, n_taken_)),
        order_(options.priority, execution),
        packed_(codebooks, execution.simd),
        shortlists_(codebooks.layout(), noted_tiers(tiers_, options.method, codebooks), rows) {
    const bool all_wait = options.method == Method::optimal;
    std::fill(result.stages.begin(), result.stages.end(), static_cast<std::int8_t>(all_wait ? -1 : 0));
    if (options.method != Method::suffix) return;
    suffixes_ = TakenSuffixes(options.taken, codebooks.layout(), execution);
    n_taken_ = suffixes_.size();
  }

  [[nodiscard]] std::size_t n_taken() const noexcept { return n_taken_; }

  void add(const Vectors& piece, const Execution& execution) {
    check_dimension(piece, codebooks_);
    if (piece.rows() > rows_ - added_) {
      throw std::invalid_argument("vectors has more than the " + std::to_string(rows_) + " rows that were promised");
    }
    Execution here = execution;
    if (execution.progress) {
      here.progress = [&, before = added_](std::string_view stage, std::size_t done, std::size_t) {
        execution.progress(stage, before + done, rows_);
      };
    }
    const bool owned = options_.method != Method::suffix && options_.method != Method::optimal;
    SidOwners* owners = owned ? &owners_ : nullptr;
    quantise_nearest(piece, added_, codebooks_, packed_, order_.ranks, order_.rows_by_rank, owners,
                     shortlists_.empty() ? nullptr : &shortlists_, here, result_);
    added_ += piece.rows();
  }

  void resolve(const Vectors& vectors, Given given, const Execution& execution) {
    if (added_ != rows_) {
      throw std::invalid_argument("vectors has " + std::to_string(added_) + " rows; " + std::to_string(rows_) +
                                  " were promised");
    }
    result_.nearest_distortion = sum_distortion(result_, execution);
    if (options_.method == Method::suffix) count_suffixes(suffixes_, order_, execution, result_);
    if (options_.method == Method::nearest || options_.method == Method::suffix) return;
    collect(vectors, given, execution);
    if (left_.empty()) return;
    const CodewordProducts products(packed_);
    Settled settled(codebooks_.layout());
    if (options_.method == Method::optimal) {
      resolve_together(vectors, products, settled, execution);
      return;
    }
    note_owners(settled, execution);
    std::size_t stage = 1;
    std::size_t first_rank = rows_;  // owners from earlier stages outrank every later item
    for (const Widths& widths : tiers_) {
      if (first_rank + left_.size() > SidOwners::kMostRanks) {
        throw std::invalid_argument("vectors has too many rows for this many tiers");
      }
      Tier tier{vectors, items(), nearest_, static_cast<Rank>(first_rank), options_.max_distortion};
      if (!shortlists_.empty() && goes_by_greedy_lists(widths, options_.method, packed_.space())) {
        tier.shortlists = &shortlists_;
        tier.rows = &left_;
      }
      if (options_.method == Method::beam) {
        serve<BeamSearch>(tier, products, widths, stage, settled, execution);
      } else if (options_.method == Method::ecm && !packed_.space().one_codebook_a_level()) {
        serve<TreeEcmSearch>(tier, products, widths, stage, settled, execution);
      } else if (options_.method == Method::ecm) {
        serve<EcmSearch>(tier, products, widths, stage, settled, execution);
      } else {
        serve<RrsSearch>(tier, products, widths, stage, settled, execution);
      }
      first_rank += nearest_.size();
      keep_unresolved();
      ++stage;
    }
    complete(vectors, settled, static_cast<std::int8_t>(stage), execution);
  }

 private:
  static constexpr std::size_t kLeftWidth = 16;

  void complete(const Vectors& vectors, const Settled& settled, std::int8_t stage, const Execution& execution) {
    if (!options_.complete || left_.empty()) return;
    Completion completion(packed_, vectors, items(), nearest_, settled, owners_, max_sids_, execution);
    completion.run();
    publish(vectors, completion.choices(), nullptr, stage, execution);
  }

  // Those for which finding a place together took too long: one after the other.
  void serve_left(const Vectors& vectors, const CodewordProducts& products, Settled& settled,
                  const Execution& execution) {
    const Widths widths = beam_widths(kLeftWidth, codebooks_.layout());
    serve<BeamSearch>({vectors, items(), nearest_, 0, options_.max_distortion}, products, widths, 1, settled,
                      execution);
    keep_unresolved();
  }

  // Method::optimal: all items at once.
  void resolve_together(const Vectors& vectors, const CodewordProducts& products, Settled& settled,
                        const Execution& execution) {
    const OptimalOptions how = {options_.width, options_.search_all, options_.gap, options_.weights,
                                options_.max_distortion};
    const std::vector<Row> all = left_;
    const std::vector<SidKey> nearest = nearest_;
    OptimalAssignment together(packed_, products, vectors, items(), nearest, owners_, n_taken_ > 0, how);
    std::vector<float> distortion(all.size());
    for (std::size_t i = 0; i < all.size(); ++i) distortion[i] = result_.distortion[all[i]];
    together.run(distortion, execution);
    publish(vectors, together.choices(), together.found().data(), 1, execution);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (together.found()[i] != 0) static_cast<void>(owners_.settle(together.choices()[i]));
    }
    note_owners(settled, execution);
    keep_unresolved();
    if (!left_.empty()) serve_left(vectors, products, settled, execution);
    for (std::size_t i = 0; i < all.size(); ++i) {
      const bool served = result_.stages[all[i]] == 1;
      if (served && result_.sids.load(all[i]) == nearest[i]) result_.stages[all[i]] = 0;
    }
    complete(vectors, settled, 2, execution);
    for (std::size_t i = 0; i < all.size(); ++i) distortion[i] = result_.distortion[all[i]];
    const OptimalAssignment::Bounds bounds = together.bounds(distortion, execution);
    result_.bound_over_lists = bounds.over_lists;
    result_.bound_over_all = bounds.over_all;
  }

  // Where the vectors of the items left are.
  [[nodiscard]] const std::vector<Row>& items() const noexcept { return given_ == Given::all ? left_ : compact_; }

  // Items without a SID in rank order, with the nearest SIDs that their searches start from.
  void collect(const Vectors& vectors, Given given, const Execution& execution) {
    given_ = given;
    left_.resize(static_cast<std::size_t>(std::count(result_.stages.begin(), result_.stages.end(), -1)) + 1);
    std::size_t n_left = 0;
    for (std::size_t row = 0; row < rows_; ++row) {  // without a branch, which nobody could foresee
      left_[n_left] = static_cast<Row>(row);
      n_left += result_.stages[row] == -1 ? 1 : 0;
    }
    left_.pop_back();
    check_dimension(vectors, codebooks_);
    if (vectors.rows() != (given == Given::all ? rows_ : left_.size())) {
      throw std::invalid_argument("vectors has " + std::to_string(vectors.rows()) + " rows; there are " +
                                  std::to_string(rows_) + " items, " + std::to_string(left_.size()) + " in conflict");
    }
    if (given == Given::conflicts) {
      check_unchanged(vectors, execution);
      compact_.resize(left_.size());
      std::iota(compact_.begin(), compact_.end(), Row{0});
    }
    if (!options_.priority.empty()) sort_by_rank();
    nearest_.resize(left_.size());
    for (std::size_t i = 0; i < left_.size(); ++i) nearest_[i] = result_.sids.load(left_[i]);
  }

  // Vectors that were handed over twice must be the same: their distortion says so, to the bit.
  void check_unchanged(const Vectors& vectors, const Execution& execution) const {
    constexpr std::size_t kChunk = 1024;
    Execution quiet = execution;
    quiet.progress = nullptr;
    parallel_for(
        quiet, "check", (left_.size() + kChunk - 1) / kChunk, left_.size(),
        [&] { return AlignedBuffer<float>(2 * vectors.cols()); },
        [&](AlignedBuffer<float>& scratch, std::size_t chunk, Worker&) {
          for (std::size_t i = chunk * kChunk; i < std::min((chunk + 1) * kChunk, left_.size()); ++i) {
            const Row row = left_[i];
            const float* vector = vectors.read(i, scratch.data());
            if (packed_.distortion(vector, result_.sids.load(row), scratch.data()) == result_.distortion[row]) continue;
            throw std::invalid_argument("vectors[" + std::to_string(row) +
                                        "] is another one than when it was first read");
          }
        });
  }

  void sort_by_rank() {
    const auto before = [&](Row a, Row b) { return order_.ranks[a] < order_.ranks[b]; };
    std::sort(compact_.begin(), compact_.end(), [&](Row a, Row b) { return before(left_[a], left_[b]); });
    std::sort(left_.begin(), left_.end(), before);
  }

  template <class Search>
  void serve(const Tier& tier, const CodewordProducts& products, const Widths& widths, std::size_t stage,
             Settled& settled, const Execution& execution) {
    TierMatching<Search> matching(packed_, products, widths, tier, settled, owners_);
    matching.run(execution, "tier " + std::to_string(stage));
    publish(tier.vectors, matching.choices(), matching.found().data(), static_cast<std::int8_t>(stage), execution);
    note_choices(settled, matching.choices(), matching.found(), execution);
  }

  // Writes the SIDs of the items left, of those that were found where `found` is given.
  void publish(const Vectors& vectors, const std::vector<SidKey>& choices, const std::uint8_t* found, std::int8_t stage,
               const Execution& execution) {
    constexpr std::size_t kChunk = 1024, kAhead = 16;
    Execution quiet = execution;
    quiet.progress = nullptr;
    const std::vector<Row>& at = items();
    const std::size_t dim = vectors.cols();
    parallel_for(
        quiet, "distortion", (left_.size() + kChunk - 1) / kChunk, left_.size(),
        [&] { return AlignedBuffer<float>((kMaxBlockRows + 1) * dim); },  // one more as room
        [&](AlignedBuffer<float>& residuals, std::size_t chunk, Worker&) {
          const std::size_t end = std::min((chunk + 1) * kChunk, left_.size());
          std::size_t rows[kMaxBlockRows], n_rows = 0;
          float lengths[kMaxBlockRows];
          for (std::size_t i = chunk * kChunk; i < end; ++i) {
            if (i + kAhead < end) vectors.prefetch(at[i + kAhead]);
            if (found == nullptr || found[i] != 0) {
              rows[n_rows] = left_[i];
              result_.sids.store(left_[i], choices[i]);
              result_.stages[left_[i]] = stage;
              float* residual = residuals.data() + n_rows++ * dim;
              vectors.copy(at[i], residual);
              lengths[n_rows - 1] = packed_.subtract(residual, choices[i], residuals.data() + kMaxBlockRows * dim);
            }
            if (n_rows < kMaxBlockRows && i + 1 < end) continue;
            float squared[kMaxBlockRows];
            packed_.squared_norms(residuals.data(), n_rows, lengths, squared);
            for (std::size_t row = 0; row < n_rows; ++row) result_.distortion[rows[row]] = squared[row];
            n_rows = 0;
          }
        });
  }

  // Notes the SIDs of stage 0 and those taken, each when the memory that it meets has come.
  void note_owners(Settled& settled, const Execution& execution) const {
    constexpr std::size_t kAhead = 16, kSlots = std::size_t{1} << 18U;
    run_alone(execution, "owners", [&](Worker& worker) {
      SidKey waiting[kAhead];
      std::size_t count = 0;
      settled.reserve(rows_ - left_.size() + n_taken_);
      for (std::size_t first = 0; first < owners_.slots(); first += kSlots, worker.poll()) {
        owners_.for_each(first, std::min(first + kSlots, owners_.slots()), [&](SidKey key) {
          settled.prefetch(key);
          SidKey& place = waiting[count % kAhead];
          if (count++ >= kAhead) settled.add(place);
          place = key;
        });
      }
      for (std::size_t i = 0; i < std::min(count, kAhead); ++i) settled.add(waiting[i]);
      settled.sort([&] { worker.poll(); });
    });
  }

  // Notes those that a tier gave out.
  static void note_choices(Settled& settled, const std::vector<SidKey>& choices, const std::vector<std::uint8_t>& found,
                           const Execution& execution) {
    constexpr std::size_t kAhead = 16;
    run_alone(execution, "choices", [&](Worker& worker) {
      for (std::size_t i = 0; i < choices.size(); ++i) {
        if (i + kAhead < choices.size()) settled.prefetch(choices[i + kAhead]);
        if (found[i] != 0) settled.add(choices[i]);
      }
      settled.sort([&] { worker.poll(); });
    });
  }

  void keep_unresolved() {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < left_.size(); ++i) {
      const Row row = left_[i];
      left_[kept] = row;
      if (given_ == Given::conflicts) compact_[kept] = compact_[i];
      nearest_[kept] = nearest_[i];
      kept += result_.stages[row] == -1 ? 1 : 0;
    }
    left_.resize(kept);
    if (given_ == Given::conflicts) compact_.resize(kept);
    nearest_.resize(kept);
  }

  const Codebooks& codebooks_;
  const AssignOptions& options_;
  Assignment& result_;
  std::vector<Widths> tiers_;
  std::size_t rows_, max_sids_, added_ = 0, n_taken_ = 0;
  SidOwners owners_;
  TakenSuffixes suffixes_;
  Order order_;
  PackedCodebooks packed_;
  Shortlists shortlists_;
  Given given_ = Given::all;
  std::vector<Row> left_;     // items without a SID, in rank order: rows of the result
  std::vector<Row> compact_;  // Given::conflicts: the same items, as rows of the vectors given
  std::vector<SidKey> nearest_;
};

Assigner::Assigner(std::size_t rows, const Codebooks& codebooks, const AssignOptions& options,
                   const Execution& execution, Assignment& result) {
  const DefaultFloatEnvironment environment;
  check_arguments(rows, codebooks, options);
  run_ = std::make_unique<Run>(rows, codebooks, options, execution, result);
}

Assigner::~Assigner() = default;

std::size_t Assigner::n_taken() const noexcept { return run_->n_taken(); }

void Assigner::add(const Vectors& piece, const Execution& execution) {
  const DefaultFloatEnvironment environment;
  run_->add(piece, execution);
}

void Assigner::resolve(const Vectors& vectors, Given given, const Execution& execution) {
  const DefaultFloatEnvironment environment;
  run_->resolve(vectors, given, execution);
}

std::vector<std::vector<std::size_t>> default_tiers(std::size_t levels) {
  std::vector<std::vector<std::size_t>> tiers = {Widths(levels, 1), Widths(levels, 5)};
  if (levels > 0) {
    tiers[0].back() = 10;
    tiers[1].back() = 20;
  }
  return tiers;
}

void assign(const Vectors& vectors, const Codebooks& codebooks, const AssignOptions& options,
            const Execution& execution, Assignment& result) {
  check_dimension(vectors, codebooks);
  Assigner assigner(vectors.rows(), codebooks, options, execution, result);
  assigner.add(vectors, execution);
  assigner.resolve(vectors, Assigner::Given::all, execution);
}

}  // namespace puresid
