#include "puresid/rrs.hpp"

#include <algorithm>

namespace puresid {

RrsSearch::RrsSearch(const PackedCodebooks& codebooks, const CodewordProducts& products,
                     const std::vector<std::size_t>& widths, std::size_t max_rows)
    : codebooks_(codebooks),
      products_(products),
      scores_(codebooks, widths, max_rows),
      lists_(widths, 1),
      leaves_(codebooks[widths.size() - 1]),
      residual_(codebooks.dim()),
      room_(codebooks.dim()),
      nearest_(max_rows),
      guesses_(max_rows),
      path_(last()),
      ranks_(last()),
      listed_(last()) {
  std::size_t most = 0;
  for (std::size_t level = 0; level < codebooks.levels(); ++level) {
    moved_.emplace_back(level == 0 ? 0 : codebooks[level].padded_size());
    most = std::max(most, codebooks[level].padded_size());
  }
  for (std::size_t term = 0; term < last(); ++term) {
    scratch_.emplace_back(2 * most);
    plus_.push_back(nullptr);
    minus_.push_back(nullptr);
  }
}

void RrsSearch::prepare(const float* vectors, const SidKey* nearest, std::size_t n_rows) {
  vectors_ = vectors;
  scores_.prepare(vectors, nearest, n_rows);
  std::copy_n(nearest, n_rows, nearest_.data());
}

std::optional<SidKey> RrsSearch::foresee(std::size_t row, Refusals& refusals) {
  const SidKey prefix = codebooks_.layout().prefix(nearest_[row], last());
  guesses_[row] = leaves_.first(scores_.of(last(), row), lists_.width(last()), refusals.below(prefix));
  if (guesses_[row] == LeafWalk::kNone) return std::nullopt;
  return prefix | codebooks_.layout().place(guesses_[row], last());
}

void RrsSearch::start(std::size_t row) {
  row_ = row;
  for (std::size_t level = 0; level < last(); ++level) path_[level] = greedy(level);
  std::fill(ranks_.begin(), ranks_.end(), std::size_t{0});
  std::fill(listed_.begin(), listed_.end(), std::uint8_t{0});
  prefix_ = codebooks_.layout().prefix(nearest_[row], last());
  leaves_.start(scores_.of(last(), row), lists_.width(last()), guesses_[row]);
  prefixes_ = 1;
  entered_ = true;
  done_ = false;
}

bool RrsSearch::on_greedy_path(std::size_t level) const {
  for (std::size_t before = 0; before < level; ++before) {
    if (path_[before] != greedy(before)) return false;
  }
  return true;
}

// What the path taken changes in the scores of `level`: plus_[i] - minus_[i] for each i below the result.
std::size_t RrsSearch::find_terms(std::size_t level) {
  std::size_t terms = 0;
  if (!codebooks_.space().additive()) return terms;
  for (std::size_t before = 0; before < level; ++before) {
    if (path_[before] == greedy(before)) continue;
    float* scratch = scratch_[terms].data();
    plus_[terms] = products_.row(before, greedy(before), level, scratch);
    minus_[terms++] = products_.row(before, path_[before], level, scratch + scratch_[0].size() / 2);
  }
  return terms;
}

// The scores of `level` for the residual of the path taken.
const float* RrsSearch::scores(std::size_t level) {
  const float* from = scores_.of(level, row_);
  float* to = moved_[level].data();
  if (depends_on_path() && !on_greedy_path(level)) {
    score_afresh(level, to);
    return to;
  }
  const std::size_t terms = find_terms(level);
  for (std::size_t term = 0; term < terms; ++term) {
    codebooks_[level].add_difference(from, plus_[term], minus_[term], to);
    from = to;
  }
  return from;
}

// Goes down the path taken and scores the tokens of `level` below it.
void RrsSearch::score_afresh(std::size_t level, float* to) {
  std::copy_n(vectors_ + row_ * codebooks_.dim(), codebooks_.dim(), residual_.data());
  SidKey path = 0;
  for (std::size_t before = 0; before < level; ++before) {
    static_cast<void>(codebooks_.seen(before, residual_.data(), 1, room_.data()));
    path |= codebooks_.layout().place(path_[before], before);
    codebooks_.leave(before, residual_.data(), path);
  }
  codebooks_.scores(level, codebooks_.seen(level, residual_.data(), 1, room_.data()), &path, 1, to);
}

// Makes the list of `level`, a level but the last, for the path taken.
void RrsSearch::list(std::size_t level, Refusals& refusals) {
  const std::size_t width = lists_.width(level);
  Token* tokens = lists_.list(level, 0);
  listed_[level] = 1;
  if (width == 1 && on_greedy_path(level)) {
    tokens[0] = greedy(level);
  } else {
    codebooks_[level].least_k(scores(level), width, tokens);
  }
  if (level + 1 != last()) return;
  SidKey above = 0;
  for (std::size_t before = 0; before < level; ++before) above |= codebooks_.layout().place(path_[before], before);
  for (std::size_t rank = 0; rank < width; ++rank) {
    refusals.prefetch(above | codebooks_.layout().place(tokens[rank], level));
  }
}

// Moves on to the next prefix; false after the last.
bool RrsSearch::step_back(Refusals& refusals) {
  std::size_t level = last();
  while (level > 0 && ranks_[level - 1] + 1 == lists_.width(level - 1)) --level;
  if (level-- == 0) return false;
  if (listed_[level] == 0) list(level, refusals);
  path_[level] = lists_.list(level, 0)[++ranks_[level]];
  for (std::size_t below = level + 1; below < last(); ++below) {
    list(below, refusals);
    ranks_[below] = 0;
    path_[below] = lists_.list(below, 0)[0];
  }
  prefix_ = 0;
  for (std::size_t above = 0; above < last(); ++above) prefix_ |= codebooks_.layout().place(path_[above], above);
  entered_ = false;
  return true;
}

// Starts on the leaves below the prefix; false where all are known to be gone.
bool RrsSearch::enter(Refusals& refusals) {
  const Refusals::Leaves leaves = refusals.below(prefix_);
  if (leaves.all_refused()) return false;
  float* to = moved_[last()].data();
  const std::size_t width = lists_.width(last());
  if (depends_on_path()) {
    const float* scored = scores(last());
    leaves_.start(scored, width, leaves_.first(scored, width, leaves));
    entered_ = true;
    return true;
  }
  const std::size_t terms = find_terms(last());
  const Token first = codebooks_[last()].moved_least_open(scores_.of(last(), row_), plus_.data(), minus_.data(), terms,
                                                          to, leaves.words(), width);
  leaves_.start(to, width, first);
  entered_ = true;
  return true;
}

bool RrsSearch::next(SidKey& key, Refusals& refusals, Worker& worker) {
  while (!done_) {
    if (entered_ || enter(refusals)) {
      const Token token = leaves_.next(refusals.below(prefix_));
      if (token != LeafWalk::kNone) {
        key = prefix_ | codebooks_.layout().place(token, last());
        return true;
      }
    }
    if (++prefixes_ % 16 == 0) worker.poll();
    done_ = prefixes_ > kMostPrefixes || !step_back(refusals);
  }
  return false;
}

}  // namespace puresid
