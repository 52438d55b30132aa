// What endpoints put into the spool.
#pragma once

#include "shared/beacon/beacons.h"
#include "shared/beacon/record.h"
#include "shared/endpoint/endpoint.h"
#include "shared/identity/shown.h"

namespace heartbeat {

/// How Redis shows this session; empty while that is not known, for there has been no Redis yet since the start.
ShownId shown_session(const Exchange& exchange, std::string_view session);

/// Completes `record` with site, time and browser and keeps it. False: that could not be done.
bool keep(const Exchange& exchange, BeaconRecord& record);

}  // namespace heartbeat
