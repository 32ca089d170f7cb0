// Table of contents of puresid._core.
#include <pybind11/pybind11.h>

#include "puresid/types.hpp"

namespace py = pybind11;

namespace puresid::bindings {
void register_assign(py::module_& module);
void register_catalog(py::module_& module);
void register_config(py::module_& module);
void register_kmeans(py::module_& module);
void register_linear(py::module_& module);
void register_trie(py::module_& module);
}  // namespace puresid::bindings

PYBIND11_MODULE(_core, module) {
  module.doc() = "The C++ core of puresid. Takes checked arrays only; use the functions of puresid itself.";
  module.attr("__version__") = PURESID_VERSION;
  py::register_exception<puresid::CapacityError>(module, "CapacityError", PyExc_ValueError);
  puresid::bindings::register_config(module);
  puresid::bindings::register_kmeans(module);
  puresid::bindings::register_linear(module);
  puresid::bindings::register_assign(module);
  puresid::bindings::register_trie(module);
  puresid::bindings::register_catalog(module);
}
