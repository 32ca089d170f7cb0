// NEON on AArch64: 4 lanes, a tile of 6 rows x 16 codewords in 24 of the 32 registers.
#include "kernels.hpp"

#if defined(__aarch64__)
#include <arm_neon.h>

namespace puresid::simd {
namespace {

struct Lanes {
  using type = float32x4_t;
  using index_type = uint32x4_t;
  using index_scalar = uint32_t;
  using mask = uint32x4_t;
  static constexpr size_t width = 4, vectors = 4, rows = 6;

  static type load(const float* from) { return vld1q_f32(from); }
  static void store(float* to, type value) { vst1q_f32(to, value); }
  static type set1(float value) { return vdupq_n_f32(value); }
  static type add(type a, type b) { return vaddq_f32(a, b); }
  static type sub(type a, type b) { return vsubq_f32(a, b); }
  static type min(type a, type b) { return vminq_f32(a, b); }
  static type fmadd(type a, type b, type c) { return vfmaq_f32(c, a, b); }
  static type fnmadd(type a, type b, type c) { return vfmsq_f32(c, a, b); }
  static mask less(type a, type b) { return vcltq_f32(a, b); }
  static mask less_equal(type a, type b) { return vcleq_f32(a, b); }
  static uint32_t bits(mask m) {
    const uint32x4_t weights = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(m, weights));
  }
  static mask mask_of(uint32_t lanes) {
    const uint32x4_t each = {1, 2, 4, 8};
    return vtstq_u32(vdupq_n_u32(lanes), each);
  }
  static type select(mask m, type yes, type no) { return vbslq_f32(m, yes, no); }
  static float least(type x) { return vminvq_f32(x); }
  static void transpose(type (&x)[width]) {
    const float32x4x2_t a = vtrnq_f32(x[0], x[1]), b = vtrnq_f32(x[2], x[3]);
    x[0] = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
    x[1] = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
    x[2] = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
    x[3] = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
  }
  // One more in the lanes of a mask.
  static index_type count(index_type x, mask m) { return vsubq_u32(x, m); }
  static mask below(index_type x, uint32_t limit) { return vcltq_u32(x, vdupq_n_u32(limit)); }
  // The numbers of the first lanes, and of those a vector further.
  static index_type first_numbers() { return index_type{0, 1, 2, 3}; }
  static index_type next_numbers(index_type numbers) { return vaddq_u32(numbers, vdupq_n_u32(width)); }
  static constexpr bool compresses = false;
  static index_type load_index(const uint32_t* from) { return vld1q_u32(from); }
  static void store_index(uint32_t* to, index_type value) { vst1q_u32(to, value); }
  static index_type set1_index(uint32_t value) { return vdupq_n_u32(value); }
  static index_type select_index(mask m, index_type yes, index_type no) { return vbslq_u32(m, yes, no); }
};

#include "kernels_impl.hpp"

}  // namespace

const KernelTable* neon_kernels() { return &kTable; }

}  // namespace puresid::simd
#else
namespace puresid::simd {
const KernelTable* neon_kernels() { return nullptr; }
}  // namespace puresid::simd
#endif
