// The arithmetic contract, written out: what a score, a distance and a distortion are, to the bit.
//
// The twins in this folder are the oracle of the tests: plain loops over std::vector, one item after the
// other, sharing nothing with the core but the names in types.hpp.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <vector>

#include "puresid/types.hpp"

namespace puresid::reference {

using Vector = std::vector<float>;
using Codebook = std::vector<Vector>;  // by token
using Levels = std::vector<Codebook>;
using Sid = std::vector<Token>;
using Widths = std::vector<std::size_t>;  // k_l by level

// No search of a tier looks below more prefixes (of all levels but the last) than this.
inline constexpr std::size_t kMostPrefixes = 1024;

inline float squared_norm(const Vector& vector) {
  float sum = 0;
  for (const float value : vector) sum = std::fma(value, value, sum);
  return sum;
}

inline Vector subtract(Vector residual, const Vector& codeword) {
  for (std::size_t d = 0; d < residual.size(); ++d) residual[d] -= codeword[d];
  return residual;
}

// What tokens are ranked by: half the squared distance, less the term that all codewords share.
inline float score(const Vector& residual, const Vector& codeword) {
  float sum = 0.5F * squared_norm(codeword);
  for (std::size_t d = 0; d < residual.size(); ++d) sum = std::fma(-residual[d], codeword[d], sum);
  return sum;
}

inline float squared_distance(const Vector& residual, const Vector& codeword) {
  return squared_norm(subtract(residual, codeword));
}

// The `width` tokens of the least scores, or all where there are fewer; equal scores by token.
inline std::vector<Token> first_ranked(const std::vector<float>& scores, std::size_t width) {
  std::vector<Token> tokens(scores.size());
  std::iota(tokens.begin(), tokens.end(), Token{0});
  std::stable_sort(tokens.begin(), tokens.end(), [&](Token a, Token b) { return scores[a] < scores[b]; });
  tokens.resize(std::min(width, tokens.size()));
  return tokens;
}

// The tokens nearest to a residual.
inline std::vector<Token> nearest_tokens(const Vector& residual, const Codebook& codebook, std::size_t width) {
  std::vector<float> scores;
  for (const Vector& codeword : codebook) scores.push_back(score(residual, codeword));
  return first_ranked(scores, width);
}

// All of them, nearest first.
inline std::vector<Token> ranked(const Vector& residual, const Codebook& codebook) {
  return nearest_tokens(residual, codebook, codebook.size());
}

}  // namespace puresid::reference
