// Any machine: one lane. Where the hardware has no fused multiply-add, the C library's gives the same bits.
#include "kernels.hpp"

namespace puresid::simd {
namespace {

struct Lanes {
  using type = float;
  using index_type = uint32_t;
  using index_scalar = uint32_t;
  using mask = bool;
  static constexpr size_t width = 1, vectors = 4, rows = 2;

  static type load(const float* from) { return *from; }
  static void store(float* to, type value) { *to = value; }
  static type set1(float value) { return value; }
  static type add(type a, type b) { return a + b; }
  static type sub(type a, type b) { return a - b; }
  static type min(type a, type b) { return a < b ? a : b; }
  static type fmadd(type a, type b, type c) { return __builtin_fmaf(a, b, c); }
  static type fnmadd(type a, type b, type c) { return __builtin_fmaf(-a, b, c); }
  static mask less(type a, type b) { return a < b; }
  static mask less_equal(type a, type b) { return a <= b; }
  static uint32_t bits(mask m) { return m ? 1 : 0; }
  static mask mask_of(uint32_t lanes) { return lanes != 0; }
  static type select(mask m, type yes, type no) { return m ? yes : no; }
  static float least(type x) { return x; }
  static void transpose(type (&)[width]) {}
  // One more in the lanes of a mask.
  static index_type count(index_type x, mask m) { return x + (m ? 1 : 0); }
  static mask below(index_type x, uint32_t limit) { return x < limit; }
  // The numbers of the first lanes, and of those a vector further.
  static index_type first_numbers() { return 0; }
  static index_type next_numbers(index_type numbers) { return numbers + 1; }
  static constexpr bool compresses = false;
  static index_type load_index(const uint32_t* from) { return *from; }
  static void store_index(uint32_t* to, index_type value) { *to = value; }
  static index_type set1_index(uint32_t value) { return value; }
  static index_type select_index(mask m, index_type yes, index_type no) { return m ? yes : no; }
};

#include "kernels_impl.hpp"

}  // namespace

const KernelTable* scalar_kernels() { return &kTable; }

}  // namespace puresid::simd
