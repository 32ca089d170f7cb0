#include "kmeans_seeding.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "puresid/distance.hpp"
#include "puresid/parallel.hpp"

namespace puresid {
namespace {

constexpr std::size_t kPanelRows = 1024;  // rows of the sample that are one unit of work

// A 64-bit mixer (splitmix64's), chained over the words that name a draw.
std::uint64_t draw(const Draws& draws, std::uint64_t step, std::uint64_t trial) {
  std::uint64_t state = draws.seed;
  for (const std::uint64_t word : {draws.level, step, trial}) {
    state = (state ^ word) + 0x9E3779B97F4A7C15U;
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9U;
    state = (state ^ state >> 27) * 0x94D049BB133111EBU;
    state ^= state >> 31;
  }
  return state;
}

double unit(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

std::vector<Row> stratified_sample(std::size_t rows, std::size_t wanted, const Draws& draws) {
  std::vector<Row> sample(std::min(rows, wanted));
  for (std::size_t i = 0; i < sample.size(); ++i) {
    const std::size_t begin = i * rows / sample.size(), end = (i + 1) * rows / sample.size();
    sample[i] = static_cast<Row>(begin + draw(draws, ~std::uint64_t{0}, i) % (end - begin));
  }
  return sample;
}

// The sum of the lesser of a[i] and b[i]. One chain of additions would be bound by its latency: eight run
// side by side.
double sum_of_lesser(const float* a, const float* b, std::size_t count) {
  constexpr std::size_t kChains = 8;
  double sums[kChains] = {};
  std::size_t i = 0;
  for (; i + kChains <= count; i += kChains) {
    for (std::size_t j = 0; j < kChains; ++j) sums[j] += static_cast<double>(std::min(a[i + j], b[i + j]));
  }
  for (std::size_t j = 0; i + j < count; ++j) sums[j] += static_cast<double>(std::min(a[i + j], b[i + j]));
  return std::accumulate(sums, sums + kChains, 0.0);
}

// The sample packed as codebooks, so that distances to a few trial rows run one lane per sample row.
class Sample {
 public:
  Sample(MatrixView<const float> rows, const std::vector<Row>& picked, const Execution& execution)
      : dim_(rows.cols()), execution_(execution), data_(picked.size() * dim_), closest_(picked.size()) {
    for (std::size_t i = 0; i < picked.size(); ++i) std::copy_n(rows.row(picked[i]), dim_, data_.data() + i * dim_);
    for (std::size_t first = 0; first < picked.size(); first += kPanelRows) {
      const std::size_t count = std::min(kPanelRows, picked.size() - first);
      parts_.emplace_back(MatrixView<const float>(data_.data() + first * dim_, count, dim_), execution.simd);
      sums_.emplace_back();
    }
    distances_.resize(parts_.size());
    left_.resize(parts_.size());
    std::fill(closest_.begin(), closest_.end(), std::numeric_limits<float>::infinity());
  }

  [[nodiscard]] const float* row(std::size_t index) const { return data_.data() + index * dim_; }
  [[nodiscard]] std::size_t rows() const noexcept { return closest_.size(); }

  // Of the trial rows, the one that leaves the least sum of squared distances becomes a codeword.
  std::size_t take_best(const std::vector<std::size_t>& trials) {
    std::vector<float> vectors(trials.size() * dim_);
    for (std::size_t t = 0; t < trials.size(); ++t) std::copy_n(row(trials[t]), dim_, vectors.data() + t * dim_);
    parallel_for(execution_, "seeding", parts_.size(), parts_.size(), [&](std::size_t part, Worker&) {
      const PackedCodebook& packed = parts_[part];
      distances_[part].resize(packed.padded_size() * trials.size());
      left_[part].resize(trials.size());
      packed.squared_distances(vectors.data(), trials.size(), distances_[part].data());
      for (std::size_t t = 0; t < trials.size(); ++t) {
        left_[part][t] = sum_of_lesser(distances_[part].data() + t * packed.padded_size(),
                                       closest_.data() + part * kPanelRows, packed.size());
      }
    });
    std::vector<double> potentials(trials.size());
    for (const auto& sums : left_) {
      for (std::size_t t = 0; t < trials.size(); ++t) potentials[t] += sums[t];
    }
    const auto best =
        static_cast<std::size_t>(std::min_element(potentials.begin(), potentials.end()) - potentials.begin());
    for (std::size_t part = 0; part < parts_.size(); ++part) {
      const float* squared = distances_[part].data() + best * parts_[part].padded_size();
      for (std::size_t i = 0; i < parts_[part].size(); ++i) {
        float& closest = closest_[part * kPanelRows + i];
        closest = std::min(closest, squared[i]);
      }
      sums_[part] = left_[part][best];
    }
    return trials[best];
  }

  // The row at share `at` in [0, 1) of the sum of squared distances to the codewords so far; any row
  // where that sum is 0.
  [[nodiscard]] std::size_t row_at(double at) const {
    double total = 0;
    for (const double sum : sums_) total += sum;
    if (total <= 0) return static_cast<std::size_t>(at * static_cast<double>(rows()));
    double wanted = at * total;
    std::size_t part = 0;
    for (; part + 1 < sums_.size() && wanted >= sums_[part]; ++part) wanted -= sums_[part];
    const std::size_t begin = part * kPanelRows, end = begin + parts_[part].size();
    std::size_t last_positive = begin;
    for (std::size_t i = begin; i < end; ++i) {
      if (closest_[i] <= 0) continue;
      last_positive = i;
      wanted -= static_cast<double>(closest_[i]);
      if (wanted < 0) break;
    }
    return last_positive;
  }

 private:
  std::size_t dim_;
  const Execution& execution_;
  AlignedBuffer<float> data_;
  std::vector<float> closest_;  // squared distance to the nearest codeword so far
  std::vector<PackedCodebook> parts_;
  std::vector<double> sums_;                   // of closest_, by part
  std::vector<std::vector<float>> distances_;  // of one step, by part: kept so that steps need no memory
  std::vector<std::vector<double>> left_;
};

}  // namespace

std::vector<float> seed_codewords(MatrixView<const float> rows, std::size_t size, const Draws& draws,
                                  const Execution& execution) {
  const std::size_t wanted = std::min(std::max<std::size_t>(65'536, 4 * size), 64 * size);
  const std::vector<Row> picked = stratified_sample(rows.rows(), wanted, draws);
  const auto n_trials = 2 + static_cast<std::size_t>(std::log(static_cast<double>(size)));
  Execution step_execution = execution;  // a step takes milliseconds: too short to report on
  step_execution.progress = nullptr;
  step_execution.threads = threads_for(execution, 2 * picked.size() * rows.cols() * n_trials);
  Sample sample(rows, picked, step_execution);
  std::vector<float> codewords;
  codewords.reserve(size * rows.cols());
  for (std::size_t step = 0; step < size; ++step) {
    std::vector<std::size_t> trials;
    if (step == 0) {
      trials.push_back(draw(draws, 0, 0) % sample.rows());
    } else {
      for (std::size_t trial = 0; trial < n_trials; ++trial)
        trials.push_back(sample.row_at(unit(draw(draws, step, trial))));
    }
    const float* row = sample.row(sample.take_best(trials));
    codewords.insert(codewords.end(), row, row + rows.cols());
  }
  return codewords;
}

}  // namespace puresid
