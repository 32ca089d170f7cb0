// Faults at the system calls of a process, for the files below one folder.
//
// Promise: from reliability_arm() on, each call of the table below that names a file in the folder,
// or uses a descriptor of one, is counted from 1, and one line about it goes to the log. At call
// number `at`, and at every later one that fits if `lasting`, the fault happens instead:
//   kill       SIGKILL before the call
//   torn       half of a write, then SIGKILL (another call: as kill)
//   interrupt  SIGINT before the call, which is then made
//   short      half of a write or a read (another call: none)
//   a number   the call fails with that errno; close() closes all the same, as Linux does. ENOSPC
//              comes only from calls that may need room.
//
// How: a seccomp filter sends SIGSYS for these calls, wherever they come from: C's stdio and other
// languages' libraries go round the symbols that a preloaded library can replace. The handler makes
// the real call from the one address that the filter lets through. A line is written after its
// call; of a killed one, before. A program started by the process would find the filter and no
// handler, and die: such processes are not for this. Memory-mapped files are not seen.
//
// Linux on x86-64 and AArch64. Loaded by LD_PRELOAD with the five variables of from_environment(), or
// by dlopen() and a call of reliability_arm(). The handler takes no lock and no memory.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#define MOST_PATH 4096
#define KILL -1
#define TORN -2
#define SHORT -3
#define INTERRUPT -4

long reliability_raw(long number, ...);
extern const char reliability_raw_end[];

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
__asm__(".text\n.globl reliability_raw\n.hidden reliability_raw\n.type reliability_raw,@function\n"
        "reliability_raw:\n"
        "  mov %rdi, %rax\n  mov %rsi, %rdi\n  mov %rdx, %rsi\n  mov %rcx, %rdx\n"
        "  mov %r8, %r10\n  mov %r9, %r8\n  mov 8(%rsp), %r9\n  syscall\n"
        ".globl reliability_raw_end\n.hidden reliability_raw_end\nreliability_raw_end:\n  ret\n");
static void arguments(const ucontext_t* context, long* out) {
  static const int registers[6] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};
  for (int i = 0; i < 6; ++i) out[i] = context->uc_mcontext.gregs[registers[i]];
}
static void give_result(ucontext_t* context, long value) {
  context->uc_mcontext.gregs[REG_RAX] = value;
}
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
__asm__(".text\n.globl reliability_raw\n.hidden reliability_raw\n.type reliability_raw,@function\n"
        "reliability_raw:\n"
        "  mov x8, x0\n  mov x0, x1\n  mov x1, x2\n  mov x2, x3\n  mov x3, x4\n  mov x4, x5\n"
        "  mov x5, x6\n  svc #0\n"
        ".globl reliability_raw_end\n.hidden reliability_raw_end\nreliability_raw_end:\n  ret\n");
static void arguments(const ucontext_t* context, long* out) {
  for (int i = 0; i < 6; ++i) out[i] = (long)context->uc_mcontext.regs[i];
}
static void give_result(ucontext_t* context, long value) {
  context->uc_mcontext.regs[0] = (unsigned long)value;
}
#else
#error "faults.c knows the registers of x86-64 and AArch64 only"
#endif

// Where a call's paths or descriptors are among its arguments; -1: there is none, HERE: a path that
// starts at the working folder. `size` is the argument with the number of bytes.
#define HERE -2
struct Known {
  long number;
  const char* name;
  signed char folder, path, other_folder, other_path, descriptor, size;
  char needs_room, moves_bytes;  // may fail with ENOSPC; may do a part: 'w' write, 'v' writev, 'r'
};

