// What the script tells a page so that it can send beacons.
#pragma once

#include "shared/endpoint/endpoint.h"
#include "shared/http/text.h"

namespace heartbeat {

/// Adds the settings of a new page view (its token, the order of transports, the largest body) and notes that they were
/// delivered. Nothing where no beacon can be taken.
void add_view(const Exchange& exchange, Text& out);

}  // namespace heartbeat
