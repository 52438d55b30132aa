// What a process needs to take beacons: the spool, and how much whoever sends may send.
#pragma once

#include "shared/beacon/quota.h"
#include "shared/beacon/spool.h"
#include "shared/session/table.h"

namespace heartbeat {

struct Beacons {
  Spool spool;
  Quota quota;
  bool wanted = false;  // there is a heartbeat_spool

  /// In a process that begins to serve. What is wrong with the directory is logged; as soon as that is mended, beacons are
  /// kept again.
  void open(const SpoolSettings& settings, Table& table, Log& log);
};

/// The directory of a table's spool stays until a full restart: what lies in it belongs to that table, and processes of
/// two configurations use it at a time. True: `settings` names another, and now that one.
bool keep_directory(Table& table, SpoolSettings& settings);

}  // namespace heartbeat
