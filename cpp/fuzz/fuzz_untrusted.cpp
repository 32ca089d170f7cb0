// assign() and the training given anything that a caller may hand over: any float, shape, token, width or priority, in
// any pieces. The exceptions that the headers name, or SIDs that hold what is promised.
#include <cmath>
#include <cstdint>
#include <set>
#include <stdexcept>
#include <vector>

#include "bytes.hpp"
#include "puresid/assign.hpp"
#include "puresid/kmeans.hpp"

namespace {

using puresid::AssignOptions;
using puresid::Codebooks;
using puresid::Execution;
using puresid::MatrixView;
using puresid::Method;
using puresid::Token;
using puresid::fuzz::Bytes;
using puresid::fuzz::require;

using Floats = std::vector<float>;

Floats floats(Bytes& bytes, std::size_t count, bool wild) {
  Floats result(count);
  for (float& value : result) value = wild ? bytes.wild() : bytes.value(true);
  return result;
}

std::size_t near(Bytes& bytes, std::size_t right) { return bytes.byte() < 245 ? right : bytes.between(0, 5); }

puresid::Space space_of(Bytes& bytes) {
  constexpr puresid::SpaceKind kKinds[] = {puresid::SpaceKind::residual, puresid::SpaceKind::tree,
                                           puresid::SpaceKind::product};
  constexpr puresid::Scaling kScalings[] = {puresid::Scaling::none, puresid::Scaling::compared, puresid::Scaling::kept};
  return {kKinds[bytes.between(0, 2)], kScalings[bytes.byte() < 200 ? 0 : bytes.between(0, 2)]};
}

// Everything beside the codebooks, in the form in which callers have it.
struct Call {
  Call(Bytes& bytes, const Codebooks& books) {
    constexpr Method kMethods[] = {Method::ecm, Method::rrs, Method::nearest, Method::suffix};
    rows = bytes.between(0, 9);
    options.method = kMethods[bytes.between(0, 3)];
    options.complete = bytes.flag();
    for (std::size_t tiers = bytes.between(0, 2); tiers > 0; --tiers) {
      options.tiers.emplace_back(near(bytes, books.levels()));
      for (std::size_t& width : options.tiers.back()) width = bytes.number();
    }
    if (bytes.flag()) {
      priority.resize(near(bytes, rows));
      for (double& value : priority) value = bytes.wild();
      options.priority = priority;
    }
    if (bytes.flag()) options.max_distortion = static_cast<double>(bytes.wild());
    const std::size_t columns = near(bytes, books.levels() + (options.method == Method::suffix ? 1 : 0));
    taken.resize(columns * bytes.between(0, 4));
    for (Token& token : taken) token = static_cast<Token>(bytes.byte() < 230 ? bytes.byte() % 3 : bytes.number());
    options.taken = {taken.data(), columns == 0 ? 0 : taken.size() / columns, columns};
    dim = near(bytes, books.dim());
    vectors = floats(bytes, rows * dim, true);
    halves = bytes.byte() < 40;
  }

