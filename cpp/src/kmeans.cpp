#include "puresid/kmeans.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <span>
#include <string>

#include "kmeans_seeding.hpp"
#include "puresid/balanced.hpp"
#include "puresid/codebooks.hpp"
#include "puresid/distance.hpp"
#include "puresid/nearest_search.hpp"
#include "puresid/parallel.hpp"

namespace puresid {
namespace {

constexpr std::size_t kChunkRows = 4 * kMaxBlockRows;
constexpr std::size_t kMembersPerTask = 4096;

// Lloyd's iteration on one level's residuals.
class Level {
 public:
  Level(MatrixView<const float> rows, std::vector<float> codewords, std::size_t number, const Execution& execution)
      : rows_(rows),
        codewords_(std::move(codewords)),
        size_(codewords_.size() / rows.cols()),
        stage_("level " + std::to_string(number)),
        execution_(execution),
        tokens_(rows.rows()),
        squared_(rows.rows()) {}

  void train(std::size_t n_iter) {
    for (std::size_t iteration = 0; iteration < n_iter; ++iteration) {
      if (!encode() && iteration > 0) return;  // nothing moved: the codewords are the means already
      update();
    }
    encode();
  }

  void train_balanced(std::size_t n_iter) {
    BalancedAssignment assignment(rows_.rows(), size_);
    for (std::size_t iteration = 0; iteration < n_iter; ++iteration) {
      if (!encode_balanced(assignment)) return;
      update();
    }
    encode_balanced(assignment);
  }

  [[nodiscard]] KMeansLevel result() && { return {std::move(codewords_), std::move(distortion_), std::move(tokens_)}; }

 private:
  struct Scratch {
    AlignedBuffer<float> residuals;
    NearestSearch::Scratch search;
  };

  // Finds each row's nearest codeword; whether any changed. Notes the mean squared distance.
  bool encode() {
    const std::size_t rows = rows_.rows(), dim = rows_.cols(), chunks = (rows + kChunkRows - 1) / kChunkRows;
    const PackedCodebook packed({codewords_.data(), size_, dim}, execution_.simd);
    const NearestSearch search({&packed}, rows);
    std::vector<double> sums(chunks);
    std::vector<std::uint8_t> changed(chunks);
    parallel_for(
        execution_, stage_, chunks, rows,
        [&] { return Scratch{AlignedBuffer<float>(kMaxBlockRows * dim), NearestSearch::Scratch(search)}; },
        [&](Scratch& scratch, std::size_t chunk, Worker& worker) {
          const std::size_t begin = chunk * kChunkRows, end = std::min(begin + kChunkRows, rows);
          for (std::size_t first = begin; first < end; first += kMaxBlockRows) {
            const std::size_t n_rows = std::min(kMaxBlockRows, end - first);
            Token tokens[kMaxBlockRows];
            search.nearest(0, rows_.row(first), n_rows, tokens, scratch.search);
            float* residuals = scratch.residuals.data();
            std::copy_n(rows_.row(first), n_rows * dim, residuals);
            for (std::size_t i = 0; i < n_rows; ++i) packed.subtract(residuals + i * dim, tokens[i]);
            packed.squared_norms(residuals, n_rows, squared_.data() + first);
            if (!std::equal(tokens, tokens + n_rows, tokens_.data() + first)) changed[chunk] = 1;
            std::copy_n(tokens, n_rows, tokens_.data() + first);
            worker.poll();
          }
          for (std::size_t row = begin; row < end; ++row) sums[chunk] += static_cast<double>(squared_[row]);
          worker.advance(end - begin);
        });
    distortion_.push_back(std::accumulate(sums.begin(), sums.end(), 0.0) / static_cast<double>(rows));
    return std::find(changed.begin(), changed.end(), 1) != changed.end();
  }

  // Gives each row a codeword, all codewords as many rows. An assignment that is no better than the one before
  // is dropped; whether it was better. Notes the mean squared distance.
  bool encode_balanced(BalancedAssignment& assignment) {
    const std::size_t rows = rows_.rows(), blocks = (rows + kMaxBlockRows - 1) / kMaxBlockRows;
    const PackedCodebook packed({codewords_.data(), size_, rows_.cols()}, execution_.simd);
    const std::size_t stride = packed.padded_size();
    if (distances_.size() == 0) distances_ = AlignedBuffer<float>(checked_multiply(rows, stride));
    parallel_for(execution_, stage_, blocks, rows, [&](std::size_t block, Worker& worker) {
      const std::size_t first = block * kMaxBlockRows, n_rows = std::min(kMaxBlockRows, rows - first);
      packed.squared_distances(rows_.row(first), n_rows, distances_.data() + first * stride);
      worker.advance(n_rows);
    });
    const auto cost_of = [&](std::size_t row, Token token) {
      return static_cast<double>(distances_.data()[row * stride + token]);
    };
    double before = std::numeric_limits<double>::infinity();
    if (!distortion_.empty()) {
      before = 0;
      for (std::size_t row = 0; row < rows; ++row) before += cost_of(row, tokens_[row]);
    }
    assignment.solve({distances_.data(), rows, stride}, execution_);
    const bool better = assignment.sum() < before;
    if (better) tokens_ = assignment.tokens();
    distortion_.push_back(std::min(before, assignment.sum()) / static_cast<double>(rows));
    return better;
  }

