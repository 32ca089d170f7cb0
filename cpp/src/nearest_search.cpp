#include "puresid/nearest_search.hpp"

#include <algorithm>

#include "pruned_codebook.hpp"

namespace puresid {

static_assert(Shortlists::kMostTokens == Shortlisting::kMostTokens && Shortlists::kMostWidth < simd::kMostLeast &&
              Shortlists::kMostSize <= simd::kPrunedBatch);

namespace {

// Where pruning pays: where its products, which take a quarter of the float32 kernel's time, are not outweighed by
// what a row costs beside them, and where enough rows make up for packing, which takes what about 100 rows save.
// Measured on a Zen 4 with residuals of clustered catalogues; of the float32 kernel's time it takes (dim x size)
// 0.75 at 32 x 256, 0.7 at 128 x 64, 0.54 at 64 x 256, 0.32 at 768 x 256 and 0.27 at 768 x 8192, but 1.03 at
// 64 x 64, 1.1 at 16 x 256 and 1.5 at 32 x 64.
bool pays(const PackedCodebook& codebook, std::size_t n_rows) {
  constexpr std::size_t kLeastDim = 32, kLeastSize = 64, kLeastProducts = 6144, kLeastRows = 2048;
  constexpr std::size_t kMostDim = 1U << 16U;  // beyond, int32 sums could overflow
  const std::size_t size = codebook.size(), dim = codebook.dim();
  return codebook.pruned_kernels() != nullptr && n_rows >= kLeastRows && size >= kLeastSize && dim >= kLeastDim &&
         dim <= kMostDim && size * dim >= kLeastProducts;
}

// Lets blocks of rows pass by the pruned search where it did not pay lately, ever more of them.
class Guard {
 public:
  bool passes() {
    if (left_ == 0) return false;
    --left_;
    return true;
  }
  // After a block of n_rows.
  void note(const PrunedWork& work, std::size_t n_rows, const PackedCodebook& codebook) {
    // What came after the bounds, in scores of the float32 kernel; undecided rows cost as many as the next dozen.
    constexpr std::size_t kKept = 6, kExact = 17, kDozen = 12;
    const std::size_t undecided = (work.undecided + kDozen - 1) / kDozen * kDozen;
    const std::size_t spent = work.kept * kKept + work.exact * kExact + undecided * codebook.size();
    // What the bounds leave of the float32 kernel's time: 0.7 - 14 / dim.
    constexpr std::size_t kPermille = 700, kPerDim = 14'000, kMostPassed = 255;
    const std::size_t saved = n_rows * codebook.size() * (kPermille - kPerDim / codebook.dim()) / 1000;
    if (spent <= saved) {
      next_ = kFirstPassed;
      return;
    }
    left_ = next_;
    next_ = std::min(2 * next_ + 1, kMostPassed);
  }

 private:
  static constexpr std::size_t kFirstPassed = 15;
  std::size_t left_ = 0, next_ = kFirstPassed;
};

}  // namespace

struct NearestSearch::Scratch::State {
  explicit State(std::size_t dim, std::size_t n_levels) : pruned(dim), guards(n_levels) {}

  // The nearest, or nearest open, codewords by the float32 kernel.
  void find(const PackedCodebook& codebook, const float* rows, std::size_t n_rows, const std::uint64_t* const* closed,
            Token* tokens) {
    if (closed == nullptr) {
      codebook.nearest(rows, n_rows, tokens);
      return;
    }
    const std::size_t padded = codebook.padded_size();
    if (scores.size() < n_rows * padded) scores = AlignedBuffer<float>(n_rows * padded);
    codebook.scores(rows, n_rows, scores.data());
    for (std::size_t i = 0; i < n_rows; ++i) {
      tokens[i] = codebook.least_open(scores.data() + i * padded, closed[i], codebook.size());
    }
  }

