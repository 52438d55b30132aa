// The endpoints: a Request in, a Reply out, and the session marked in the shared table.
#pragma once

#include "shared/http/reply.h"
#include "shared/http/request.h"
#include "shared/session/table.h"
#include "shared/settings/settings.h"

namespace heartbeat {

/// All that an endpoint looks at.
struct Exchange {
  const Request& request;
  const Settings& settings;
  const Site& site;
  const Place& place;
  Table& table;              // not attached: nothing is recorded
  Arena& arena;              // lives as long as the request
  Millis now;
  std::uint32_t pings = 0;   // consecutive pings of this connection, this one included; 0: not counted
  Recent* recent = nullptr;  // of this connection, if it can keep one
};

/// Answers a request to `endpoint` (not Endpoint::none).
Reply answer(Endpoint endpoint, const Exchange& exchange);

/// heartbeat_track: notes that an ordinary request was made. After its answer, in the log phase.
void track(const Exchange& exchange);

// --- each endpoint ---------------------------------------------------------------------------------

Reply ping(const Exchange& exchange);
Reply page(const Exchange& exchange);
Reply online(const Exchange& exchange);

/// Records the session of the exchange, if its policy allows. False: the request has none.
bool record(const Exchange& exchange, LifeSign source, bool active);

}  // namespace heartbeat
