// Fetches memory ahead of its use.
#pragma once

namespace puresid {

// Has the cache line of `at` come. The empty statement keeps compilers from taking a function that does nothing but
// prefetch for one without effect: GCC 12 drops calls of such functions.
inline void prefetch_line(const void* at) noexcept {
  __builtin_prefetch(at);
  __asm__ volatile("");  // NOLINT(portability-no-assembler): no instruction
}

}  // namespace puresid
