#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "puresid/codeword_products.hpp"
#include "random.hpp"
#include "rrs.hpp"

namespace puresid {
namespace {

using testing::Random;
using testing::Values;

struct Instance {
  Instance(Random& random, Values values, const std::vector<std::size_t>& sizes, std::size_t dim, Simd simd)
      : levels(random_levels(random, values, sizes, dim)), flat(levels), packed(*flat, simd) {}

  static reference::Levels random_levels(Random& random, Values values, const std::vector<std::size_t>& sizes,
                                         std::size_t dim) {
    reference::Levels levels;
    for (const std::size_t size : sizes) levels.push_back(testing::random_vectors(random, values, size, dim));
    return levels;
  }
  [[nodiscard]] std::size_t most_padded() const {
    std::size_t most = 0;
    for (std::size_t level = 0; level < packed.levels(); ++level) most = std::max(most, packed[level].padded_size());
    return most;
  }
  reference::Levels levels;
  testing::FlatCodebooks flat;
  PackedCodebooks packed;
};

// How many values of a row are not the twin's, to the bit.
std::size_t wrong_values(const Instance& instance, const float* row, std::size_t from, Token token, std::size_t to) {
  std::size_t wrong = 0;
  for (Token other = 0; other < instance.levels[to].size(); ++other) {
    const float expected = reference::negated_product(instance.levels[from][token], instance.levels[to][other]);
    wrong += std::bit_cast<std::uint32_t>(row[other]) == std::bit_cast<std::uint32_t>(expected) ? 0 : 1;
  }
  return wrong;
}

// Asks for rows at random; how many of the answers lay in scratch.
std::size_t check_random_rows(Random& random, const Instance& instance, const CodewordProducts& products, int count) {
  const AlignedBuffer<float> scratch(instance.most_padded());
  std::size_t in_scratch = 0;
  for (int i = 0; i < count; ++i) {
    const std::size_t from = random.between(0, instance.levels.size() - 2);
    const std::size_t to = random.between(from + 1, instance.levels.size() - 1);
    const auto token = static_cast<Token>(random.between(0, instance.levels[from].size() - 1));
    const float* row = products.row(from, token, to, scratch.data());
    in_scratch += row == scratch.data() ? 1 : 0;
    CHECK(wrong_values(instance, row, from, token, to) == 0);
  }
  return in_scratch;
}

TEST_CASE("rows are the twin's products, kept or in scratch, whatever the room and the instruction set") {
  for (const Values values : testing::kAllValues) {
    for (const Simd simd : available_simd()) {
      CAPTURE(static_cast<int>(values));
      Random random(2);
      const Instance instance(random, values, {7, 1, 33, 18, 5}, 6, simd);
      CHECK(check_random_rows(random, instance, CodewordProducts(instance.packed), 300) == 0);
      for (const std::size_t bytes : {std::size_t{0}, std::size_t{1000}, std::size_t{5000}, std::size_t{1} << 30U}) {
        const CodewordProducts products(instance.packed, bytes);
        const std::size_t in_scratch = check_random_rows(random, instance, products, 300);
        CHECK((bytes < 6000) == (in_scratch > 0));
        CHECK(in_scratch < 300);  // the first is kept at least
      }
    }
  }
}

TEST_CASE("what is kept stays where it is, and is given again") {
  Random random(3);
  const Instance instance(random, Values::gaussian, {9, 4, 20}, 5, best_simd());
  const CodewordProducts products(instance.packed);
  const AlignedBuffer<float> scratch(instance.most_padded());
  std::vector<const float*> rows;
  for (int repeat = 0; repeat < 2; ++repeat) {
    std::size_t at = 0;
    for (std::size_t from = 0; from < 2; ++from) {
      for (Token token = 0; token < instance.levels[from].size(); ++token) {
        for (std::size_t to = from + 1; to < 3; ++to, ++at) {
          const float* row = products.row(from, token, to, scratch.data());
          if (repeat == 0) rows.push_back(row);
          CHECK(rows[at] == row);
          CHECK(wrong_values(instance, row, from, token, to) == 0);
        }
      }
    }
  }
}

TEST_CASE("one level has no products, and they cost nothing") {
  Random random(4);
  const Instance instance(random, Values::gaussian, {9}, 5, best_simd());
  const CodewordProducts products(instance.packed);
  const CodewordProducts none(instance.packed, 0);
}

TEST_CASE("threads that ask for the same rows at the same time all get the twin's") {
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{3000}, CodewordProducts::kMostBytes}) {
    Random random(5);
    const Instance instance(random, Values::gaussian, {40, 40, 65}, 16, best_simd());
    const CodewordProducts products(instance.packed, bytes);
    constexpr std::size_t kThreads = 4;
    std::atomic<std::size_t> wrong{0}, waiting{kThreads};
    const auto ask = [&] {
      const AlignedBuffer<float> scratch(instance.most_padded());
      --waiting;
      while (waiting.load() != 0) std::this_thread::yield();
      for (std::size_t from = 0; from < 2; ++from) {
        for (Token token = 0; token < 40; ++token) {
          for (std::size_t to = from + 1; to < 3; ++to) {
            wrong += wrong_values(instance, products.row(from, token, to, scratch.data()), from, token, to);
          }
        }
      }
    };
    std::vector<std::thread> threads;
    for (std::size_t thread = 0; thread < kThreads; ++thread) threads.emplace_back(ask);
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
  }
}

}  // namespace
}  // namespace puresid
