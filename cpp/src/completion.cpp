#include "puresid/completion.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

namespace puresid {
namespace {

constexpr std::size_t kMasks = 256;
constexpr std::size_t kSlotsPerChunk = 1U << 16U;

}  // namespace

Occupancy::Occupancy(const SidLayout& layout, const SidOwners& owners, std::size_t max_sids, const Execution& execution)
    : layout_(layout) {
  // A prefix is counted once a child of it is exhausted, and those are at most max_sids / room.
  std::uint64_t room = 1;
  std::vector<std::size_t> most(layout.levels());
  for (std::size_t depth = layout.levels(); depth-- > 0;) {
    most[depth] = static_cast<std::size_t>(max_sids / room);
    room = saturating_multiply(room, layout.size(depth));
  }
  for (const std::size_t keys : most) exhausted_children_.emplace_back(keys);
  const KeyTable& table = owners.table();
  const std::size_t chunks = (table.slots() + kSlotsPerChunk - 1) / kSlotsPerChunk;
  parallel_for(execution, "occupancy", chunks, table.slots(), [&](std::size_t chunk, Worker& worker) {
    const std::size_t first = chunk * kSlotsPerChunk, last = std::min(first + kSlotsPerChunk, table.slots());
    table.for_each(first, last, [&](SidKey key, std::uint32_t owner) {
      if (owner != 0) add(key);
    });
    worker.advance(last - first);
  });
}

void Occupancy::add(SidKey key) {
  for (std::size_t depth = layout_.levels(); depth-- > 0;) {
    const std::uint32_t before =
        exhausted_children_[depth].at(layout_.prefix(key, depth)).fetch_add(1, std::memory_order_relaxed);
    if (before + 1 != layout_.size(depth)) return;
  }
}

bool Occupancy::exhausted(SidKey key, std::size_t depth) const {
  const KeyTable::Value* children = exhausted_children_[depth].find(layout_.prefix(key, depth));
  return children != nullptr && children->load(std::memory_order_relaxed) == layout_.size(depth);
}

Completion::Completion(const PackedCodebooks& codebooks, SidOwners& owners, std::size_t max_sids,
                       const Execution& execution)
    : codebooks_(codebooks),
      owners_(owners),
      occupancy_(codebooks.layout(), owners, max_sids, execution),
      path_(codebooks.levels()),
      masks_(kMasks) {
  for (std::size_t level = 0; level < codebooks.levels(); ++level) {
    scores_.emplace_back(codebooks[level].padded_size());
    residuals_.emplace_back(codebooks.dim());
  }
}

Completion::Mask& Completion::mask(SidKey prefix, std::size_t level) {
  const std::uint64_t hash = (prefix ^ level) * 0x9E3779B97F4A7C15U;
  Mask& entry = masks_[hash >> 32 & (kMasks - 1)];
  if (!entry.used || entry.prefix != prefix || entry.level != level) {
    entry.prefix = prefix;
    entry.level = level;
    entry.used = true;
    entry.complete = false;
    entry.bits.assign((codebooks_[level].size() + 63) / 64, 0);
  }
  return entry;
}

// Whether the token of `level` in `key` leads to no free SID.
bool Completion::exhausted(SidKey key, std::size_t level) const {
  return level + 1 == codebooks_.levels() ? !owners_.is_free(key) : occupancy_.exhausted(key, level + 1);
}

Token Completion::choose(SidKey prefix, std::size_t level, const float* scores) {
  const SidLayout& layout = codebooks_.layout();
  const std::size_t size = codebooks_[level].size();
  Mask& known = mask(prefix, level);
  while (true) {
    float lowest = std::numeric_limits<float>::infinity();
    std::size_t best = size;
    for (std::size_t first = 0; first < size; first += 64) {
      const std::uint64_t bits = known.bits[first / 64];
      const std::size_t last = std::min(first + 64, size);
      for (std::size_t token = first; token < last; ++token) {
        if (scores[token] < lowest && (bits >> (token - first) & 1) == 0) {
          lowest = scores[token];
          best = token;
        }
      }
    }
    if (best == size) throw std::logic_error("completion met a prefix without a free SID");
    const auto token = static_cast<Token>(best);
    if (!exhausted(prefix | layout.place(token, level), level)) return token;
    known.bits[best / 64] |= std::uint64_t{1} << best % 64;
    if (known.complete) continue;
    for (std::size_t other = 0; other < size; ++other) {
      const bool gone = exhausted(prefix | layout.place(static_cast<Token>(other), level), level);
      known.bits[other / 64] |= std::uint64_t{gone} << other % 64;
    }
    known.complete = true;
  }
}

SidKey Completion::next(const float* vector) {
  const std::size_t dim = codebooks_.dim(), levels = codebooks_.levels();
  if (std::memcmp(residuals_[0].data(), vector, dim * sizeof(float)) != 0) levels_scored_ = 0;
  std::copy_n(vector, dim, residuals_[0].data());
  SidKey key = 0;
  for (std::size_t level = 0; level < levels; ++level) {
    if (level >= levels_scored_) {
      codebooks_[level].scores(residuals_[level].data(), 1, scores_[level].data());
      levels_scored_ = level + 1;
    }
    const Token token = choose(key, level, scores_[level].data());
    if (token != path_[level]) levels_scored_ = level + 1;
    path_[level] = token;
    key |= codebooks_.layout().place(token, level);
    if (level + 1 < levels && levels_scored_ == level + 1) {
      std::copy_n(residuals_[level].data(), dim, residuals_[level + 1].data());
      codebooks_[level].subtract(residuals_[level + 1].data(), token);
    }
  }
  owners_.settle(key);
  occupancy_.add(key);
  return key;
}

}  // namespace puresid
