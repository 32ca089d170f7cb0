/* How much memory a process asks for: a preloaded shim over malloc and anonymous mmap.
 *
 * What is counted is what was asked for, whether it was touched or not: a header that announces
 * 2^40 bytes shows even where the kernel hands them out on credit. Live bytes and their highest
 * number since `asked_reset`; requests that fail count as asked for, too.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Atomic int64_t live, peak;

static void count(int64_t bytes) {
  int64_t now = atomic_fetch_add(&live, bytes) + bytes;
  int64_t highest = atomic_load(&peak);
  while (now > highest && !atomic_compare_exchange_weak(&peak, &highest, now)) {
  }
}

/* A request that failed: it was asked for all the same. */
static void failed(size_t bytes) {
  if (bytes > INT64_MAX / 4) bytes = INT64_MAX / 4;
  count((int64_t)bytes);
  atomic_fetch_sub(&live, (int64_t)bytes);
}

#define EXPORT __attribute__((visibility("default")))

/* Starts anew; `asked_peak` then gives what was asked for beyond what was there. */
static int64_t start;
EXPORT void asked_reset(void) {
  start = atomic_load(&live);
  atomic_store(&peak, start);
}
EXPORT int64_t asked_peak(void) { return atomic_load(&peak) - start; }

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static void *given(void *block, size_t bytes) {
  if (block != NULL) {
    count((int64_t)malloc_usable_size(block));
  } else {
    failed(bytes);
  }
  return block;
}

EXPORT void *malloc(size_t bytes) { return given(__libc_malloc(bytes), bytes); }
EXPORT void *calloc(size_t n, size_t bytes) {
  size_t all = bytes != 0 && n > SIZE_MAX / bytes ? SIZE_MAX : n * bytes;
  return given(__libc_calloc(n, bytes), all);
}
EXPORT void *realloc(void *old, size_t bytes) {
  int64_t before = old == NULL ? 0 : (int64_t)malloc_usable_size(old);
  void *block = __libc_realloc(old, bytes);
  if (block == NULL && bytes != 0) {
    failed(bytes);
    return NULL;
  }
  atomic_fetch_sub(&live, before);
  if (block != NULL) count((int64_t)malloc_usable_size(block));
  return block;
}
EXPORT void free(void *block) {
  if (block == NULL) return;
  atomic_fetch_sub(&live, (int64_t)malloc_usable_size(block));
  __libc_free(block);
}
EXPORT void *memalign(size_t alignment, size_t bytes) { return given(__libc_memalign(alignment, bytes), bytes); }
EXPORT void *aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }
EXPORT int posix_memalign(void **block, size_t alignment, size_t bytes) {
  void *found = memalign(alignment, bytes);
  if (found == NULL) return ENOMEM;
  *block = found;
  return 0;
}

/* Maps of files are not memory that was asked for. What malloc itself maps does not come by here. */
EXPORT void *mmap(void *where, size_t bytes, int protection, int flags, int file, off_t offset) {
  void *found = (void *)syscall(SYS_mmap, where, bytes, protection, flags, file, offset);
  if ((flags & MAP_ANONYMOUS) != 0 && (protection & PROT_WRITE) != 0) {
    if (found == MAP_FAILED) {
      failed(bytes);
    } else {
      count((int64_t)bytes);
    }
  }
  return found;
}
EXPORT void *mmap64(void *where, size_t bytes, int protection, int flags, int file, off_t offset) {
  return mmap(where, bytes, protection, flags, file, offset);
}
