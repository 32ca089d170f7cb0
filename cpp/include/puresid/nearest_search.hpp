// The nearest codewords of many rows: PackedCodebook::nearest, pruned by int8 products where that pays.
//
// Promise: the tokens that PackedCodebook::nearest gives, ties included. Neither the number of rows announced,
// nor the rows that a scratch has met before, change one: they only change how a token is found.
// Cost: packing reads the codebooks a few times; a row takes from a quarter to all of 2 * K * D operations.
// Thread safety: const after construction; each thread brings its own scratch.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "puresid/distance.hpp"
#include "puresid/shortlists.hpp"

namespace puresid {

class PrunedCodebook;
struct Shortlisting;

class NearestSearch {
 public:
  // `levels` and the codebooks under them must outlive this. n_rows: how many rows are to come.
  NearestSearch(std::vector<const PackedCodebook*> levels, std::size_t n_rows);
  ~NearestSearch();
  NearestSearch(const NearestSearch&) = delete;
  NearestSearch& operator=(const NearestSearch&) = delete;

  class Scratch {
   public:
    explicit Scratch(const NearestSearch& search);
    ~Scratch();
    Scratch(Scratch&&) noexcept;
    Scratch& operator=(Scratch&&) noexcept;
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

   private:
    friend class NearestSearch;
    struct State;
    std::unique_ptr<State> state_;
  };

  // tokens[i] = the nearest codeword of row i at a level; the lower token where two are equally near. `rows`
  // are residuals, C order, dim() apart, at most kMaxBlockRows.
  void nearest(std::size_t level, const float* rows, std::size_t n_rows, Token* tokens, Scratch& scratch) const;
  // Likewise; and notes, Shortlists::kLevelNotes apart, of which tokens the `widths` (increasing, at most
  // PackedCodebook's kMostLeast) nearest of each row are among, counts of 0 where that is not known.
  void nearest(std::size_t level, const float* rows, std::size_t n_rows, Token* tokens, Scratch& scratch,
               std::span<const std::size_t> widths, Shortlists::Note* notes) const;

  // Likewise the nearest whose bit in closed[i] is not set, kNone where all are: one bit per token, whole words. Only
  // for a level that is pruned.
  void nearest_open(std::size_t level, const float* rows, std::size_t n_rows, const std::uint64_t* const* closed,
                    Token* tokens, Scratch& scratch) const;

  // Whether rows of a level go through int8 products.
  [[nodiscard]] bool is_pruned(std::size_t level) const noexcept {
    return level < pruned_.size() && pruned_[level] != nullptr;
  }

 private:
  void search(std::size_t level, const float* rows, std::size_t n_rows, const std::uint64_t* const* closed,
              Token* tokens, Scratch& scratch, const Shortlisting* shortlisting = nullptr) const;

  std::vector<const PackedCodebook*> levels_;
  std::vector<std::unique_ptr<PrunedCodebook>> pruned_;  // null where pruning would not pay
};

}  // namespace puresid
