// The kernels, once, over a `Lanes` type that names the vector operations of an instruction set.
//
// A tile is R rows by one panel of codewords, held in registers over all dimensions: each step
// loads the panel's next dimension (kVectors loads), broadcasts one value of each row and issues
// R * kVectors fused multiply-adds. Selection works on the tile while it is still in registers, so
// scores never go to memory. A panel (dim * width floats) stays in L1 or L2 while all rows of the
// block pass by it.
//
// Include inside one anonymous namespace that has defined `Lanes`:
//   type, index_type, width, vectors (per panel), rows (R);
//   load(p) store(p, x) set1(x) sub(a, b) fmadd(a, b, c) = a * b + c, fnmadd(a, b, c) = c - a * b,
//   less(a, b) and less_equal(a, b) -> mask, bits(mask), select(mask, yes, no) and the same for indices.

constexpr size_t kVectors = Lanes::vectors;
constexpr size_t kWidth = Lanes::width * kVectors;

// What a tile computes: the score that selection compares, or the squared distance itself.
struct Score {
  static typename Lanes::type start(const float* half_norms) { return Lanes::load(half_norms); }
  static typename Lanes::type add(typename Lanes::type value, typename Lanes::type codeword, typename Lanes::type sum) {
    return Lanes::fnmadd(value, codeword, sum);
  }
};

struct SquaredDistance {
  static typename Lanes::type start(const float*) { return Lanes::set1(0.0F); }
  static typename Lanes::type add(typename Lanes::type value, typename Lanes::type codeword, typename Lanes::type sum) {
    const auto difference = Lanes::sub(value, codeword);
    return Lanes::fmadd(difference, difference, sum);
  }
};

template <class Quantity, size_t R>
inline __attribute__((always_inline)) void tile(const float* panel, const float* half_norms, const float* rows,
                                                size_t stride, size_t dim, typename Lanes::type (&sums)[R][kVectors]) {
  for (size_t v = 0; v < kVectors; ++v) {
    const auto start = Quantity::start(half_norms + v * Lanes::width);
    for (size_t r = 0; r < R; ++r) sums[r][v] = start;
  }
  for (size_t d = 0; d < dim; ++d) {
    typename Lanes::type codewords[kVectors];
    for (size_t v = 0; v < kVectors; ++v) codewords[v] = Lanes::load(panel + d * kWidth + v * Lanes::width);
    for (size_t r = 0; r < R; ++r) {
      const auto value = Lanes::set1(rows[r * stride + d]);
      for (size_t v = 0; v < kVectors; ++v) sums[r][v] = Quantity::add(value, codewords[v], sums[r][v]);
    }
  }
}

// Keeps the best score of each lane and the vector it came from; lanes are compared at the end.
struct Top1 {
  float best[kBlockRows][Lanes::width];
  typename Lanes::index_scalar where[kBlockRows][Lanes::width];
  uint32_t* tokens = nullptr;

  void start(size_t n_rows) {
    for (size_t r = 0; r < n_rows; ++r) {
      for (size_t lane = 0; lane < Lanes::width; ++lane) {
        best[r][lane] = __builtin_inff();
        where[r][lane] = 0;
      }
    }
  }
  template <size_t R>
  inline __attribute__((always_inline)) void take(size_t row, size_t first, typename Lanes::type (&sums)[R][kVectors]) {
    for (size_t r = 0; r < R; ++r) {
      auto lowest = Lanes::load(best[row + r]);
      auto index = Lanes::load_index(where[row + r]);
      for (size_t v = 0; v < kVectors; ++v) {
        const auto better = Lanes::less(sums[r][v], lowest);
        lowest = Lanes::select(better, sums[r][v], lowest);
        index = Lanes::select_index(better, static_cast<uint32_t>(first / Lanes::width + v), index);
      }
      Lanes::store(best[row + r], lowest);
      Lanes::store_index(where[row + r], index);
    }
  }
  void finish(size_t n_rows) {
    for (size_t r = 0; r < n_rows; ++r) {
      float lowest = __builtin_inff();
      uint32_t token = 0;
      for (size_t lane = 0; lane < Lanes::width; ++lane) {
        const auto candidate = static_cast<uint32_t>(where[r][lane] * Lanes::width + lane);
        if (best[r][lane] < lowest || (best[r][lane] == lowest && candidate < token)) {
          lowest = best[r][lane];
          token = candidate;
        }
      }
      tokens[r] = token;
    }
  }
};

