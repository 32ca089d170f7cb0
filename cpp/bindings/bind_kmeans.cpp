#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "arrays.hpp"
#include "interrupt.hpp"
#include "puresid/kmeans.hpp"

namespace puresid::bindings {
namespace {

py::list bound_train(const py::array& vectors, const std::vector<std::size_t>& sizes, std::size_t n_iter,
                     std::uint64_t seed, bool balanced, const std::optional<std::vector<py::array>>& start, int threads,
                     const std::optional<std::string>& simd, const py::object& progress) {
  const MatrixView<const float> rows = matrix<float>(vectors, "vectors");
  KMeansOptions options{.n_iter = n_iter, .seed = seed, .balanced = balanced};
  if (start) {
    for (std::size_t level = 0; level < start->size(); ++level) {
      options.start.push_back(matrix<float>((*start)[level], "start[" + std::to_string(level) + "]"));
    }
  }
  std::vector<KMeansLevel> levels;
  run_without_gil(threads, simd, progress,
                  [&](const Execution& execution) { levels = train_residual_kmeans(rows, sizes, options, execution); });
  py::list result;
  for (std::size_t level = 0; level < levels.size(); ++level) {
    py::array_t<float> codewords({static_cast<py::ssize_t>(sizes[level]), static_cast<py::ssize_t>(rows.cols())});
    std::copy(levels[level].codewords.begin(), levels[level].codewords.end(), codewords.mutable_data());
    py::array_t<Token> tokens(static_cast<py::ssize_t>(rows.rows()));
    std::copy(levels[level].tokens.begin(), levels[level].tokens.end(), tokens.mutable_data());
    result.append(py::make_tuple(codewords, levels[level].distortion, tokens));
  }
  return result;
}

}  // namespace

void register_kmeans(py::module_& module) {
  module.def("train_residual_kmeans", &bound_train, py::arg("vectors").noconvert(), py::kw_only(), py::arg("sizes"),
             py::arg("n_iter"), py::arg("seed"), py::arg("balanced") = false, py::arg("start") = py::none(),
             py::arg("threads"), py::arg("simd"), py::arg("progress"),
             "Per level: (codewords, mean squared distance before each iteration and at the end, token of each row).");
}

}  // namespace puresid::bindings
