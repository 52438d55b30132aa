// The parts of the ports that every server shares.
#include "shared/port/port.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <span>

namespace heartbeat {

void Log::print(Level level, const char* format, ...) {
  char line[1001];
  va_list args;
  va_start(args, format);
  int length = std::vsnprintf(line, sizeof line, format, args);
  va_end(args);
  if (length < 0) return;
  std::size_t size = static_cast<std::size_t>(length) < sizeof line ? static_cast<std::size_t>(length) : sizeof line - 1;
  for (char& c : std::span(line, size)) {
    if (static_cast<unsigned char>(c) < ' ' || c == 127) c = '?';  // ids and answers come from outside
  }
  write(level, std::string_view(line, size));
}

std::string_view Arena::copy(std::string_view text) {
  char* memory = static_cast<char*>(allocate(text.size() + 1, 1));
  if (memory == nullptr) return {};
  if (!text.empty()) std::memcpy(memory, text.data(), text.size());
  memory[text.size()] = '\0';
  return {memory, text.size()};
}

}  // namespace heartbeat
