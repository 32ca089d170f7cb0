#include "puresid/sorted_search.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <stdexcept>

#include "puresid/parallel.hpp"
#include "puresid/prefetch.hpp"

namespace puresid {
namespace {

constexpr std::size_t kAbreast = 16;

// Where each of up to kAbreast bounds would go, before its equals. All take the same steps, so that the processor
// fetches the values of one while it waits for those of another.
void lower_bounds(std::span<const std::uint64_t> values, std::span<const std::uint64_t> bounds, std::int64_t* out) {
  std::array<std::size_t, kAbreast> base{};
  std::size_t left = values.size();
  while (left > 1) {
    const std::size_t half = left / 2;
    for (std::size_t i = 0; i < bounds.size(); ++i) {
      base[i] += values[base[i] + half - 1] < bounds[i] ? half : 0;
      prefetch_line(values.data() + base[i] + (left - half) / 2);
    }
    left -= half;
  }
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    const bool beyond = left == 1 && values[base[i]] < bounds[i];
    out[i] = static_cast<std::int64_t>(base[i] + (beyond ? 1 : 0));
  }
}

// The first place from `first` on whose value is above `high`, by strides that double: most intervals are short.
std::size_t end_from(std::span<const std::uint64_t> values, std::size_t first, std::uint64_t high) {
  std::size_t inside = first, stride = 1;  // all before `inside` are in the interval
  while (inside < values.size() && stride <= values.size() - inside && values[inside + stride - 1] <= high) {
    inside += stride;
    stride *= 2;
  }
  const auto begin = values.begin() + static_cast<std::ptrdiff_t>(inside);
  const auto end = begin + static_cast<std::ptrdiff_t>(std::min(stride, values.size() - inside));
  return static_cast<std::size_t>(std::upper_bound(begin, end, high) - values.begin());
}

}  // namespace

void find_intervals(std::span<const std::uint64_t> values, std::span<const std::uint64_t> low,
                    std::span<const std::uint64_t> high, std::span<std::int64_t> first, std::span<std::int64_t> last,
                    const Execution& execution) {
  const std::size_t queries = low.size();
  if (high.size() != queries || first.size() != queries || last.size() != queries) {
    throw std::invalid_argument("low, high, first and last have different sizes");
  }
  constexpr std::size_t kChunk = 256 * kAbreast;
  parallel_for(execution, "look-ups", (queries + kChunk - 1) / kChunk, queries, [&](std::size_t chunk, Worker& worker) {
    const std::size_t begin = chunk * kChunk, end = std::min(queries, begin + kChunk);
    for (std::size_t at = begin; at < end; at += kAbreast) {
      const std::size_t count = std::min(kAbreast, end - at);
      lower_bounds(values, low.subspan(at, count), first.data() + at);
      for (std::size_t i = at; i < at + count; ++i) {
        last[i] = static_cast<std::int64_t>(end_from(values, static_cast<std::size_t>(first[i]), high[i]));
      }
    }
    worker.advance(end - begin);
  });
}

}  // namespace puresid
