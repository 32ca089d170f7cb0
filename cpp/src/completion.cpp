#include "puresid/completion.hpp"

#include <algorithm>
#include <atomic>
#include <limits>

namespace puresid {
namespace {

constexpr std::size_t kSlotsPerChunk = 1U << 16U;
constexpr std::size_t kScoreBytes = std::size_t{4} << 20U;
constexpr std::size_t kWalkRows = 16;                         // walked together by one thread
constexpr std::size_t kMostItems = 4096;                      // of a batch, equal ones included
constexpr std::size_t kRefusalBytes = std::size_t{1} << 16U;  // of one level, for each thread
constexpr std::size_t kFewPrefixes = std::size_t{1} << 12U;   // of one depth: an array of them is no matter

}  // namespace

Occupancy::Occupancy(const SidLayout& layout, const SidOwners& owners, const Settled& settled, std::size_t max_sids,
                     const Execution& execution)
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
  if (settled.kept()) {
    settled.for_each_prefix([&](SidKey prefix, std::size_t count) {
      add_children(prefix, layout.levels() - 1, static_cast<std::uint32_t>(count));
    });
    return;
  }
  const std::size_t slots = owners.slots(), chunks = (slots + kSlotsPerChunk - 1) / kSlotsPerChunk;
  parallel_for(execution, "occupancy", chunks, slots, [&](std::size_t chunk, Worker& worker) {
    const std::size_t first = chunk * kSlotsPerChunk, last = std::min(first + kSlotsPerChunk, slots);
    owners.for_each(first, last, [&](SidKey key) { add(key); });
    worker.advance(last - first);
  });
}

Occupancy::Count& Occupancy::at(SidKey key, std::size_t depth) {
  Depth& here = depths_[depth];
  if (here.array.data() == nullptr) return here.table.at(layout_.prefix(key, depth));
  return here.array[here.shift == 64 ? 0 : key >> here.shift];
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
  const Count* children = here.array.data() == nullptr ? here.table.find(layout_.prefix(key, depth))
                                                       : &here.array[key >> here.shift];  // depth > 0: less than 64
  return children != nullptr && children->load(std::memory_order_relaxed) == layout_.size(depth);
}

// What a thread needs to walk a block of items.
struct Completion::Scratch {
  explicit Scratch(const PackedCodebooks& codebooks)
      : residuals(kWalkRows * codebooks.dim()),
        room(kWalkRows * codebooks.dim()),
        gathered(kWalkRows * codebooks.dim()) {
    std::size_t padded = 0;
    for (std::size_t level = 0; level + 1 < codebooks.levels(); ++level) {
      refusals.emplace_back(codebooks[level].size(), kRefusalBytes);
      padded = std::max(padded, codebooks[level].padded_size());
    }
    scores = AlignedBuffer<float>(kWalkRows * padded);
  }
  std::vector<Refusals> refusals;  // by level, but for the last, whose tokens settle() chooses
  AlignedBuffer<float> residuals, room, gathered, scores;
  std::size_t items[kWalkRows];
  SidKey prefixes[kWalkRows];
  bool greedy[kWalkRows];  // still on the path of the item's nearest SID
};

Completion::Completion(const PackedCodebooks& codebooks, const Vectors& vectors, const std::vector<Row>& items,
                       const std::vector<SidKey>& nearest, const Settled& settled, SidOwners& owners,
                       std::size_t max_sids, const Execution& execution)
    : codebooks_(codebooks),
      vectors_(vectors),
      items_(items),
      nearest_(nearest),
      owners_(owners),
      execution_(execution),
      occupancy_(codebooks.layout(), owners, settled, max_sids, execution),
      leaves_(codebooks[codebooks.levels() - 1].size(), kScoreBytes, &settled),
      choices_(items.size()) {
  const std::size_t padded = codebooks[codebooks.levels() - 1].padded_size();
  most_walks_ = std::clamp<std::size_t>(kScoreBytes / (padded * sizeof(float)), kWalkRows, 1024);
  walkers_.reserve(most_walks_);
  prefixes_.resize(most_walks_);
  guesses_.resize(most_walks_);
  walks_.reserve(kMostItems);
  scores_ = AlignedBuffer<float>(most_walks_ * padded);
}

