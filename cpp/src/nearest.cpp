#include "nearest.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "puresid/parallel.hpp"

namespace puresid {
namespace {

constexpr std::size_t kChunkRows = 4 * kMaxBlockRows;

[[noreturn]] void refuse(const float* vector, std::size_t dim, std::size_t row, float largest) {
  const std::string place = "vectors[" + std::to_string(row) + "]";
  for (std::size_t d = 0; d < dim; ++d) {
    if (std::isfinite(vector[d])) continue;
    throw std::invalid_argument(place + " has " + (std::isnan(vector[d]) ? "NaN" : "an infinity (in float32)") +
                                " in column " + std::to_string(d) + "; every value must be finite");
  }
  throw std::invalid_argument(place + " has a value beyond " + std::to_string(largest) +
                              ", whose squared distances overflow float32; scale vectors and codebooks down");
}

class NearestStage {
 public:
  NearestStage(MatrixView<const float> vectors, const Codebooks& codebooks, const PackedCodebooks& packed,
               std::span<const Rank> ranks, std::span<const Row> rows_by_rank, SidOwners* owners, Assignment& result)
      : vectors_(vectors),
        largest_(codebooks.largest_value()),
        packed_(packed),
        ranks_(ranks),
        rows_by_rank_(rows_by_rank),
        owners_(owners),
        result_(result) {}

  struct Scratch {
    explicit Scratch(std::size_t dim) : residuals(kMaxBlockRows * dim) {}
    AlignedBuffer<float> residuals;
    Token tokens[kMaxBlockRows];
    SidKey keys[kMaxBlockRows];
  };

  void block(Scratch& scratch, std::size_t first, std::size_t n_rows) {
    const std::size_t dim = vectors_.cols();
    load(scratch.residuals.data(), first, n_rows);
    std::fill_n(scratch.keys, n_rows, SidKey{0});
    for (std::size_t level = 0; level < packed_.levels(); ++level) {
      packed_[level].nearest(scratch.residuals.data(), n_rows, scratch.tokens);
      for (std::size_t i = 0; i < n_rows; ++i) {
        scratch.keys[i] |= packed_.layout().place(scratch.tokens[i], level);
        packed_[level].subtract(scratch.residuals.data() + i * dim, scratch.tokens[i]);
      }
    }
    packed_[0].squared_norms(scratch.residuals.data(), n_rows, result_.distortion.data() + first);
    if (owners_ != nullptr) {
      for (std::size_t i = 0; i < n_rows; ++i) owners_->prefetch(scratch.keys[i]);
    }
    for (std::size_t i = 0; i < n_rows; ++i) {
      result_.sids.store(first + i, scratch.keys[i]);
      if (owners_ != nullptr) claim(first + i, scratch.keys[i]);
    }
  }

 private:
  void load(float* residuals, std::size_t first, std::size_t n_rows) const {
    const std::size_t dim = vectors_.cols();
    for (std::size_t i = 0; i < n_rows; ++i) {
      const float* vector = vectors_.row(first + i);
      bool in_range = true;
      for (std::size_t d = 0; d < dim; ++d) {
        residuals[i * dim + d] = vector[d];
        in_range &= std::fabs(vector[d]) <= largest_;  // false for NaN
      }
      if (!in_range) refuse(vector, dim, first + i, largest_);
    }
  }

  // Stages start as 0; only losers are written, so it does not matter who writes last.
  void claim(std::size_t row, SidKey key) {
    const SidOwners::Answer answer = owners_->propose(key, ranks_.empty() ? static_cast<Rank>(row) : ranks_[row]);
    if (!answer.accepted) {
      result_.stages[row] = -1;
    } else if (answer.dropped) {
      result_.stages[rows_by_rank_.empty() ? *answer.dropped : rows_by_rank_[*answer.dropped]] = -1;
    }
  }

  MatrixView<const float> vectors_;
  float largest_;
  const PackedCodebooks& packed_;
  std::span<const Rank> ranks_;
  std::span<const Row> rows_by_rank_;
  SidOwners* owners_;
  Assignment& result_;
};

}  // namespace

void quantise_nearest(MatrixView<const float> vectors, const Codebooks& codebooks, const PackedCodebooks& packed,
                      std::span<const Rank> ranks, std::span<const Row> rows_by_rank, SidOwners* owners,
                      const Execution& execution, Assignment& result) {
  NearestStage stage(vectors, codebooks, packed, ranks, rows_by_rank, owners, result);
  std::fill(result.stages.begin(), result.stages.end(), std::int8_t{0});
  const std::size_t rows = vectors.rows(), chunks = (rows + kChunkRows - 1) / kChunkRows;
  std::vector<double> sums(chunks);  // by chunk, added in order: the same total for any threads
  parallel_for(
      execution, "nearest", chunks, rows, [&] { return NearestStage::Scratch(vectors.cols()); },
      [&](NearestStage::Scratch& scratch, std::size_t chunk, Worker& worker) {
        const std::size_t begin = chunk * kChunkRows, end = std::min(begin + kChunkRows, rows);
        for (std::size_t first = begin; first < end; first += kMaxBlockRows) {
          stage.block(scratch, first, std::min(kMaxBlockRows, end - first));
          worker.poll();
        }
        for (std::size_t row = begin; row < end; ++row) sums[chunk] += static_cast<double>(result.distortion[row]);
        worker.advance(end - begin);
      });
  result.nearest_distortion = 0;
  for (const double sum : sums) result.nearest_distortion += sum;
}

}  // namespace puresid
