// Texts side by side: their bytes, and where each begins. The keys of a catalogue.
//
// Promise: nothing outside the bytes is read, whatever the offsets and the rows are: a text is checked as it is
// looked at, so a column may lie in a file that nobody has checked. Memory: 8 bytes a text beside its own.
// Thread safety: const functions may be called from any number of threads.
#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "puresid/execution.hpp"

namespace puresid {

class TextColumn {
 public:
  // `offsets`: where text i begins, and one more: where the last ends. Throws std::invalid_argument without any.
  TextColumn(std::span<const std::uint8_t> bytes, std::span<const std::int64_t> offsets)
      : bytes_(bytes), offsets_(offsets) {
    if (offsets.empty()) throw std::invalid_argument("offsets is empty; one more than texts is needed");
  }

  [[nodiscard]] std::size_t size() const noexcept { return offsets_.size() - 1; }
  // Throws std::out_of_range where there is no such row, or its offsets do not lie in the bytes.
  [[nodiscard]] std::span<const std::uint8_t> text(std::int64_t row) const {
    if (row < 0 || std::cmp_greater_equal(row, size())) {
      throw std::out_of_range("row " + std::to_string(row) + " of " + std::to_string(size()) + " texts");
    }
    const std::int64_t begin = offsets_[static_cast<std::size_t>(row)],
                       end = offsets_[static_cast<std::size_t>(row) + 1];
    if (begin < 0 || begin > end || std::cmp_greater(end, bytes_.size())) {
      throw std::out_of_range("text " + std::to_string(row) + " goes from " + std::to_string(begin) + " to " +
                              std::to_string(end) + " of " + std::to_string(bytes_.size()) + " bytes");
    }
    return bytes_.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
  }

 private:
  std::span<const std::uint8_t> bytes_;
  std::span<const std::int64_t> offsets_;
};

// All of these throw what TextColumn::text() throws, std::invalid_argument where sizes do not fit, and Cancelled.

// out[i] = hash_bytes of text i.
void hash_texts(const TextColumn& texts, std::span<std::uint64_t> out, const Execution& execution);

// out[i] = 1 where text a_rows[i] of `a` is text b_rows[i] of `b`, else 0.
void equal_texts(const TextColumn& a, std::span<const std::int64_t> a_rows, const TextColumn& b,
                 std::span<const std::int64_t> b_rows, std::span<std::uint8_t> out, const Execution& execution);

// The offsets that texts of these rows have side by side: rows.size() + 1 of them.
void offsets_of(const TextColumn& texts, std::span<const std::int64_t> rows, std::span<std::int64_t> out);

// Their bytes; `offsets` are those of offsets_of().
void copy_texts(const TextColumn& texts, std::span<const std::int64_t> rows, std::span<const std::int64_t> offsets,
                std::span<std::uint8_t> out, const Execution& execution);

}  // namespace puresid
