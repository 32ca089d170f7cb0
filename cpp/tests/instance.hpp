// Instances for the tests and the fuzzer: an input in the twins' form, handed to the core and compared.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "assign.hpp"  // the twin
#include "puresid/assign.hpp"

namespace puresid::testing {

// Codebooks in one piece of memory each, as the core views them.
class FlatCodebooks {
 public:
  explicit FlatCodebooks(const reference::Levels& levels, Space space = {}) : data_(levels.size()) {
    std::vector<MatrixView<const float>> views;
    for (std::size_t level = 0; level < levels.size(); ++level) {
      for (const reference::Vector& codeword : levels[level]) {
        data_[level].insert(data_[level].end(), codeword.begin(), codeword.end());
      }
      const std::size_t dim = levels[level].empty() ? 0 : levels[level][0].size();
      views.emplace_back(data_[level].data(), levels[level].size(), dim);
    }
    codebooks_.emplace(std::move(views), space);
  }
  FlatCodebooks(const FlatCodebooks&) = delete;
  FlatCodebooks& operator=(const FlatCodebooks&) = delete;

  [[nodiscard]] const Codebooks& operator*() const { return *codebooks_; }
  [[nodiscard]] const Codebooks* operator->() const { return &*codebooks_; }

 private:
  std::vector<std::vector<float>> data_;
  std::optional<Codebooks> codebooks_;
};

// Rows in one piece of memory.
template <class T>
struct FlatRows {
  FlatRows(const std::vector<std::vector<T>>& rows, std::size_t columns) : n_rows(rows.size()), n_columns(columns) {
    for (const std::vector<T>& row : rows) data.insert(data.end(), row.begin(), row.end());
  }
  [[nodiscard]] MatrixView<const T> view() const { return {data.data(), n_rows, n_columns}; }
  std::vector<T> data;
  std::size_t n_rows, n_columns;
};

// What the core writes into, in the caller's memory.
struct CoreOutput {
  CoreOutput(std::size_t rows, std::size_t levels, bool suffix)
      : narrow(rows * levels), wide(rows * levels), stages(rows, 99), distortion(rows), counter(suffix ? rows : 0) {}
  std::vector<std::uint16_t> narrow;
  std::vector<std::uint32_t> wide;
  std::vector<std::int8_t> stages;
  std::vector<float> distortion;
  std::vector<std::uint32_t> counter;
  double nearest_distortion = 0;
};

inline AssignOptions core_options(const reference::Input& input) {
  constexpr std::array kMethods = {Method::ecm, Method::rrs, Method::nearest, Method::suffix, Method::beam};
  AssignOptions options;
  options.method = kMethods[static_cast<std::size_t>(input.method)];
  options.tiers = input.tiers;
  options.width = input.width;
  options.complete = input.complete;
  options.priority = input.priority;
  options.max_distortion = input.max_distortion;
  return options;
}

// The core's answer. `wide` chooses the type of the tokens that it writes.
inline reference::Output run_core(const reference::Input& input, const Execution& execution, bool wide = false) {
  const FlatCodebooks codebooks(input.levels, input.space);
  const bool suffix = input.method == reference::Method::suffix;
  const std::size_t rows = input.vectors.size(), levels = codebooks->levels();
  const FlatRows<float> vectors(input.vectors, codebooks->dim());
  const FlatRows<Token> taken(input.taken, levels + (suffix ? 1 : 0));
  AssignOptions options = core_options(input);
  options.taken = taken.view();

  CoreOutput out(rows, levels, suffix);
  const SidArray sids = wide ? SidArray(out.wide.data(), rows, codebooks->layout())
                             : SidArray(out.narrow.data(), rows, codebooks->layout());
  Assignment result{sids, out.stages, out.distortion, out.counter};
  assign(vectors.view(), *codebooks, options, execution, result);

  reference::Output output;
  for (std::size_t at = 0; at < rows * levels; at += levels) {
    output.sids.emplace_back();
    for (std::size_t level = 0; level < levels; ++level) {
      output.sids.back().push_back(wide ? out.wide[at + level] : out.narrow[at + level]);
    }
  }
  output.stages.assign(out.stages.begin(), out.stages.end());
  output.distortion = out.distortion;
  output.counter.assign(out.counter.begin(), out.counter.end());
  return output;
}

inline std::string text(const reference::Sid& sid) {
  std::string result = "(";
  for (const Token token : sid) result += (result.size() > 1 ? ", " : "") + std::to_string(token);
  return result + ")";
}

// Where two answers first differ, to the bit; empty where they do not.
inline std::string difference(const reference::Output& expected, const reference::Output& actual) {
  for (std::size_t row = 0; row < expected.sids.size(); ++row) {
    const std::string place = "row " + std::to_string(row) + ": ";
    if (expected.sids[row] != actual.sids[row] || expected.stages[row] != actual.stages[row]) {
      return place + text(expected.sids[row]) + " at stage " + std::to_string(expected.stages[row]) +
             " expected, the core gave " + text(actual.sids[row]) + " at stage " + std::to_string(actual.stages[row]);
    }
    if (std::bit_cast<std::uint32_t>(expected.distortion[row]) !=
        std::bit_cast<std::uint32_t>(actual.distortion[row])) {
      return place + "distortion " + std::to_string(expected.distortion[row]) + " expected, the core gave " +
             std::to_string(actual.distortion[row]);
    }
  }
  return expected.counter == actual.counter ? "" : "counters differ";
}

// Whether core and twin agree: "" if so, and where both refuse for want of capacity.
inline std::string disagreement(const reference::Input& input, const Execution& execution, bool wide = false) {
  std::optional<reference::Output> expected, actual;
  try {
    expected = reference::assign(input);
  } catch (const CapacityError&) {
  }
  try {
    actual = run_core(input, execution, wide);
  } catch (const CapacityError&) {
  }
  if (expected.has_value() != actual.has_value()) {
    return expected ? "the core found no room" : "the core found room where there is none";
  }
  return expected ? difference(*expected, *actual) : "";
}

// One item's candidates, in order, through the front door: of `count` equal vectors the k-th in priority
// order takes the k-th candidate. The first, everybody's nearest SID, is taken at stage 0.
inline std::vector<reference::Sid> core_candidates(reference::Input input, const reference::Vector& vector,
                                                   std::size_t count, const Execution& execution) {
  input.vectors.assign(count, vector);
  input.complete = false;
  const reference::Output output = run_core(input, execution);
  std::vector<reference::Sid> candidates;
  for (std::size_t row = 0; row < output.sids.size(); ++row) {
    if (output.stages[row] != -1) candidates.push_back(output.sids[row]);
  }
  return candidates;
}

inline std::vector<reference::Sid> core_candidates(const reference::Vector& vector, const reference::Spaced& levels,
                                                   reference::Method method, const reference::Widths& widths,
                                                   const Execution& execution) {
  std::size_t count = 1;
  for (std::size_t level = 0; level < levels.size(); ++level) count *= std::min(widths[level], levels.size(level));
  reference::Input input;
  input.levels = levels.levels;
  input.space = levels.space;
  input.method = method;
  input.tiers = {widths};
  return core_candidates(input, vector, count + 2, execution);  // two too many
}

}  // namespace puresid::testing
