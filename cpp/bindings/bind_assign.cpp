#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <vector>

#include "arrays.hpp"
#include "interrupt.hpp"
#include "puresid/assign.hpp"

namespace puresid::bindings {
namespace {

Method parse_method(const std::string& name) {
  if (name == "ecm") return Method::ecm;
  if (name == "rrs") return Method::rrs;
  if (name == "nearest") return Method::nearest;
  if (name == "suffix") return Method::suffix;
  throw py::value_error("method is '" + name + "'; it must be one of 'ecm', 'rrs', 'nearest', 'suffix'");
}

template <class T>
std::span<T> span_of(py::array_t<T>& array) {
  return {array.mutable_data(), static_cast<std::size_t>(array.size())};
}

bool needs_wide_tokens(const Codebooks& codebooks) {
  for (std::size_t level = 0; level < codebooks.levels(); ++level) {
    if (codebooks.size(level) > 65'536) return true;
  }
  return false;
}

template <class T>
py::tuple run(MatrixView<const float> vectors, const Codebooks& codebooks, const AssignOptions& options, int threads,
              const std::optional<std::string>& simd, const py::object& progress) {
  const auto rows = static_cast<py::ssize_t>(vectors.rows());
  py::array_t<T> sids({rows, static_cast<py::ssize_t>(codebooks.levels())});
  py::array_t<std::int8_t> stages(rows);
  py::array_t<float> distortion(rows);
  py::array_t<std::uint32_t> counter(options.method == Method::suffix ? rows : 0);
  Assignment result{SidArray(sids.mutable_data(), vectors.rows(), codebooks.layout()), span_of(stages),
                    span_of(distortion), span_of(counter)};
  run_without_gil(threads, simd, progress,
                  [&](const Execution& execution) { assign(vectors, codebooks, options, execution, result); });
  return py::make_tuple(sids, stages, distortion, counter, result.nearest_distortion);
}

py::tuple bound_assign(const py::array& vectors, const std::vector<py::array>& codebooks, const std::string& method,
                       std::optional<std::vector<std::vector<std::size_t>>> tiers, bool complete,
                       const std::optional<py::array>& priority, const std::optional<py::array>& taken,
                       double max_distortion, int threads, const std::optional<std::string>& simd,
                       const py::object& progress) {
  const MatrixView<const float> rows = matrix<float>(vectors, "vectors");
  const Codebooks books(matrices(codebooks));
  AssignOptions options;
  options.method = parse_method(method);
  options.tiers = tiers ? std::move(*tiers) : default_tiers(books.levels());
  options.complete = complete;
  options.max_distortion = max_distortion;
  if (priority) {
    check_array<double>(*priority, 1, "priority");
    options.priority = {static_cast<const double*>(priority->data()), static_cast<std::size_t>(priority->size())};
    if (options.priority.size() != rows.rows()) {
      throw py::value_error("priority has " + std::to_string(priority->size()) + " values; vectors has " +
                            std::to_string(rows.rows()) + " rows");
    }
  }
  if (taken) options.taken = matrix<Token>(*taken, "taken");
  return needs_wide_tokens(books) ? run<std::uint32_t>(rows, books, options, threads, simd, progress)
                                  : run<std::uint16_t>(rows, books, options, threads, simd, progress);
}

}  // namespace

void register_assign(py::module_& module) {
  module.def("assign", &bound_assign, py::arg("vectors").noconvert(), py::arg("codebooks").noconvert(), py::kw_only(),
             py::arg("method"), py::arg("tiers"), py::arg("complete"), py::arg("priority").noconvert(),
             py::arg("taken").noconvert(), py::arg("max_distortion"), py::arg("threads"), py::arg("simd"),
             py::arg("progress"), "(sids, stages, distortion, counter, sum of the nearest SIDs' distortion)");
  module.def(
      "check_codebooks",
      [](const std::vector<py::array>& codebooks) { static_cast<void>(Codebooks(matrices(codebooks))); },
      py::arg("codebooks").noconvert(), "Raises ValueError for codebooks that assign() would refuse.");
  module.def("default_tiers", &default_tiers, py::arg("levels"));
}

}  // namespace puresid::bindings
