#include "puresid/assign.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <string>

#include "nearest.hpp"
#include "order.hpp"
#include "puresid/completion.hpp"
#include "puresid/ecm.hpp"
#include "puresid/matching.hpp"
#include "puresid/parallel.hpp"
#include "puresid/rrs.hpp"
#include "suffix.hpp"
#include "taken.hpp"

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

std::vector<Widths> checked_tiers(const AssignOptions& options, const SidLayout& layout) {
  std::vector<Widths> tiers = options.tiers;
  if (tiers.size() > 125) {
    throw std::invalid_argument("tiers has " + std::to_string(tiers.size()) + " entries; at most 125 are possible");
  }
  for (std::size_t tier = 0; tier < tiers.size(); ++tier) {
    const std::string place = "tiers[" + std::to_string(tier) + "]";
    if (tiers[tier].size() != layout.levels()) {
      throw std::invalid_argument(place + " has " + std::to_string(tiers[tier].size()) + " entries; codebooks has " +
                                  std::to_string(layout.levels()) + " levels");
    }
    for (std::size_t level = 0; level < layout.levels(); ++level) {
      if (tiers[tier][level] == 0) {
        throw std::invalid_argument(place + "[" + std::to_string(level) + "] is 0; at least 1 is needed");
      }
      tiers[tier][level] = std::min(tiers[tier][level], layout.size(level));
    }
  }
  return tiers;
}

void check_arguments(MatrixView<const float> vectors, const Codebooks& codebooks, const AssignOptions& options) {
  if (vectors.cols() != codebooks.dim()) {
    throw std::invalid_argument("codebooks[0] has " + std::to_string(codebooks.size(0)) + " codewords of dimension " +
                                std::to_string(codebooks.dim()) + "; vectors have dimension " +
                                std::to_string(vectors.cols()));
  }
  if (vectors.rows() > SidOwners::kMostRanks) {
    throw std::invalid_argument("vectors has " + std::to_string(vectors.rows()) + " rows; at most 2^32 - 2 fit");
  }
  if (!options.priority.empty() && options.priority.size() != vectors.rows()) {
    throw std::invalid_argument("priority has " + std::to_string(options.priority.size()) + " values; vectors has " +
                                std::to_string(vectors.rows()) + " rows");
  }
  for (std::size_t row = 0; row < options.priority.size(); ++row) {
    if (std::isnan(options.priority[row])) {
      throw std::invalid_argument("priority[" + std::to_string(row) + "] is NaN; every value must order");
    }
  }
  if (!(options.max_distortion >= 0)) {
    throw std::invalid_argument("max_distortion is " + std::to_string(options.max_distortion) + "; it must be >= 0");
  }
  const std::size_t columns = codebooks.levels() + (options.method == Method::suffix ? 1 : 0);
  if (options.taken.rows() > 0 && options.taken.cols() != columns) {
    throw std::invalid_argument("taken has " + std::to_string(options.taken.cols()) + " columns; SIDs have " +
                                std::to_string(columns) + " tokens");
  }
}

// Owners for `items` items, the taken SIDs settled. Throws CapacityError where there is no room for all.
SidOwners owners_beside_taken(std::size_t items, const SidLayout& layout, const AssignOptions& options,
                              const Execution& execution) {
  SidOwners owners(items + options.taken.rows());
  const std::size_t taken = settle_taken(options.taken, layout, owners, execution);
  const bool must_fit = options.complete && options.method != Method::nearest;
  if (must_fit && (taken > layout.capacity() || items > layout.capacity() - taken)) {
    throw CapacityError(std::to_string(items) + " items and " + std::to_string(taken) +
                        " taken SIDs need more than the capacity of " + std::to_string(layout.capacity()) +
                        " SIDs; use more levels or larger codebooks");
  }
  return owners;
}

// The stages of one call of assign().
class Run {
 public:
  Run(MatrixView<const float> vectors, const Codebooks& codebooks, const AssignOptions& options,
      const Execution& execution, Assignment& result)
      : vectors_(vectors),
        options_(options),
        execution_(execution),
        result_(result),
        tiers_(checked_tiers(options, codebooks.layout())),
        max_sids_(vectors.rows() + options.taken.rows()),
        owners_(owners_beside_taken(vectors.rows(), codebooks.layout(), options, execution)),
        order_(options.priority, execution),
        packed_(codebooks, execution.simd) {
    quantise_nearest(vectors, codebooks, packed_, order_.ranks, order_.rows_by_rank, &owners_, execution, result);
  }

