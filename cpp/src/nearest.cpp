#include "nearest.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "puresid/nearest_search.hpp"
#include "puresid/parallel.hpp"

namespace puresid {
namespace {

constexpr std::size_t kChunkRows = 16 * kMaxBlockRows;

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

// Quantises a piece of the catalogue.
class NearestStage {
 public:
  NearestStage(const Vectors& vectors, std::size_t first_row, const Codebooks& codebooks, const PackedCodebooks& packed,
               std::span<const Rank> ranks, std::span<const Row> rows_by_rank, SidOwners* owners,
               Shortlists* shortlists, Assignment& result)
      : vectors_(vectors),
        first_row_(first_row),
        largest_(codebooks.largest_value()),
        packed_(packed),
        search_(packed.levels_alike(), vectors.rows()),
        ranks_(ranks),
        rows_by_rank_(rows_by_rank),
        owners_(owners),
        shortlists_(shortlists),
        result_(result) {}

  struct Scratch {
    explicit Scratch(const NearestStage& stage)
        : residuals(kMaxBlockRows * stage.vectors_.cols()),
          room(kMaxBlockRows * stage.vectors_.cols()),
          search(stage.search_),
          writer(stage.shortlists_) {}
    AlignedBuffer<float> residuals, room;
    NearestSearch::Scratch search;
    Token tokens[kMaxBlockRows];
    SidKey keys[kMaxBlockRows];
    float lengths[kMaxBlockRows];  // that residuals have been divided by
    SidKey claims[kMaxBlockRows];  // of the rows [first_claim, first_claim + n_claims)
    std::size_t first_claim = 0, n_claims = 0;
    // Of late: rows, and how many of them lost. While nearly all do, notes are taken, kept until it is known who lost:
    // where fewer do, the first tier serves most of them, and notes, which cost as much as half a search, are for
    // nothing.
    std::size_t n_rows = 0, n_lost = 0;
    bool noting = false, claims_noted = false;
    std::vector<Shortlists::Note> notes, claims_notes;  // [level][row][kLevelNotes]
    Shortlists::Writer writer;
  };

  // The rows [first, first + n_rows) of the piece.
  void block(Scratch& scratch, std::size_t first, std::size_t n_rows) {
    const std::size_t dim = vectors_.cols(), row = first_row_ + first;
    for (std::size_t i = 0; i < n_rows; ++i) load(scratch.residuals.data() + i * dim, first + i);
    std::fill_n(scratch.keys, n_rows, SidKey{0});
    std::fill_n(scratch.lengths, n_rows, 1.0F);
    for (std::size_t level = 0; level < packed_.levels(); ++level) {
      choose_tokens(scratch, level, n_rows);
      for (std::size_t i = 0; i < n_rows; ++i) {
        scratch.keys[i] |= packed_.layout().place(scratch.tokens[i], level);
        result_.sids.store(row + i, level, scratch.tokens[i]);
        packed_.leave(level, scratch.residuals.data() + i * dim, scratch.keys[i]);
      }
    }
    packed_.squared_norms(scratch.residuals.data(), n_rows, scratch.lengths, result_.distortion.data() + row);
    if (owners_ == nullptr) return;
    const bool noted = scratch.noting;
    claim(scratch);
    for (std::size_t i = 0; i < n_rows; ++i) owners_->prefetch(scratch.keys[i]);
    std::copy_n(scratch.keys, n_rows, scratch.claims);
    scratch.first_claim = row;
    scratch.n_claims = n_rows;
    scratch.claims_noted = noted;
    std::swap(scratch.notes, scratch.claims_notes);
  }

