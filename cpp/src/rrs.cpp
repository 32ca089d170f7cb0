#include "puresid/rrs.hpp"

#include <algorithm>

namespace puresid {

RrsSearch::Walk::Walk(const PackedCodebooks& codebooks, const std::vector<std::size_t>& widths)
    : lists(widths, 1),
      leaves(codebooks[widths.size() - 1]),
      path(widths.size() - 1),
      ranks(path.size()),
      listed(path.size()) {
  for (std::size_t level = 0; level < codebooks.levels(); ++level) {
    moved.emplace_back(level == 0 ? 0 : codebooks[level].padded_size());
  }
  for (std::size_t level = 0; level + 1 < path.size(); ++level) {
    rooms.emplace_back(codebooks[path.size()].padded_size());
    steps_to.push_back(nullptr);
  }
}

RrsSearch::RrsSearch(const PackedCodebooks& codebooks, const CodewordProducts& products,
                     const std::vector<std::size_t>& widths, std::size_t max_rows)
    : codebooks_(codebooks),
      products_(products),
      scores_(codebooks, widths, max_rows),
      residual_(codebooks.dim()),
      room_(codebooks.dim()),
      nearest_(max_rows) {
  std::size_t most = 0;
  for (std::size_t level = 0; level < codebooks.levels(); ++level) {
    most = std::max(most, codebooks[level].padded_size());
  }
  plus_ = AlignedBuffer<float>(most);
  minus_ = AlignedBuffer<float>(most);
  constexpr std::size_t kWalks = 2 * kRowsAhead;  // more than are under way
  for (std::size_t i = 0; i < std::min(max_rows, kWalks); ++i) walks_.emplace_back(codebooks, widths);
}

void RrsSearch::prepare(const float* vectors, const SidKey* nearest, std::size_t n_rows) {
  vectors_ = vectors;
  scores_.prepare(vectors, nearest, n_rows);
  std::copy_n(nearest, n_rows, nearest_.data());
}

std::optional<SidKey> RrsSearch::foresee(std::size_t row, Refusals& refusals, Worker& worker) {
  Walk& walk = this->walk(row);
  begin(walk, row, refusals);
  walk.done = !advance(walk, refusals, worker);
  walk.foreseen = true;
  if (walk.done) return std::nullopt;
  return walk.key;
}

void RrsSearch::start(std::size_t row) { row_ = row; }

// Goes to the leaves below the greedy path.
void RrsSearch::begin(Walk& walk, std::size_t row, Refusals& refusals) const {
  walk.row = row;
  for (std::size_t level = 0; level < last(); ++level) walk.path[level] = greedy(walk, level);
  std::fill(walk.ranks.begin(), walk.ranks.end(), std::size_t{0});
  std::fill(walk.listed.begin(), walk.listed.end(), std::uint8_t{0});
  walk.prefix = codebooks_.layout().prefix(nearest_[row], last());
  const float* scores = scores_.of(last(), row);
  const std::size_t width = walk.lists.width(last());
  walk.leaves.start(scores, width, walk.leaves.first(scores, width, refusals.below(walk.prefix)));
  walk.prefixes = 1;
  walk.steps = 0;
  walk.entered = true;
}

bool RrsSearch::on_greedy_path(const Walk& walk, std::size_t level) const {
  for (std::size_t before = 0; before < level; ++before) {
    if (walk.path[before] != greedy(walk, before)) return false;
  }
  return true;
}

// What the path's token at the level `at` changes in the scores of `level`.
RrsSearch::Change RrsSearch::change(const Walk& walk, std::size_t at, std::size_t level) {
  return {products_.row(at, greedy(walk, at), level, plus_.data()),
          products_.row(at, walk.path[at], level, minus_.data())};
}

// The scores of `level` for the residual of the path taken.
const float* RrsSearch::scores(Walk& walk, std::size_t level) {
  const float* from = scores_.of(level, walk.row);
  float* to = walk.moved[level].data();
  if (depends_on_path() && !on_greedy_path(walk, level)) {
    score_afresh(walk, level, to);
    return to;
  }
  for (std::size_t before = 0; before < level; ++before) {
    if (!leaves_greedy(walk, before)) continue;
    const Change moves = change(walk, before, level);
    codebooks_[level].add_difference(from, moves.plus, moves.minus, to);
    from = to;
  }
  return from;
}

// The scores of the last level but for what the path's last token changes in them. Many paths share their first tokens.
const float* RrsSearch::moved_but_once(Walk& walk) {
  const float* from = scores_.of(last(), walk.row);
  for (std::size_t level = 0; level + 1 < last(); ++level) {
    if (level < walk.steps) {
      from = walk.steps_to[level];
      continue;
    }
    if (leaves_greedy(walk, level)) {
      const Change moves = change(walk, level, last());
      codebooks_[last()].add_difference(from, moves.plus, moves.minus, walk.rooms[level].data());
      from = walk.rooms[level].data();
    }
    walk.steps_to[level] = from;
    walk.steps = level + 1;
  }
  return from;
}

// Goes down the path taken and scores the tokens of `level` below it.
void RrsSearch::score_afresh(const Walk& walk, std::size_t level, float* to) {
  std::copy_n(vectors_ + walk.row * codebooks_.dim(), codebooks_.dim(), residual_.data());
  SidKey path = 0;
  for (std::size_t before = 0; before < level; ++before) {
    static_cast<void>(codebooks_.seen(before, residual_.data(), 1, room_.data()));
    path |= codebooks_.layout().place(walk.path[before], before);
    codebooks_.leave(before, residual_.data(), path);
  }
  codebooks_.scores(level, codebooks_.seen(level, residual_.data(), 1, room_.data()), &path, 1, to);
}

// Makes the list of `level`, a level but the last, for the path taken.
void RrsSearch::list(Walk& walk, std::size_t level, Refusals& refusals) {
  const std::size_t width = walk.lists.width(level);
  Token* tokens = walk.lists.list(level, 0);
  walk.listed[level] = 1;
  if (width == 1 && on_greedy_path(walk, level)) {
    tokens[0] = greedy(walk, level);
  } else {
    codebooks_[level].least_k(scores(walk, level), width, tokens);
  }
  if (level + 1 != last()) return;
  SidKey above = 0;
  for (std::size_t before = 0; before < level; ++before) above |= codebooks_.layout().place(walk.path[before], before);
  for (std::size_t rank = 0; rank < width; ++rank) {
    refusals.prefetch(above | codebooks_.layout().place(tokens[rank], level));
  }
}

// Moves on to the next prefix; false after the last.
bool RrsSearch::step_back(Walk& walk, Refusals& refusals) {
  std::size_t level = last();
  while (level > 0 && walk.ranks[level - 1] + 1 == walk.lists.width(level - 1)) --level;
  if (level-- == 0) return false;
  if (walk.listed[level] == 0) list(walk, level, refusals);
  walk.path[level] = walk.lists.list(level, 0)[++walk.ranks[level]];
  walk.steps = std::min(walk.steps, level);
  for (std::size_t below = level + 1; below < last(); ++below) {
    list(walk, below, refusals);
    walk.ranks[below] = 0;
    walk.path[below] = walk.lists.list(below, 0)[0];
  }
  walk.prefix = 0;
  for (std::size_t above = 0; above < last(); ++above) {
    walk.prefix |= codebooks_.layout().place(walk.path[above], above);
  }
  walk.entered = false;
  return true;
}

// Starts on the leaves below the prefix; false where all are known to be gone.
bool RrsSearch::enter(Walk& walk, Refusals& refusals) {
  const Refusals::Leaves leaves = refusals.below(walk.prefix);
  if (leaves.all_refused()) return false;
  const std::size_t width = walk.lists.width(last());
  const PackedCodebook& codebook = codebooks_[last()];
  walk.entered = true;
  const float* scored = depends_on_path() ? scores(walk, last()) : moved_but_once(walk);
  Token first = LeafWalk::kNone;
  if (leaves_greedy(walk, last() - 1)) {
    float* to = walk.moved[last()].data();
    const Change moves = change(walk, last() - 1, last());
    first = codebook.moved_least_open(scored, moves.plus, moves.minus, to, leaves.words(), width);
    scored = to;
  } else {
    first = codebook.least_open(scored, leaves.words(), width);
  }
  walk.leaves.start(scored, width, first);
  return true;
}

// Finds the next candidate.
bool RrsSearch::advance(Walk& walk, Refusals& refusals, Worker& worker) {
  for (;;) {
    if (walk.entered || enter(walk, refusals)) {
      const Token token = walk.leaves.next(refusals.below(walk.prefix));
      if (token != LeafWalk::kNone) {
        walk.key = walk.prefix | codebooks_.layout().place(token, last());
        return true;
      }
    }
    if (++walk.prefixes % 16 == 0) worker.poll();
    if (walk.prefixes > kMostPrefixes || !step_back(walk, refusals)) return false;
  }
}

bool RrsSearch::next(SidKey& key, Refusals& refusals, Worker& worker) {
  Walk& walk = this->walk(row_);
  if (!walk.foreseen && !walk.done) walk.done = !advance(walk, refusals, worker);
  walk.foreseen = false;
  key = walk.key;
  return !walk.done;
}

}  // namespace puresid
