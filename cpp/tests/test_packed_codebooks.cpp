#include <doctest/doctest.h>

#include "puresid/packed_codebooks.hpp"
#include "random.hpp"

namespace puresid {
namespace {

using testing::FlatCodebooks;

TEST_CASE("packed codebooks keep their levels' sizes") {
  const std::vector<float> data(12);
  const Codebooks codebooks({{data.data(), 3, 2}, {data.data(), 6, 2}});
  const PackedCodebooks packed(codebooks, best_simd());
  CHECK(packed.levels() == 2);
  CHECK(packed.dim() == 2);
  CHECK(packed[0].size() == 3);
  CHECK(packed[1].size() == 6);
  CHECK(packed.layout().capacity() == 18);
}

TEST_CASE("a tree's codebook depends on the path") {
  const FlatCodebooks flat({{{0}, {1}, {2}}, {{10}, {11}, {20}, {21}, {30}, {31}}}, {SpaceKind::tree});
  CHECK(flat->size(1) == 2);
  CHECK(flat->layout().capacity() == 6);
  const PackedCodebooks packed(*flat, best_simd());
  for (Token token = 0; token < 3; ++token) {
    const PackedCodebook& below = packed.at(1, packed.layout().place(token, 0));
    CHECK(below.size() == 2);
    CHECK(below.codeword(1)[0] == static_cast<float>(11 + 10 * token));
  }
}

TEST_CASE("a product's levels see their own columns and leave the others") {
  const FlatCodebooks flat({{{1, 2}}, {{3}}, {{4, 5, 6}}}, {SpaceKind::product});
  CHECK(flat->dim() == 6);
  CHECK(flat->first_column(2) == 3);
  const PackedCodebooks packed(*flat, best_simd());
  std::vector<float> rows = {10, 20, 30, 40, 50, 60, 11, 21, 31, 41, 51, 61}, room(12);
  const float* seen = packed.seen(2, rows.data(), 2, room.data());
  CHECK(std::vector<float>(seen, seen + 6) == std::vector<float>{40, 50, 60, 41, 51, 61});
  packed.leave(2, rows.data(), 0);
  CHECK(std::vector<float>(rows.begin(), rows.begin() + 6) == std::vector<float>{10, 20, 30, 36, 45, 54});
}

TEST_CASE("scaled residuals: compared ones go on as they were, kept ones do not") {
  const reference::Levels levels = {{{1, 0}}, {{0, 1}}};
  std::vector<float> room(2), row = {3, 4};
  float length = 2;
  const FlatCodebooks compared(levels, {SpaceKind::residual, Scaling::compared});
  const float* seen = PackedCodebooks(*compared, best_simd()).seen(0, row.data(), 1, room.data(), &length);
  CHECK(std::vector<float>(seen, seen + 2) == std::vector<float>{0.6F, 0.8F});
  CHECK(row == std::vector<float>{3, 4});
  CHECK(length == 2);
  const FlatCodebooks kept(levels, {SpaceKind::residual, Scaling::kept});
  seen = PackedCodebooks(*kept, best_simd()).seen(0, row.data(), 1, room.data(), &length);
  CHECK(seen == row.data());
  CHECK(row == std::vector<float>{0.6F, 0.8F});
  CHECK(length == 10);
}

TEST_CASE("distortion is the twin's in every space") {
  const Space spaces[] = {{},
                          {SpaceKind::tree},
                          {SpaceKind::product},
                          {SpaceKind::residual, Scaling::compared},
                          {SpaceKind::residual, Scaling::kept}};
  for (const Space& space : spaces) {
    for (std::size_t seed = 0; seed < 40; ++seed) {
      testing::Random random(seed);
      const auto levels = testing::random_levels(random, testing::Values::gaussian, {3, 5, 9, 1, 1, space});
      const reference::Spaced spaced(levels, space);
      const auto vector = testing::random_vectors(random, testing::Values::gaussian, 1, spaced.dim())[0];
      const auto sid = testing::random_sid(random, spaced);
      const FlatCodebooks flat(levels, space);
      std::vector<float> scratch(2 * vector.size());
      for (const Simd simd : available_simd()) {
        const PackedCodebooks packed(*flat, simd);
        CHECK(packed.distortion(vector.data(), packed.layout().pack(sid.data()), scratch.data()) ==
              reference::distortion(vector, spaced, sid));
      }
    }
  }
}

}  // namespace
}  // namespace puresid