  AssignOptions options;
  std::vector<double> priority;
  std::vector<Token> taken;
  std::size_t rows = 0, dim = 0;
  Floats vectors;
  bool halves = false;
};

void check(const Call& call, const Codebooks& books, const std::vector<std::uint32_t>& sids,
           const puresid::Assignment& result) {
  std::set<std::vector<Token>> given;
  for (std::size_t row = 0; row < call.rows; ++row) {
    const auto begin = sids.begin() + static_cast<std::ptrdiff_t>(row * books.levels());
    std::vector<Token> sid(begin, begin + static_cast<std::ptrdiff_t>(books.levels()));
    for (std::size_t level = 0; level < sid.size(); ++level) require(sid[level] < books.size(level), "tokens in range");
    require(result.distortion[row] >= 0 && std::isfinite(result.distortion[row]), "a distortion is a finite number");
    if (call.options.method == Method::suffix) sid.push_back(result.counter[row]);
    if (result.stages[row] < 0) continue;
    for (std::size_t at = 0; at < call.options.taken.rows(); ++at) {
      const Token* published = call.options.taken.row(at);
      require(!std::equal(sid.begin(), sid.end(), published), "a published SID is not given out");
    }
    require(given.insert(sid).second, "a SID has one owner");
  }
}

void assign(Bytes& bytes, const Codebooks& books, const Execution& execution) {
  const Call call(bytes, books);
  std::vector<std::uint32_t> sids(call.rows * books.levels()), counter(call.rows);
  std::vector<std::int8_t> stages(call.rows);
  Floats distortion(call.rows);
  const bool suffix = call.options.method == Method::suffix;
  puresid::Assignment result{puresid::SidArray(sids.data(), call.rows, books.layout()), stages, distortion,
                             suffix ? std::span<std::uint32_t>(counter) : std::span<std::uint32_t>{}};
  std::vector<puresid::Half> halves(call.vectors.size());
  for (std::size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<puresid::Half>(bytes.word(2));
  const auto piece = [&](std::size_t first, std::size_t count) -> puresid::Vectors {
    if (call.halves) return MatrixView<const puresid::Half>(halves.data() + first * call.dim, count, call.dim);
    return MatrixView<const float>(call.vectors.data() + first * call.dim, count, call.dim);
  };
  puresid::Assigner assigner(call.rows, books, call.options, execution, result);
  for (std::size_t first = 0; first < call.rows;) {
    const std::size_t count = std::min(call.rows - first, bytes.between(1, 9));
    assigner.add(piece(first, count), execution);
    first += count;
  }
  if (bytes.byte() < 10) assigner.add(piece(0, call.rows), execution);  // more than was announced
  assigner.resolve(piece(0, bytes.byte() < 245 ? call.rows : call.rows / 2), puresid::Assigner::Given::all, execution);
  check(call, books, sids, result);
}

void train(Bytes& bytes, const Execution& execution) {
  const std::size_t rows = bytes.between(0, 12), dim = bytes.between(0, 4);
  const Floats vectors = floats(bytes, rows * dim, bytes.byte() < 60);
  std::vector<std::size_t> sizes(bytes.between(0, 3));
  for (std::size_t& size : sizes) size = bytes.byte() < 245 ? bytes.between(0, 6) : bytes.number();
  puresid::KMeansOptions options{.n_iter = bytes.between(0, 4), .seed = bytes.number(), .balanced = bytes.flag()};
  std::vector<Floats> start;
  if (bytes.byte() < 60) {
    for (const std::size_t size : sizes) start.push_back(floats(bytes, near(bytes, size % 8) * dim, true));
    for (const Floats& level : start) {
      options.start.emplace_back(level.data(), dim == 0 ? 0 : level.size() / dim, dim);
    }
  }
  const auto levels = puresid::train_residual_kmeans({vectors.data(), rows, dim}, sizes, options, execution);
  require(levels.size() == sizes.size(), "a codebook per level");
  for (std::size_t level = 0; level < sizes.size(); ++level) {
    require(levels[level].codewords.size() == sizes[level] * dim, "as many codewords as asked for");
    for (const float value : levels[level].codewords) require(std::isfinite(value), "codewords are finite");
    for (const Token token : levels[level].tokens) require(token < sizes[level], "tokens of rows are in range");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes bytes(data, size);
  const std::vector<puresid::Simd> simd = puresid::available_simd();
  Execution execution;
  execution.simd = simd[bytes.byte() % simd.size()];
  execution.threads = bytes.byte() % 16 == 0 ? 3 : 1;
  try {
    if (bytes.byte() % 4 == 0) {
      train(bytes, execution);
      return 0;
    }
    const bool wild = bytes.byte() < 40;
    const std::size_t dim = bytes.between(0, 4);
    std::vector<Floats> levels;
    std::vector<MatrixView<const float>> views;
    const puresid::Space space = space_of(bytes);
    std::size_t nodes = 1;
    for (std::size_t count = bytes.between(0, 4), level = 0; level < count; ++level) {
      const std::size_t rows = bytes.between(wild ? 0 : 1, 4), columns = near(bytes, dim);
      nodes = space.kind == puresid::SpaceKind::tree ? std::min<std::size_t>(nodes * rows, 256) : rows;
      levels.push_back(floats(bytes, near(bytes, nodes) * columns, wild));
      views.emplace_back(levels.back().data(), columns == 0 ? nodes : levels.back().size() / columns, columns);
    }
    const Codebooks books(views, space);
    assign(bytes, books, execution);
  } catch (const std::invalid_argument&) {
  } catch (const std::length_error&) {
  } catch (const puresid::CapacityError&) {
  }
  return 0;
}
