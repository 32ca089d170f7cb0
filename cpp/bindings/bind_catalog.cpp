#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>

#include "arrays.hpp"
#include "interrupt.hpp"
#include "puresid/hashing.hpp"
#include "puresid/sorted_search.hpp"
#include "puresid/text_column.hpp"

namespace puresid::bindings {
namespace {

template <class T>
std::span<const T> column(const py::array& array, const std::string& name) {
  check_array<T>(array, 1, name);
  return {static_cast<const T*>(array.data()), static_cast<std::size_t>(array.size())};
}

template <class T>
std::span<T> values_of(py::array_t<T>& array) {
  return {array.mutable_data(), static_cast<std::size_t>(array.size())};
}

TextColumn texts(const py::array& bytes, const py::array& offsets) {
  return {column<std::uint8_t>(bytes, "bytes"), column<std::int64_t>(offsets, "offsets")};
}

template <class Call>
void run(int threads, Call&& call) {
  run_without_gil(threads, std::nullopt, py::none(), call);
}

py::array_t<std::uint64_t> bound_hash_integers(const py::array& values) {
  const auto given = column<std::int64_t>(values, "values");
  py::array_t<std::uint64_t> out(values.size());
  std::uint64_t* to = out.mutable_data();
  const py::gil_scoped_release released;
  for (const std::int64_t value : given) *to++ = hash_integer(value);
  return out;
}

py::array_t<std::uint64_t> bound_hash_texts(const py::array& bytes, const py::array& offsets, int threads) {
  const TextColumn given = texts(bytes, offsets);
  py::array_t<std::uint64_t> out(static_cast<py::ssize_t>(given.size()));
  const auto to = values_of(out);
  run(threads, [&](const Execution& execution) { hash_texts(given, to, execution); });
  return out;
}

py::array_t<bool> bound_equal_texts(const py::array& bytes, const py::array& offsets, const py::array& rows,
                                    const py::array& other_bytes, const py::array& other_offsets,
                                    const py::array& other_rows, int threads) {
  const TextColumn a = texts(bytes, offsets), b = texts(other_bytes, other_offsets);
  const auto a_rows = column<std::int64_t>(rows, "rows"), b_rows = column<std::int64_t>(other_rows, "other_rows");
  py::array_t<bool> out(rows.size());
  static_assert(sizeof(bool) == 1);
  const std::span<std::uint8_t> to(reinterpret_cast<std::uint8_t*>(out.mutable_data()), a_rows.size());
  run(threads, [&](const Execution& execution) { equal_texts(a, a_rows, b, b_rows, to, execution); });
  return out;
}

py::tuple bound_take_texts(const py::array& bytes, const py::array& offsets, const py::array& rows, int threads) {
  const TextColumn given = texts(bytes, offsets);
  const auto wanted = column<std::int64_t>(rows, "rows");
  py::array_t<std::int64_t> out_offsets(rows.size() + 1);
  const auto places = values_of(out_offsets);
  offsets_of(given, wanted, places);
  py::array_t<std::uint8_t> out_bytes(static_cast<py::ssize_t>(places.back()));
  const auto to = values_of(out_bytes);
  run(threads, [&](const Execution& execution) { copy_texts(given, wanted, places, to, execution); });
  return py::make_tuple(out_bytes, out_offsets);
}

py::array_t<std::uint64_t> bound_vector_digests(const py::array& vectors, int threads) {
  const MatrixView<const float> rows = matrix<float>(vectors, "vectors");
  py::array_t<std::uint64_t> out({vectors.shape(0), py::ssize_t{2}});
  static_assert(sizeof(Digest) == 2 * sizeof(std::uint64_t));
  const std::span<Digest> to(reinterpret_cast<Digest*>(out.mutable_data()), rows.rows());
  run(threads, [&](const Execution& execution) { vector_digests(rows, to, execution); });
  return out;
}

py::tuple bound_find_intervals(const py::array& values, const py::array& low, const py::array& high, int threads) {
  const auto given = column<std::uint64_t>(values, "values");
  const auto from = column<std::uint64_t>(low, "low"), to = column<std::uint64_t>(high, "high");
  py::array_t<std::int64_t> first(low.size()), last(low.size());
  const auto firsts = values_of(first), lasts = values_of(last);
  run(threads, [&](const Execution& execution) { find_intervals(given, from, to, firsts, lasts, execution); });
  return py::make_tuple(first, last);
}

}  // namespace

void register_catalog(py::module_& module) {
  module.def("hash_integers", &bound_hash_integers, py::arg("values").noconvert(), "A bijection of 64 bits.");
  module.def("hash_texts", &bound_hash_texts, py::arg("bytes").noconvert(), py::arg("offsets").noconvert(),
             py::kw_only(), py::arg("threads"), "SipHash-2-4 of each text.");
  module.def("equal_texts", &bound_equal_texts, py::arg("bytes").noconvert(), py::arg("offsets").noconvert(),
             py::arg("rows").noconvert(), py::arg("other_bytes").noconvert(), py::arg("other_offsets").noconvert(),
             py::arg("other_rows").noconvert(), py::kw_only(), py::arg("threads"));
  module.def("take_texts", &bound_take_texts, py::arg("bytes").noconvert(), py::arg("offsets").noconvert(),
             py::arg("rows").noconvert(), py::kw_only(), py::arg("threads"), "(bytes, offsets) of these rows.");
  module.def("vector_digests", &bound_vector_digests, py::arg("vectors").noconvert(), py::kw_only(), py::arg("threads"),
             "BLAKE2b with 16 bytes out, of each row's values; -0 counts as 0.");
  module.def("find_intervals", &bound_find_intervals, py::arg("values").noconvert(), py::arg("low").noconvert(),
             py::arg("high").noconvert(), py::kw_only(), py::arg("threads"),
             "(first, last) of the values from low to high, both included.");
}

}  // namespace puresid::bindings
