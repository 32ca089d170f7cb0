#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "puresid/matrix.hpp"

namespace puresid {
namespace {

TEST_CASE("a view reads and writes its owner's rows in C order") {
  std::vector<int> data = {1, 2, 3, 4, 5, 6};
  const MatrixView<int> view(data.data(), 2, 3);
  CHECK(view.rows() == 2);
  CHECK(view.cols() == 3);
  CHECK(view.row(1)[2] == 6);
  view.row(0)[1] = 20;
  CHECK(data[1] == 20);
}

TEST_CASE("a view made of nothing has no rows") {
  const MatrixView<const float> view;
  CHECK(view.rows() == 0);
  CHECK(view.cols() == 0);
  CHECK(view.data() == nullptr);
}

TEST_CASE("a buffer is zeroed, starts at a multiple of 64 bytes and keeps what is written") {
  for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{15}, std::size_t{1000}}) {
    const AlignedBuffer<float> buffer(count);
    CHECK(buffer.size() == count);
    CHECK(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64 == 0);
    for (std::size_t i = 0; i < count; ++i) {
      CHECK(buffer[i] == 0);
      buffer[i] = static_cast<float>(i);
    }
    for (std::size_t i = 0; i < count; ++i) CHECK(buffer.data()[i] == static_cast<float>(i));
  }
}

TEST_CASE("a buffer whose bytes overflow is refused") {
  const volatile std::size_t count = std::numeric_limits<std::size_t>::max() / 4;  // not for the compiler to see
  CHECK_THROWS_AS(AlignedBuffer<double>{count}, std::length_error);
}

#ifndef NDEBUG
TEST_CASE("Debug builds check bounds") {
  int data[6] = {};
  const MatrixView<int> view(data, 2, 3);
  CHECK_THROWS_WITH_AS(static_cast<void>(view.row(2)), "MatrixView: row out of range", std::out_of_range);
  const AlignedBuffer<int> buffer(3);
  CHECK_THROWS_WITH_AS(static_cast<void>(buffer[3]), "AlignedBuffer: index out of range", std::out_of_range);
}
#endif

}  // namespace
}  // namespace puresid
