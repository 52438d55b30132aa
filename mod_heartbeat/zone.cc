// The shared memory of the session table. It is anonymous and belongs to the process, not to the configuration:
// so it lives through graceful restarts, and every child inherits it.
#include "mod_heartbeat/zone.h"

#include <new>

#include <apr_shm.h>

namespace heartbeat {
namespace {

constexpr const char* kRetained = "http_heartbeat_zone";
constexpr std::size_t kLine = 64;  // the table wants this alignment

// What is found again when the module has been unloaded and loaded.
struct Zone {
  apr_shm_t* memory;
  std::atomic<std::uint32_t>* generation;
  void* table;
  std::size_t size;
};

Zone* find_zone() {
  void* retained = ap_retained_data_get(kRetained);
  if (retained == nullptr) retained = ap_retained_data_create(kRetained, sizeof(Zone));
  return static_cast<Zone*>(retained);
}

bool make_zone(server_rec* server, Zone& zone, std::size_t size) {
  zone = {};
  apr_status_t status = apr_shm_create(&zone.memory, size + 2 * kLine, nullptr, server->process->pool);
  if (status != APR_SUCCESS) {
    zone.memory = nullptr;
    char why[128];
    ServerLog(server).print(Level::error, "heartbeat: no shared memory of %zu bytes (HeartbeatZone): %s", size,
                            apr_strerror(status, why, sizeof why));
    return false;
  }
  auto start = (reinterpret_cast<std::uintptr_t>(apr_shm_baseaddr_get(zone.memory)) + kLine - 1) & ~(kLine - 1);
  zone.generation = new (reinterpret_cast<void*>(start)) std::atomic<std::uint32_t>(0);
  zone.table = reinterpret_cast<void*>(start + kLine);
  zone.size = size;
  return true;
}

}  // namespace

std::atomic<std::uint32_t>* zone_generation() { return find_zone()->generation; }

bool attach_zone(server_rec* server, std::size_t size, Table& table) {
  ServerLog log(server);
  Zone& zone = *find_zone();
  if (zone.memory != nullptr && zone.size != size) {
    log.print(Level::notice,
              "heartbeat: HeartbeatZone changed from %zu to %zu bytes: the table stays as it is until a full restart",
              zone.size, size);
  }
  bool kept = zone.memory != nullptr && table.attach(zone.table, zone.size);
  if (zone.memory != nullptr && !kept) {
    log.write(Level::notice,
              "heartbeat: the table of the version before cannot be read by this one: a new one is made");
    apr_shm_destroy(zone.memory);
  }
  if (!kept && !make_zone(server, zone, size)) return false;
  if (!kept && !table.create(zone.table, zone.size)) {
    log.print(Level::error, "heartbeat: no session table could be made in %zu bytes", size);
    return false;
  }
  zone.generation->fetch_add(1);
  return true;
}

}  // namespace heartbeat
