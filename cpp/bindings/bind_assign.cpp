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
  if (name == "beam") return Method::beam;
  if (name == "optimal") return Method::optimal;
  if (name == "nearest") return Method::nearest;
  if (name == "suffix") return Method::suffix;
  throw py::value_error("method is '" + name +
                        "'; it must be one of 'ecm', 'rrs', 'beam', 'optimal', 'nearest', "
                        "'suffix'");
}

Space parse_space(const std::string& kind, const std::string& scaling) {
  Space space;
  if (kind == "tree") {
    space.kind = SpaceKind::tree;
  } else if (kind == "product") {
    space.kind = SpaceKind::product;
  } else if (kind != "residual") {
    throw py::value_error("space is '" + kind + "'; it must be one of 'residual', 'tree', 'product'");
  }
  if (scaling == "compared") {
    space.scaling = Scaling::compared;
  } else if (scaling == "kept") {
    space.scaling = Scaling::kept;
  } else if (scaling != "none") {
    throw py::value_error("scaling is '" + scaling + "'; it must be one of 'none', 'compared', 'kept'");
  }
  return space;
}

template <class T>
std::span<T> span_of(py::array_t<T>& array) {
  return {array.mutable_data(), static_cast<std::size_t>(array.size())};
}

// Items' vectors: a C-ordered float32 or float16 matrix.
Vectors vectors_of(const py::array& array) {
  if (array.dtype().kind() != 'f' || array.itemsize() != sizeof(Half)) return matrix<float>(array, "vectors");
  if (!array.dtype().equal(py::dtype("e"))) throw py::type_error("vectors has float16 of another byte order");
  check_layout(array, 2, "vectors");
  return MatrixView<const Half>(static_cast<const Half*>(array.data()), static_cast<std::size_t>(array.shape(0)),
                                static_cast<std::size_t>(array.shape(1)));
}

bool needs_wide_tokens(const Codebooks& codebooks) {
  for (std::size_t level = 0; level < codebooks.levels(); ++level) {
    if (codebooks.size(level) > 65'536) return true;
  }
  return false;
}

// Assigner with the arrays that it reads and writes.
class BoundAssigner {
 public:
  BoundAssigner(py::ssize_t rows, std::vector<py::array> codebooks, const std::string& space,
                const std::string& scaling, const std::string& method,
                std::optional<std::vector<std::vector<std::size_t>>> tiers, std::size_t width, double gap,
                bool search_all, bool complete, std::optional<py::array> priority, std::optional<py::array> weights,
                std::optional<py::array> taken, double max_distortion, int threads, std::optional<std::string> simd,
                py::object progress)
      : arrays_(std::move(codebooks)),
        books_(matrices(arrays_), parse_space(space, scaling)),
        priority_(std::move(priority)),
        weights_(std::move(weights)),
        taken_(std::move(taken)),
        threads_(threads),
        simd_(std::move(simd)),
        progress_(std::move(progress)),
        wide_(needs_wide_tokens(books_)),
        narrow_sids_({wide_ ? 0 : rows, static_cast<py::ssize_t>(books_.levels())}),
        wide_sids_({wide_ ? rows : 0, static_cast<py::ssize_t>(books_.levels())}),
        stages_(rows),
        distortion_(rows),
        counter_(method == "suffix" ? rows : 0),
        result_{wide_ ? SidArray(wide_sids_.mutable_data(), static_cast<std::size_t>(rows), books_.layout())
                      : SidArray(narrow_sids_.mutable_data(), static_cast<std::size_t>(rows), books_.layout()),
                span_of(stages_), span_of(distortion_), span_of(counter_)} {
    options_.method = parse_method(method);
    options_.tiers = tiers ? std::move(*tiers) : default_tiers(books_.levels());
    options_.width = width;
    options_.gap = gap;
    options_.search_all = search_all;
    options_.complete = complete;
    options_.max_distortion = max_distortion;
    if (priority_) {
      check_array<double>(*priority_, 1, "priority");
      options_.priority = {static_cast<const double*>(priority_->data()), static_cast<std::size_t>(priority_->size())};
    }
    if (weights_) {
      check_array<double>(*weights_, 1, "weights");
      options_.weights = {static_cast<const double*>(weights_->data()), static_cast<std::size_t>(weights_->size())};
    }
    if (taken_) options_.taken = matrix<Token>(*taken_, "taken");
    run([&](const Execution& execution) {
      assigner_.emplace(static_cast<std::size_t>(rows), books_, options_, execution, result_);
    });
  }

  void add(const py::array& piece) {
    const Vectors vectors = vectors_of(piece);
    run([&](const Execution& execution) { assigner_->add(vectors, execution); });
  }

  py::tuple resolve(const py::array& given, bool conflicts) {
    const Vectors vectors = vectors_of(given);
    run([&](const Execution& execution) {
      assigner_->resolve(vectors, conflicts ? Assigner::Given::conflicts : Assigner::Given::all, execution);
    });
    const py::array sids = wide_ ? py::array(wide_sids_) : py::array(narrow_sids_);
    return py::make_tuple(sids, stages_, distortion_, counter_, result_.nearest_distortion, result_.bound_over_lists,
                          result_.bound_over_all);
  }

  [[nodiscard]] std::size_t n_taken() const noexcept { return assigner_->n_taken(); }
  // A view that changes as the work goes on.
  [[nodiscard]] py::array_t<std::int8_t> stages() const { return stages_; }

 private:
  template <class Call>
  void run(Call&& call) {
    run_without_gil(threads_, simd_, progress_, std::forward<Call>(call));
  }

  std::vector<py::array> arrays_;
  Codebooks books_;
  std::optional<py::array> priority_, weights_, taken_;
  int threads_;
  std::optional<std::string> simd_;
  py::object progress_;
  bool wide_;
  py::array_t<std::uint16_t> narrow_sids_;
  py::array_t<std::uint32_t> wide_sids_;
  py::array_t<std::int8_t> stages_;
  py::array_t<float> distortion_;
  py::array_t<std::uint32_t> counter_;
  AssignOptions options_;
  Assignment result_;
  std::optional<Assigner> assigner_;
};

}  // namespace

