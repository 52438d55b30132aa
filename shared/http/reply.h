// One answer as the core gives it; the server's glue sends it. Its views live as long as the request.
#pragma once

#include <memory>
#include <string_view>

namespace heartbeat {

class Deferred;

struct HeaderLine {
  std::string_view name, value;
};

struct Reply {
  static constexpr unsigned kHeaders = 10;

  unsigned status = 204;
  bool bare = false;   // HTTP/1.1: send the status line and `headers`, nothing that the server would add
  bool close = false;  // the connection closes politely after this answer
  unsigned header_count = 0;
  union {
    HeaderLine headers[kHeaders];  // so many as header_count says; the others are not even cleared
  };
  std::string_view content_type;  // empty: no body
  std::string_view body;
  Deferred* deferred = nullptr;  // not null: the answer waits for Redis, and nothing else of this one is set

  Reply() {}
  void add(std::string_view name, std::string_view value) {
    if (header_count < kHeaders) std::construct_at(&headers[header_count++], HeaderLine{name, value});
  }
};

}  // namespace heartbeat