  // Has the last block's rows propose: a block later, when the memory that they meet has come. Stages
  // start as 0; only losers are written, so it does not matter who writes last.
  void claim(Scratch& scratch) {
    for (std::size_t i = 0; i < scratch.n_claims; ++i) {
      const std::size_t row = scratch.first_claim + i;
      const SidOwners::Answer answer =
          owners_->propose(scratch.claims[i], ranks_.empty() ? static_cast<Rank>(row) : ranks_[row]);
      if (!answer.accepted) {
        result_.stages[row] = -1;
        ++scratch.n_lost;
        if (scratch.claims_noted) scratch.writer.add(row, scratch.claims_notes.data() + notes_at(0, i), notes_at(1, 0));
      } else if (answer.dropped) {
        result_.stages[rows_by_rank_.empty() ? *answer.dropped : rows_by_rank_[*answer.dropped]] = -1;
      }
    }
    scratch.n_rows += scratch.n_claims;
    scratch.n_claims = 0;
    if (shortlists_ == nullptr || scratch.n_rows < kRowsOfLate) return;
    scratch.noting = 8 * scratch.n_lost > 7 * scratch.n_rows;
    scratch.n_rows /= 2;
    scratch.n_lost /= 2;
    if (scratch.noting && scratch.notes.empty()) {
      scratch.notes.resize(packed_.levels() * kMaxBlockRows * Shortlists::kLevelNotes);
      scratch.claims_notes.resize(scratch.notes.size());
    }
  }

 private:
  static constexpr std::size_t kRowsOfLate = 1024;

  [[nodiscard]] static std::size_t notes_at(std::size_t level, std::size_t i) noexcept {
    return (level * kMaxBlockRows + i) * Shortlists::kLevelNotes;
  }
  void choose_tokens(Scratch& scratch, std::size_t level, std::size_t n_rows) const {
    const float* seen = packed_.seen(level, scratch.residuals.data(), n_rows, scratch.room.data(), scratch.lengths);
    if (scratch.noting) {
      search_.nearest(level, seen, n_rows, scratch.tokens, scratch.search, shortlists_->widths(level),
                      scratch.notes.data() + notes_at(level, 0));
    } else if (level == 0 || packed_.space().one_codebook_a_level()) {
      search_.nearest(level, seen, n_rows, scratch.tokens, scratch.search);
    } else {
      packed_.nearest(level, seen, scratch.keys, n_rows, scratch.tokens);
    }
  }

  void load(float* residual, std::size_t row) const {
    const float* vector = vectors_.read(row, residual);
    if (!packed_.load(vector, largest_, residual)) refuse(residual, vectors_.cols(), first_row_ + row, largest_);
  }

  const Vectors& vectors_;
  std::size_t first_row_;
  float largest_;
  const PackedCodebooks& packed_;
  NearestSearch search_;
  std::span<const Rank> ranks_;
  std::span<const Row> rows_by_rank_;
  SidOwners* owners_;
  Shortlists* shortlists_;  // null where there is nothing to note
  Assignment& result_;
};

}  // namespace

void quantise_nearest(const Vectors& vectors, std::size_t first_row, const Codebooks& codebooks,
                      const PackedCodebooks& packed, std::span<const Rank> ranks, std::span<const Row> rows_by_rank,
                      SidOwners* owners, Shortlists* shortlists, const Execution& execution, Assignment& result) {
  NearestStage stage(vectors, first_row, codebooks, packed, ranks, rows_by_rank, owners, shortlists, result);
  const std::size_t rows = vectors.rows(), chunks = (rows + kChunkRows - 1) / kChunkRows;
  parallel_for(
      execution, "nearest", chunks, rows, [&] { return NearestStage::Scratch(stage); },
      [&](NearestStage::Scratch& scratch, std::size_t chunk, Worker& worker) {
        const std::size_t begin = chunk * kChunkRows, end = std::min(begin + kChunkRows, rows);
        for (std::size_t first = begin; first < end; first += kMaxBlockRows) {
          stage.block(scratch, first, std::min(kMaxBlockRows, end - first));
          worker.poll();
        }
        if (owners != nullptr) stage.claim(scratch);
        worker.advance(end - begin);
      });
}

double sum_distortion(const Assignment& result, const Execution& execution) {
  constexpr std::size_t kChunk = 1U << 16U;
  const std::size_t rows = result.distortion.size(), chunks = (rows + kChunk - 1) / kChunk;
  std::vector<double> sums(chunks);  // by chunk, added in order: the same total for any threads
  Execution quiet = execution;
  quiet.progress = nullptr;
  quiet.threads = threads_for(execution, rows);
  parallel_for(quiet, "distortion", chunks, rows, [&](std::size_t chunk, Worker&) {
    for (std::size_t row = chunk * kChunk; row < std::min((chunk + 1) * kChunk, rows); ++row) {
      sums[chunk] += static_cast<double>(result.distortion[row]);
    }
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace puresid