  void resolve() {
    collect();
    std::size_t stage = 1;
    std::size_t first_rank = vectors_.rows();  // owners from earlier stages outrank every later item
    for (const Widths& widths : tiers_) {
      if (first_rank + left_.size() > SidOwners::kMostRanks) {
        throw std::invalid_argument("vectors has too many rows for this many tiers");
      }
      if (options_.method == Method::ecm) {
        tier<EcmSearch>(widths, stage, first_rank);
      } else {
        tier<RrsSearch>(widths, stage, first_rank);
      }
      first_rank += nearest_.size();
      keep_unresolved();
      ++stage;
    }
    if (options_.complete) complete(static_cast<std::int8_t>(stage));
  }

 private:
  // Items without a SID in rank order, with the nearest SIDs that their searches start from.
  void collect() {
    for (std::size_t rank = 0; rank < vectors_.rows(); ++rank) {
      const Row row = order_.row(rank);
      if (result_.stages[row] == -1) left_.push_back(row);
    }
    nearest_.resize(left_.size());
    for (std::size_t i = 0; i < left_.size(); ++i) nearest_[i] = result_.sids.load(left_[i]);
  }

  template <class Search>
  void tier(const Widths& widths, std::size_t stage, std::size_t first_rank) {
    const Tier tier{vectors_, left_, nearest_, static_cast<Rank>(first_rank), options_.max_distortion};
    TierMatching<Search> matching(packed_, widths, tier, owners_);
    matching.run(execution_, "tier " + std::to_string(stage));
    publish(matching.choices(), matching.found().data(), static_cast<std::int8_t>(stage));
  }

  // Writes the SIDs of the items left, of those that were found where `found` is given.
  void publish(const std::vector<SidKey>& choices, const std::uint8_t* found, std::int8_t stage) {
    constexpr std::size_t kChunk = 1024;
    Execution quiet = execution_;
    quiet.progress = nullptr;
    parallel_for(
        quiet, "distortion", (left_.size() + kChunk - 1) / kChunk, left_.size(),
        [&] { return AlignedBuffer<float>(vectors_.cols()); },
        [&](AlignedBuffer<float>& scratch, std::size_t chunk, Worker&) {
          for (std::size_t i = chunk * kChunk; i < std::min((chunk + 1) * kChunk, left_.size()); ++i) {
            if (found != nullptr && found[i] == 0) continue;
            const Row row = left_[i];
            result_.sids.store(row, choices[i]);
            result_.stages[row] = stage;
            result_.distortion[row] = packed_.distortion(vectors_.row(row), choices[i], scratch.data());
          }
        });
  }

  void keep_unresolved() {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < left_.size(); ++i) {
      if (result_.stages[left_[i]] != -1) continue;
      left_[kept] = left_[i];
      nearest_[kept++] = nearest_[i];
    }
    left_.resize(kept);
    nearest_.resize(kept);
  }

  void complete(std::int8_t stage) {
    if (left_.empty()) return;
    Completion completion(packed_, vectors_, left_, nearest_, owners_, max_sids_, execution_);
    completion.run();
    publish(completion.choices(), nullptr, stage);
  }

  MatrixView<const float> vectors_;
  const AssignOptions& options_;
  const Execution& execution_;
  Assignment& result_;
  std::vector<Widths> tiers_;
  std::size_t max_sids_;
  SidOwners owners_;
  Order order_;
  PackedCodebooks packed_;
  std::vector<Row> left_;
  std::vector<SidKey> nearest_;
};

}  // namespace

std::vector<std::vector<std::size_t>> default_tiers(std::size_t levels) {
  std::vector<std::vector<std::size_t>> tiers = {Widths(levels, 1), Widths(levels, 5)};
  if (levels > 0) {
    tiers[0].back() = 10;
    tiers[1].back() = 20;
  }
  return tiers;
}

void assign(MatrixView<const float> vectors, const Codebooks& codebooks, const AssignOptions& options,
            const Execution& execution, Assignment& result) {
  const DefaultFloatEnvironment environment;
  check_arguments(vectors, codebooks, options);
  if (options.method == Method::suffix) {
    assign_suffix(vectors, codebooks, options, execution, result);
    return;
  }
  Run run(vectors, codebooks, options, execution, result);
  if (options.method != Method::nearest) run.resolve();
}

}  // namespace puresid
