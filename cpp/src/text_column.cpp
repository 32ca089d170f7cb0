#include "puresid/text_column.hpp"

#include <algorithm>
#include <limits>

#include "puresid/hashing.hpp"
#include "puresid/parallel.hpp"

namespace puresid {
namespace {

// body(i) for each i of [0, count), in chunks.
template <class Body>
void for_each_row(const Execution& execution, std::size_t count, Body&& body) {
  constexpr std::size_t kChunk = 4096;
  parallel_for(execution, "keys", (count + kChunk - 1) / kChunk, count, [&](std::size_t chunk, Worker& worker) {
    const std::size_t begin = chunk * kChunk, end = std::min(count, begin + kChunk);
    for (std::size_t i = begin; i < end; ++i) body(i);
    worker.advance(end - begin);
  });
}

void check_size(std::size_t found, std::size_t needed, const char* name) {
  if (found == needed) return;
  throw std::invalid_argument(std::string(name) + " has " + std::to_string(found) + " values; " +
                              std::to_string(needed) + " are needed");
}

}  // namespace

void hash_texts(const TextColumn& texts, std::span<std::uint64_t> out, const Execution& execution) {
  check_size(out.size(), texts.size(), "out");
  for_each_row(execution, out.size(),
               [&](std::size_t i) { out[i] = hash_bytes(texts.text(static_cast<std::int64_t>(i))); });
}

void equal_texts(const TextColumn& a, std::span<const std::int64_t> a_rows, const TextColumn& b,
                 std::span<const std::int64_t> b_rows, std::span<std::uint8_t> out, const Execution& execution) {
  check_size(b_rows.size(), a_rows.size(), "b_rows");
  check_size(out.size(), a_rows.size(), "out");
  for_each_row(execution, out.size(), [&](std::size_t i) {
    const auto left = a.text(a_rows[i]), right = b.text(b_rows[i]);
    out[i] = std::equal(left.begin(), left.end(), right.begin(), right.end()) ? 1 : 0;
  });
}

void offsets_of(const TextColumn& texts, std::span<const std::int64_t> rows, std::span<std::int64_t> out) {
  check_size(out.size(), rows.size() + 1, "out");
  std::int64_t end = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    out[i] = end;
    const auto size = static_cast<std::int64_t>(texts.text(rows[i]).size());
    // A row may come often, so the sum may be longer than any memory.
    if (size > std::numeric_limits<std::int64_t>::max() - end) throw std::length_error("the texts are too long");
    end += size;
  }
  out[rows.size()] = end;
}

void copy_texts(const TextColumn& texts, std::span<const std::int64_t> rows, std::span<const std::int64_t> offsets,
                std::span<std::uint8_t> out, const Execution& execution) {
  check_size(offsets.size(), rows.size() + 1, "offsets");
  const TextColumn places(out, offsets);
  for_each_row(execution, rows.size(), [&](std::size_t i) {
    const auto text = texts.text(rows[i]);
    check_size(places.text(static_cast<std::int64_t>(i)).size(), text.size(), "a text's place");
    std::copy(text.begin(), text.end(), out.begin() + offsets[i]);
  });
}

}  // namespace puresid
