// OpenSSL keeps the errors of a thread in a queue. What our calls leave there, a server would take for an error of the
// TLS connection that it serves next.
#pragma once

#include <openssl/err.h>

namespace heartbeat {

/// While it lives, errors may come; when it ends, the queue is as it was before.
class QuietOpenssl {
 public:
  QuietOpenssl() { ERR_set_mark(); }
  ~QuietOpenssl() { ERR_pop_to_mark(); }
  QuietOpenssl(const QuietOpenssl&) = delete;
  QuietOpenssl& operator=(const QuietOpenssl&) = delete;
};

}  // namespace heartbeat