static const struct Known known[] = {
#ifdef SYS_open
    {SYS_open, "open", HERE, 0, -1, -1, -1, -1, 1, 0},
    {SYS_creat, "open", HERE, 0, -1, -1, -1, -1, 1, 0},
    {SYS_rename, "rename", HERE, 0, HERE, 1, -1, -1, 1, 0},
    {SYS_link, "link", HERE, 0, HERE, 1, -1, -1, 1, 0},
    {SYS_symlink, "symlink", -1, -1, HERE, 1, -1, -1, 1, 0},
    {SYS_unlink, "unlink", HERE, 0, -1, -1, -1, -1, 0, 0},
    {SYS_rmdir, "rmdir", HERE, 0, -1, -1, -1, -1, 0, 0},
    {SYS_mkdir, "mkdir", HERE, 0, -1, -1, -1, -1, 1, 0},
#endif
#ifdef SYS_renameat
    {SYS_renameat, "rename", 0, 1, 2, 3, -1, -1, 1, 0},
#endif
    {SYS_openat, "open", 0, 1, -1, -1, -1, -1, 1, 0},
    {SYS_renameat2, "rename", 0, 1, 2, 3, -1, -1, 1, 0},
    {SYS_linkat, "link", 0, 1, 2, 3, -1, -1, 1, 0},
    {SYS_symlinkat, "symlink", -1, -1, 1, 2, -1, -1, 1, 0},
    {SYS_unlinkat, "unlink", 0, 1, -1, -1, -1, -1, 0, 0},
    {SYS_mkdirat, "mkdir", 0, 1, -1, -1, -1, -1, 1, 0},
    {SYS_truncate, "truncate", HERE, 0, -1, -1, -1, 1, 1, 0},
    {SYS_ftruncate, "truncate", -1, -1, -1, -1, 0, 1, 1, 0},
    {SYS_fallocate, "fallocate", -1, -1, -1, -1, 0, 3, 1, 0},
    {SYS_write, "write", -1, -1, -1, -1, 0, 2, 1, 'w'},
    {SYS_pwrite64, "write", -1, -1, -1, -1, 0, 2, 1, 'w'},
    {SYS_writev, "write", -1, -1, -1, -1, 0, -1, 1, 'v'},
    {SYS_pwritev, "write", -1, -1, -1, -1, 0, -1, 1, 'v'},
    {SYS_sendfile, "write", -1, -1, -1, -1, 0, 3, 1, 'w'},
    {SYS_copy_file_range, "write", -1, -1, -1, -1, 2, 4, 1, 'w'},
    {SYS_read, "read", -1, -1, -1, -1, 0, 2, 0, 'r'},
    {SYS_pread64, "read", -1, -1, -1, -1, 0, 2, 0, 'r'},
    {SYS_fsync, "fsync", -1, -1, -1, -1, 0, -1, 1, 0},
    {SYS_fdatasync, "fsync", -1, -1, -1, -1, 0, -1, 1, 0},
    {SYS_close, "close", -1, -1, -1, -1, 0, -1, 1, 0},
};
enum { KNOWN = sizeof(known) / sizeof(known[0]) };

static char folder[MOST_PATH];
static size_t folder_length;
static int log_descriptor = -1;
static long fault_at;
static int fault;
static int fault_lasts;
static atomic_long calls;

// ---- text without the C library's help

struct Line {
  char text[3 * MOST_PATH];
  size_t length;
};
static void add_text(struct Line* line, const char* text) {
  while (*text != '\0' && line->length < sizeof(line->text) - 1) line->text[line->length++] = *text++;
}
static void add_number(struct Line* line, long value) {
  char digits[24];
  size_t at = sizeof(digits) - 1;
  unsigned long rest = value < 0 ? -(unsigned long)value : (unsigned long)value;
  digits[at] = '\0';
  do digits[--at] = (char)('0' + rest % 10);
  while ((rest /= 10) != 0);
  if (value < 0) digits[--at] = '-';
  add_text(line, digits + at);
}

static int below_folder(const char* path) {
  return strncmp(path, folder, folder_length) == 0 &&
         (path[folder_length] == '/' || path[folder_length] == '\0');
}

// The path of a descriptor, or of the working folder; empty where there is none.
static void path_of(long descriptor, char* out) {
  struct Line name = {.length = 0};
  if (descriptor == AT_FDCWD) {
    add_text(&name, "/proc/self/cwd");
  } else {
    add_text(&name, "/proc/self/fd/");
    add_number(&name, descriptor);
  }
  name.text[name.length] = '\0';
  const long length = reliability_raw(SYS_readlinkat, (long)AT_FDCWD, name.text, out, MOST_PATH - 1L);
  out[length > 0 ? length : 0] = '\0';
}

static void full_path(long start, const char* path, char* out) {
  out[0] = '\0';
  if (path == NULL) return;
  size_t used = 0;
  if (path[0] != '/') {
    path_of(start, out);
    used = strlen(out);
    if (used < MOST_PATH - 1) out[used++] = '/';
  }
  while (path[0] == '.' && path[1] == '/') path += 2;
  while (*path != '\0' && used < MOST_PATH - 1) out[used++] = *path++;
  while (used > 1 && out[used - 1] == '/') --used;
  out[used] = '\0';
}

