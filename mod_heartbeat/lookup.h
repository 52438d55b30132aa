// A request whose answer waits for Redis.
#pragma once

#include "mod_heartbeat/module.h"
#include "shared/http/reply.h"

namespace heartbeat {

/// Asks Redis, in this thread, until that has answered or failed; no longer than Lookup::kDeadline.
Reply await_reply(request_rec* r, Deferred& deferred);

}  // namespace heartbeat
