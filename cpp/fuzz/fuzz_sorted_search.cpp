// Columns that a damaged file may hold, sorted or not: intervals lie inside, and are right where values ascend.
#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "bytes.hpp"
#include "puresid/sorted_search.hpp"

namespace {

using puresid::fuzz::Bytes;
using puresid::fuzz::require;

std::vector<std::uint64_t> numbers(Bytes& bytes, std::size_t count) {
  std::vector<std::uint64_t> result(count);
  for (std::uint64_t& value : result) value = bytes.number();
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes bytes(data, size);
  const bool sort = bytes.flag();
  std::vector<std::uint64_t> values = numbers(bytes, bytes.between(0, 70));
  if (sort) std::sort(values.begin(), values.end());
  const std::size_t queries = bytes.between(0, 40), others = bytes.byte() < 250 ? queries : bytes.between(0, 40);
  const std::vector<std::uint64_t> low = numbers(bytes, queries);
  const std::vector<std::uint64_t> high = bytes.flag() && others == queries ? low : numbers(bytes, others);
  std::vector<std::int64_t> first(queries), last(queries);
  puresid::Execution execution;
  execution.threads = bytes.byte() % 32 == 0 ? 3 : 1;
  try {
    puresid::find_intervals(values, low, high, first, last, execution);
  } catch (const std::invalid_argument&) {
    require(others != queries, "only columns of different sizes are refused");
    return 0;
  }
  for (std::size_t i = 0; i < queries; ++i) {
    require(0 <= first[i] && first[i] <= last[i], "an interval does not end before it begins");
    require(last[i] <= static_cast<std::int64_t>(values.size()), "an interval lies in the column");
    if (!std::is_sorted(values.begin(), values.end())) continue;
    const auto begin = std::lower_bound(values.begin(), values.end(), low[i]) - values.begin();
    const auto end = std::upper_bound(values.begin(), values.end(), high[i]) - values.begin();
    require(first[i] == begin && last[i] == std::max(begin, end), "the interval of a sorted column");
  }
  return 0;
}
