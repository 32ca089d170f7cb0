#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <vector>

#include "arrays.hpp"
#include "puresid/sid_trie.hpp"

namespace puresid::bindings {
namespace {

template <class T>
py::array_t<T> copy_of(std::span<const T> values) {
  return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

// The nodes of prefixes, one to a row.
std::vector<SidTrie::Node> nodes_of(const SidTrie& trie, const MatrixView<const Token>& prefixes) {
  std::vector<SidTrie::Node> nodes(prefixes.rows());
  for (std::size_t row = 0; row < prefixes.rows(); ++row) nodes[row] = trie.find(prefixes.row(row), prefixes.cols());
  return nodes;
}

std::size_t checked_depth(const SidTrie& trie, const MatrixView<const Token>& prefixes, std::size_t most) {
  if (prefixes.cols() <= most) return prefixes.cols();
  throw py::value_error("prefixes have " + std::to_string(prefixes.cols()) + " tokens; at most " +
                        std::to_string(most) + " are possible in a trie of " + std::to_string(trie.levels()) +
                        " levels");
}

void check_live(const SidTrie& trie, const LeafSet* live) {
  if (live == nullptr || live->leaves() == trie.leaves()) return;
  throw py::value_error("live has " + std::to_string(live->leaves()) + " leaves; the trie has " +
                        std::to_string(trie.leaves()));
}

py::array_t<bool> mask(const SidTrie& trie, const py::array& given, const LeafSet* live) {
  const MatrixView<const Token> prefixes = matrix<Token>(given, "prefixes");
  const std::size_t depth = checked_depth(trie, prefixes, trie.levels() - 1), size = trie.layout().size(depth);
  check_live(trie, live);
  py::array_t<bool> allowed({given.shape(0), static_cast<py::ssize_t>(size)});
  static_assert(sizeof(bool) == 1);
  auto* out = reinterpret_cast<std::uint8_t*>(allowed.mutable_data());
  const py::gil_scoped_release released;
  const std::vector<SidTrie::Node> nodes = nodes_of(trie, prefixes);
  for (std::size_t row = 0; row < nodes.size(); ++row) trie.mask(nodes[row], depth, live, out + row * size);
  return allowed;
}

py::tuple lists(const SidTrie& trie, const py::array& given, const LeafSet* live) {
  const MatrixView<const Token> prefixes = matrix<Token>(given, "prefixes");
  const std::size_t depth = checked_depth(trie, prefixes, trie.levels() - 1);
  check_live(trie, live);
  std::vector<Token> tokens;
  std::vector<std::int64_t> offsets = {0};
  {
    const py::gil_scoped_release released;
    for (const SidTrie::Node node : nodes_of(trie, prefixes)) {
      trie.list(node, depth, live, tokens);
      offsets.push_back(static_cast<std::int64_t>(tokens.size()));
    }
  }
  return py::make_tuple(copy_of<std::int64_t>(offsets), copy_of<Token>(tokens));
}

py::array_t<std::int64_t> find(const SidTrie& trie, const py::array& given) {
  const MatrixView<const Token> prefixes = matrix<Token>(given, "prefixes");
  static_cast<void>(checked_depth(trie, prefixes, trie.levels()));
  py::array_t<std::int64_t> found(given.shape(0));
  std::int64_t* out = found.mutable_data();
  const py::gil_scoped_release released;
  for (const SidTrie::Node node : nodes_of(trie, prefixes)) *out++ = node == SidTrie::kNoNode ? -1 : std::int64_t{node};
  return found;
}

py::array_t<Token> sids(const SidTrie& trie) {
  py::array_t<Token> result({static_cast<py::ssize_t>(trie.leaves()), static_cast<py::ssize_t>(trie.levels())});
  Token* out = result.mutable_data();
  for (const SidKey key : trie.keys()) {
    for (std::size_t level = 0; level < trie.levels(); ++level) *out++ = trie.layout().token(key, level);
  }
  return result;
}

std::size_t add(SidTrie& trie, const py::array& given) {
  const MatrixView<const Token> rows = matrix<Token>(given, "sids");
  const py::gil_scoped_release released;
  return trie.add(rows);
}

std::size_t remove(SidTrie& trie, const py::array& given) {
  const MatrixView<const Token> rows = matrix<Token>(given, "sids");
  const py::gil_scoped_release released;
  return trie.remove(rows);
}

}  // namespace

void register_trie(py::module_& module) {
  py::class_<LeafSet>(module, "LeafSet", "A set of a trie's leaves.")
      .def(py::init([](const py::array& members) {
             check_array<std::uint8_t>(members, 1, "members");
             const auto* data = static_cast<const std::uint8_t*>(members.data());
             return LeafSet({data, static_cast<std::size_t>(members.size())});
           }),
           py::arg("members").noconvert());
  py::class_<SidTrie>(module, "SidTrie", "The SIDs that exist, in compressed rows.")
      .def(py::init([](std::vector<std::size_t> sizes, const py::array& rows) {
             const MatrixView<const Token> tokens = matrix<Token>(rows, "sids");
             const py::gil_scoped_release released;
             return SidTrie(std::move(sizes), tokens);
           }),
           py::arg("sizes"), py::arg("sids").noconvert())
      .def("__len__", &SidTrie::leaves)
      .def("sids", &sids, "All, in lexicographic order.")
      .def("add", &add, py::arg("sids").noconvert(), "How many were not there.")
      .def("remove", &remove, py::arg("sids").noconvert(), "How many were there.")
      .def("find", &find, py::arg("prefixes").noconvert(), "The node of each prefix at its depth; -1 for none.")
      .def("mask", &mask, py::arg("prefixes").noconvert(), py::arg("live").none(true))
      .def("lists", &lists, py::arg("prefixes").noconvert(), py::arg("live").none(true), "(offsets, tokens)")
      .def(
          "tokens", [](const SidTrie& trie, std::size_t depth) { return copy_of(trie.tokens(depth)); },
          py::arg("depth"))
      .def(
          "first_child", [](const SidTrie& trie, std::size_t depth) { return copy_of(trie.first_child(depth)); },
          py::arg("depth"))
      .def(
          "first_leaf", [](const SidTrie& trie, std::size_t depth) { return copy_of(trie.first_leaf(depth)); },
          py::arg("depth"));
}

}  // namespace puresid::bindings