// ---- one call

static void find_paths(const struct Known* call, const long* args, char* path, char* other) {
  path[0] = other[0] = '\0';
  if (call->descriptor >= 0) path_of((int)args[(int)call->descriptor], path);
  if (call->path >= 0) {
    const long start = call->folder == HERE ? AT_FDCWD : (int)args[(int)call->folder];
    full_path(start, (const char*)args[(int)call->path], path);
  }
  if (call->other_path >= 0) {
    const long start = call->other_folder == HERE ? AT_FDCWD : (int)args[(int)call->other_folder];
    full_path(start, (const char*)args[(int)call->other_path], other);
  }
}

static const char* relative(const char* path) {
  if (path[0] == '\0') return "";
  if (!below_folder(path)) return path;
  return path[folder_length] == '\0' ? "." : path + folder_length + 1;
}

static int reads_only(long number, const long* args) {
  long flags = 0;
  if (number == SYS_openat) flags = args[2];
#ifdef SYS_open
  else if (number == SYS_open) flags = args[1];
  else if (number == SYS_creat) flags = O_CREAT;
#endif
  return (flags & (O_ACCMODE | O_CREAT | O_TRUNC)) == O_RDONLY;
}

static long bytes_of(const struct Known* call, const long* args) {
  if (call->moves_bytes != 'v') return call->size >= 0 ? args[(int)call->size] : 0;
  const struct iovec* pieces = (const struct iovec*)args[1];
  long bytes = 0;
  for (long i = 0; i < args[2]; ++i) bytes += (long)pieces[i].iov_len;
  return bytes;
}

