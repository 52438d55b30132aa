// A log that keeps its lines.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "shared/port/port.h"

namespace heartbeat {

class FakeLog final : public Log {
 public:
  void write(Level level, std::string_view message) override { lines.emplace_back(level, std::string(message)); }

  int count(std::string_view part) const {
    int found = 0;
    for (const auto& [level, line] : lines) found += line.find(part) != std::string::npos;
    return found;
  }
  std::vector<std::pair<Level, std::string>> lines;
};

}  // namespace heartbeat
