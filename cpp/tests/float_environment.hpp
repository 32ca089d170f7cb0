// Floating-point environments that a library in the same process may leave behind.
#pragma once

#include <cfenv>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace puresid::testing {

// Rounds upwards and, on x86-64, takes subnormal numbers for 0, for its lifetime.
class ForeignFloatEnvironment {
 public:
  ForeignFloatEnvironment() {
    std::fegetenv(&saved_);
    std::fesetround(FE_UPWARD);
#if defined(__x86_64__)
    constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040;
    _mm_setcsr(_mm_getcsr() | kFlushToZero | kDenormalsAreZero);
#endif
  }
  ~ForeignFloatEnvironment() { std::fesetenv(&saved_); }
  ForeignFloatEnvironment(const ForeignFloatEnvironment&) = delete;
  ForeignFloatEnvironment& operator=(const ForeignFloatEnvironment&) = delete;

  // Whether the environment is still the one that the constructor set.
  [[nodiscard]] static bool in_force() {
#if defined(__x86_64__)
    if ((_mm_getcsr() & 0x8040) != 0x8040) return false;
#endif
    return std::fegetround() == FE_UPWARD;
  }

 private:
  std::fenv_t saved_;
};

}  // namespace puresid::testing
