#include "puresid/completion.hpp"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <numeric>
#include <stdexcept>

namespace puresid {
namespace {

constexpr std::size_t kScoreBytes = std::size_t{4} << 20U;
constexpr std::size_t kWalkRows = 16;                         // walked together by one thread
constexpr std::size_t kMostWalks = 1024;                      // of a batch
constexpr std::size_t kMostItems = 4096;                      // of a batch, equal ones included
constexpr std::size_t kRefusalBytes = std::size_t{1} << 16U;  // of one level but the last, for each thread
constexpr std::size_t kLeafBytes = std::size_t{32} << 20U;    // of the last level, for all threads
constexpr const char* kNothingFree = "completion met a prefix without a free SID";

}  // namespace

// What a thread needs to walk a block of items.
struct Completion::Scratch {
  Scratch(const PackedCodebooks& codebooks, const NearestSearch& pruned, const Settled& settled, std::size_t leaf_bytes)
      : residuals(kWalkRows * codebooks.dim()),
        room(kWalkRows * codebooks.dim()),
        gathered(kWalkRows * codebooks.dim()),
        search(pruned) {
    std::size_t padded = 0, words = 0;
    for (std::size_t level = 0; level + 1 < codebooks.levels(); ++level) {
      refusals.emplace_back(codebooks[level].size(), kRefusalBytes);
      padded = std::max(padded, codebooks[level].padded_size());
      words = std::max(words, refusals.back().words());
    }
    refusals.emplace_back(codebooks[codebooks.levels() - 1].size(), leaf_bytes, &settled);
    scores = AlignedBuffer<float>(kWalkRows * padded);
    last_scores = AlignedBuffer<float>(kWalkRows * codebooks[codebooks.levels() - 1].padded_size());
    closed.resize(kWalkRows * words);
  }
  std::vector<Refusals> refusals;  // by level; those of the last where leaves_ does not keep all
  AlignedBuffer<float> residuals, room, gathered, scores, last_scores;
  NearestSearch::Scratch search;
  std::vector<std::uint64_t> closed;
  std::size_t items[kWalkRows];
  SidKey prefixes[kWalkRows];
  bool greedy[kWalkRows];  // still on the path of the item's nearest SID
  // Of the rows whose token of a level is to be chosen: their paths before it, and the tokens.
  SidKey paths[kWalkRows];
  Token chosen[kWalkRows];
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
      occupancy_(codebooks.layout(), settled, max_sids, execution),
      leaves_(codebooks[codebooks.levels() - 1].size(), kScoreBytes, &settled),
      search_(codebooks.levels_alike(), items.size()),
      last_is_pruned_(leaves_.keeps_all() && search_.is_pruned(codebooks.levels() - 1)),
      choices_(items.size()) {
  const PackedCodebook& last = codebooks[codebooks.levels() - 1];
  const std::size_t row = last_is_pruned_ ? last.dim() : last.padded_size();
  most_walks_ = std::clamp<std::size_t>(kScoreBytes / (row * sizeof(float)), kWalkRows, kMostWalks);
  walkers_.reserve(most_walks_);
  numbers_.resize(most_walks_);
  std::iota(numbers_.begin(), numbers_.end(), std::size_t{0});
  prefixes_.resize(most_walks_);
  guesses_.resize(most_walks_);
  walks_.reserve(kMostItems);
  last_rows_ = AlignedBuffer<float>(most_walks_ * row);
  if (last_is_pruned_) shared_scores_ = AlignedBuffer<float>(last.padded_size());
  const int threads = std::max(1, execution.threads);
  const std::size_t leaf_bytes = leaves_.keeps_all() ? 0 : kLeafBytes / static_cast<std::size_t>(threads);
  for (int thread = 0; thread < threads; ++thread) scratches_.emplace_back(codebooks, search_, settled, leaf_bytes);
}
Completion::~Completion() = default;

// Whether the token of `level` in `key` leads to no free SID, as far as that is not in leaves_.
bool Completion::exhausted(SidKey key, std::size_t level) const {
  if (level + 1 < codebooks_.levels()) return occupancy_.exhausted(key, level + 1);
  return !leaves_.keeps_all() && !owners_.is_free(key);
}

// Learns which tokens of `level` below a prefix lead to no free SID.
void Completion::look_up(SidKey prefix, std::size_t level, Refusals::Leaves known) const {
  if (level + 1 < codebooks_.levels()) {
    occupancy_.for_each_exhausted(prefix, level, [&](Token token) { known.refuse(token); });
    return;
  }
  for (std::size_t token = 0; token < codebooks_[level].size(); ++token) {
    const auto number = static_cast<Token>(token);
    if (exhausted(prefix | codebooks_.layout().place(number, level), level)) known.refuse(number);
  }
}

// The token of the lowest score that leads to a free SID. Looks all tokens up once it has met a few that do not (more
// where each is looked up in memory of its own): from then on only those exhausted since are met.
Token Completion::choose(SidKey prefix, std::size_t level, const float* scores, Refusals& refusals) const {
  const int met_before_look_up = level + 1 < codebooks_.levels() ? 4 : 24;
  Refusals::Leaves known = refusals.below(prefix);
  for (int met = 0;; ++met) {
    const Token token = codebooks_[level].least_open(scores, known.words(), codebooks_[level].size());
    if (token == PackedCodebook::kNone) throw std::logic_error(kNothingFree);
    if (!exhausted(prefix | codebooks_.layout().place(token, level), level)) return token;
    known.refuse(token);
    if (met == met_before_look_up) look_up(prefix, level, known);
  }
}

// The same for the rows gathered, by int8 products: those whose token leads to no free SID choose again together.
void Completion::choose_pruned(Scratch& scratch, std::size_t level, std::size_t n_rows) const {
  const std::size_t dim = codebooks_[level].dim(), words = scratch.refusals[level].words();
  const std::uint64_t* closed[kWalkRows];
  std::size_t rows[kWalkRows];
  std::iota(rows, rows + n_rows, std::size_t{0});
  while (n_rows > 0) {
    for (std::size_t k = 0; k < n_rows; ++k) {
      const Refusals::Leaves known = scratch.refusals[level].below(scratch.paths[rows[k]]);
      if (std::all_of(known.words(), known.words() + words, [](std::uint64_t word) { return word == 0; })) {
        look_up(scratch.paths[rows[k]], level, known);
      }
      std::uint64_t* copy = scratch.closed.data() + k * words;  // what is known may be forgotten for the next row
      closed[k] = std::copy_n(known.words(), words, copy) - words;
    }
    Token found[kWalkRows];
    search_.nearest_open(level, scratch.gathered.data(), n_rows, closed, found, scratch.search);
    std::size_t left = 0;
    for (std::size_t k = 0; k < n_rows; ++k) {
      if (found[k] == PackedCodebook::kNone) throw std::logic_error(kNothingFree);
      const SidKey path = scratch.paths[rows[k]];
      if (!exhausted(path | codebooks_.layout().place(found[k], level), level)) {
        scratch.chosen[rows[k]] = found[k];
        continue;
      }
      look_up(path, level, scratch.refusals[level].below(path));
      std::copy_n(scratch.gathered.data() + k * dim, dim, scratch.gathered.data() + left * dim);
      rows[left++] = rows[k];
    }
    n_rows = left;
  }
}

// Chooses the tokens of one level for the block's rows and moves on to the residuals they leave.
void Completion::walk_level(Scratch& scratch, std::size_t level, std::size_t n_rows) {
  const std::size_t dim = codebooks_[level].dim(), padded = codebooks_[level].padded_size();
  const SidLayout& layout = codebooks_.layout();
  const float* seen = codebooks_.seen(level, scratch.residuals.data(), n_rows, scratch.room.data());
  Token tokens[kWalkRows];
  std::size_t undecided[kWalkRows], n_undecided = 0;
  for (std::size_t row = 0; row < n_rows; ++row) {
    tokens[row] = layout.token(nearest_[scratch.items[row]], level);
    if (scratch.greedy[row] && !exhausted(scratch.prefixes[row] | layout.place(tokens[row], level), level)) continue;
    scratch.greedy[row] = false;
    std::copy_n(seen + row * dim, dim, scratch.gathered.data() + n_undecided * dim);
    scratch.paths[n_undecided] = scratch.prefixes[row];
    undecided[n_undecided++] = row;
  }
  if (search_.is_pruned(level)) {
    choose_pruned(scratch, level, n_undecided);
  } else if (n_undecided > 0) {
    codebooks_.scores(level, scratch.gathered.data(), scratch.paths, n_undecided, scratch.scores.data());
    for (std::size_t i = 0; i < n_undecided; ++i) {
      const float* scores = scratch.scores.data() + i * padded;
      scratch.chosen[i] = choose(scratch.paths[i], level, scores, scratch.refusals[level]);
    }
  }
  for (std::size_t i = 0; i < n_undecided; ++i) tokens[undecided[i]] = scratch.chosen[i];
  for (std::size_t row = 0; row < n_rows; ++row) {
    scratch.prefixes[row] |= layout.place(tokens[row], level);
    codebooks_.leave(level, scratch.residuals.data() + row * codebooks_.dim(), scratch.prefixes[row]);
  }
}

// What settle() needs of the last level.
void Completion::end_walks(Scratch& scratch, std::span<const std::size_t> walks) {
  const std::size_t last = codebooks_.levels() - 1, n_rows = walks.size();
  const PackedCodebook& codebook = codebooks_[last];
  const std::size_t row_size = last_is_pruned_ ? codebook.dim() : codebook.padded_size();
  const float* rows = codebooks_.seen(last, scratch.residuals.data(), n_rows, scratch.room.data());
  const std::uint64_t* closed[kWalkRows];
  Token guesses[kWalkRows];
  for (std::size_t row = 0; row < n_rows; ++row)
    closed[row] = leaves_.keeps_all() ? leaves_.below(scratch.prefixes[row]).words() : nullptr;
  if (last_is_pruned_) {
    search_.nearest_open(last, rows, n_rows, closed, guesses, scratch.search);
  } else {
    codebooks_.scores(last, rows, scratch.prefixes, n_rows, scratch.last_scores.data());
    rows = scratch.last_scores.data();
  }
  for (std::size_t row = 0; row < n_rows; ++row) {
    const float* from = rows + row * row_size;
    std::copy_n(from, row_size, last_rows_.data() + walks[row] * row_size);
    prefixes_[walks[row]] = scratch.prefixes[row];
    if (last_is_pruned_) {
      guesses_[walks[row]] = guesses[row];
    } else if (leaves_.keeps_all()) {
      guesses_[walks[row]] = codebook.least_open(from, closed[row], codebook.size());
    } else {
      guesses_[walks[row]] = choose(scratch.prefixes[row], last, from, scratch.refusals[last]);
    }
  }
}

// Makes walks of the batch, down to the last level.
void Completion::walk(Scratch& scratch, std::span<const std::size_t> walks) {
  const std::size_t dim = codebooks_.dim();
  for (std::size_t row = 0; row < walks.size(); ++row) {
    scratch.items[row] = walkers_[walks[row]];
    scratch.prefixes[row] = 0;
    scratch.greedy[row] = true;
    vectors_.copy(items_[scratch.items[row]], scratch.residuals.data() + row * dim);
  }
  for (std::size_t level = 0; level + 1 < codebooks_.levels(); ++level) walk_level(scratch, level, walks.size());
  end_walks(scratch, walks);
}

void Completion::make_walks(std::span<const std::size_t> walks) {
  std::size_t operations = 0;
  for (std::size_t level = 0; level < codebooks_.levels(); ++level) {
    operations += 2 * codebooks_[level].size() * codebooks_[level].dim();
  }
  Execution quiet = execution_;
  quiet.progress = nullptr;
  quiet.threads = threads_for(execution_, walks.size() * operations);
  std::atomic<std::size_t> next_scratch{0};
  shared_walk_ = kNoWalk;
  parallel_for(
      quiet, "completion", (walks.size() + kWalkRows - 1) / kWalkRows, walks.size(),
      [&] { return &scratches_[next_scratch.fetch_add(1)]; },
      [&](Scratch* scratch, std::size_t chunk, Worker&) {
        const std::size_t first = chunk * kWalkRows;
        walk(*scratch, walks.subspan(first, std::min(kWalkRows, walks.size() - first)));
      });
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

// The nearest free leaf below the prefix of a walk, which many items may share.
Token Completion::choose_leaf(std::size_t walk, bool shared) {
  const std::size_t last = codebooks_.levels() - 1;
  const PackedCodebook& codebook = codebooks_[last];
  const SidKey prefix = prefixes_[walk];
  const Token guess = guesses_[walk];
  if (!leaves_.keeps_all()) {
    if (owners_.is_free(prefix | codebooks_.layout().place(guess, last))) return guess;
    return choose(prefix, last, last_rows_.data() + walk * codebook.padded_size(), leaves_);
  }
  const Refusals::Leaves leaves = leaves_.below(prefix);
  if (guess != PackedCodebook::kNone && !leaves.refused(guess)) return guess;
  if (!last_is_pruned_) return choose(prefix, last, last_rows_.data() + walk * codebook.padded_size(), leaves_);
  const float* row = last_rows_.data() + walk * codebook.dim();
  if (!shared) {
    const std::uint64_t* closed = leaves.words();
    Token token = PackedCodebook::kNone;
    search_.nearest_open(last, row, 1, &closed, &token, scratches_[0].search);
    return token;
  }
  if (shared_walk_ != walk) codebook.scores(row, 1, shared_scores_.data());
  shared_walk_ = walk;
  return codebook.least_open(shared_scores_.data(), leaves.words(), codebook.size());
}

// Gives the items of the batch their SIDs in rank order, up to where too many of them would have to walk again. Returns
// how many.
std::size_t Completion::settle(std::size_t first) {
  constexpr std::size_t kAhead = 8;
  const std::size_t last = codebooks_.levels() - 1;
  std::size_t walked_again = 0;
  const auto guess = [&](std::size_t walk) {
    return prefixes_[walk] | codebooks_.layout().place(guesses_[walk], last);
  };
  const auto no_longer = [&](std::size_t walk) { return last > 0 && occupancy_.exhausted(prefixes_[walk], last); };
  for (std::size_t i = 0; i < walks_.size(); ++i) {
    const std::size_t walk = walks_[i];
    if (!leaves_.keeps_all() && i + kAhead < walks_.size()) owners_.prefetch(guess(walks_[i + kAhead]));
    if (no_longer(walk)) {
      again_.clear();
      std::copy_if(numbers_.begin() + static_cast<std::ptrdiff_t>(walk),
                   numbers_.begin() + static_cast<std::ptrdiff_t>(walkers_.size()), std::back_inserter(again_),
                   no_longer);
      walked_again += again_.size();
      if (walked_again > walkers_.size() / 2) return i;
      make_walks(again_);
    }
    const bool shared = (i > 0 && walks_[i - 1] == walk) || (i + 1 < walks_.size() && walks_[i + 1] == walk);
    const Token token = choose_leaf(walk, shared);
    if (token == PackedCodebook::kNone) throw std::logic_error(kNothingFree);
    const SidKey key = prefixes_[walk] | codebooks_.layout().place(token, last);
    choices_[first + i] = key;
    occupancy_.add(key);
    if (leaves_.keeps_all()) {
      leaves_.below(prefixes_[walk]).refuse(token);
    } else {
      owners_.settle(key);
    }
  }
  return walks_.size();
}

void Completion::run() {
  std::size_t most = kWalkRows;
  for (std::size_t first = 0; first < items_.size();) {
    gather(first, most);
    make_walks({numbers_.data(), walkers_.size()});
    const std::size_t settled = settle(first);
    first += settled;
    most = settled == walks_.size() ? std::min(2 * most, most_walks_)
                                    : std::clamp(2 * walks_[settled], kWalkRows, most_walks_);
    show_progress(first);
  }
}

void Completion::show_progress(std::size_t done) {
  const auto now = std::chrono::steady_clock::now();
  if (!execution_.progress || (done < items_.size() && now - last_shown_ < std::chrono::milliseconds(50))) return;
  last_shown_ = now;
  execution_.progress("completion", done, items_.size());
}

}  // namespace puresid
