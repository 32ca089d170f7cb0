// Tries of any sizes and tokens, as files hold them, against a std::set.
#include <algorithm>
#include <cstdint>
#include <set>
#include <stdexcept>
#include <vector>

#include "bytes.hpp"
#include "puresid/sid_trie.hpp"

namespace {

using puresid::LeafSet;
using puresid::MatrixView;
using puresid::SidTrie;
using puresid::Token;
using puresid::fuzz::Bytes;
using puresid::fuzz::require;
using Sid = std::vector<Token>;

constexpr std::size_t kMostMasked = 1000;  // tokens of a level for which a mask is asked for

struct Rows {
  std::vector<Token> tokens;
  std::size_t columns;
  [[nodiscard]] MatrixView<const Token> view() const {
    return {tokens.data(), columns == 0 ? 0 : tokens.size() / columns, columns};
  }
  [[nodiscard]] std::set<Sid> as_set() const {
    std::set<Sid> result;
    for (std::size_t row = 0; row < view().rows(); ++row) {
      result.emplace(view().row(row), view().row(row) + columns);
    }
    return result;
  }
};

Rows rows_of(Bytes& bytes, const std::vector<std::size_t>& sizes) {
  Rows rows{{}, bytes.byte() < 250 ? sizes.size() : bytes.between(0, 5)};
  const std::size_t count = bytes.between(0, 12);
  for (std::size_t i = 0; i < count * rows.columns; ++i) {
    const std::size_t size = sizes.empty() ? 1 : sizes[i % sizes.size()];
    const std::uint64_t any = bytes.number();
    rows.tokens.push_back(static_cast<Token>(bytes.byte() < 250 && size != 0 ? any % size : any));
  }
  return rows;
}

bool fits(const Rows& rows, const std::vector<std::size_t>& sizes) {
  if (rows.view().rows() > 0 && rows.columns != sizes.size()) return false;
  for (std::size_t i = 0; i < rows.tokens.size(); ++i) {
    if (rows.tokens[i] >= sizes[i % sizes.size()]) return false;
  }
  return true;
}

void check_prefix(const SidTrie& trie, const std::vector<Sid>& sids, const std::vector<std::uint8_t>& members,
                  const Sid& prefix) {
  const std::size_t depth = prefix.size();
  const LeafSet live(members);
  std::set<Token> any, counting;
  for (std::size_t leaf = 0; leaf < sids.size(); ++leaf) {
    if (!std::equal(prefix.begin(), prefix.end(), sids[leaf].begin())) continue;
    any.insert(sids[leaf][depth]);
    if (members[leaf] != 0) counting.insert(sids[leaf][depth]);
  }
  const SidTrie::Node node = trie.find(prefix.data(), depth);
  require((node != SidTrie::kNoNode) == !any.empty(), "a prefix has a node where a SID begins so");
  std::vector<Token> listed;
  trie.list(node, depth, nullptr, listed);
  require(listed == std::vector<Token>(any.begin(), any.end()), "the tokens that may follow");
  listed.clear();
  trie.list(node, depth, &live, listed);
  require(listed == std::vector<Token>(counting.begin(), counting.end()), "those of leaves that count");
  if (trie.layout().size(depth) > kMostMasked) return;
  std::vector<std::uint8_t> allowed(trie.layout().size(depth));
  trie.mask(node, depth, &live, allowed.data());
  for (std::size_t token = 0; token < allowed.size(); ++token) {
    require((allowed[token] != 0) == counting.contains(static_cast<Token>(token)), "a mask is the list");
  }
}

void check(const SidTrie& trie, const std::set<Sid>& expected, Bytes& bytes) {
  require(trie.leaves() == expected.size(), "as many leaves as SIDs");
  const std::vector<Sid> sids(expected.begin(), expected.end());
  std::vector<std::uint8_t> members(sids.size());
  for (std::uint8_t& member : members) member = bytes.flag() ? 1 : 0;
  for (std::size_t leaf = 0; leaf < sids.size(); ++leaf) {
    require(trie.find(sids[leaf].data(), trie.levels()) == leaf, "leaves are in lexicographic order");
  }
  for (int i = 0; i < 4; ++i) {
    Sid prefix(bytes.between(0, trie.levels() - 1));
    const bool known = !sids.empty() && bytes.flag();
    const Sid& like = known ? sids[bytes.byte() % sids.size()] : prefix;
    for (std::size_t depth = 0; depth < prefix.size(); ++depth) {
      prefix[depth] = known ? like[depth] : static_cast<Token>(bytes.number());
    }
    check_prefix(trie, sids, members, prefix);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes bytes(data, size);
  std::vector<std::size_t> sizes(bytes.between(0, 5));
  for (std::size_t& size_of : sizes) size_of = bytes.number() % (std::uint64_t{1} << 41U);
  const Rows first = rows_of(bytes, sizes);
  try {
    SidTrie trie(sizes, first.view());
    require(fits(first, sizes), "tokens that there are not are refused");
    std::set<Sid> expected = first.as_set();
    check(trie, expected, bytes);
    while (!bytes.empty()) {
      const bool adds = bytes.flag();
      const Rows more = rows_of(bytes, sizes);
      const std::set<Sid> others = more.as_set();
      const std::size_t before = expected.size();
      std::size_t changed = 0;
      try {
        changed = adds ? trie.add(more.view()) : trie.remove(more.view());
        require(fits(more, sizes), "tokens that there are not are refused later, too");
      } catch (const std::invalid_argument&) {
        require(!fits(more, sizes), "tokens that there are are not refused");
        continue;
      }
      for (const Sid& sid : others) {
        if (adds) {
          expected.insert(sid);
        } else {
          expected.erase(sid);
        }
      }
      require(changed == (adds ? expected.size() - before : before - expected.size()), "how many have changed");
      check(trie, expected, bytes);
    }
  } catch (const std::invalid_argument&) {
  }
  return 0;
}
