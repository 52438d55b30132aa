// What the files of the Apache module share: its configuration structures, the pool as an Arena, the module itself.
// The core's view of a server is in shared/; here is only what httpd wants to be told in its own words.
#pragma once

#include <cstdint>
#include <string_view>

#include "shared/beacon/beacons.h"
#include "shared/identity/verified.h"
#include "shared/port/port.h"
#include "shared/redis/store.h"
#include "shared/session/table.h"
#include "shared/settings/settings.h"

// C++20 has designated initializers, but httpd's headers believe that only C has them.
#ifndef AP_HAVE_DESIGNATED_INITIALIZER
#define AP_HAVE_DESIGNATED_INITIALIZER
#endif
#include <httpd.h>

#include <http_config.h>
#include <http_log.h>

extern "C" {
extern module AP_MODULE_DECLARE_DATA http_heartbeat_module;
}
APLOG_USE_MODULE(http_heartbeat);

namespace heartbeat {

/// Memory of a pool.
class PoolArena final : public Arena {
 public:
  explicit PoolArena(apr_pool_t* pool) : pool_(pool) {}
  void* allocate(std::size_t size, std::size_t alignment) override {
    constexpr std::size_t kOfPool = 8;
    std::size_t slack = alignment > kOfPool ? alignment - kOfPool : 0;
    auto address = reinterpret_cast<std::uintptr_t>(apr_palloc(pool_, size + slack));
    return reinterpret_cast<void*>((address + alignment - 1) & ~(std::uintptr_t{alignment} - 1));
  }

 private:
  apr_pool_t* pool_;
};

/// httpd's error log.
class ServerLog final : public Log {
 public:
  explicit ServerLog(server_rec* server) : server_(server) {}
  void write(Level level, std::string_view message) override;

 private:
  server_rec* server_;
};

/// The same for what concerns one request: with its client.
class RequestLog final : public Log {
 public:
  explicit RequestLog(request_rec* r) : r_(r) {}
  void write(Level level, std::string_view message) override;

 private:
  request_rec* r_;
};

/// Where a directive of ours stands in the configuration.
struct Spot {
  const Setting* setting;  // null: the endpoint
  const ap_directive_t* directive;
  const Spot* next;  // of the same section
};

/// The settings of a section of the configuration: of a virtual host, a <Location>, a request.
struct DirectoryConfig {
  Settings settings;
  unsigned site = 0;  // number of the name that HeartbeatSite gives; 0: the virtual host's own
  Endpoint endpoint = Endpoint::none;
  const char* handler = nullptr;  // what SetHandler says, for us or for another module; null: nothing
  bool has_settings = false;      // gives any itself
  const Spot* spots = nullptr;    // of those that it gives itself, the latest first
  const DirectoryConfig* outer = nullptr;
};

/// The start of the handlers' names: SetHandler heartbeat-ping.
inline constexpr std::string_view kHandler = "heartbeat-";

/// One virtual host.
struct ServerConfig {
  const ap_directive_t* redis = nullptr;  // its own HeartbeatRedis
  const Store* store = nullptr;
  bool broken = false;    // its Redis cannot be used: nothing is recorded
  Site* sites = nullptr;  // by the number of their names
};

/// A name that HeartbeatSite gives, and where.
struct SiteName {
  std::string_view name;
  const server_rec* server;
  unsigned number;
  SiteName* next;
};

/// A section that gives touches, and where it stands.
struct TouchingSection {
  const Settings* settings;
  const server_rec* server;
  const ap_directive_t* directive;
  TouchingSection* next;
};

/// A section that shows who is online.
struct OnlineSection {
  const server_rec* server;
  const DirectoryConfig* section;
  OnlineSection* next;
};

/// What the configuration as a whole has: made anew each time it is read.
struct Configuration {
  Stores stores;
  Table table;
  VerifiedTokens verified;               // in the table's memory
  SpoolSettings spool;
  Beacons beacons;
  SiteName* names = nullptr;             // the latest first
  TouchingSection* touching = nullptr;
  OnlineSection* online = nullptr;
  ListedSites listed;
  Millis flush = 0;
};

/// The configuration that is being read, or that this process serves.
Configuration& configuration();

inline DirectoryConfig& directory_config(ap_conf_vector_t* vector) {
  return *static_cast<DirectoryConfig*>(ap_get_module_config(vector, &http_heartbeat_module));
}
inline ServerConfig& server_config(const server_rec* server) {
  return *static_cast<ServerConfig*>(ap_get_module_config(server->module_config, &http_heartbeat_module));
}

// --- settings.cc ---
extern const command_rec* const kDirectives;
void* create_directory_config(apr_pool_t* pool, char* path);
void* merge_directory_configs(apr_pool_t* pool, void* parent, void* child);
/// Whether the settings of a virtual host and of its <Location>s mean something together. False: said in the log.
bool check_sections(apr_pool_t* pool, server_rec* server);

}  // namespace heartbeat