// Whether the token of `level` in `key` leads to no free SID, as far as that is not in leaves_.
bool Completion::exhausted(SidKey key, std::size_t level) const {
  if (level + 1 < codebooks_.levels()) return occupancy_.exhausted(key, level + 1);
  return !leaves_.keeps_all() && !owners_.is_free(key);
}

// The token of the lowest score that leads to a free SID. Looks all tokens up once it has met a few
// that do not: from then on only those exhausted since are met.
Token Completion::choose(SidKey prefix, std::size_t level, const float* scores, Refusals& refusals) const {
  constexpr int kMetBeforeLookUp = 4;
  const SidLayout& layout = codebooks_.layout();
  const std::size_t size = codebooks_[level].size();
  Refusals::Leaves known = refusals.below(prefix);
  for (int met = 0;; ++met) {
    const Token token = codebooks_[level].least_open(scores, known.words(), size);
    if (token == PackedCodebook::kNone) throw std::logic_error("completion met a prefix without a free SID");
    if (!exhausted(prefix | layout.place(token, level), level)) return token;
    known.refuse(token);
    if (met != kMetBeforeLookUp) continue;
    for (std::size_t other = 0; other < size; ++other) {
      if (exhausted(prefix | layout.place(static_cast<Token>(other), level), level)) {
        known.refuse(static_cast<Token>(other));
      }
    }
  }
}

// Chooses the tokens of one level for the block's rows and moves on to the residuals they leave.
void Completion::walk_level(Scratch& scratch, std::size_t level, std::size_t n_rows) {
  const std::size_t dim = codebooks_[level].dim(), padded = codebooks_[level].padded_size();
  const SidLayout& layout = codebooks_.layout();
  const float* seen = codebooks_.seen(level, scratch.residuals.data(), n_rows, scratch.room.data());
  Token tokens[kWalkRows];
  SidKey paths[kWalkRows];
  std::size_t undecided[kWalkRows], n_undecided = 0;
  for (std::size_t row = 0; row < n_rows; ++row) {
    tokens[row] = layout.token(nearest_[scratch.items[row]], level);
    if (scratch.greedy[row] && !exhausted(scratch.prefixes[row] | layout.place(tokens[row], level), level)) continue;
    scratch.greedy[row] = false;
    std::copy_n(seen + row * dim, dim, scratch.gathered.data() + n_undecided * dim);
    paths[n_undecided] = scratch.prefixes[row];
    undecided[n_undecided++] = row;
  }
  if (n_undecided > 0) codebooks_.scores(level, scratch.gathered.data(), paths, n_undecided, scratch.scores.data());
  for (std::size_t i = 0; i < n_undecided; ++i) {
    const std::size_t row = undecided[i];
    tokens[row] = choose(scratch.prefixes[row], level, scratch.scores.data() + i * padded, scratch.refusals[level]);
  }
  for (std::size_t row = 0; row < n_rows; ++row) {
    scratch.prefixes[row] |= layout.place(tokens[row], level);
    codebooks_.leave(level, scratch.residuals.data() + row * codebooks_.dim(), scratch.prefixes[row]);
  }
}

