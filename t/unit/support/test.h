// cmocka for C++ files: its macros come after the standard headers, because "fail" and "skip" are names there too.
#pragma once

#include <algorithm>
#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

extern "C" {
#include <cmocka.h>
}

#define assert_text_equal(a, b) assert_string_equal(std::string(a).c_str(), std::string(b).c_str())

// Fails with both texts where `text` does not hold `part`.
#define assert_holds(text, part)                                                                   \
  do {                                                                                             \
    if (std::string(text).find(part) == std::string::npos)                                         \
      fail_msg("\"%s\" not in \"%s\"", std::string(part).c_str(), std::string(text).c_str());      \
  } while (0)
#define assert_lacks(text, part)                                                                   \
  do {                                                                                             \
    if (std::string(text).find(part) != std::string::npos)                                         \
      fail_msg("\"%s\" is in \"%s\"", std::string(part).c_str(), std::string(text).c_str());       \
  } while (0)
