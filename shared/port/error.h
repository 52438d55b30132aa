// One sentence about what was wrong, kept by value so that no error path allocates.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <string_view>

namespace heartbeat {

class Error {
 public:
  Error() { text_[0] = '\0'; }  // the rest is not even cleared

  /// Replaces the sentence; printf notation, cut at 511 bytes.
  void set(const char* format, ...) __attribute__((format(printf, 2, 3))) {
    va_list args;
    va_start(args, format);
    std::vsnprintf(text_, sizeof text_, format, args);
    va_end(args);
  }
  explicit operator bool() const { return text_[0] != '\0'; }
  const char* text() const { return text_; }

 private:
  char text_[512];
};

/// For "%.*s": the two arguments of a view.
#define HEARTBEAT_VIEW(view) static_cast<int>((view).size()), (view).data()

}  // namespace heartbeat