void register_assign(py::module_& module) {
  py::class_<BoundAssigner>(module, "Assigner", "assign() in steps: add() every piece of the vectors, then resolve()")
      .def(py::init<py::ssize_t, std::vector<py::array>, const std::string&, const std::string&, const std::string&,
                    std::optional<std::vector<std::vector<std::size_t>>>, std::size_t, double, bool, bool,
                    std::optional<py::array>, std::optional<py::array>, std::optional<py::array>, double, int,
                    std::optional<std::string>, py::object>(),
           py::arg("rows"), py::arg("codebooks").noconvert(), py::kw_only(), py::arg("space"), py::arg("scaling"),
           py::arg("method"), py::arg("tiers"), py::arg("width"), py::arg("gap"), py::arg("search_all"),
           py::arg("complete"), py::arg("priority").noconvert(), py::arg("weights").noconvert(),
           py::arg("taken").noconvert(), py::arg("max_distortion"), py::arg("threads"), py::arg("simd"),
           py::arg("progress"))
      .def("add", &BoundAssigner::add, py::arg("vectors").noconvert())
      .def("resolve", &BoundAssigner::resolve, py::arg("vectors").noconvert(), py::arg("conflicts"),
           "(sids, stages, distortion, counter, sum of the nearest SIDs' distortion, bound over the SIDs listed, over "
           "all)")
      .def_property_readonly("n_taken", &BoundAssigner::n_taken, "Different SIDs among those taken.")
      .def_property_readonly("stages", &BoundAssigner::stages);
  module.def(
      "check_codebooks",
      [](const std::vector<py::array>& codebooks, const std::string& space, const std::string& scaling) {
        static_cast<void>(Codebooks(matrices(codebooks), parse_space(space, scaling)));
      },
      py::arg("codebooks").noconvert(), py::kw_only(), py::arg("space"), py::arg("scaling"),
      "Raises ValueError for codebooks that assign() would refuse.");
  module.def("default_tiers", &default_tiers, py::arg("levels"));
}

}  // namespace puresid::bindings