  PrunedScratch pruned;
  std::vector<Guard> guards;               // by level
  AlignedBuffer<float> undecided, scores;  // rows, and what they score, once there are any
};

NearestSearch::Scratch::Scratch(const NearestSearch& search) {
  const auto pruned = [](const auto& codebook) { return codebook != nullptr; };
  if (std::none_of(search.pruned_.begin(), search.pruned_.end(), pruned)) return;
  state_ = [&] {
    std::size_t dim = 0;
    for (const PackedCodebook* level : search.levels_) dim = std::max(dim, level->dim());
    return std::make_unique<State>(dim, search.levels_.size());
  }();
}
NearestSearch::Scratch::~Scratch() = default;
NearestSearch::Scratch::Scratch(Scratch&&) noexcept = default;
NearestSearch::Scratch& NearestSearch::Scratch::operator=(Scratch&&) noexcept = default;

NearestSearch::NearestSearch(std::vector<const PackedCodebook*> levels, std::size_t n_rows)
    : levels_(std::move(levels)), pruned_(levels_.size()) {
  for (std::size_t level = 0; level < levels_.size(); ++level) {
    const PackedCodebook& codebook = *levels_[level];
    if (!pays(codebook, n_rows)) continue;
    pruned_[level] =
        std::make_unique<PrunedCodebook>(codebook.codewords(), codebook.half_norms(), *codebook.pruned_kernels());
  }
}
NearestSearch::~NearestSearch() = default;

void NearestSearch::nearest(std::size_t level, const float* rows, std::size_t n_rows, Token* tokens,
                            Scratch& scratch) const {
  if (pruned_[level] == nullptr) {
    levels_[level]->nearest(rows, n_rows, tokens);
  } else {
    search(level, rows, n_rows, nullptr, tokens, scratch);
  }
}

void NearestSearch::nearest(std::size_t level, const float* rows, std::size_t n_rows, Token* tokens, Scratch& scratch,
                            std::span<const std::size_t> widths, Shortlists::Note* notes) const {
  for (std::size_t i = 0; i < n_rows; ++i)
    std::fill_n(notes + i * Shortlists::kLevelNotes, widths.size(), Shortlists::Note{0});
  if (pruned_[level] == nullptr || widths.empty()) {
    nearest(level, rows, n_rows, tokens, scratch);
    return;
  }
  const Shortlisting shortlisting = {levels_[level], widths, notes, Shortlists::kLevelNotes};
  search(level, rows, n_rows, nullptr, tokens, scratch, &shortlisting);
}

void NearestSearch::nearest_open(std::size_t level, const float* rows, std::size_t n_rows,
                                 const std::uint64_t* const* closed, Token* tokens, Scratch& scratch) const {
  search(level, rows, n_rows, closed, tokens, scratch);
}

void NearestSearch::search(std::size_t level, const float* rows, std::size_t n_rows, const std::uint64_t* const* closed,
                           Token* tokens, Scratch& scratch, const Shortlisting* shortlisting) const {
  const PackedCodebook& codebook = *levels_[level];
  Scratch::State& state = *scratch.state_;
  if (state.guards[level].passes()) {
    state.find(codebook, rows, n_rows, closed, tokens);
    return;
  }
  const PrunedWork work = pruned_[level]->nearest(rows, n_rows, state.pruned, tokens, closed, shortlisting);
  state.guards[level].note(work, n_rows, codebook);
  if (work.undecided == 0) return;
  const std::size_t dim = codebook.dim();
  if (state.undecided.size() < kMaxBlockRows * dim) state.undecided = AlignedBuffer<float>(kMaxBlockRows * dim);
  std::size_t places[kMaxBlockRows], n_left = 0;
  const std::uint64_t* closed_left[kMaxBlockRows];
  for (std::size_t i = 0; i < n_rows; ++i) {
    if (tokens[i] != PackedCodebook::kNone) continue;
    std::copy_n(rows + i * dim, dim, state.undecided.data() + n_left * dim);
    closed_left[n_left] = closed == nullptr ? nullptr : closed[i];
    places[n_left++] = i;
  }
  Token found[kMaxBlockRows];
  state.find(codebook, state.undecided.data(), n_left, closed == nullptr ? nullptr : closed_left, found);
  for (std::size_t k = 0; k < n_left; ++k) tokens[places[k]] = found[k];
}

}  // namespace puresid
