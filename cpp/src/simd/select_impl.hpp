// Selection among stored scores; part of kernels_impl.hpp, which includes it.

// How many of `count` scores each of the vector `here` exceeds. Those from `count` to the next multiple of
// kStep must be +inf.
inline typename Lanes::index_type count_lesser(const float* scores, size_t count, typename Lanes::type here) {
  constexpr size_t kStep = 8;  // few different numbers of rounds: their end can be foreseen
  auto lesser = Lanes::set1_index(0);
  for (size_t first = 0; first < count; first += kStep) {
    for (size_t i = first; i < first + kStep; ++i) {
      lesser = Lanes::count(lesser, Lanes::less(Lanes::set1(scores[i]), here));
    }
  }
  return lesser;
}

// A bound that at least k and at most a few more than k of the scores do not exceed, where they are not
// full of ties: the scores fall into kGroups groups, and k of these have a least score up to the bound.
template <size_t kGroups>
inline float bound_of_k(const float* scores, size_t size, size_t k) {
  constexpr size_t kSets = kGroups / Lanes::width;
  typename Lanes::type least[kSets];
  for (size_t g = 0; g < kSets; ++g) least[g] = Lanes::load(scores + g * Lanes::width);
  const size_t whole = size / kGroups * kGroups;  // what lies beyond is not needed for a bound
  for (size_t at = kGroups; at < whole; at += kGroups) {
    for (size_t g = 0; g < kSets; ++g) least[g] = Lanes::min(Lanes::load(scores + at + g * Lanes::width), least[g]);
  }
  float all[kGroups];
  for (size_t g = 0; g < kSets; ++g) Lanes::store(all + g * Lanes::width, least[g]);
  const auto zero = Lanes::set1(0.0F), infinity = Lanes::set1(__builtin_inff());
  auto highest = infinity;  // less than zero: the greatest of those that fewer than k are below
  for (const auto& set : least) {
    const auto among = Lanes::below(count_lesser(all, kGroups, set), static_cast<uint32_t>(k));
    highest = Lanes::min(Lanes::select(among, Lanes::sub(zero, set), infinity), highest);
  }
  return -Lanes::least(highest);
}

inline float bound_of_k(const float* scores, size_t size, size_t k) {
  constexpr size_t kFew = 16, kMore = 32, kMany = 64;
  if (k <= kFew / 2 && size >= 2 * kFew) return bound_of_k<kFew>(scores, size, k);
  if (k <= kMore * 2 / 3 && size >= 2 * kMore) return bound_of_k<kMore>(scores, size, k);
  return size >= 2 * kMany ? bound_of_k<kMany>(scores, size, k) : __builtin_inff();
}

// Inserts into a list of k that is sorted by score; tokens come in increasing order.
inline void insert(float* kept, uint32_t* tokens, size_t k, float score, uint32_t token) {
  size_t at = k - 1;
  for (; at > 0 && score < kept[at - 1]; --at) {
    kept[at] = kept[at - 1];
    tokens[at] = tokens[at - 1];
  }
  kept[at] = score;
  tokens[at] = token;
}

// Writes the k least of up to 2 * kMostLeast scores in token order, each to the place that the number of
// lesser ones gives it. A few more scores must be +inf.
inline void rank_and_place(const float* scores, const uint32_t* found_tokens, size_t count, size_t k, uint32_t* out) {
  uint32_t ranks[2 * kMostLeast + Lanes::width], placed[2 * kMostLeast];
  for (size_t at = 0; at < count; at += Lanes::width) {
    Lanes::store_index(ranks + at, count_lesser(scores, count, Lanes::load(scores + at)));
  }
  uint64_t taken = 0;
  for (size_t i = 0; i < count; ++i) {
    while ((taken >> ranks[i] & 1) != 0) ++ranks[i];  // an equal one before it has the place
    taken |= uint64_t{1} << ranks[i];
    placed[ranks[i]] = found_tokens[i];  // beyond k too: a guess which would often be wrong
  }
  for (size_t rank = 0; rank < k; ++rank) out[rank] = placed[rank];
}

// Writes the lanes whose bits are set, and their numbers, one after the other; how many. A whole
// vector of each may be written.
template <class L = Lanes>
inline size_t pack(uint32_t lanes, typename L::type scores, typename L::index_type numbers, float* to,
                   uint32_t* to_numbers) {
  if constexpr (L::compresses) {
    return L::pack(lanes, scores, numbers, to, to_numbers);
  } else {
    float all[L::width];
    uint32_t all_numbers[L::width];
    L::store(all, scores);
    L::store_index(all_numbers, numbers);
    size_t count = 0;
    for (; lanes != 0; lanes &= lanes - 1, ++count) {
      const auto lane = static_cast<uint32_t>(__builtin_ctz(lanes));
      to[count] = all[lane];
      to_numbers[count] = all_numbers[lane];
    }
    return count;
  }
}

