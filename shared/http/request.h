// One request as the core sees it: views into what the server read, looked up only when an endpoint asks.
#pragma once

#include <cstdint>
#include <string_view>

namespace heartbeat {

enum class Method : std::uint8_t { head, get, post, options, other };

class Request {
 public:
  Method method = Method::other;
  bool http_1_1 = false;        // exactly: neither HTTP/1.0 nor HTTP/2
  bool body_too_large = false;  // larger than heartbeat_body: `body` is empty
  std::string_view query;       // without the question mark
  std::string_view body;        // whole, where the endpoint reads one

  /// The `i`th Cookie header; its data() is null behind the last one.
  virtual std::string_view cookies(unsigned i) const = 0;
  /// The first header of that name, in any case; empty if there is none.
  virtual std::string_view header(std::string_view name) const = 0;
  /// Content-Type; a server may know it without a search.
  virtual std::string_view content_type() const { return header("Content-Type"); }
  /// The value of an expression of the server that the settings hold; empty where it has none.
  virtual std::string_view evaluate(void* expression) const = 0;
  /// True over TLS that ends here.
  virtual bool https() const = 0;

 protected:
  ~Request() = default;
};

}  // namespace heartbeat
