#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "puresid/execution.hpp"
#include "puresid/parallel.hpp"

namespace puresid::bindings {

namespace py = pybind11;

void register_config(py::module_& module) {
  module.def("build_config", [] {
    std::vector<std::string> simd;
    for (const Simd each : available_simd()) simd.emplace_back(simd_name(each));
    py::dict config;
    config["version"] = PURESID_VERSION;
    config["compiler"] = PURESID_COMPILER;
    config["build_type"] = PURESID_BUILD_TYPE;
    config["parallel"] = std::string(kParallelBackEnd);
    config["simd_available"] = simd;
    config["simd_default"] = std::string(simd_name(best_simd()));
    return config;
  });
  module.def("release_threads", &release_threads, "Give back the idle threads of the parallel runtime; for fork().");
}

}  // namespace puresid::bindings
