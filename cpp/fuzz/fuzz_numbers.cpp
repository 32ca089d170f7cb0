// What takes numbers of files as they are: layers of encoders, digests of vectors, hashes of keys. Shapes that do not
// fit are refused; results are those of the definition.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "bytes.hpp"
#include "hashing.hpp"  // the twin
#include "puresid/hashing.hpp"
#include "puresid/linear.hpp"

namespace {

using puresid::MatrixView;
using puresid::fuzz::Bytes;
using puresid::fuzz::require;

struct Numbers {
  Numbers(Bytes& bytes, std::size_t rows_, std::size_t columns_)
      : values(rows_ * columns_), rows(rows_), columns(columns_) {
    for (float& value : values) value = bytes.wild();
  }
  [[nodiscard]] MatrixView<const float> view() const { return {values.data(), rows, columns}; }
  std::vector<float> values;
  std::size_t rows, columns;
};

bool same(float a, float b) { return (std::isnan(a) && std::isnan(b)) || a == b; }

// At times a number that fits, at times another.
std::size_t near(Bytes& bytes, std::size_t right) { return bytes.byte() < 245 ? right : bytes.between(0, 9); }

void check_linear(Bytes& bytes, const puresid::Execution& execution) {
  const Numbers rows(bytes, bytes.between(0, 9), bytes.between(0, 40));
  const Numbers weight(bytes, bytes.between(0, 40), near(bytes, rows.columns));
  const Numbers bias(bytes, 1, near(bytes, bytes.flag() ? weight.rows : 0));
  std::vector<float> out(near(bytes, rows.rows * weight.rows));
  const bool fit = weight.columns == rows.columns && out.size() == rows.rows * weight.rows &&
                   (bias.columns == 0 || bias.columns == weight.rows);
  try {
    puresid::linear(rows.view(), weight.view(), bias.values, out, execution);
  } catch (const std::invalid_argument&) {
    require(!fit || rows.columns == 0 || weight.rows == 0, "only shapes that do not fit are refused");
    return;
  }
  require(fit, "shapes that do not fit are refused");
  for (std::size_t i = 0; i < rows.rows; ++i) {
    for (std::size_t j = 0; j < weight.rows; ++j) {
      float sum = 0;
      for (std::size_t d = 0; d < rows.columns; ++d)
        sum = std::fma(rows.view().row(i)[d], weight.view().row(j)[d], sum);
      if (!bias.values.empty()) sum += bias.values[j];
      require(same(out[i * weight.rows + j], sum), "one lane per output, in order");
    }
  }
}

void check_digests(Bytes& bytes, const puresid::Execution& execution) {
  const Numbers vectors(bytes, bytes.between(0, 9), bytes.between(0, 70));
  std::vector<puresid::Digest> out(near(bytes, vectors.rows));
  try {
    puresid::vector_digests(vectors.view(), out, execution);
  } catch (const std::invalid_argument&) {
    require(out.size() != vectors.rows, "only another number of digests is refused");
    return;
  }
  for (std::size_t i = 0; i < vectors.rows; ++i) {
    std::vector<float> row(vectors.view().row(i), vectors.view().row(i) + vectors.columns);
    for (float& value : row) value = value == 0 ? 0.0F : value;
    std::vector<std::uint8_t> raw(row.size() * sizeof(float));
    if (!raw.empty()) std::memcpy(raw.data(), row.data(), raw.size());
    require(out[i] == puresid::blake2b_128(raw), "a digest is that of the bytes");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes bytes(data, size);
  const std::vector<puresid::Simd> simd = puresid::available_simd();
  puresid::Execution execution;
  execution.simd = simd[bytes.byte() % simd.size()];
  if (bytes.flag()) {
    check_linear(bytes, execution);
  } else {
    check_digests(bytes, execution);
  }
  const std::vector<std::uint8_t> text(data, data + size);
  require(puresid::hash_bytes(text) == puresid::reference::siphash(text), "the hash of a key");
  return 0;
}
