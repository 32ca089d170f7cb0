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
//   load(p) store(p, x) set1(x) add(a, b) sub(a, b) min(a, b), fmadd(a, b, c) = a * b + c,
//   fnmadd(a, b, c) = c - a * b, less(a, b) and less_equal(a, b) -> mask, bits(mask), mask_of(bits),
//   select(mask, yes, no) and the same for indices, count(i, mask), below(i, limit), first_numbers(), next_numbers(i),
//   pack(bits, x, i, values, numbers), least(x) = its least lane, transpose(x[width]): x[i] lane j <-> x[j] lane i.

constexpr size_t kVectors = Lanes::vectors;
constexpr size_t kWidth = Lanes::width * kVectors;
constexpr uint32_t kAllLanes = (1U << Lanes::width) - 1;

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

#include "unroll_impl.hpp"

// The sums of a tile.
template <size_t R>
struct Sums {
  typename Lanes::type of[R][kVectors];
};

template <class Quantity, size_t R>
inline __attribute__((always_inline)) void tile(const float* panel, const float* half_norms, const float* rows,
                                                size_t stride, size_t dim, Sums<R>& sums) {
  unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
    const auto start = Quantity::start(half_norms + v.value * Lanes::width);
    unroll<R>([&](auto r) __attribute__((always_inline)) { sums.of[r.value][v.value] = start; });
  });
  for (size_t d = 0; d < dim; ++d) {
    typename Lanes::type codewords[kVectors];
    unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
      codewords[v.value] = Lanes::load(panel + d * kWidth + v.value * Lanes::width);
    });
    unroll<R>([&](auto r) __attribute__((always_inline)) {
      const auto value = Lanes::set1(rows[r.value * stride + d]);
      unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
        sums.of[r.value][v.value] = Quantity::add(value, codewords[v.value], sums.of[r.value][v.value]);
      });
    });
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
  inline __attribute__((always_inline)) void take(size_t row, size_t first, const Sums<R>& sums) {
    typename Lanes::index_type here[kVectors];
    unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
      here[v.value] = Lanes::set1_index(static_cast<uint32_t>(first / Lanes::width + v.value));
    });
    unroll<R>([&](auto r) __attribute__((always_inline)) {
      auto lowest = Lanes::load(best[row + r.value]);
      auto index = Lanes::load_index(where[row + r.value]);
      unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
        const auto sum = sums.of[r.value][v.value];
        index = Lanes::select_index(Lanes::less(sum, lowest), here[v.value], index);
        lowest = Lanes::min(sum, lowest);
      });
      Lanes::store(best[row + r.value], lowest);
      Lanes::store_index(where[row + r.value], index);
    });
  }
  void finish(size_t n_rows) {
    for (size_t r = 0; r < n_rows; ++r) {
      const auto lowest = Lanes::load(best[r]);
      uint32_t token = kNoToken;
      uint32_t lanes = Lanes::bits(Lanes::less_equal(lowest, Lanes::set1(Lanes::least(lowest))));
      for (; lanes != 0; lanes &= lanes - 1) {  // more than one where scores are equal
        const auto lane = static_cast<uint32_t>(__builtin_ctz(lanes));
        const auto candidate = static_cast<uint32_t>(where[r][lane] * Lanes::width + lane);
        token = candidate < token ? candidate : token;
      }
      tokens[r] = token;
    }
  }
};

struct Store {
  float* out;
  size_t stride;

  void start(size_t) {}
  template <size_t R>
  inline __attribute__((always_inline)) void take(size_t row, size_t first, const Sums<R>& sums) {
    unroll<R>([&](auto r) __attribute__((always_inline)) {
      unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
        Lanes::store(out + (row + r.value) * stride + first + v.value * Lanes::width, sums.of[r.value][v.value]);
      });
    });
  }
  void finish(size_t) {}
};

