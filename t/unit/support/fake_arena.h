// An arena whose pieces are allocated one by one, so that the sanitizer sees every byte beyond one. It can run dry.
#pragma once

#include <cstdlib>
#include <vector>

#include "shared/port/port.h"

namespace heartbeat {

class FakeArena final : public Arena {
 public:
  FakeArena() = default;
  FakeArena(const FakeArena&) = delete;
  FakeArena& operator=(const FakeArena&) = delete;
  ~FakeArena() {
    for (void* piece : pieces_) std::free(piece);
  }
  void* allocate(std::size_t size, std::size_t alignment) override {
    if (left == 0) return nullptr;
    --left;
    void* piece = nullptr;
    if (posix_memalign(&piece, alignment < sizeof(void*) ? sizeof(void*) : alignment, size) != 0) return nullptr;
    pieces_.push_back(piece);
    return piece;
  }
  std::size_t left = SIZE_MAX;  // allocations until it is dry

 private:
  std::vector<void*> pieces_;
};

}  // namespace heartbeat
