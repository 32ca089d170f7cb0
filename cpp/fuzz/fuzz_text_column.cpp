// Text columns as a damaged file may hold them: any offsets, any rows. Either the standard's exception comes, or what
// the texts one by one would give.
#include <cstdint>
#include <cstring>
#include <vector>

#include "bytes.hpp"
#include "puresid/hashing.hpp"
#include "puresid/text_column.hpp"

namespace {

using puresid::TextColumn;
using puresid::fuzz::require;

// Small numbers, so that many are in range, or any 64 bits.
std::vector<std::int64_t> numbers(const std::uint8_t*& data, std::size_t& size, std::size_t count) {
  std::vector<std::int64_t> result;
  while (result.size() < count && size > 0) {
    std::int64_t value = static_cast<std::int8_t>(*data);
    ++data, --size;
    if (value == 127 && size >= sizeof(value)) {
      std::memcpy(&value, data, sizeof(value));
      data += sizeof(value), size -= sizeof(value);
    }
    result.push_back(value);
  }
  return result;
}

bool same(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

void check(const TextColumn& texts, const std::vector<std::int64_t>& rows) {
  std::vector<std::int64_t> offsets(rows.size() + 1);
  puresid::offsets_of(texts, rows, offsets);
  std::vector<std::uint8_t> taken(static_cast<std::size_t>(offsets.back())), equal(rows.size());
  puresid::copy_texts(texts, rows, offsets, taken, {});
  const TextColumn copies(taken, offsets);
  const std::vector<std::int64_t> reversed(rows.rbegin(), rows.rend());
  puresid::equal_texts(texts, rows, texts, reversed, equal, {});
  for (std::size_t i = 0; i < rows.size(); ++i) {
    require(same(copies.text(static_cast<std::int64_t>(i)), texts.text(rows[i])), "copied texts are those of the rows");
    require((equal[i] == 1) == same(texts.text(rows[i]), texts.text(reversed[i])),
            "texts are equal where their bytes are");
  }
  std::vector<std::uint64_t> hashes(texts.size());
  puresid::hash_texts(texts, hashes, {});
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    require(hashes[i] == puresid::hash_bytes(texts.text(static_cast<std::int64_t>(i))),
            "hashes are those of the texts");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t n_offsets = data[0] % 12, n_rows = data[1] % 12;
  data += 2, size -= 2;
  const std::vector<std::int64_t> offsets = numbers(data, size, n_offsets), rows = numbers(data, size, n_rows);
  const std::vector<std::uint8_t> bytes(data, data + size);  // its end is where the sanitizer looks
  try {
    check({bytes, offsets}, rows);
  } catch (const std::out_of_range&) {
  } catch (const std::invalid_argument&) {
    require(offsets.empty(), "only a column without offsets is refused as such");
  }
  return 0;
}