  // Each codeword becomes the mean of its rows: summed in row order, in blocks of fixed length.
  void update() {
    const std::size_t dim = rows_.cols();
    std::vector<std::size_t> first(size_ + 1);
    for (const Token token : tokens_) ++first[token + 1];
    std::partial_sum(first.begin(), first.end(), first.begin());
    std::vector<Row> members(tokens_.size());
    std::vector<std::size_t> next(first.begin(), first.end() - 1);
    for (std::size_t row = 0; row < tokens_.size(); ++row) members[next[tokens_[row]]++] = static_cast<Row>(row);

    struct Task {
      std::size_t begin, end;
    };
    std::vector<Task> tasks;
    std::vector<std::size_t> first_task(size_ + 1);
    for (std::size_t token = 0; token < size_; ++token) {
      for (std::size_t at = first[token]; at < first[token + 1]; at += kMembersPerTask) {
        tasks.push_back({at, std::min(at + kMembersPerTask, first[token + 1])});
      }
      first_task[token + 1] = tasks.size();
    }
    std::vector<double> sums(tasks.size() * dim);
    Execution quiet = execution_;  // too short to report on
    quiet.progress = nullptr;
    parallel_for(quiet, "means", tasks.size(), tasks.size(), [&](std::size_t task, Worker&) {
      double* sum = sums.data() + task * dim;
      for (std::size_t at = tasks[task].begin; at < tasks[task].end; ++at) {
        const float* row = rows_.row(members[at]);
        for (std::size_t d = 0; d < dim; ++d) sum[d] += static_cast<double>(row[d]);
      }
    });
    for (std::size_t token = 0; token < size_; ++token) {
      const auto count = static_cast<double>(first[token + 1] - first[token]);
      if (count == 0) continue;
      double* sum = sums.data() + first_task[token] * dim;
      for (std::size_t task = first_task[token] + 1; task < first_task[token + 1]; ++task) {
        for (std::size_t d = 0; d < dim; ++d) sum[d] += sums[task * dim + d];
      }
      for (std::size_t d = 0; d < dim; ++d) codewords_[token * dim + d] = static_cast<float>(sum[d] / count);
    }
    refill(first);
  }

  // Gives each codeword without rows the row that is worst served, a different one each.
  void refill(const std::vector<std::size_t>& first) {
    std::vector<std::size_t> empty;
    for (std::size_t token = 0; token < size_; ++token) {
      if (first[token] == first[token + 1]) empty.push_back(token);
    }
    if (empty.empty()) return;
    const std::size_t dim = rows_.cols();
    std::vector<Row> worst(rows_.rows());
    std::iota(worst.begin(), worst.end(), Row{0});
    std::sort(worst.begin(), worst.end(),
              [&](Row a, Row b) { return squared_[a] > squared_[b] || (squared_[a] == squared_[b] && a < b); });
    std::vector<Row> chosen;
    for (const Row row : worst) {
      if (chosen.size() == empty.size() || squared_[row] == 0) break;
      const bool twin = std::any_of(chosen.rbegin(), chosen.rend(), [&](Row other) {
        return squared_[other] == squared_[row] &&
               std::memcmp(rows_.row(other), rows_.row(row), dim * sizeof(float)) == 0;
      });
      if (twin) continue;
      std::copy_n(rows_.row(row), dim, codewords_.data() + empty[chosen.size()] * dim);
      chosen.push_back(row);
    }
  }

