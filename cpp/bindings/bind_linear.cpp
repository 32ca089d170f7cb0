#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>

#include "arrays.hpp"
#include "interrupt.hpp"
#include "puresid/linear.hpp"

namespace puresid::bindings {
namespace {

py::array_t<float> bound_linear(const py::array& vectors, const py::array& weight, const std::optional<py::array>& bias,
                                int threads, const std::optional<std::string>& simd) {
  const MatrixView<const float> rows = matrix<float>(vectors, "vectors"), weights = matrix<float>(weight, "weight");
  std::span<const float> offsets;
  if (bias) {
    check_array<float>(*bias, 1, "bias");
    offsets = {static_cast<const float*>(bias->data()), static_cast<std::size_t>(bias->size())};
  }
  py::array_t<float> out({vectors.shape(0), weight.shape(0)});
  const std::span<float> results(out.mutable_data(), static_cast<std::size_t>(out.size()));
  run_without_gil(threads, simd, py::none(),
                  [&](const Execution& execution) { linear(rows, weights, offsets, results, execution); });
  return out;
}

}  // namespace

void register_linear(py::module_& module) {
  module.def("linear", &bound_linear, py::arg("vectors").noconvert(), py::arg("weight").noconvert(),
             py::arg("bias").noconvert(), py::kw_only(), py::arg("threads"), py::arg("simd"),
             "vectors @ weight.T + bias; a row's bits do not depend on the others.");
}

}  // namespace puresid::bindings
