// Zeroed memory for a session table; shared with child processes.
#pragma once

#include <sys/mman.h>

#include <string>

#include "shared/session/table.h"

namespace heartbeat {

class Zone {
 public:
  explicit Zone(std::size_t size = std::size_t{1} << 20)
      : size(size), memory(::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {}
  Zone(const Zone&) = delete;
  Zone& operator=(const Zone&) = delete;
  ~Zone() { ::munmap(memory, size); }
  char* bytes() const { return static_cast<char*>(memory); }

  const std::size_t size;
  void* const memory;
};

/// "" where every invariant of the table holds.
inline std::string faults(Table& table) {
  Error error;
  table.validate(error);
  return error.text();
}

}  // namespace heartbeat
