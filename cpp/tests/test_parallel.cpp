#include <doctest/doctest.h>

#include <atomic>
#include <bit>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "float_environment.hpp"
#include "puresid/parallel.hpp"

namespace puresid {
namespace {

using testing::ForeignFloatEnvironment;

Execution with_threads(int threads) {
  Execution execution;
  execution.threads = threads;
  return execution;
}

TEST_CASE("every chunk runs once, whatever the number of threads") {
  for (const int threads : {-1, 0, 1, 2, 3, 4, 9}) {
    for (const std::size_t chunks : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{1000}}) {
      std::vector<std::atomic<int>> runs(chunks);
      parallel_for(with_threads(threads), "test", chunks, chunks, [&](std::size_t chunk, Worker&) { ++runs[chunk]; });
      for (const auto& count : runs) CHECK(count == 1);
    }
  }
}

TEST_CASE("a state is made once per thread and used by no two threads") {
  struct State {
    std::thread::id owner = std::this_thread::get_id();
  };
  std::atomic<int> made{0}, strangers{0};
  parallel_for(
      with_threads(4), "test", 500, 500,
      [&] {
        ++made;
        return State{};
      },
      [&](State& state, std::size_t, Worker&) {
        if (state.owner != std::this_thread::get_id()) ++strangers;
      });
  CHECK(made >= 1);
  CHECK(made <= 4);
  CHECK(strangers == 0);
}

TEST_CASE("an exception of a worker reaches the caller with its type and message") {
  for (const int threads : {1, 4}) {
    const auto call = [&] {
      parallel_for(with_threads(threads), "test", 100, 100, [](std::size_t chunk, Worker&) {
        if (chunk == 60) throw std::out_of_range("chunk 60");
      });
    };
    CHECK_THROWS_WITH_AS(call(), "chunk 60", std::out_of_range);
  }
}

TEST_CASE("of several exceptions the lowest chunk's wins, also when it comes last") {
  for (int repeat = 0; repeat < 30; ++repeat) {
    const auto call = [] {
      parallel_for(with_threads(4), "test", 200, 200, [](std::size_t chunk, Worker&) {
        if (chunk == 7) std::this_thread::sleep_for(std::chrono::milliseconds(2));
        if (chunk >= 7) throw std::runtime_error("chunk " + std::to_string(chunk));
      });
    };
    CHECK_THROWS_WITH_AS(call(), "chunk 7", std::runtime_error);
  }
}

TEST_CASE("an exception from making the state reaches the caller") {
  const auto call = [] {
    parallel_for(
        with_threads(2), "test", 10, 10, []() -> int { throw std::bad_alloc(); }, [](int&, std::size_t, Worker&) {});
  };
  CHECK_THROWS_AS(call(), std::bad_alloc);
}

TEST_CASE("no chunk begins after one has failed, except those already handed out") {
  std::atomic<std::size_t> begun{0};
  const auto call = [&] {
    parallel_for(with_threads(2), "test", 1'000'000, 1'000'000, [&](std::size_t chunk, Worker&) {
      ++begun;
      if (chunk == 0) throw std::runtime_error("chunk 0");
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    });
  };
  CHECK_THROWS_AS(call(), std::runtime_error);
  CHECK(begun < 1'000'000);
}

TEST_CASE("a call stops soon after `interrupted` answers true, also inside long chunks") {
  for (const int threads : {1, 3}) {
    for (const bool long_chunks : {false, true}) {
      Execution execution = with_threads(threads);
      execution.interrupted = [] { return true; };
      const auto start = std::chrono::steady_clock::now();
      const auto call = [&] {
        parallel_for(execution, "test", 1'000'000, 1'000'000, [&](std::size_t, Worker& worker) {
          do {
            std::this_thread::sleep_for(std::chrono::microseconds(100));
            if (long_chunks) worker.poll();
          } while (long_chunks);
        });
      };
      CHECK_THROWS_AS(call(), Cancelled);
      CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(10));  // of 100 s or of ever
    }
  }
}

