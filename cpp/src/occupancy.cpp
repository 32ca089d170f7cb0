#include "puresid/occupancy.hpp"

#include <algorithm>

#include "puresid/parallel.hpp"

namespace puresid {
namespace {

constexpr std::size_t kBetweenPolls = std::size_t{1} << 16U;  // prefixes
constexpr std::size_t kFewPrefixes = std::size_t{1} << 12U;   // of one depth: an array of them is no matter

}  // namespace

Occupancy::Occupancy(const SidLayout& layout, const Settled& settled, std::size_t max_sids, const Execution& execution)
    : layout_(layout) {
  // A prefix is counted once a child of it is exhausted, and those are at most max_sids / room.
  std::uint64_t room = 1;
  std::vector<std::size_t> most(layout.levels());
  for (std::size_t depth = layout.levels(); depth-- > 0;) {
    most[depth] = static_cast<std::size_t>(max_sids / room);
    room = saturating_multiply(room, layout.size(depth));
  }
  unsigned shift = 0, bits = 0;
  for (std::size_t level = 0; level < layout.levels(); ++level) shift += layout.bits(level);
  for (std::size_t depth = 0; depth < layout.levels(); ++depth) {
    const bool few = bits < 32 && std::uint64_t{1} << bits <= std::max(kFewPrefixes, 4 * most[depth]);
    depths_.push_back(
        {KeyTable(few ? 0 : most[depth]), few ? Pages<Count>(std::size_t{1} << bits) : Pages<Count>(), shift});
    bits += layout.bits(depth);
    shift -= layout.bits(depth);
  }
  run_alone(execution, "occupancy", [&](Worker& worker) {
    std::size_t visited = 0;
    settled.for_each_prefix([&](SidKey prefix, std::size_t count) {
      add_children(prefix, layout.levels() - 1, static_cast<std::uint32_t>(count));
      if (++visited % kBetweenPolls == 0) worker.poll();
    });
  });
}

Occupancy::Count& Occupancy::at(SidKey key, std::size_t depth) {
  Depth& here = depths_[depth];
  if (here.array.data() == nullptr) return here.table.at(layout_.prefix(key, depth));
  return here.array[place(here, key)];
}

// `count` more children of the prefix of `depth` tokens are exhausted; and it itself, with all of them.
void Occupancy::add_children(SidKey key, std::size_t depth, std::uint32_t count) {
  for (;; --depth, count = 1) {
    const std::uint32_t before = at(key, depth).fetch_add(count, std::memory_order_relaxed);
    if (depth == 0 || before + count != layout_.size(depth)) return;
  }
}

void Occupancy::add(SidKey key) { add_children(key, layout_.levels() - 1, 1); }

bool Occupancy::exhausted(SidKey key, std::size_t depth) const {
  const Depth& here = depths_[depth];
  const Count* children =
      here.array.data() == nullptr ? here.table.find(layout_.prefix(key, depth)) : &here.array[place(here, key)];
  return children != nullptr && children->load(std::memory_order_relaxed) == layout_.size(depth);
}

}  // namespace puresid
