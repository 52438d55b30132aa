// The shared memory of the session table.
#pragma once

#include <atomic>

#include "mod_heartbeat/module.h"

namespace heartbeat {

/// Attaches `table` to the shared memory of this server instance, which is made if there is none yet.
/// In the parent, each time the configuration was read. False: said in the log.
bool attach_zone(server_rec* server, std::size_t size, Table& table);

/// Counts the configurations that were read; the children of earlier ones see it change.
std::atomic<std::uint32_t>* zone_generation();

}  // namespace heartbeat
