// What stage 0 notes of items that lost their SID, so that a tier need not score those for which nothing is left.
//
// The int8 products of stage 0 bound the scores of a level's tokens, and so name a few tokens that the k nearest are
// among. Where all candidates that these make up are known to be gone, so are the item's own, and its search is over
// before it has begun: no vector is read. That changes no result: whoever is not ruled out, or has no notes, is
// searched for as ever. Noted while nearly all items lose, for tiers of methods whose lists are those of the greedy
// path. Memory: 4 bytes an item and kMostBytes; what does not fit is not noted. Thread safety: add() for different
// items from any number of threads; not while others read.
#pragma once

#include <atomic>
#include <vector>

#include "puresid/pages.hpp"
#include "puresid/refusals.hpp"
#include "puresid/types.hpp"

namespace puresid {

class Shortlists {
 public:
  static constexpr std::size_t kMostBytes = std::size_t{64} << 20U;
  static constexpr std::size_t kMostSize = 256;  // of a codebook
  static constexpr std::size_t kMostWidth = 31;
  static constexpr std::size_t kMostWidths = 4;   // different ones of a level, but for 1
  static constexpr std::size_t kMostTokens = 64;  // of a level
  // Notes of one level: for each width, least first, how many tokens its nearest are among, and the tokens, those of
  // lesser widths first.
  using Note = std::uint16_t;
  static constexpr std::size_t kLevelNotes = kMostWidths + kMostTokens;

  // For `rows` items and tiers of these widths. Empty where there is nothing to note.
  Shortlists(const SidLayout& layout, const std::vector<std::vector<std::size_t>>& tiers, std::size_t rows);

  [[nodiscard]] bool empty() const noexcept { return widths_.empty(); }
  // The widths of a level that are noted, least first.
  [[nodiscard]] const std::vector<std::size_t>& widths(std::size_t level) const { return widths_[level]; }

  // Where one thread writes.
  class Writer {
   public:
    explicit Writer(Shortlists* to) : to_(to) {}
    // notes: those of each level, `stride` apart. Nothing is noted where one of them has counts of 0.
    void add(std::size_t row, const Note* notes, std::size_t stride);

   private:
    Shortlists* to_;
    std::size_t next_ = 0, end_ = 0;
  };

  // Whether all candidates of a tier are known to be gone: all SIDs below the nearest tokens of each level, as many as
  // `widths` says. False where that is not known.
  [[nodiscard]] bool rules_out(std::size_t row, SidKey nearest, const std::vector<std::size_t>& widths,
                               Refusals& refusals) const;

 private:
  static constexpr std::size_t kMostPrefixes = 256,
                               kSlab = std::size_t{1} << 14U;  // notes that a writer takes at a time
  struct Prefixes;

  [[nodiscard]] bool list(std::size_t row, SidKey nearest, const std::vector<std::size_t>& widths,
                          Prefixes& prefixes) const;

  const SidLayout* layout_ = nullptr;
  std::vector<std::vector<std::size_t>> widths_;  // by level
  Pages<std::uint32_t> places_;                   // by item: where its notes begin, plus 1, or 0
  Pages<Note> notes_;
  std::size_t room_ = 0;
  std::atomic<std::size_t> used_{0};
};

}  // namespace puresid
