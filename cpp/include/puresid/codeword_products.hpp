// Inner products between the codewords of different levels, negated: what turns the scores of one path
// into those of another.
//
// A path that takes codeword p where the greedy one takes g changes the score of every codeword c of a
// later level by (-g.c) - (-p.c). So RRS ranks a node's tokens at a cost of K_l, not K_l * D.
// Memory: a row of products per codeword of all levels but the last, made when first asked for, up to
// kMostBytes; where all would need more, those that come first are kept and others made each time.
// Thread safety: row() may be called from any number of threads.
#pragma once

#include <atomic>
#include <vector>

#include "puresid/packed_codebooks.hpp"
#include "puresid/pages.hpp"

namespace puresid {

class CodewordProducts {
 public:
  static constexpr std::size_t kMostBytes = std::size_t{96} << 20U;

  // Spaces that are not additive have none.
  explicit CodewordProducts(const PackedCodebooks& codebooks, std::size_t most_bytes = kMostBytes);

  // By token of level `to`: the products with codeword `token` of level `from` < `to`. In `scratch`, room
  // for padded_size() values, where it is not kept.
  [[nodiscard]] const float* row(std::size_t from, Token token, std::size_t to, float* scratch) const {
    const std::size_t id = first_ids_[from] + token;
    if (slots_ == codewords_ && states_[id].load(std::memory_order_acquire) == 2 * (std::uint64_t{id} + 1)) {
      return products_.data() + id * stride_ + offset(from, to);
    }
    return find_row(from, token, to, scratch);
  }

 private:
  [[nodiscard]] const float* find_row(std::size_t from, Token token, std::size_t to, float* scratch) const;
  [[nodiscard]] std::size_t offset(std::size_t from, std::size_t to) const noexcept {
    return ends_[to - 1] - ends_[from];
  }

  const PackedCodebooks& codebooks_;
  std::vector<std::size_t> first_ids_;  // by level: the number of codewords before it
  std::vector<std::size_t> ends_;       // by level: the padded sizes of the levels after the first, up to it
  std::size_t stride_ = 0, slots_ = 0, codewords_ = 0;
  mutable std::vector<std::atomic<std::uint64_t>> states_;  // by slot: 0, or 2 * (id + 1), one less while it is made
  mutable Pages<float> products_;
};

}  // namespace puresid
