// A request made by hand.
#pragma once

#include <strings.h>

#include <string>
#include <utility>
#include <vector>

#include "shared/http/request.h"

namespace heartbeat {

class FakeRequest final : public Request {
 public:
  explicit FakeRequest(Method the_method = Method::head) {
    method = the_method;
    http_1_1 = true;
  }
  std::string_view cookies(unsigned i) const override {
    return i < cookie_lines.size() ? std::string_view(cookie_lines[i]) : std::string_view();
  }
  std::string_view header(std::string_view name) const override {
    for (const auto& [own_name, value] : headers) {
      if (own_name.size() == name.size() && strncasecmp(own_name.data(), name.data(), name.size()) == 0) return value;
    }
    return {};
  }
  /// An expression is a pointer to its value.
  std::string_view evaluate(void* expression) const override { return *static_cast<std::string*>(expression); }

  bool https() const override { return over_https; }

  bool over_https = false;
  std::vector<std::string> cookie_lines;
  std::vector<std::pair<std::string, std::string>> headers;
};

}  // namespace heartbeat
