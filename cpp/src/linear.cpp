#include "puresid/linear.hpp"

#include <algorithm>
#include <string>

#include "puresid/distance.hpp"
#include "puresid/parallel.hpp"

namespace puresid {

void linear(MatrixView<const float> rows, MatrixView<const float> weight, std::span<const float> bias,
            std::span<float> out, const Execution& execution) {
  const std::size_t n_rows = rows.rows(), dim = rows.cols(), outputs = weight.rows();
  if (weight.cols() != dim) {
    throw std::invalid_argument("vectors have dimension " + std::to_string(dim) + "; the layer takes " +
                                std::to_string(weight.cols()));
  }
  if (!bias.empty() && bias.size() != outputs) {
    throw std::invalid_argument("bias has " + std::to_string(bias.size()) + " values; the layer has " +
                                std::to_string(outputs) + " outputs");
  }
  if (out.size() != checked_multiply(n_rows, outputs)) throw std::invalid_argument("out has another size");
  if (n_rows == 0 || outputs == 0) return;
  const PackedCodebook packed(weight, execution.simd);
  const std::size_t padded = packed.padded_size(), chunks = (n_rows + kMaxBlockRows - 1) / kMaxBlockRows;
  parallel_for(
      execution, "linear", chunks, n_rows, [&] { return AlignedBuffer<float>(kMaxBlockRows * padded); },
      [&](AlignedBuffer<float>& products, std::size_t chunk, Worker& worker) {
        const std::size_t begin = chunk * kMaxBlockRows, count = std::min(kMaxBlockRows, n_rows - begin);
        packed.negated_products(rows.row(begin), count, products.data());
        for (std::size_t i = 0; i < count; ++i) {
          const float* negated = products.data() + i * padded;
          float* to = out.data() + (begin + i) * outputs;
          for (std::size_t j = 0; j < outputs; ++j) to[j] = (bias.empty() ? 0.0F : bias[j]) - negated[j];
        }
        worker.advance(count);
        worker.poll();
      });
}

}  // namespace puresid