// Keeps the k best of each row, in order. Scores of a batch of panels wait in a small buffer (L2); then
// those that beat a bound are inserted. For the first batch the bound comes from the least score of each
// of several groups: k of the groups have one at most as large as the k-th least of those, so at least k
// scores pass, and few more. Tokens arrive in increasing order, so a strict comparison leaves equal
// scores in token order.
struct TopK {
  static constexpr size_t kBatch = 256, kGroups = 64;  // k <= kGroups / 2

  TopK(const Panels& all_panels, size_t wanted, float* best_scores, uint32_t* best_tokens)
      : panels(all_panels), k(wanted), best(best_scores), tokens(best_tokens) {}

  void start(size_t rows) {
    n_rows = rows;
    for (size_t i = 0; i < n_rows * k; ++i) {
      best[i] = __builtin_inff();
      tokens[i] = 0;
    }
  }
  template <size_t R>
  inline __attribute__((always_inline)) void take(size_t row, size_t first, typename Lanes::type (&sums)[R][kVectors]) {
    for (size_t r = 0; r < R; ++r) {
      for (size_t v = 0; v < kVectors; ++v) {
        Lanes::store(batch[row + r] + first % kBatch + v * Lanes::width, sums[r][v]);
      }
    }
    const size_t end = first + kWidth;
    if (row + R == n_rows && (end % kBatch == 0 || end >= panels.size)) {
      for (size_t r = 0; r < n_rows; ++r) select(r, first / kBatch * kBatch, end);
    }
  }
  void finish(size_t) {}

 private:
  const Panels& panels;
  size_t k;
  float* best;
  uint32_t* tokens;
  size_t n_rows = 0;
  float batch[kBlockRows][kBatch];

  // A score that at least k of the first batch's do not exceed.
  [[nodiscard]] float bound(const float* scores, size_t count) const {
    const size_t groups = k <= kGroups / 4 ? kGroups / 2 : kGroups;
    if (count < 2 * groups) return __builtin_inff();
    float least[kGroups];
    for (size_t g = 0; g < groups; g += Lanes::width) {
      auto lowest = Lanes::load(scores + g);
      for (size_t at = g + groups; at + Lanes::width <= count; at += groups) {
        const auto next = Lanes::load(scores + at);
        lowest = Lanes::select(Lanes::less(next, lowest), next, lowest);
      }
      Lanes::store(least + g, lowest);
    }
    float sorted[kGroups / 2];
    for (size_t i = 0; i < k; ++i) sorted[i] = __builtin_inff();
    for (size_t g = 0; g < groups; ++g) {
      if (least[g] < sorted[k - 1]) insert(sorted, nullptr, least[g], 0);
    }
    return sorted[k - 1];
  }
  void insert(float* scores, uint32_t* who, float score, uint32_t token) const {
    size_t at = k - 1;
    for (; at > 0 && score < scores[at - 1]; --at) {
      scores[at] = scores[at - 1];
      if (who != nullptr) who[at] = who[at - 1];
    }
    scores[at] = score;
    if (who != nullptr) who[at] = token;
  }
  void select(size_t row, size_t first, size_t end) {
    const float* scores = batch[row];
    float* kept = best + row * k;
    uint32_t* who = tokens + row * k;
    const float first_bound = first == 0 ? bound(scores, end) : __builtin_inff();
    for (size_t at = 0; at < end - first; at += Lanes::width) {
      const float limit = first_bound < kept[k - 1] ? first_bound : kept[k - 1];
      // Scores equal to the bound count, those equal to the last kept do not: the latter are tested below.
      uint32_t mask = Lanes::bits(Lanes::less_equal(Lanes::load(scores + at), Lanes::set1(limit)));
      for (; mask != 0; mask &= mask - 1) {
        const size_t found = at + static_cast<size_t>(__builtin_ctz(mask));
        if (scores[found] < kept[k - 1]) insert(kept, who, scores[found], static_cast<uint32_t>(first + found));
      }
    }
  }
};

struct Store {
  float* out;
  size_t stride;

  void start(size_t) {}
  template <size_t R>
  inline __attribute__((always_inline)) void take(size_t row, size_t first, typename Lanes::type (&sums)[R][kVectors]) {
    for (size_t r = 0; r < R; ++r) {
      for (size_t v = 0; v < kVectors; ++v) {
        Lanes::store(out + (row + r) * stride + first + v * Lanes::width, sums[r][v]);
      }
    }
  }
  void finish(size_t) {}
};