void least_k(const float* scores, size_t size, size_t k, uint32_t* tokens) {
  constexpr size_t kRoom = 2 * kMostLeast;
  const size_t padded = (size + kWidth - 1) / kWidth * kWidth;
  const auto bound = Lanes::set1(bound_of_k(scores, size, k));
  constexpr size_t kBeyond = Lanes::width < 8 ? 8 : Lanes::width;
  float found[kRoom + kBeyond];  // whole vectors are written
  uint32_t found_tokens[kRoom + Lanes::width];
  size_t count = 0;
  auto numbers = Lanes::first_numbers();
  for (size_t at = 0; at < padded; at += Lanes::width, numbers = Lanes::next_numbers(numbers)) {
    uint32_t lanes = Lanes::bits(Lanes::less_equal(Lanes::load(scores + at), bound));
    if (at + Lanes::width > size) lanes &= at < size ? (1U << (size - at)) - 1 : 0;
    if (count + static_cast<size_t>(__builtin_popcount(lanes)) > kRoom) {
      count = kRoom + 1;
      break;
    }
    count += pack(lanes, Lanes::load(scores + at), numbers, found + count, found_tokens + count);
  }
  if (count <= kRoom) {
    for (size_t i = count; i < count + kBeyond; ++i) found[i] = __builtin_inff();
    rank_and_place(found, found_tokens, count, k, tokens);
    return;
  }
  float kept[kMostLeast];  // very many are equal
  for (size_t i = 0; i < k; ++i) kept[i] = __builtin_inff();
  for (size_t token = 0; token < size; ++token) {
    if (scores[token] < kept[k - 1]) insert(kept, tokens, k, scores[token], static_cast<uint32_t>(token));
  }
}

size_t at_most(const float* scores, size_t count, float bound, float* values, uint32_t* tokens) {
  const auto most = Lanes::set1(bound);
  size_t found = 0;
  auto numbers = Lanes::first_numbers();
  for (size_t at = 0; at < count; at += Lanes::width, numbers = Lanes::next_numbers(numbers)) {
    const auto here = Lanes::load(scores + at);
    const uint32_t lanes = Lanes::bits(Lanes::less_equal(here, most));
    if (lanes != 0) found += pack(lanes, here, numbers, values + found, tokens + found);
  }
  return found;
}

inline uint32_t closed_bits(const uint64_t* closed, size_t at) {
  return static_cast<uint32_t>(closed[at / 64] >> at % 64) & kAllLanes;
}

// The least score whose bit is not set, over a row that `score(at)` gives a vector at a time.
template <class ScoreAt>
inline __attribute__((always_inline)) float least_of_open(size_t size, const uint64_t* closed, ScoreAt&& score) {
  const auto infinity = Lanes::set1(__builtin_inff());
  typename Lanes::type least[kVectors];
  for (auto& lanes : least) lanes = infinity;
  for (size_t first = 0; first < size; first += kWidth) {
    for (size_t v = 0; v < kVectors; ++v) {
      const size_t at = first + v * Lanes::width;
      const auto here = score(at);
      least[v] = Lanes::min(Lanes::select(Lanes::mask_of(closed_bits(closed, at)), infinity, here), least[v]);
    }
  }
  for (size_t v = 1; v < kVectors; ++v) least[0] = Lanes::min(least[v], least[0]);
  return Lanes::least(least[0]);
}

// How many scores are below one.
inline size_t count_below(const float* scores, size_t size, typename Lanes::type score) {
  size_t count = 0;
  for (size_t first = 0; first < size; first += kWidth) {
    unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
      const auto here = Lanes::load(scores + first + v.value * Lanes::width);
      count += static_cast<size_t>(__builtin_popcount(Lanes::bits(Lanes::less(here, score))));
    });
  }
  return count;
}

// The first open token of score `lowest`, where fewer than k tokens come before it: those of lesser scores, and equal
// ones that are closed.
inline uint32_t place_of_open(const float* scores, size_t size, const uint64_t* closed, float lowest, size_t k) {
  const auto score = Lanes::set1(lowest);
  size_t before = count_below(scores, size, score);
  if (before >= k || !(lowest < __builtin_inff())) return kNoToken;
  size_t at = 0;
  uint32_t equal = 0, open = 0;
  for (; open == 0; at += Lanes::width) {
    before += static_cast<size_t>(__builtin_popcount(equal));
    const auto here = Lanes::load(scores + at);
    equal = Lanes::bits(Lanes::less_equal(here, score)) & ~Lanes::bits(Lanes::less(here, score));
    open = equal & ~closed_bits(closed, at);
  }
  before += static_cast<size_t>(__builtin_popcount(equal & ((open & (0U - open)) - 1)));
  const auto token = static_cast<uint32_t>(at - Lanes::width) + static_cast<uint32_t>(__builtin_ctz(open));
  return before < k ? token : kNoToken;
}

uint32_t least_open(const float* scores, size_t size, const uint64_t* closed, size_t k) {
  const float lowest =
      least_of_open(size, closed, [&](size_t at) __attribute__((always_inline)) { return Lanes::load(scores + at); });
  return place_of_open(scores, size, closed, lowest, k);
}

// The same for a row that is first moved: to = from + (plus - minus).
uint32_t moved_least_open(const float* from, const float* plus, const float* minus, float* to, size_t size,
                          const uint64_t* closed, size_t k) {
  const float lowest = least_of_open(size, closed, [&](size_t at) __attribute__((always_inline)) {
    const auto score = Lanes::add(Lanes::load(from + at), Lanes::sub(Lanes::load(plus + at), Lanes::load(minus + at)));
    Lanes::store(to + at, score);
    return score;
  });
  return place_of_open(to, size, closed, lowest, k);
}
