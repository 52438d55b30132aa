// How long this machine takes to read memory that no cache has, in nanoseconds: sessions are read like that, and other
// guests of the same host make it slower at times.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <vector>

int main() {
  constexpr std::uint32_t kCells = 1U << 25, kReads = 1U << 21;  // 128 MiB
  // A linear congruential generator of full period (Knuth, TAOCP 2, theorem 3.2.1.2 A): each cell names the next.
  std::vector<std::uint32_t> next(kCells);
  for (std::uint32_t i = 0; i < kCells; ++i) next[i] = (i * 1664525U + 1013904223U) % kCells;
  const auto began = std::chrono::steady_clock::now();
  std::uint32_t at = 0;
  for (std::uint32_t i = 0; i < kReads; ++i) at = next[at];
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - began;
  std::printf("%.0f\n", took.count() / kReads);
  return at == kCells;  // never: so that no read is left out
}
