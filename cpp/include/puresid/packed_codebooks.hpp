// The codebooks of a call, packed, and how a vector goes down their levels: all that searches know of a space.
//
// What a level compares is seen(); what it leaves to the next is leave(). Residual spaces subtract codewords, product
// spaces look at their own columns, trees keep the vector and change the codebook. After the last level, what is
// left is the vector less what the SID stands for.
// Thread safety: const after construction.
#pragma once

#include <vector>

#include "puresid/codebooks.hpp"
#include "puresid/distance.hpp"

namespace puresid {

class PackedCodebooks {
 public:
  PackedCodebooks(const Codebooks& codebooks, Simd simd);

  [[nodiscard]] const Space& space() const noexcept { return codebooks_->space(); }
  [[nodiscard]] std::size_t levels() const noexcept { return codebooks_->levels(); }
  [[nodiscard]] std::size_t dim() const noexcept { return codebooks_->dim(); }
  [[nodiscard]] const SidLayout& layout() const noexcept { return codebooks_->layout(); }
  // The codebook of a level. Of a tree one of them: all of a level have the same sizes.
  [[nodiscard]] const PackedCodebook& operator[](std::size_t level) const { return packed_[first_[level]]; }
  // Those of the first levels, as many as have one codebook for all rows: of a tree that of the first.
  [[nodiscard]] std::vector<const PackedCodebook*> levels_alike() const;
  // That below the tokens of `path`, of which those of the levels before count.
  [[nodiscard]] const PackedCodebook& at(std::size_t level, SidKey path) const {
    return space().one_codebook_a_level() ? packed_[first_[level]] : packed_[first_[level] + node(level, path)];
  }

  // What `level` compares of `n_rows` residuals (dim() apart): [level].dim() values a row. That is `residuals`
  // itself or in `room`, which holds n_rows * dim() values; both may be changed. lengths[i], where given, is
  // multiplied by what residual i is divided by for good.
  [[nodiscard]] const float* seen(std::size_t level, float* residuals, std::size_t n_rows, float* room,
                                  float* lengths = nullptr) const {
    const bool as_they_are = space().kind != SpaceKind::product && space().scaling == Scaling::none;
    return as_they_are ? residuals : prepared(level, residuals, n_rows, room, lengths);
  }
  // PackedCodebook::nearest() and scores() of what `level` compares, each row below its own path.
  void nearest(std::size_t level, const float* seen, const SidKey* paths, std::size_t n_rows, Token* tokens) const;
  void scores(std::size_t level, const float* seen, const SidKey* paths, std::size_t n_rows, float* out) const;
  // Goes on from `level` by the token that `path` has there. seen() must have come before.
  void leave(std::size_t level, float* residual, SidKey path) const;

  // Goes down all levels: what is left is the vector less what the SID stands for. Returns the length that residuals
  // have been divided by. `room` holds dim() values; it is used where residuals are scaled.
  float subtract(float* row, SidKey key, float* room) const;
  // out[i] = squared norm of row i, dim() apart.
  void squared_norms(const float* rows, std::size_t n_rows, float* out) const;
  // The same for what is left at the end, lengths[i] having been divided out.
  void squared_norms(const float* rows, std::size_t n_rows, const float* lengths, float* out) const;
  // Squared distance between a vector and what a SID stands for. `scratch`, which may begin with the vector itself,
  // has room for 2 * dim() values.
  [[nodiscard]] float distortion(const float* vector, SidKey key, float* scratch) const;
  // to = from; whether no value is NaN or beyond +-largest.
  [[nodiscard]] bool load(const float* from, float largest, float* to) const;

 private:
  [[nodiscard]] std::size_t node(std::size_t level, SidKey path) const;
  [[nodiscard]] const float* prepared(std::size_t level, float* residuals, std::size_t n_rows, float* room,
                                      float* lengths) const;
  void scale(float* row, float* to, float* length) const;

  const Codebooks* codebooks_;
  const simd::KernelTable* kernels_;
  std::vector<PackedCodebook> packed_;  // by level, and of a tree by node
  std::vector<std::size_t> first_;      // by level: its first in packed_
};

}  // namespace puresid
