#include "puresid/sid_trie.hpp"

#include <algorithm>
#include <bit>
#include <iterator>
#include <string>

namespace puresid {

LeafSet::LeafSet(std::span<const std::uint8_t> members)
    : leaves_(members.size()), words_(members.size() / 64 + 1), counts_(words_.size() / kBlockWords + 1) {
  for (std::size_t leaf = 0; leaf < leaves_; ++leaf) {
    if (members[leaf] != 0) words_[leaf / 64] |= std::uint64_t{1} << leaf % 64;
  }
  std::uint32_t count = 0;
  for (std::size_t word = 0; word < words_.size(); ++word) {
    if (word % kBlockWords == 0) counts_[word / kBlockWords] = count;
    count += static_cast<std::uint32_t>(std::popcount(words_[word]));
  }
}

std::size_t LeafSet::before(std::size_t leaf) const noexcept {
  const std::size_t last = leaf / 64;
  std::size_t count = counts_[last / kBlockWords];
  for (std::size_t word = last / kBlockWords * kBlockWords; word < last; ++word) {
    count += static_cast<std::size_t>(std::popcount(words_[word]));
  }
  return count + static_cast<std::size_t>(std::popcount(words_[last] & ((std::uint64_t{1} << leaf % 64) - 1)));
}

namespace {

SidLayout checked_layout(std::vector<std::size_t> sizes) {
  if (sizes.empty()) throw std::invalid_argument("sizes is empty; at least one level is needed");
  for (std::size_t level = 0; level < sizes.size(); ++level) {
    if (sizes[level] > 0) continue;
    throw std::invalid_argument("sizes[" + std::to_string(level) + "] is 0; at least 1 is needed");
  }
  return SidLayout(std::move(sizes));
}

}  // namespace

SidTrie::SidTrie(std::vector<std::size_t> sizes, MatrixView<const Token> sids)
    : layout_(checked_layout(std::move(sizes))), keys_(sorted_keys(sids)) {
  build();
}

// The keys of rows of tokens, ascending, each once.
std::vector<SidKey> SidTrie::sorted_keys(MatrixView<const Token> sids) const {
  if (sids.rows() > 0 && sids.cols() != levels()) {
    throw std::invalid_argument("sids has " + std::to_string(sids.cols()) + " columns; the trie has " +
                                std::to_string(levels()) + " levels");
  }
  std::vector<SidKey> keys(sids.rows());
  for (std::size_t row = 0; row < sids.rows(); ++row) {
    for (std::size_t level = 0; level < levels(); ++level) {
      if (sids.row(row)[level] < layout_.size(level)) continue;
      throw std::invalid_argument("sids[" + std::to_string(row) + "] has token " +
                                  std::to_string(sids.row(row)[level]) + " at level " + std::to_string(level) +
                                  "; tokens run below " + std::to_string(layout_.size(level)) + " there");
    }
    keys[row] = layout_.pack(sids.row(row));
  }
  if (!std::is_sorted(keys.begin(), keys.end())) std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

void SidTrie::build() {
  if (keys_.size() >= kNoNode) {
    throw std::invalid_argument("a trie of " + std::to_string(keys_.size()) + " SIDs; at most 2^32 - 2 fit");
  }
  tokens_.assign(levels() + 1, {});
  first_child_.assign(levels(), {});
  first_leaf_.assign(levels(), {});
  for (std::size_t leaf = 0; leaf < keys_.size(); ++leaf) {
    // Every depth below the tokens shared with the leaf before begins a node.
    std::size_t shared = 0;
    if (leaf > 0) {
      while (layout_.token(keys_[leaf], shared) == layout_.token(keys_[leaf - 1], shared)) ++shared;
    }
    for (std::size_t depth = leaf == 0 ? 0 : shared + 1; depth <= levels(); ++depth) {
      tokens_[depth].push_back(depth == 0 ? 0 : layout_.token(keys_[leaf], depth - 1));
      if (depth == levels()) break;
      first_child_[depth].push_back(static_cast<Node>(tokens_[depth + 1].size()));
      first_leaf_[depth].push_back(static_cast<Node>(leaf));
    }
  }
  for (std::size_t depth = 0; depth < levels(); ++depth) {
    first_child_[depth].push_back(static_cast<Node>(tokens_[depth + 1].size()));
    first_leaf_[depth].push_back(static_cast<Node>(keys_.size()));
  }
}

std::size_t SidTrie::add(MatrixView<const Token> sids) {
  const std::vector<SidKey> more = sorted_keys(sids);
  std::vector<SidKey> all;
  all.reserve(keys_.size() + more.size());
  std::set_union(keys_.begin(), keys_.end(), more.begin(), more.end(), std::back_inserter(all));
  const std::size_t added = all.size() - keys_.size();
  keys_ = std::move(all);
  if (added > 0) build();
  return added;
}

std::size_t SidTrie::remove(MatrixView<const Token> sids) {
  const std::vector<SidKey> gone = sorted_keys(sids);
  std::vector<SidKey> rest;
  rest.reserve(keys_.size());
  std::set_difference(keys_.begin(), keys_.end(), gone.begin(), gone.end(), std::back_inserter(rest));
  const std::size_t removed = keys_.size() - rest.size();
  keys_ = std::move(rest);
  if (removed > 0) build();
  return removed;
}

SidTrie::Node SidTrie::find(const Token* prefix, std::size_t depth) const {
  if (keys_.empty()) return kNoNode;
  Node node = 0;
  for (std::size_t level = 0; level < depth; ++level) {
    const std::vector<Token>& tokens = tokens_[level + 1];
    const auto begin = tokens.begin() + first_child_[level][node], end = tokens.begin() + first_child_[level][node + 1];
    const auto at = std::lower_bound(begin, end, prefix[level]);
    if (at == end || *at != prefix[level]) return kNoNode;
    node = static_cast<Node>(at - tokens.begin());
  }
  return node;
}

template <class Visit>
void SidTrie::for_each_child(Node node, std::size_t depth, const LeafSet* live, Visit&& visit) const {
  if (node == kNoNode) return;
  const std::size_t end = first_child_[depth][node + 1];
  const auto leaf = [&](std::size_t child) {
    return depth + 1 == levels() ? child : std::size_t{first_leaf_[depth + 1][child]};
  };
  std::size_t before = live == nullptr ? 0 : live->before(leaf(first_child_[depth][node]));
  for (std::size_t child = first_child_[depth][node]; child < end; ++child) {
    if (live != nullptr) {
      const std::size_t after = live->before(leaf(child + 1));
      if (std::exchange(before, after) == after) continue;
    }
    visit(tokens_[depth + 1][child]);
  }
}

void SidTrie::mask(Node node, std::size_t depth, const LeafSet* live, std::uint8_t* allowed) const {
  std::fill_n(allowed, layout_.size(depth), std::uint8_t{0});
  for_each_child(node, depth, live, [&](Token token) { allowed[token] = 1; });
}

void SidTrie::list(Node node, std::size_t depth, const LeafSet* live, std::vector<Token>& tokens) const {
  for_each_child(node, depth, live, [&](Token token) { tokens.push_back(token); });
}

}  // namespace puresid
