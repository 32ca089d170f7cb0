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
                     std::uint64_t seed, int threads, const std::optional<std::string>& simd,
                     const py::object& progress) {
  const MatrixView<const float> rows = matrix<float>(vectors, "vectors");
  std::vector<KMeansLevel> levels;
  run_without_gil(threads, simd, progress, [&](const Execution& execution) {
    levels = train_residual_kmeans(rows, sizes, {.n_iter = n_iter, .seed = seed}, execution);
  });
  py::list result;
  for (std::size_t level = 0; level < levels.size(); ++level) {
    py::array_t<float> codewords({static_cast<py::ssize_t>(sizes[level]), static_cast<py::ssize_t>(rows.cols())});
    std::copy(levels[level].codewords.begin(), levels[level].codewords.end(), codewords.mutable_data());
    result.append(py::make_tuple(codewords, levels[level].distortion));
  }
  return result;
}

}  // namespace

void register_kmeans(py::module_& module) {
  module.def("train_residual_kmeans", &bound_train, py::arg("vectors").noconvert(), py::kw_only(), py::arg("sizes"),
             py::arg("n_iter"), py::arg("seed"), py::arg("threads"), py::arg("simd"), py::arg("progress"),
             "Per level: (codewords, mean squared distance before each iteration and at the end).");
}

}  // namespace puresid::bindings
