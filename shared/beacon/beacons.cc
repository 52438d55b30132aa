// What a process needs to take beacons.
#include "shared/beacon/beacons.h"

namespace heartbeat {

void Beacons::open(const SpoolSettings& settings, Table& table, Log& log) {
  if (settings.directory.empty() || !table.attached()) return;
  Error error;
  wanted = true;
  quota.attach(table.quotas().memory, table.quotas().size, table.key());
  if (!spool.open(settings, table.header().spool, error)) {
    log.print(Level::error, "heartbeat_spool: %s", error.text());
  }
}

bool keep_directory(Table& table, SpoolSettings& settings) {
  char (&running)[kSpoolPath + 1] = table.header().spool.directory;
  if (settings.directory.empty() || settings.directory == running) return false;
  if (running[0] == '\0') {
    settings.directory.copy(running, kSpoolPath);
    return false;
  }
  settings.directory = running;
  return true;
}

}  // namespace heartbeat