  MatrixView<const float> rows_;
  std::vector<float> codewords_;
  std::size_t size_;
  std::string stage_;
  const Execution& execution_;
  std::vector<Token> tokens_;
  std::vector<float> squared_;
  std::vector<double> distortion_;
  AlignedBuffer<float> distances_;  // of all rows to all codewords; balanced only
};

// What vectors may hold, so that no squared distance overflows where values double from level to level.
double largest_value(std::size_t dim, std::size_t levels) {
  return std::sqrt(std::numeric_limits<float>::max() / (4.0 * static_cast<double>(dim))) /
         std::exp2(static_cast<double>(levels) + 1);
}

void check_start(const std::vector<MatrixView<const float>>& start, const std::vector<std::size_t>& sizes,
                 std::size_t dim) {
  const double largest = largest_value(dim, sizes.size());  // given codewords are no means, so squares may grow
  if (!start.empty() && start.size() != sizes.size()) {
    throw std::invalid_argument("start has " + std::to_string(start.size()) + " levels; there are " +
                                std::to_string(sizes.size()));
  }
  for (std::size_t level = 0; level < start.size(); ++level) {
    const MatrixView<const float> codewords = start[level];
    const std::string place = "start[" + std::to_string(level) + "]";
    if (codewords.rows() != sizes[level] || codewords.cols() != dim) {
      throw std::invalid_argument(place + " has " + std::to_string(codewords.rows()) + " codewords of dimension " +
                                  std::to_string(codewords.cols()) + "; " + std::to_string(sizes[level]) + " of " +
                                  std::to_string(dim) + " are needed");
    }
    const float* end = codewords.data() + codewords.rows() * dim;
    if (!std::all_of(codewords.data(), end, [](float value) { return std::isfinite(value); })) {
      throw std::invalid_argument(place + " has a value that is not finite");
    }
    if (!std::all_of(codewords.data(), end,
                     [&](float value) { return std::fabs(static_cast<double>(value)) <= largest; })) {
      throw std::invalid_argument(place + " has a value beyond " + std::to_string(largest) +
                                  ", whose squared distances overflow float32; scale it down");
    }
  }
}

void check_arguments(MatrixView<const float> vectors, const std::vector<std::size_t>& sizes) {
  if (sizes.empty()) throw std::invalid_argument("n_levels is 0; at least 1 is needed");
  if (vectors.cols() == 0) throw std::invalid_argument("vectors have dimension 0; at least 1 is needed");
  for (std::size_t level = 0; level < sizes.size(); ++level) {
    if (sizes[level] == 0) {
      throw std::invalid_argument("codebook_size of level " + std::to_string(level) + " is 0; at least 1 is needed");
    }
    if (vectors.rows() < sizes[level]) {
      throw std::invalid_argument("vectors has " + std::to_string(vectors.rows()) + " rows; a codebook of " +
                                  std::to_string(sizes[level]) + " codewords needs at least as many");
    }
  }
  if (vectors.rows() > std::numeric_limits<Row>::max()) throw std::invalid_argument("vectors has 2^32 rows or more");
  // Codewords are means of rows and residuals differences of them: both stay within 2^level * max. Nor does the sum of
  // all residuals' squares grow, so both stay within sqrt(rows * dim) * max too, which is below 2^32 * max.
  const double largest = largest_value(vectors.cols(), std::min<std::size_t>(sizes.size(), 31));
  for (std::size_t row = 0; row < vectors.rows(); ++row) {
    for (std::size_t d = 0; d < vectors.cols(); ++d) {
      const auto value = static_cast<double>(vectors.row(row)[d]);
      if (std::fabs(value) <= largest) continue;
      const std::string place = "vectors[" + std::to_string(row) + "]";
      if (!std::isfinite(value)) {
        throw std::invalid_argument(place + " has " + (std::isnan(value) ? "NaN" : "an infinity (in float32)") +
                                    " in column " + std::to_string(d) + "; every value must be finite");
      }
      throw std::invalid_argument(place + " has a value beyond " + std::to_string(largest) +
                                  ", whose squared distances overflow float32; scale vectors down");
    }
  }
}

}  // namespace

std::vector<KMeansLevel> train_residual_kmeans(MatrixView<const float> vectors, const std::vector<std::size_t>& sizes,
                                               const KMeansOptions& options, const Execution& execution) {
  const DefaultFloatEnvironment environment;
  check_arguments(vectors, sizes);
  check_start(options.start, sizes, vectors.cols());
  const std::size_t dim = vectors.cols();
  std::vector<float> residuals(vectors.data(), vectors.data() + checked_multiply(vectors.rows(), dim));
  const MatrixView<const float> rows(residuals.data(), vectors.rows(), dim);
  std::vector<KMeansLevel> result;
  for (std::size_t number = 0; number < sizes.size(); ++number) {
    std::vector<float> codewords;
    if (options.start.empty()) {
      codewords = seed_codewords(rows, sizes[number], {options.seed, number}, execution);
    } else {
      codewords.assign(options.start[number].data(), options.start[number].data() + sizes[number] * dim);
    }
    Level level(rows, std::move(codewords), number, execution);
    options.balanced ? level.train_balanced(options.n_iter) : level.train(options.n_iter);
    result.push_back(std::move(level).result());
    const std::vector<Token>& tokens = result.back().tokens;
    for (std::size_t row = 0; row < rows.rows(); ++row) {
      const float* codeword = result.back().codewords.data() + tokens[row] * dim;
      for (std::size_t d = 0; d < dim; ++d) residuals[row * dim + d] -= codeword[d];
    }
  }
  return result;
}

}  // namespace puresid
