// parallel_for: the only file that knows OpenMP. Back ends: OpenMP (default), std::thread
// (PURESID_PARALLEL_THREADS, for ThreadSanitizer), serial (PURESID_PARALLEL_SERIAL).
//
// Chunks are handed out in increasing order, one at a time, so whichever thread runs a chunk, all
// chunks before it have begun. Of several exceptions the one of the lowest chunk reaches the caller:
// it does not depend on timing, because every lower chunk runs to its end. The calling thread is one
// of the workers; between chunks, and wherever a body calls Worker::poll(), it asks
// Execution::interrupted. Every worker runs in the default floating-point environment, so a library
// that switched on flush-to-zero or another rounding mode changes no bit.
#pragma once

#include <algorithm>
#include <atomic>
#include <cfenv>
#include <chrono>
#include <cstddef>
#include <exception>
#include <limits>
#include <mutex>
#include <string_view>
#include <utility>

#include "puresid/execution.hpp"

#if defined(PURESID_PARALLEL_THREADS)
#include <thread>
#include <vector>
#elif !defined(PURESID_PARALLEL_SERIAL)
#include <omp.h>
#endif

namespace puresid {

#if defined(PURESID_PARALLEL_THREADS)
inline constexpr std::string_view kParallelBackEnd = "threads";
#elif defined(PURESID_PARALLEL_SERIAL)
inline constexpr std::string_view kParallelBackEnd = "serial";
#else
inline constexpr std::string_view kParallelBackEnd = "openmp";
#endif

// Sets the default floating-point environment for its lifetime.
class DefaultFloatEnvironment {
 public:
  DefaultFloatEnvironment() {
    std::fegetenv(&saved_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~DefaultFloatEnvironment() { std::fesetenv(&saved_); }
  DefaultFloatEnvironment(const DefaultFloatEnvironment&) = delete;
  DefaultFloatEnvironment& operator=(const DefaultFloatEnvironment&) = delete;

 private:
  std::fenv_t saved_{};
};

// Calls worker(t) once for each t in [0, threads), t = 0 on the calling thread; worker must not throw.
// Fewer calls happen where the system grants fewer threads.
template <class F>
void run_workers(int threads, F&& worker) {
#if defined(PURESID_PARALLEL_THREADS)
  struct Joined : std::vector<std::thread> {  // std::jthread is not in every standard library yet
    ~Joined() {
      for (std::thread& thread : *this) thread.join();
    }
  } others;
  for (int t = 1; t < threads; ++t) others.emplace_back([&worker, t] { worker(t); });
  worker(0);
#elif defined(PURESID_PARALLEL_SERIAL)
  static_cast<void>(threads);
  worker(0);
#else
  if (threads == 1) {  // no team: the call leaves no trace in the OpenMP runtime
    worker(0);
    return;
  }
#pragma omp parallel num_threads(threads) default(shared)
  worker(omp_get_thread_num());
#endif
}

// Gives back the threads that the runtime keeps for the calling thread. Call before fork().
void release_threads() noexcept;

// How many of execution.threads a loop of so many operations is worth. Gathering a team takes
// microseconds, and far longer where other processes hold a core, so each thread gets a millisecond's work.
[[nodiscard]] inline int threads_for(const Execution& execution, std::size_t operations) noexcept {
  constexpr std::size_t kOperationsPerThread = 100'000'000;
  const std::size_t worth = 1 + operations / kOperationsPerThread;
  return std::cmp_less(worth, execution.threads) ? static_cast<int>(worth) : execution.threads;
}

class Worker;

// What the workers of one call share.
class Team {
 public:
  Team(const Execution& execution, std::string_view stage, std::size_t total)
      : execution_(execution), stage_(stage), total_(total) {}
  [[nodiscard]] bool stopped() const noexcept { return stop_.load(std::memory_order_relaxed); }

 private:
  friend class Worker;
  template <class MakeState, class Body>
  friend void parallel_for(const Execution&, std::string_view, std::size_t, std::size_t, MakeState&&, Body&&);

  void fail(std::size_t chunk, std::exception_ptr error) {
    const std::scoped_lock lock(mutex_);
    if (chunk < failed_chunk_) {
      failed_chunk_ = chunk;
      error_ = std::move(error);
    }
    stop_.store(true, std::memory_order_relaxed);
  }

  const Execution& execution_;
  std::string_view stage_;
  std::size_t total_;
  std::atomic<std::size_t> next_{0}, done_{0};
  std::atomic<bool> stop_{false}, cancelled_{false};
  std::mutex mutex_;
  std::size_t failed_chunk_ = std::numeric_limits<std::size_t>::max();
  std::exception_ptr error_;
};

// One thread's handle on the call it takes part in.
class Worker {
 public:
  Worker(Team& team, bool is_caller) : team_(team), is_caller_(is_caller) {}

  // Throws Cancelled once the caller wants to stop. Cheap; long chunks call it as they go.
  void poll() {
    if (is_caller_) {
      const auto now = Clock::now();
      if (now - *team_.execution_.last_asked >= std::chrono::milliseconds(50)) {
        *team_.execution_.last_asked = now;
        if (team_.execution_.progress) {
          team_.execution_.progress(team_.stage_, team_.done_.load(std::memory_order_relaxed), team_.total_);
        }
        if (team_.execution_.interrupted && team_.execution_.interrupted()) team_.cancelled_ = true;
      }
    }
    if (team_.cancelled_.load(std::memory_order_relaxed)) throw Cancelled();
  }
  // Counts items done since the last call, for the progress display.
  void advance(std::size_t items) { team_.done_.fetch_add(items, std::memory_order_relaxed); }

 private:
  using Clock = std::chrono::steady_clock;
  Team& team_;
  bool is_caller_;
};

// Runs body(state, chunk, worker) for each chunk in [0, chunks). make_state() is called once per
// thread. `total` is what progress reports as the whole.
template <class MakeState, class Body>
void parallel_for(const Execution& execution, std::string_view stage, std::size_t chunks, std::size_t total,
                  MakeState&& make_state, Body&& body) {
  Team team(execution, stage, total);
  const auto wanted = static_cast<std::size_t>(execution.threads > 0 ? execution.threads : 1);
  const int threads = static_cast<int>(wanted < chunks ? wanted : (chunks > 0 ? chunks : 1));
  run_workers(threads, [&](int thread) {
    std::size_t chunk = 0;
    try {
      const DefaultFloatEnvironment environment;
      Worker worker(team, thread == 0);
      auto state = make_state();
      while (!team.stopped()) {
        chunk = team.next_.fetch_add(1, std::memory_order_relaxed);
        if (chunk >= chunks) break;
        body(state, chunk, worker);
        worker.poll();
      }
    } catch (...) {
      team.fail(chunk, std::current_exception());
    }
  });
  if (team.error_) std::rethrow_exception(team.error_);
  if (execution.progress) execution.progress(stage, total, total);
}

// The same for work without per-thread state: body(chunk, worker).
template <class Body>
void parallel_for(const Execution& execution, std::string_view stage, std::size_t chunks, std::size_t total,
                  Body&& body) {
  struct Nothing {};
  parallel_for(
      execution, stage, chunks, total, [] { return Nothing{}; },
      [&](Nothing&, std::size_t chunk, Worker& worker) { body(chunk, worker); });
}

// Work that one thread is faster at, from which the caller may still be called away: body(worker).
template <class Body>
void run_alone(const Execution& execution, std::string_view stage, Body&& body) {
  Execution alone = execution;
  alone.threads = 1;
  alone.progress = nullptr;
  parallel_for(alone, stage, 1, 1, [&](std::size_t, Worker& worker) { body(worker); });
}

}  // namespace puresid
