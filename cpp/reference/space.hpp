// How a vector goes down the levels of a space, one residual after the other.
#pragma once

#include "score.hpp"

namespace puresid::reference {

// Codebooks and how they make a vector. Of a tree, levels[l] holds the children of each prefix together.
struct Spaced {
  Spaced(const Levels& levels_, Space space_ = {}) : levels(levels_), space(space_) {}  // NOLINT: converts on purpose
  Spaced(Levels&&, Space = {}) = delete;                                                // would be gone
  const Levels& levels;
  Space space;

  [[nodiscard]] std::size_t size() const { return levels.size(); }
  [[nodiscard]] std::size_t size(std::size_t level) const {
    const bool tree = space.kind == SpaceKind::tree && level > 0;
    return tree ? levels[level].size() / levels[level - 1].size() : levels[level].size();
  }
  [[nodiscard]] std::size_t dim() const {
    if (space.kind != SpaceKind::product) return levels[0][0].size();
    std::size_t dim = 0;
    for (const Codebook& codebook : levels) dim += codebook[0].size();
    return dim;
  }

  // The codewords of the level after those of `path`.
  [[nodiscard]] Codebook below(const Sid& path) const {
    const std::size_t level = path.size();
    if (space.kind != SpaceKind::tree) return levels[level];
    std::size_t first = 0;
    for (std::size_t before = 0; before < level; ++before) first = (first + path[before]) * size(before + 1);
    const auto begin = levels[level].begin() + static_cast<std::ptrdiff_t>(first);
    return {begin, begin + static_cast<std::ptrdiff_t>(size(level))};
  }

  // What a level compares.
  [[nodiscard]] Vector seen(const Vector& residual, std::size_t level) const {
    if (space.kind == SpaceKind::product) {
      std::size_t first = 0;
      for (std::size_t before = 0; before < level; ++before) first += levels[before][0].size();
      const auto begin = residual.begin() + static_cast<std::ptrdiff_t>(first);
      return {begin, begin + static_cast<std::ptrdiff_t>(levels[level][0].size())};
    }
    if (space.scaling == Scaling::none) return residual;
    Vector unit = residual;
    for (float& value : unit) value /= length(residual);
    return unit;
  }
  [[nodiscard]] static float length(const Vector& residual) {
    return std::max(std::sqrt(squared_norm(residual)), 1e-12F);
  }

  // What is left once the last token of `path` has been taken.
  [[nodiscard]] Vector left(const Vector& residual, const Sid& path) const {
    const std::size_t level = path.size() - 1;
    const Vector codeword = below(Sid(path.begin(), path.end() - 1))[path[level]];
    if (space.kind == SpaceKind::tree && level + 1 < size()) return residual;
    if (space.kind == SpaceKind::residual) {
      return subtract(space.scaling == Scaling::kept ? seen(residual, level) : residual, codeword);
    }
    Vector rest = residual;
    std::size_t first = 0;
    for (std::size_t before = 0; space.kind == SpaceKind::product && before < level; ++before) {
      first += levels[before][0].size();
    }
    for (std::size_t d = 0; d < codeword.size(); ++d) rest[first + d] -= codeword[d];
    return rest;
  }
};

// What is left of a vector before the level after `path`.
inline Vector residual_after(Vector residual, const Spaced& levels, const Sid& path) {
  for (std::size_t depth = 1; depth <= path.size(); ++depth) {
    residual = levels.left(residual, Sid(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(depth)));
  }
  return residual;
}

// Squared distance between a vector and what a SID stands for; residuals scaled for good are scaled back.
inline float distortion(const Vector& vector, const Spaced& levels, const Sid& sid) {
  float scale = 1;
  for (std::size_t level = 0; level < sid.size() && levels.space.scaling == Scaling::kept; ++level) {
    const Sid path(sid.begin(), sid.begin() + static_cast<std::ptrdiff_t>(level));
    scale *= Spaced::length(residual_after(vector, levels, path));
  }
  const float squared = squared_norm(residual_after(vector, levels, sid));
  return levels.space.scaling == Scaling::kept ? squared * (scale * scale) : squared;
}

}  // namespace puresid::reference