TEST_CASE("`interrupted` and `progress` are called from the calling thread only, and it ends with all done") {
  Execution execution = with_threads(4);
  const auto caller = std::this_thread::get_id();
  std::size_t asked = 0, strangers = 0, last_done = 0, last_total = 0, falls = 0;
  std::string last_stage;
  execution.interrupted = [&] {
    ++asked;
    if (std::this_thread::get_id() != caller) ++strangers;
    return false;
  };
  execution.progress = [&](std::string_view stage, std::size_t done, std::size_t total) {
    if (std::this_thread::get_id() != caller) ++strangers;
    if (done < last_done) ++falls;
    last_stage = stage;
    last_done = done;
    last_total = total;
  };
  parallel_for(execution, "a stage", 2000, 4000, [](std::size_t, Worker& worker) {
    std::this_thread::sleep_for(std::chrono::microseconds(300));
    worker.advance(2);
  });
  CHECK(asked > 0);
  CHECK(strangers == 0);
  CHECK(falls == 0);
  CHECK(last_stage == "a stage");
  CHECK(last_done == 4000);
  CHECK(last_total == 4000);
}

TEST_CASE("however many short loops copies of an execution run, they ask once in 50 ms") {
  Execution execution = with_threads(2);
  std::int64_t asked = 0;
  execution.interrupted = [&] {
    ++asked;
    return false;
  };
  const auto start = std::chrono::steady_clock::now();
  for (int loop = 0; loop < 2000; ++loop) {
    Execution copy = execution;
    copy.threads = 1;
    parallel_for(copy, "test", 1, 1, [](std::size_t, Worker&) {});
    run_alone(execution, "test", [](Worker& worker) { worker.poll(); });
  }
  const auto passed = std::chrono::steady_clock::now() - start;
  CHECK(asked >= 1);
  CHECK(asked <= 1 + passed / std::chrono::milliseconds(50));
}

TEST_CASE("work alone is one call on the calling thread, silent, and may be called away") {
  Execution execution = with_threads(4);
  execution.progress = [](std::string_view, std::size_t, std::size_t) { CHECK(false); };
  std::size_t calls = 0;
  run_alone(execution, "test", [&, caller = std::this_thread::get_id()](Worker&) {
    CHECK(std::this_thread::get_id() == caller);
    ++calls;
  });
  CHECK(calls == 1);
  *execution.last_asked = {};
  execution.interrupted = [] { return true; };
  CHECK_THROWS_AS(run_alone(execution, "test", [](Worker& worker) { worker.poll(); }), Cancelled);
}

TEST_CASE("every worker computes in the default floating-point environment, and the caller's is restored") {
  const volatile float smallest = std::numeric_limits<float>::denorm_min();
  const ForeignFloatEnvironment foreign;
  REQUIRE(ForeignFloatEnvironment::in_force());
  for (const int threads : {1, 4}) {
    std::atomic<int> flushed{0}, rounded{0};
    parallel_for(with_threads(threads), "test", 100, 100, [&](std::size_t, Worker&) {
      std::this_thread::sleep_for(std::chrono::microseconds(50));  // so that every thread gets some
      const float sum = smallest + smallest;
      if (std::bit_cast<std::uint32_t>(sum) != 2) ++flushed;  // a comparison as numbers would flush it too
      if (std::fegetround() != FE_TONEAREST) ++rounded;
    });
    CHECK(flushed == 0);
    CHECK(rounded == 0);
  }
  CHECK(ForeignFloatEnvironment::in_force());
}

TEST_CASE("calls may follow one another after the threads were given back") {
  for (int repeat = 0; repeat < 3; ++repeat) {
    std::atomic<int> runs{0};
    parallel_for(with_threads(3), "test", 50, 50, [&](std::size_t, Worker&) { ++runs; });
    CHECK(runs == 50);
    release_threads();
  }
}

TEST_CASE("several threads may call at the same time") {
  std::vector<std::thread> callers;
  std::atomic<int> runs{0};
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&] {
      for (int repeat = 0; repeat < 20; ++repeat) {
        parallel_for(with_threads(2), "test", 20, 20, [&](std::size_t, Worker&) { ++runs; });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(runs == 3 * 20 * 20);
}

}  // namespace
}  // namespace puresid
