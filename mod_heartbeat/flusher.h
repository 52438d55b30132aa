// The thread of a child that carries what changed to Redis.
#pragma once

#include "mod_heartbeat/module.h"

namespace heartbeat {

/// In a child that begins: starts the thread if there is anywhere to flush to. It ends with `pool`, after a last flush.
void start_flusher(apr_pool_t* pool, server_rec* server);

/// This child takes no new connections any more: others flush from now on.
void retire_flusher();

}  // namespace heartbeat
