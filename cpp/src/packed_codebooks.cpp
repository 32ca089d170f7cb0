#include "puresid/packed_codebooks.hpp"

#include <algorithm>
#include <cmath>

#include "kernel_choice.hpp"

namespace puresid {

PackedCodebooks::PackedCodebooks(const Codebooks& codebooks, Simd simd)
    : codebooks_(&codebooks), kernels_(&kernels_for(simd, codebooks.size(0))) {
  for (std::size_t level = 0; level < codebooks.levels(); ++level) {
    first_.push_back(packed_.size());
    const MatrixView<const float>& all = codebooks[level];
    for (std::size_t row = 0; row < all.rows(); row += codebooks.size(level)) {
      packed_.emplace_back(MatrixView<const float>(all.row(row), codebooks.size(level), all.cols()), simd);
    }
  }
}

// Which of a tree's codebooks of `level` lies below `path`.
std::size_t PackedCodebooks::node(std::size_t level, SidKey path) const {
  std::size_t node = 0;
  for (std::size_t above = 0; above < level; ++above) node = node * layout().size(above) + layout().token(path, above);
  return node;
}

const float* PackedCodebooks::prepared(std::size_t level, float* residuals, std::size_t n_rows, float* room,
                                       float* lengths) const {
  if (space().kind == SpaceKind::product) {
    const std::size_t columns = packed_[first_[level]].dim(), first = codebooks_->first_column(level);
    for (std::size_t i = 0; i < n_rows; ++i) {
      std::copy_n(residuals + i * dim() + first, columns, room + i * columns);
    }
    return room;
  }
  const bool kept = space().scaling == Scaling::kept;
  float* to = kept ? residuals : room;
  for (std::size_t i = 0; i < n_rows; ++i) {
    scale(residuals + i * dim(), to + i * dim(), kept && lengths != nullptr ? lengths + i : nullptr);
  }
  return to;
}

// to = row at length 1; what is shorter than kLeast, zero above all, does not get there.
void PackedCodebooks::scale(float* row, float* to, float* length) const {
  constexpr float kLeast = 1e-12F;
  float squared = 0;
  kernels_->squared_norms(row, 1, dim(), dim(), &squared);
  const float divisor = std::max(std::sqrt(squared), kLeast);
  for (std::size_t d = 0; d < dim(); ++d) to[d] = row[d] / divisor;
  if (length != nullptr) *length *= divisor;
}

std::vector<const PackedCodebook*> PackedCodebooks::levels_alike() const {
  std::vector<const PackedCodebook*> alike;
  const std::size_t count = space().one_codebook_a_level() ? levels() : 1;
  for (std::size_t level = 0; level < count; ++level) alike.push_back(&(*this)[level]);
  return alike;
}

void PackedCodebooks::nearest(std::size_t level, const float* seen, const SidKey* paths, std::size_t n_rows,
                              Token* tokens) const {
  if (level == 0 || space().one_codebook_a_level()) {
    packed_[first_[level]].nearest(seen, n_rows, tokens);
    return;
  }
  for (std::size_t row = 0; row < n_rows; ++row) at(level, paths[row]).nearest(seen + row * dim(), 1, tokens + row);
}

void PackedCodebooks::scores(std::size_t level, const float* seen, const SidKey* paths, std::size_t n_rows,
                             float* out) const {
  const PackedCodebook& first = packed_[first_[level]];
  if (level == 0 || space().one_codebook_a_level()) {
    first.scores(seen, n_rows, out);
    return;
  }
  for (std::size_t row = 0; row < n_rows; ++row) {
    at(level, paths[row]).scores(seen + row * dim(), 1, out + row * first.padded_size());
  }
}

void PackedCodebooks::leave(std::size_t level, float* residual, SidKey path) const {
  if (space().kind == SpaceKind::tree && level + 1 < levels()) return;
  at(level, path).subtract(residual + codebooks_->first_column(level), layout().token(path, level));
}

float PackedCodebooks::subtract(float* row, SidKey key, float* room) const {
  float length = 1;
  for (std::size_t level = 0; level < levels(); ++level) {
    if (space().scaling == Scaling::kept) static_cast<void>(prepared(level, row, 1, room, &length));
    leave(level, row, key);
  }
  return length;
}

void PackedCodebooks::squared_norms(const float* rows, std::size_t n_rows, float* out) const {
  kernels_->squared_norms(rows, n_rows, dim(), dim(), out);
}

void PackedCodebooks::squared_norms(const float* rows, std::size_t n_rows, const float* lengths, float* out) const {
  squared_norms(rows, n_rows, out);
  if (space().scaling != Scaling::kept) return;
  for (std::size_t i = 0; i < n_rows; ++i) out[i] *= lengths[i] * lengths[i];
}

float PackedCodebooks::distortion(const float* vector, SidKey key, float* scratch) const {
  if (vector != scratch) std::copy_n(vector, dim(), scratch);
  const float length = subtract(scratch, key, scratch + dim());
  float squared = 0;
  squared_norms(scratch, 1, &length, &squared);
  return squared;
}

bool PackedCodebooks::load(const float* from, float largest, float* to) const {
  return kernels_->load(from, dim(), largest, to);
}

}  // namespace puresid
