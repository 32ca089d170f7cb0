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
  static type sub(type a, type b) { return vsubq_f32(a, b); }
  static type fmadd(type a, type b, type c) { return vfmaq_f32(c, a, b); }
  static type fnmadd(type a, type b, type c) { return vfmsq_f32(c, a, b); }
  static mask less(type a, type b) { return vcltq_f32(a, b); }
  static mask less_equal(type a, type b) { return vcleq_f32(a, b); }
  static uint32_t bits(mask m) {
    const uint32x4_t weights = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(m, weights));
  }
  static type select(mask m, type yes, type no) { return vbslq_f32(m, yes, no); }
  static index_type load_index(const uint32_t* from) { return vld1q_u32(from); }
  static void store_index(uint32_t* to, index_type value) { vst1q_u32(to, value); }
  static index_type select_index(mask m, uint32_t yes, index_type no) { return vbslq_u32(m, vdupq_n_u32(yes), no); }
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
