// Random inputs for the tests, a function of the seed alone on every platform.
#pragma once

#include <cmath>
#include <random>

#include "instance.hpp"

namespace puresid::testing {

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::size_t between(std::size_t low, std::size_t high) { return low + engine_() % (high - low + 1); }
  bool one_in(std::size_t n) { return engine_() % n == 0; }
  double unit() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
  // Nearly normal: the sum of twelve, which the standard's distributions do not promise to the bit.
  float gaussian() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += unit();
    return static_cast<float>(sum);
  }

 private:
  std::mt19937_64 engine_;
};

// Where rounding, ties and underflow come from.
enum class Values {
  lattice,  // small integers: exact in float32, full of ties
  gaussian,
  close,      // codewords an ulp or so apart, far from the origin: scores and distances rank them differently
  spread,     // magnitudes from 2^-40 to 2^40
  subnormal,  // most squares are subnormal or 0
};
inline constexpr Values kAllValues[] = {Values::lattice, Values::gaussian, Values::close, Values::spread,
                                        Values::subnormal};

inline float random_value(Random& random, Values values) {
  switch (values) {
    case Values::lattice: return static_cast<float>(random.between(0, 6)) - 3.0F;
    case Values::gaussian: return random.gaussian();
    case Values::close: return 100.0F + 0x1p-17F * static_cast<float>(random.between(0, 3));
    case Values::spread: return std::ldexp(random.gaussian(), static_cast<int>(random.between(0, 80)) - 40);
    case Values::subnormal: return random.gaussian() * 1e-21F;
  }
  return 0;
}

inline std::vector<reference::Vector> random_vectors(Random& random, Values values, std::size_t rows, std::size_t dim) {
  std::vector<reference::Vector> vectors(rows, reference::Vector(dim));
  for (reference::Vector& vector : vectors) {
    for (float& value : vector) value = random_value(random, values);
  }
  return vectors;
}

inline reference::Sid random_sid(Random& random, const reference::Spaced& levels) {
  reference::Sid sid;
  for (std::size_t level = 0; level < levels.size(); ++level) {
    sid.push_back(static_cast<Token>(random.between(0, levels.size(level) - 1)));
  }
  return sid;
}

inline std::vector<reference::Widths> random_tiers(Random& random, std::size_t levels, std::size_t widest) {
  std::vector<reference::Widths> tiers(random.between(0, 3), reference::Widths(levels));
  for (reference::Widths& widths : tiers) {
    for (std::size_t& width : widths) width = random.between(1, widest);
  }
  return tiers;
}

struct Shape {
  std::size_t levels, largest_codebook, dim, rows, distinct;  // `distinct`: how many different vectors at most
  Space space = {};  // of a product space every level has `dim` columns or fewer
};

// Codebooks of a space.
inline reference::Levels random_levels(Random& random, Values values, const Shape& shape) {
  reference::Levels levels;
  std::size_t nodes = 1;
  for (std::size_t level = 0; level < shape.levels; ++level) {
    const std::size_t size = random.between(1, shape.largest_codebook);
    const bool product = shape.space.kind == SpaceKind::product;
    const std::size_t columns = product ? random.between(1, shape.dim) : shape.dim;
    if (shape.space.kind == SpaceKind::tree) nodes *= size;
    levels.push_back(random_vectors(random, values, shape.space.kind == SpaceKind::tree ? nodes : size, columns));
  }
  return levels;
}

// Everything that assign() can be asked, at a given shape.
inline reference::Input random_input(Random& random, Values values, const Shape& shape) {
  reference::Input input;
  input.space = shape.space;
  input.levels = random_levels(random, values, shape);
  const reference::Spaced levels = reference::spaced(input);
  const std::vector<reference::Vector> pool = random_vectors(random, values, shape.distinct, levels.dim());
  for (std::size_t row = 0; row < shape.rows; ++row) {
    input.vectors.push_back(pool[random.between(0, pool.size() - 1)]);
  }
  input.method = random.one_in(2) ? reference::Method::ecm : reference::Method::rrs;
  if (random.one_in(8)) input.method = random.one_in(2) ? reference::Method::nearest : reference::Method::suffix;
  if (shape.space.scaling == Scaling::none && random.one_in(3)) input.method = reference::Method::beam;
  input.width = random.one_in(4) ? 64 : random.between(1, 9);
  input.tiers = random_tiers(random, shape.levels, shape.largest_codebook + 1);
  input.complete = !random.one_in(4);
  if (random.one_in(3)) {
    for (std::size_t row = 0; row < shape.rows; ++row) {
      input.priority.push_back(random.one_in(9) ? INFINITY : static_cast<double>(random.between(0, 3)) - 1.5);
    }
  }
  if (random.one_in(3)) {
    for (std::size_t i = random.between(1, shape.rows + 1); i > 0; --i) {
      input.taken.push_back(random_sid(random, levels));
      if (input.method == reference::Method::suffix) {
        input.taken.back().push_back(static_cast<Token>(random.between(0, 3)));
      }
    }
  }
  if (random.one_in(4)) {  // a bound that some candidate meets exactly
    input.max_distortion = static_cast<double>(reference::distortion(pool[0], levels, random_sid(random, levels)));
  }
  return input;
}

inline Shape random_shape(Random& random) {
  const std::size_t levels = random.between(1, 4);
  const std::size_t rows = random.between(1, 12);
  return {levels, random.between(1, levels > 2 ? 4 : 7), random.between(1, 4), rows, random.between(1, rows)};
}

// All of a machine's instruction sets and a few thread counts, taken in turn.
inline Execution execution_number(std::size_t number) {
  const std::vector<Simd> simd = available_simd();
  Execution execution;
  execution.simd = simd[number % simd.size()];
  execution.threads = number % 4 == 3 ? static_cast<int>(2 + number / 4 % 3) : 1;
  return execution;
}

}  // namespace puresid::testing
