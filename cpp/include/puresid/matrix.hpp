// Arrays the core reads and writes: non-owning views, bounds-checked in Debug, and one aligned buffer.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <type_traits>

#include "puresid/types.hpp"

namespace puresid {

// A C-ordered rows x cols array that somebody else owns.
template <class T>
class MatrixView {
 public:
  constexpr MatrixView() = default;
  constexpr MatrixView(T* data, std::size_t rows, std::size_t cols) : data_(data), rows_(rows), cols_(cols) {}

  [[nodiscard]] constexpr T* data() const noexcept { return data_; }
  [[nodiscard]] constexpr std::size_t rows() const noexcept { return rows_; }
  [[nodiscard]] constexpr std::size_t cols() const noexcept { return cols_; }
  [[nodiscard]] constexpr T* row(std::size_t index) const {
#ifndef NDEBUG
    if (index >= rows_) throw std::out_of_range("MatrixView: row out of range");
#endif
    return data_ + index * cols_;
  }

 private:
  T* data_ = nullptr;
  std::size_t rows_ = 0, cols_ = 0;
};

// `count` trivially copyable values at a 64-byte boundary, zeroed.
template <class T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);
  static constexpr std::align_val_t kAlignment{64};
  struct Free {
    void operator()(T* data) const noexcept { ::operator delete(data, kAlignment); }
  };

 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t count)
      : data_(static_cast<T*>(::operator new(checked_multiply(count + 1, sizeof(T)), kAlignment))), count_(count) {
    std::memset(static_cast<void*>(data_.get()), 0, count * sizeof(T));
  }

  [[nodiscard]] T* data() const noexcept { return data_.get(); }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  [[nodiscard]] T& operator[](std::size_t index) const {
#ifndef NDEBUG
    if (index >= count_) throw std::out_of_range("AlignedBuffer: index out of range");
#endif
    return data_.get()[index];
  }

 private:
  std::unique_ptr<T, Free> data_;
  std::size_t count_ = 0;
};

}  // namespace puresid
