#include "puresid/distance.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "kernel_choice.hpp"
#include "simd/kernels.hpp"
#include "simd/pruned.hpp"

namespace puresid {
namespace {

std::size_t round_up(std::size_t size, std::size_t width) { return (size + width - 1) / width * width; }

// What the pruned search needs, from the instruction sets that have it.
const simd::PrunedKernels* pruned_kernels_of(Simd simd) {
  return simd == Simd::avx512_vnni ? simd::avx512_vnni_pruned_kernels() : nullptr;
}

}  // namespace

const simd::KernelTable& kernels_for(Simd simd, std::size_t size) {
  const simd::KernelTable* table = nullptr;
  switch (simd) {
    case Simd::scalar: table = simd::scalar_kernels(); break;
    case Simd::avx2: table = simd::avx2_kernels(); break;
    case Simd::avx512:
    case Simd::avx512_vnni: table = simd::avx512_kernels(); break;
    case Simd::neon: table = simd::neon_kernels(); break;
  }
  if (table == nullptr) throw std::invalid_argument("this build has no kernels for " + std::string(simd_name(simd)));
  if (simd == Simd::avx512 || simd == Simd::avx512_vnni) {
    const simd::KernelTable* narrow = simd::avx512_narrow_kernels();
    if (round_up(size, narrow->width) < round_up(size, table->width)) table = narrow;
  }
  return *table;
}

static_assert(kMaxBlockRows == simd::kBlockRows);
static_assert(PackedCodebook::kNone == simd::kNoToken);

PackedCodebook::PackedCodebook(MatrixView<const float> codebook, Simd simd)
    : codebook_(codebook), kernels_(&kernels_for(simd, codebook.rows())), pruned_kernels_(pruned_kernels_of(simd)) {
  const std::size_t width = kernels_->width, size = codebook.rows(), dim = codebook.cols();
  const std::size_t padded = round_up(size, width);
  data_ = AlignedBuffer<float>(checked_multiply(padded, dim));
  half_norms_ = AlignedBuffer<float>(padded);
  zeros_ = AlignedBuffer<float>(padded);
  kernels_->squared_norms(codebook.data(), size, dim, dim, half_norms_.data());
  for (std::size_t token = 0; token < padded; ++token) {
    if (token >= size) {
      half_norms_[token] = std::numeric_limits<float>::infinity();
      continue;
    }
    half_norms_[token] *= 0.5F;
    float* panel = data_.data() + token / width * width * dim + token % width;
    for (std::size_t d = 0; d < dim; ++d) panel[d * width] = codebook.row(token)[d];
  }
}

simd::Panels PackedCodebook::panels() const noexcept { return {data_.data(), half_norms_.data(), size(), dim()}; }

void PackedCodebook::nearest(const float* rows, std::size_t n_rows, Token* tokens) const {
  kernels_->nearest(panels(), rows, n_rows, dim(), tokens);
}

void PackedCodebook::least_k(const float* scores, std::size_t k, Token* tokens) const {
  if (k <= simd::kMostLeast) {
    kernels_->least_k(scores, size(), k, tokens);
    return;
  }
  std::vector<Token> order(size());
  std::iota(order.begin(), order.end(), Token{0});
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k), order.end(),
                    [&](Token a, Token b) { return std::pair(scores[a], a) < std::pair(scores[b], b); });
  std::copy_n(order.begin(), k, tokens);
}

Token PackedCodebook::least_open(const float* scores, const std::uint64_t* closed, std::size_t k) const {
  return kernels_->least_open(scores, size(), closed, k);
}

Token PackedCodebook::moved_least_open(const float* from, const float* plus, const float* minus, float* to,
                                       const std::uint64_t* closed, std::size_t k) const {
  return kernels_->moved_least_open(from, plus, minus, to, size(), closed, k);
}

void PackedCodebook::negated_products(const float* rows, std::size_t n_rows, float* out) const {
  kernels_->scores({data_.data(), zeros_.data(), size(), dim()}, rows, n_rows, dim(), out, padded_size());
}

void PackedCodebook::add_difference(const float* from, const float* plus, const float* minus, float* to) const {
  kernels_->add_difference(from, plus, minus, padded_size(), to);
}

float PackedCodebook::lowest_moved(const float* from, const float* const* minus, std::size_t terms, float* to) const {
  return kernels_->lowest_moved(from, minus, terms, padded_size(), to);
}

void PackedCodebook::least_differences(const float* from, const float* const* rows, std::size_t n_rows,
                                       float* out) const {
  kernels_->least_differences(from, rows, n_rows, padded_size(), out);
}

std::size_t PackedCodebook::at_most(const float* scores, float bound, float* values, Token* tokens) const {
  return kernels_->at_most(scores, padded_size(), bound, values, tokens);
}

void PackedCodebook::squared_distances_to(const float* row, const Token* tokens, std::size_t count, float* out) const {
  kernels_->squared_distances(row, codebook_.data(), dim(), tokens, count, out);
}

void PackedCodebook::scores(const float* rows, std::size_t n_rows, float* out) const {
  kernels_->scores(panels(), rows, n_rows, dim(), out, padded_size());
}

void PackedCodebook::squared_distances(const float* rows, std::size_t n_rows, float* out) const {
  kernels_->all_squared_distances(panels(), rows, n_rows, dim(), out, padded_size());
}

void PackedCodebook::squared_norms(const float* rows, std::size_t n_rows, float* out) const {
  kernels_->squared_norms(rows, n_rows, dim(), dim(), out);
}

void PackedCodebook::subtract(float* row, Token token) const { kernels_->subtract(row, codebook_.row(token), dim()); }

bool PackedCodebook::load(const float* from, float largest, float* to) const {
  return kernels_->load(from, dim(), largest, to);
}

}  // namespace puresid