template <class Quantity, size_t R, class Consumer>
__attribute__((noinline)) void rows_by_panel(const Panels& panels, size_t first, const float* rows, size_t row,
                                             size_t stride, Consumer& consumer) {
  Sums<R> sums;
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

// One lane per codeword: as many codewords as there are lanes, that many dimensions at a time, transposed
// in registers.
void squared_distances(const float* row, const float* codewords, size_t dim, const uint32_t* tokens, size_t count,
                       float* out) {
  for (size_t first = 0; first < count; first += Lanes::width) {
    const size_t chains = count - first < Lanes::width ? count - first : Lanes::width;
    const float* from[Lanes::width];
    for (size_t i = 0; i < Lanes::width; ++i) from[i] = codewords + tokens[first + (i < chains ? i : 0)] * dim;
    auto sum = Lanes::set1(0.0F);
    size_t d = 0;
    for (; d + Lanes::width <= dim; d += Lanes::width) {
      typename Lanes::type block[Lanes::width];
      for (size_t i = 0; i < Lanes::width; ++i) block[i] = Lanes::load(from[i] + d);
      Lanes::transpose(block);
      for (size_t i = 0; i < Lanes::width; ++i) {
        const auto difference = Lanes::sub(Lanes::set1(row[d + i]), block[i]);
        sum = Lanes::fmadd(difference, difference, sum);
      }
    }
    float sums[Lanes::width];
    Lanes::store(sums, sum);
    for (; d < dim; ++d) {
      for (size_t i = 0; i < chains; ++i) {
        const float difference = row[d] - from[i][d];
        sums[i] = __builtin_fmaf(difference, difference, sums[i]);
      }
    }
    for (size_t i = 0; i < chains; ++i) out[first + i] = sums[i];
  }
}

void add_difference(const float* from, const float* plus, const float* minus, size_t count, float* to) {
  for (size_t i = 0; i < count; i += Lanes::width) {
    const auto difference = Lanes::sub(Lanes::load(plus + i), Lanes::load(minus + i));
    Lanes::store(to + i, Lanes::add(Lanes::load(from + i), difference));
  }
}

float lowest_moved(const float* from, const float* const* minus, size_t terms, size_t count, float* to) {
  auto lowest = Lanes::set1(__builtin_inff());
  for (size_t i = 0; i < count; i += Lanes::width) {
    auto moved = Lanes::load(from + i);
    for (size_t term = 0; term < terms; ++term) moved = Lanes::sub(moved, Lanes::load(minus[term] + i));
    Lanes::store(to + i, moved);
    lowest = Lanes::min(moved, lowest);
  }
  return Lanes::least(lowest);
}

void least_differences(const float* from, const float* const* rows, size_t n_rows, size_t count, float* out) {
  for (size_t row = 0; row < n_rows; ++row) {
    auto lowest = Lanes::set1(__builtin_inff());
    for (size_t i = 0; i < count; i += Lanes::width) {
      lowest = Lanes::min(Lanes::sub(Lanes::load(from + i), Lanes::load(rows[row] + i)), lowest);
    }
    out[row] = Lanes::least(lowest);
  }
}

bool load(const float* from, size_t dim, float largest, float* to) {
  const auto most = Lanes::set1(largest), least = Lanes::set1(-largest);
  uint32_t outside = 0;
  size_t d = 0;
  for (; d + Lanes::width <= dim; d += Lanes::width) {
    const auto value = Lanes::load(from + d);
    Lanes::store(to + d, value);  // a comparison with NaN is false
    outside |= ~(Lanes::bits(Lanes::less_equal(value, most)) & Lanes::bits(Lanes::less_equal(least, value)));
  }
  bool inside = (outside & kAllLanes) == 0;
  for (; d < dim; ++d) {
    to[d] = from[d];
    inside &= from[d] <= largest && from[d] >= -largest;
  }
  return inside;
}

void subtract(float* row, const float* codeword, size_t dim) {
  size_t d = 0;
  for (; d + Lanes::width <= dim; d += Lanes::width) {
    Lanes::store(row + d, Lanes::sub(Lanes::load(row + d), Lanes::load(codeword + d)));
  }
  for (; d < dim; ++d) row[d] -= codeword[d];
}

#include "select_impl.hpp"

constexpr KernelTable kTable{
    kWidth,  nearest,    all_scores,       all_squared_distances, squared_norms, squared_distances,
    least_k, least_open, moved_least_open, add_difference,        lowest_moved,  least_differences,
    at_most, load,       subtract};