// Makes the walks [begin, end) of the batch, down to the scores of the last level.
void Completion::walk(Scratch& scratch, std::size_t begin, std::size_t end) {
  const std::size_t dim = codebooks_.dim(), last = codebooks_.levels() - 1, n_rows = end - begin;
  for (std::size_t row = 0; row < n_rows; ++row) {
    scratch.items[row] = walkers_[begin + row];
    scratch.prefixes[row] = 0;
    scratch.greedy[row] = true;
    vectors_.copy(items_[scratch.items[row]], scratch.residuals.data() + row * dim);
  }
  for (std::size_t level = 0; level < last; ++level) walk_level(scratch, level, n_rows);
  const float* seen = codebooks_.seen(last, scratch.residuals.data(), n_rows, scratch.room.data());
  const std::size_t padded = codebooks_[last].padded_size(), size = codebooks_[last].size();
  float* scores = scores_.data() + begin * padded;
  codebooks_.scores(last, seen, scratch.prefixes, n_rows, scores);
  std::copy_n(scratch.prefixes, n_rows, prefixes_.data() + begin);
  if (!leaves_.keeps_all()) return;
  for (std::size_t row = 0; row < n_rows; ++row) {
    const Refusals::Leaves leaves = leaves_.below(scratch.prefixes[row]);
    guesses_[begin + row] = codebooks_[last].least_open(scores + row * padded, leaves.words(), size);
  }
}

// Makes up the batch that starts with item `first`: at most `most` walks, one for each run of equal vectors.
void Completion::gather(std::size_t first, std::size_t most) {
  const std::size_t end = std::min(items_.size(), first + kMostItems);
  walkers_.clear();
  walks_.clear();
  for (std::size_t item = first; item < end; ++item) {
    if (item == first || !vectors_.equal(items_[item], items_[item - 1])) {
      if (walkers_.size() == most) break;
      walkers_.push_back(item);
    }
    walks_.push_back(walkers_.size() - 1);
  }
}

// Gives the items of the batch their SIDs in rank order, up to the first whose prefix has been
// exhausted since it was chosen. Returns how many.
std::size_t Completion::settle(std::size_t first) {
  const std::size_t last = codebooks_.levels() - 1, padded = codebooks_[last].padded_size();
  for (std::size_t i = 0; i < walks_.size(); ++i) {
    const SidKey prefix = prefixes_[walks_[i]];
    if (last > 0 && occupancy_.exhausted(prefix, last)) return i;
    Token token = guesses_[walks_[i]];
    if (!leaves_.keeps_all() || leaves_.below(prefix).refused(token)) {
      token = choose(prefix, last, scores_.data() + walks_[i] * padded, leaves_);
    }
    const SidKey key = prefix | codebooks_.layout().place(token, last);
    choices_[first + i] = key;
    if (!leaves_.keeps_all()) owners_.settle(key);
    occupancy_.add(key);
    leaves_.below(prefix).refuse(token);
  }
  return walks_.size();
}

void Completion::run() {
  Execution quiet = execution_;
  quiet.progress = nullptr;
  std::vector<Scratch> scratches;  // kept from batch to batch, with what they have learnt
  const int threads = std::max(1, execution_.threads);
  for (int thread = 0; thread < threads; ++thread) scratches.emplace_back(codebooks_);
  std::size_t operations_per_walk = 0;
  for (std::size_t level = 0; level < codebooks_.levels(); ++level) {
    operations_per_walk += 2 * codebooks_[level].size() * codebooks_[level].dim();
  }
  std::size_t most = kWalkRows;
  for (std::size_t first = 0; first < items_.size();) {
    gather(first, most);
    const std::size_t chunks = (walkers_.size() + kWalkRows - 1) / kWalkRows;
    quiet.threads = threads_for(execution_, walkers_.size() * operations_per_walk);
    std::atomic<std::size_t> next_scratch{0};
    parallel_for(
        quiet, "completion", chunks, walkers_.size(), [&] { return &scratches[next_scratch.fetch_add(1)]; },
        [&](Scratch* scratch, std::size_t chunk, Worker&) {
          walk(*scratch, chunk * kWalkRows, std::min((chunk + 1) * kWalkRows, walkers_.size()));
        });
    const std::size_t settled = settle(first);
    first += settled;
    most = settled == walks_.size() ? std::min(2 * most, most_walks_)
                                    : std::clamp(2 * walks_[settled], kWalkRows, most_walks_);
    if (execution_.progress) execution_.progress("completion", first, items_.size());
  }
}

}  // namespace puresid
