// A codebook packed for the search of simd/pruned.hpp, and that search. Private to the core.
//
// Cost: packing reads a codebook three times; a row costs K * D products of bytes, and D multiply-adds for each
// codeword whose bound comes close. Memory: K * D bytes beside the codebook, which must outlive this.
// Thread safety: const after construction; each thread brings its own scratch.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "puresid/distance.hpp"
#include "puresid/matrix.hpp"
#include "simd/pruned.hpp"

namespace puresid {

// What one thread needs for searches in codebooks of up to `max_dim` dimensions.
class PrunedScratch {
 public:
  explicit PrunedScratch(std::size_t max_dim);

 private:
  friend class PrunedBlock;
  static constexpr std::size_t kMostKept = 64;  // tokens of a row, whose bounds are below its limit

  struct Row {
    float slack;  // of a bound, for all rounding; NaN or infinite where sums might overflow
    float norm;   // >= |r|
    float limit;  // a bound above it is not that of the nearest
    std::size_t n_kept;
    bool given_up;
    Token tokens[kMostKept];
    float bounds[kMostKept];
  };
  AlignedBuffer<float> turned_, bounds_;
  AlignedBuffer<std::uint8_t> bytes_;
  std::vector<simd::Quantised> quantised_;
  std::vector<Row> rows_;
};

// What a search had to do after the bounds.
struct PrunedWork {
  std::size_t kept = 0;       // tokens whose bounds were not above the limit
  std::size_t exact = 0;      // of these, scores computed as the contract says
  std::size_t undecided = 0;  // rows
};

// A wish to know, besides the nearest, which tokens the k nearest are among.
struct Shortlisting {
  static constexpr std::size_t kMostTokens = 64;
  const PackedCodebook* codebook;       // the same
  std::span<const std::size_t> widths;  // k, increasing, less than simd::kMostLeast
  // The notes of row i at out + i * stride: for each k the number of tokens, and these, those of a lesser k first;
  // numbers of 0 where they are not known. Room for `widths` and kMostTokens.
  std::uint16_t* out;
  std::size_t stride;
};

class PrunedCodebook {
 public:
  // Whether the frame has the mean as its centre, and a rotation.
  struct Choice {
    bool centred, rotated;
  };

  // half_norms: as scores start from. Without a choice the frame is the one in which errors are least.
  PrunedCodebook(MatrixView<const float> codebook, const float* half_norms, const simd::PrunedKernels& kernels,
                 std::optional<Choice> choice = {});

  // tokens[i] = the nearest codeword of row i, or simd::kNoToken where it is undecided. At most kBlockRows rows.
  // Where `closed` is given, of those whose bits in closed[i] (one per token, whole words) are not set.
  // `shortlisting`: for codebooks of up to kPrunedBatch codewords.
  PrunedWork nearest(const float* rows, std::size_t n_rows, PrunedScratch& scratch, Token* tokens,
                     const std::uint64_t* const* closed = nullptr, const Shortlisting* shortlisting = nullptr) const;

  // The greatest difference between S_j and its bound from the middle, and between a score in any order and S_j,
  // that rounding may account for: what the tests hold them to.
  [[nodiscard]] float bound_slack(const simd::Quantised& row) const;
  [[nodiscard]] float score_slack(float row_norm, Token token) const;

  [[nodiscard]] const simd::PrunedPanels& panels() const noexcept { return panels_; }
  [[nodiscard]] const simd::PrunedKernels& kernels() const noexcept { return *kernels_; }
  [[nodiscard]] float centre_norm() const noexcept { return centre_norm_; }

 private:
  void choose_centre(MatrixView<const float> codebook, const float* half_norms, std::optional<Choice> choice);
  void pack(Token token, const std::uint8_t* bytes, const simd::Quantised& quantised);

  const simd::PrunedKernels* kernels_;
  AlignedBuffer<std::int8_t> values_;
  AlignedBuffer<std::int32_t> offsets_;
  AlignedBuffer<float> starts_, scales_, by_error_, by_norm_, centre_;
  std::vector<float> norms_;  // >= |c|, by token
  simd::PrunedPanels panels_{};
  float centre_norm_ = 0, longest_ = 0, highest_ = 0;  // |m|, max(|c| + |m|), max h
};

}  // namespace puresid
