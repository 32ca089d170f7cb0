// How a long call lets Python live: the GIL is released, and the calling thread comes back for it now
// and then, to run signal handlers (Ctrl-C) and to report progress.
#pragma once

#include <pybind11/pybind11.h>

#include <optional>
#include <string>

#include "puresid/execution.hpp"

namespace puresid::bindings {

namespace py = pybind11;

// Runs call(execution) without the GIL. A Python signal handler's or progress callback's exception
// (KeyboardInterrupt) stops the call and is raised.
template <class Call>
void run_without_gil(int threads, const std::optional<std::string>& simd, const py::object& progress, Call&& call) {
  if (threads < 1) throw py::value_error("threads is " + std::to_string(threads) + "; at least 1 is needed");
  Execution execution;
  execution.threads = threads;
  if (simd) execution.simd = parse_simd(*simd);
  execution.interrupted = [] {
    const py::gil_scoped_acquire acquired;
    return PyErr_CheckSignals() != 0;
  };
  if (!progress.is_none()) {
    execution.progress = [&progress](std::string_view stage, std::size_t done, std::size_t total) {
      const py::gil_scoped_acquire acquired;
      progress(py::str(stage.data(), stage.size()), done, total);
    };
  }
  try {
    const py::gil_scoped_release released;
    call(execution);
  } catch (const Cancelled&) {
    throw py::error_already_set();  // set by the signal handler
  }
}

}  // namespace puresid::bindings