template <class Quantity, size_t R, class Consumer>
__attribute__((noinline)) void rows_by_panel(const Panels& panels, size_t first, const float* rows, size_t row,
                                             size_t stride, Consumer& consumer) {
  typename Lanes::type sums[R][kVectors];
  tile<Quantity, R>(panels.data + first * panels.dim, panels.half_norms + first, rows + row * stride, stride,
                    panels.dim, sums);
  consumer.template take<R>(row, first, sums);
}

template <class Quantity, size_t R, class Consumer>
void remaining_rows(size_t left, const Panels& panels, size_t first, const float* rows, size_t row, size_t stride,
                    Consumer& consumer) {
  if constexpr (R > 0) {
    if (left == R) {
      rows_by_panel<Quantity, R>(panels, first, rows, row, stride, consumer);
    } else {
      remaining_rows<Quantity, R - 1>(left, panels, first, rows, row, stride, consumer);
    }
  }
}

template <class Quantity, class Consumer>
void for_each_tile(const Panels& panels, const float* rows, size_t n_rows, size_t stride, Consumer& consumer) {
  consumer.start(n_rows);
  for (size_t first = 0; first < panels.size; first += kWidth) {
    size_t row = 0;
    for (; row + Lanes::rows <= n_rows; row += Lanes::rows) {
      rows_by_panel<Quantity, Lanes::rows>(panels, first, rows, row, stride, consumer);
    }
    remaining_rows<Quantity, Lanes::rows - 1>(n_rows - row, panels, first, rows, row, stride, consumer);
  }
  consumer.finish(n_rows);
}

void nearest(const Panels& panels, const float* rows, size_t n_rows, size_t stride, uint32_t* tokens) {
  Top1 consumer;
  consumer.tokens = tokens;
  for_each_tile<Score>(panels, rows, n_rows, stride, consumer);
}

void nearest_k(const Panels& panels, const float* rows, size_t n_rows, size_t stride, size_t k, float* scores,
               uint32_t* tokens) {
  TopK consumer(panels, k, scores, tokens);
  for_each_tile<Score>(panels, rows, n_rows, stride, consumer);
}

void all_scores(const Panels& panels, const float* rows, size_t n_rows, size_t stride, float* out, size_t out_stride) {
  Store consumer{out, out_stride};
  for_each_tile<Score>(panels, rows, n_rows, stride, consumer);
}

void all_squared_distances(const Panels& panels, const float* rows, size_t n_rows, size_t stride, float* out,
                           size_t out_stride) {
  Store consumer{out, out_stride};
  for_each_tile<SquaredDistance>(panels, rows, n_rows, stride, consumer);
}

// Chains of fused multiply-adds are bound by their latency: eight run side by side.
constexpr size_t kChains = 8;

void squared_norms(const float* rows, size_t n_rows, size_t stride, size_t dim, float* out) {
  size_t row = 0;
  for (; row + kChains <= n_rows; row += kChains) {
    float sums[kChains] = {};
    for (size_t d = 0; d < dim; ++d) {
      for (size_t i = 0; i < kChains; ++i) {
        const float value = rows[(row + i) * stride + d];
        sums[i] = __builtin_fmaf(value, value, sums[i]);
      }
    }
    for (size_t i = 0; i < kChains; ++i) out[row + i] = sums[i];
  }
  for (; row < n_rows; ++row) {
    float sum = 0;
    for (size_t d = 0; d < dim; ++d) sum = __builtin_fmaf(rows[row * stride + d], rows[row * stride + d], sum);
    out[row] = sum;
  }
}

void squared_distances(const float* row, const float* codewords, size_t dim, const uint32_t* tokens, size_t count,
                       float* out) {
  for (size_t first = 0; first < count; first += kChains) {
    const size_t chains = count - first < kChains ? count - first : kChains;
    const float* from[kChains];
    for (size_t i = 0; i < kChains; ++i) from[i] = codewords + tokens[first + (i < chains ? i : 0)] * dim;
    float sums[kChains] = {};
    for (size_t d = 0; d < dim; ++d) {
      for (size_t i = 0; i < kChains; ++i) {
        const float difference = row[d] - from[i][d];
        sums[i] = __builtin_fmaf(difference, difference, sums[i]);
      }
    }
    for (size_t i = 0; i < chains; ++i) out[first + i] = sums[i];
  }
}

constexpr KernelTable kTable{kWidth,        nearest,          nearest_k, all_scores, all_squared_distances,
                             squared_norms, squared_distances};