static long whole(long number, const long* a) {
  return reliability_raw(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static long half(const struct Known* call, const long* args) {
  long changed[6];
  memcpy(changed, args, sizeof(changed));
  if (call->moves_bytes == 'v') {  // half of the first piece
    struct iovec piece = *(const struct iovec*)args[1];
    piece.iov_len = (piece.iov_len + 1) / 2;
    changed[1] = (long)&piece;
    changed[2] = 1;
    return whole(call->number, changed);
  }
  if (args[(int)call->size] > 0) changed[(int)call->size] = (args[(int)call->size] + 1) / 2;
  return whole(call->number, changed);
}

static void report(long count, const char* name, const char* path, const char* other, long bytes,
                   const char* done, long result) {
  struct Line line = {.length = 0};
  add_number(&line, count);
  const char* texts[] = {name, relative(path), relative(other)};
  for (int i = 0; i < 3; ++i) add_text(&line, "\t"), add_text(&line, texts[i]);
  add_text(&line, "\t"), add_number(&line, bytes);
  add_text(&line, "\t"), add_text(&line, done);
  add_text(&line, "\t"), add_number(&line, result);
  add_text(&line, "\n");
  reliability_raw(SYS_write, (long)log_descriptor, line.text, line.length);
}

static long faulty(const struct Known* call, const char* name, const long* args, const char** done) {
  if (fault == INTERRUPT) {
    *done = "interrupted";
    reliability_raw(SYS_kill, reliability_raw(SYS_getpid), (long)SIGINT);
    return whole(call->number, args);
  }
  if (fault == SHORT) {
    if (call->moves_bytes == 0) return whole(call->number, args);
    *done = "short";
    return half(call, args);
  }
  if (fault > 0) {
    if (fault == ENOSPC && (!call->needs_room || strcmp(name, "open-read") == 0))
      return whole(call->number, args);
    if (call->number == SYS_close) whole(call->number, args);
    *done = "failed";
    return -fault;
  }
  *done = "killed";
  if (fault == TORN && call->moves_bytes != 0 && call->moves_bytes != 'r') half(call, args);
  return 0;
}

static long perform(const struct Known* call, const long* args) {
  char path[MOST_PATH];
  char other[MOST_PATH];
  if (call->number == SYS_close && (int)args[0] == log_descriptor) return 0;
  find_paths(call, args, path, other);
  if (!below_folder(path) && !below_folder(other)) return whole(call->number, args);
  const long count = atomic_fetch_add(&calls, 1) + 1;
  const char* name =
      strcmp(call->name, "open") == 0 && reads_only(call->number, args) ? "open-read" : call->name;
  const long bytes = bytes_of(call, args);
  const char* done = "";
  if (fault_at == 0 || count < fault_at || (count > fault_at && !fault_lasts)) {
    const long result = whole(call->number, args);
    report(count, name, path, other, bytes, done, result);
    return result;
  }
  const long result = faulty(call, name, args, &done);
  report(count, name, path, other, bytes, done, result);
  if (strcmp(done, "killed") == 0) {
    reliability_raw(SYS_kill, reliability_raw(SYS_getpid), (long)SIGKILL);
    for (;;) reliability_raw(SYS_sched_yield);
  }
  return result;
}

static void on_call(int signal, siginfo_t* info, void* where) {
  (void)signal;
  long args[6];
  arguments(where, args);
  const int before = errno;
  for (int i = 0; i < KNOWN; ++i) {
    if (known[i].number == info->si_syscall) {
      give_result(where, perform(&known[i], args));
      break;
    }
  }
  errno = before;
}

// ---- start

static int install_filter(void) {
  struct sock_filter program[KNOWN + 16];
  const uintptr_t through = (uintptr_t)reliability_raw_end;
  int n = 0;
#define LOAD(place) \
  (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)(place))
#define SAME(value, yes, no) \
  (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(value), yes, no)
#define RETURN(what) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, what)
  const size_t address = offsetof(struct seccomp_data, instruction_pointer);
  program[n++] = LOAD(offsetof(struct seccomp_data, arch));
  program[n++] = SAME(ARCHITECTURE, 1, 0);
  program[n++] = RETURN(SECCOMP_RET_ALLOW);
  program[n++] = LOAD(address);
  program[n++] = SAME(through & 0xFFFFFFFFu, 0, 3);
  program[n++] = LOAD(address + 4);
  program[n++] = SAME(through >> 32, 0, 1);
  program[n++] = RETURN(SECCOMP_RET_ALLOW);
  program[n++] = LOAD(offsetof(struct seccomp_data, nr));
  for (int i = 0; i < KNOWN; ++i)
    program[n++] = SAME(known[i].number, (unsigned char)(KNOWN - i), 0);
  program[n++] = RETURN(SECCOMP_RET_ALLOW);
  program[n++] = RETURN(SECCOMP_RET_TRAP);
  struct sock_fprog filter = {.len = (unsigned short)n, .filter = program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -errno;
  const long set =
      syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
  return set < 0 ? -errno : set > 0 ? -EBUSY : 0;
}

// Starts counting; once per process. Returns 0 or a negative errno.
// `below`: the folder, absolute and without symbolic links. `log`: a file outside it, to be made.
// `at`: the call to disturb, 0 for none. `what`: an errno, KILL, TORN, SHORT or INTERRUPT.
__attribute__((visibility("default"))) int reliability_arm(const char* below, const char* log, long at,
                                                            int what, int lasting) {
  folder_length = strlen(below);
  if (below[0] != '/' || folder_length >= MOST_PATH || log_descriptor >= 0) return -EINVAL;
  memcpy(folder, below, folder_length + 1);
  const int opened = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  if (opened < 0) return -errno;
  // Far from the numbers that a program's own files get: those stay as they are without us.
  log_descriptor = fcntl(opened, F_DUPFD_CLOEXEC, 500);
  close(opened);
  if (log_descriptor < 0) return -errno;
  fault_at = at;
  fault = what;
  fault_lasts = lasting;
  struct sigaction action = {.sa_sigaction = on_call, .sa_flags = SA_SIGINFO | SA_NODEFER};
  if (sigaction(SIGSYS, &action, NULL) != 0) return -errno;
  return install_filter();
}

__attribute__((constructor)) static void from_environment(void) {
  const char* below = getenv("RELIABILITY_FOLDER");
  const char* log = getenv("RELIABILITY_LOG");
  const char* at = getenv("RELIABILITY_AT");
  const char* what = getenv("RELIABILITY_FAULT");
  const char* lasting = getenv("RELIABILITY_LASTING");
  if (!below || !log || !at || !what || !lasting) return;
  if (reliability_arm(below, log, atol(at), atoi(what), atoi(lasting)) != 0) _exit(125);
}
