// The SIDs that exist, as a trie: which tokens may follow a prefix, for constrained decoding.
//
// Compressed rows: the nodes of a depth lie side by side in lexicographic order, so those of a node's children are
// one interval, and so are the leaves below it. A set of leaves that count (fresh, in stock, unseen) is therefore
// one bit a leaf, and asking whether a node has any of them is a difference of two counts: no rebuild.
// Cost: building and changing it O(n * L) beside a sort of what is new; a step O(children) for each prefix.
// Memory: 8 bytes a SID and at most 12 bytes a node (1 + 1/8 bits more a leaf for each set of leaves).
// Thread safety: const functions may be called from any number of threads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "puresid/matrix.hpp"
#include "puresid/types.hpp"

namespace puresid {

// A set of a trie's leaves.
class LeafSet {
 public:
  // `members`: one value per leaf, not 0 for those in the set.
  explicit LeafSet(std::span<const std::uint8_t> members);

  [[nodiscard]] std::size_t leaves() const noexcept { return leaves_; }
  // How many of the leaves before `leaf` are in it.
  [[nodiscard]] std::size_t before(std::size_t leaf) const noexcept;

 private:
  static constexpr std::size_t kBlockWords = 8;
  std::size_t leaves_;
  std::vector<std::uint64_t> words_;
  std::vector<std::uint32_t> counts_;  // by block: those of the blocks before it
};

class SidTrie {
 public:
  using Node = std::uint32_t;
  static constexpr Node kNoNode = 0xFFFFFFFF;

  // `sizes`: tokens per level. `sids`: rows of tokens, repeated ones once. Throws std::invalid_argument for a token
  // that there is not (naming the row), for more than 64 bits a SID and for more than 2^32 - 2 SIDs.
  SidTrie(std::vector<std::size_t> sizes, MatrixView<const Token> sids);

  [[nodiscard]] const SidLayout& layout() const noexcept { return layout_; }
  [[nodiscard]] std::size_t levels() const noexcept { return layout_.levels(); }
  // Different SIDs; leaf i is the i-th in lexicographic order.
  [[nodiscard]] std::size_t leaves() const noexcept { return keys_.size(); }
  [[nodiscard]] std::span<const SidKey> keys() const noexcept { return keys_; }

  // Adds or removes SIDs; how many were not there, or were. Leaves are numbered anew.
  std::size_t add(MatrixView<const Token> sids);
  std::size_t remove(MatrixView<const Token> sids);

  // Nodes of a depth, 0 (the root, if there is any SID) to levels() (the leaves).
  [[nodiscard]] std::size_t nodes(std::size_t depth) const { return tokens_[depth].size(); }
  // By node of a depth: its last token.
  [[nodiscard]] std::span<const Token> tokens(std::size_t depth) const { return tokens_[depth]; }
  // By node of a depth < levels(), and one more: where its children begin, and its leaves.
  [[nodiscard]] std::span<const Node> first_child(std::size_t depth) const { return first_child_[depth]; }
  [[nodiscard]] std::span<const Node> first_leaf(std::size_t depth) const { return first_leaf_[depth]; }

  // The node of a prefix of `depth` tokens, or kNoNode.
  [[nodiscard]] Node find(const Token* prefix, std::size_t depth) const;

  // allowed[t] = 1 where token t may follow the node, of the sizes[depth] tokens there, else 0; of `live` leaves,
  // where given.
  void mask(Node node, std::size_t depth, const LeafSet* live, std::uint8_t* allowed) const;
  // Likewise as a list, ascending.
  void list(Node node, std::size_t depth, const LeafSet* live, std::vector<Token>& tokens) const;

 private:
  [[nodiscard]] std::vector<SidKey> sorted_keys(MatrixView<const Token> sids) const;
  void build();
  template <class Visit>
  void for_each_child(Node node, std::size_t depth, const LeafSet* live, Visit&& visit) const;

  SidLayout layout_;
  std::vector<SidKey> keys_;                                 // ascending
  std::vector<std::vector<Token>> tokens_;                   // by depth
  std::vector<std::vector<Node>> first_child_, first_leaf_;  // likewise
};

}  // namespace puresid
