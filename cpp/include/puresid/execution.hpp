// How a call runs: threads, instruction set, and how the caller hears from it and stops it.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace puresid {

// Thrown out of a call whose `interrupted` answered true. Outputs are then unspecified.
class Cancelled : public std::runtime_error {
 public:
  Cancelled() : std::runtime_error("cancelled") {}
};

// Instruction sets of the kernel. All give the same bits.
enum class Simd { scalar, avx2, avx512, avx512_vnni, neon };

[[nodiscard]] std::string_view simd_name(Simd simd);
// The ones this machine runs, slowest first.
[[nodiscard]] std::vector<Simd> available_simd();
[[nodiscard]] Simd best_simd();
// Throws std::invalid_argument for a name that is unknown or that this machine cannot run.
[[nodiscard]] Simd parse_simd(std::string_view name);

// One object per calling thread, with the copies that are made of it.
struct Execution {
  int threads = 1;
  Simd simd = best_simd();
  // Both are called from the calling thread only, at most every 50 ms or so.
  std::function<bool()> interrupted;
  std::function<void(std::string_view stage, std::size_t done, std::size_t total)> progress;
  // When the calling thread last asked; copies share it, so that many short loops ask as often as a long one.
  std::shared_ptr<std::chrono::steady_clock::time_point> last_asked =
      std::make_shared<std::chrono::steady_clock::time_point>();
};

}  // namespace puresid
