// An answer that waits for Redis: the endpoint says what is asked and what becomes of the answer; the server's glue
// runs a Lookup, and sends the reply when that has ended.
#pragma once

#include "shared/http/reply.h"
#include "shared/redis/lookup.h"

namespace heartbeat {

/// Lies in the memory of its request.
class Deferred : public Question {
 public:
  explicit Deferred(const Store& the_store) : store(the_store) {}

  const Store& store;      // that is asked
  Arena* arena = nullptr;  // for the reply; whoever runs the lookup gives one, that of the exchange has gone by then
  Reply reply;             // once take() or no_answer() was called

 protected:
  ~Deferred() = default;
};

}  // namespace heartbeat
