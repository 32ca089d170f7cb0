#include "puresid/shortlists.hpp"

#include <algorithm>
#include <span>

namespace puresid {

// Those that the notes of an item make up, with their leaves as a bit per token.
struct Shortlists::Prefixes {
  std::size_t count = 1;
  SidKey keys[kMostPrefixes] = {0};
  std::uint64_t leaves[kMostSize / 64] = {};
};

Shortlists::Shortlists(const SidLayout& layout, const std::vector<std::vector<std::size_t>>& tiers, std::size_t rows)
    : layout_(&layout) {
  std::vector<std::vector<std::size_t>> widths(layout.levels());
  std::size_t most = 0;  // notes of an item
  for (std::size_t level = 0; level < layout.levels(); ++level) {
    if (layout.size(level) > kMostSize) return;
    for (const std::vector<std::size_t>& tier : tiers) {
      if (tier[level] > 1) widths[level].push_back(tier[level]);
    }
    std::sort(widths[level].begin(), widths[level].end());
    widths[level].erase(std::unique(widths[level].begin(), widths[level].end()), widths[level].end());
    if (widths[level].size() > kMostWidths || (!widths[level].empty() && widths[level].back() > kMostWidth)) return;
    most += widths[level].empty() ? 0 : widths[level].size() + kMostTokens;
  }
  if (most == 0) return;
  widths_ = std::move(widths);
  room_ = std::min(kMostBytes / sizeof(Note), checked_multiply(rows, most) + kSlab);
  places_ = Pages<std::uint32_t>(rows);
  notes_ = Pages<Note>(room_);
}

void Shortlists::Writer::add(std::size_t row, const Note* notes, std::size_t stride) {
  const auto counts = [&](std::size_t level) { return notes + level * stride; };
  const std::size_t levels = to_->widths_.size();
  std::size_t size = 0;
  for (std::size_t level = 0; level < levels; ++level) {
    const std::size_t n_widths = to_->widths_[level].size();
    if (n_widths == 0) continue;
    const Note n_tokens = counts(level)[n_widths - 1];
    if (n_tokens == 0) return;
    size += n_widths + n_tokens;
  }
  if (next_ + size > end_) {
    next_ = to_->used_.fetch_add(kSlab, std::memory_order_relaxed);
    end_ = next_ + kSlab;
  }
  if (next_ + size > to_->room_) return;
  to_->places_[row] = static_cast<std::uint32_t>(next_ + 1);
  for (std::size_t level = 0; level < levels; ++level) {
    const std::size_t n_widths = to_->widths_[level].size();
    if (n_widths == 0) continue;
    const std::size_t n_notes = n_widths + counts(level)[n_widths - 1];
    std::copy_n(counts(level), n_notes, to_->notes_.data() + next_);
    next_ += n_notes;
  }
}

// False where the notes do not say, or say too much.
bool Shortlists::list(std::size_t row, SidKey nearest, const std::vector<std::size_t>& widths,
                      Prefixes& prefixes) const {
  const Note* counts = notes_.data() + places_[row] - 1;
  const std::size_t last = widths_.size() - 1;
  for (std::size_t level = 0; level <= last; ++level) {
    const std::vector<std::size_t>& noted = widths_[level];
    const auto greedy = static_cast<Note>(layout_->token(nearest, level));
    const Note* tokens = &greedy;
    std::size_t n_tokens = 1;
    if (widths[level] > 1) {
      tokens = counts + noted.size();
      n_tokens = counts[std::lower_bound(noted.begin(), noted.end(), widths[level]) - noted.begin()];
    }
    if (!noted.empty()) counts += noted.size() + counts[noted.size() - 1];
    if (level == last) {
      for (const Token token : std::span(tokens, n_tokens))
        prefixes.leaves[token / 64] |= std::uint64_t{1} << token % 64;
      return true;
    }
    if (prefixes.count * n_tokens > kMostPrefixes) return false;
    for (std::size_t i = n_tokens; i-- > 0;) {  // the first token's take the place of the shorter ones at the end
      for (std::size_t prefix = 0; prefix < prefixes.count; ++prefix) {
        prefixes.keys[i * prefixes.count + prefix] = prefixes.keys[prefix] | layout_->place(tokens[i], level);
      }
    }
    prefixes.count *= n_tokens;
  }
  return true;
}

bool Shortlists::rules_out(std::size_t row, SidKey nearest, const std::vector<std::size_t>& widths,
                           Refusals& refusals) const {
  if (empty() || places_[row] == 0) return false;
  Prefixes prefixes;
  if (!list(row, nearest, widths, prefixes)) return false;
  for (std::size_t i = 0; i < prefixes.count; ++i) refusals.prefetch(prefixes.keys[i]);
  for (std::size_t i = 0; i < prefixes.count; ++i) {
    const std::uint64_t* refused = refusals.below(prefixes.keys[i]).words();
    std::uint64_t open = 0;
    for (std::size_t word = 0; word < refusals.words(); ++word) open |= prefixes.leaves[word] & ~refused[word];
    if (open != 0) return false;
  }
  return true;
}

}  // namespace puresid
