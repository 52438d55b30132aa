// What the parts of the nginx module share: nginx's headers (first, they define 64-bit off_t) and the configuration.
#pragma once

extern "C" {
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

extern ngx_module_t ngx_http_heartbeat_module;
}

#include "shared/beacon/beacons.h"
#include "shared/http/reply.h"
#include "shared/identity/verified.h"
#include "shared/redis/store.h"
#include "shared/session/table.h"
#include "shared/settings/settings.h"

namespace heartbeat {

/// Where a directive of ours stands in the configuration.
struct Spot {
  const Setting* setting;  // null: the endpoint
  ngx_str_t file;
  ngx_uint_t line;
  const Spot* next;  // of the same level
};

/// One for each level of the configuration: http, server, location.
struct LocationConfig {
  Settings settings;
  Endpoint endpoint = Endpoint::none;
  std::string_view site_name;
  const Store* store = nullptr;
  Site site;
  Place place;
  LocationConfig* next = nullptr;  // all that record something, in the order of the configuration
  const LocationConfig* outer = nullptr;
  const Spot* spots = nullptr;  // the latest first
};

struct MainConfig {
  Stores stores;
  LocationConfig* recording = nullptr;
  LocationConfig** last_recording = &recording;
  bool tracking = false;  // some location has heartbeat_track on
  Millis flush = 0;
  Table table;  // this process' view of the zone; not attached without one
  VerifiedTokens verified;  // in the same zone
  SpoolSettings spool;
  Beacons beacons;
  ngx_cycle_t* cycle = nullptr;
  ListedSites listed;
};

/// Memory of an nginx pool.
class PoolArena final : public Arena {
 public:
  explicit PoolArena(ngx_pool_t* pool) : pool_(pool) {}
  void* allocate(std::size_t size, std::size_t alignment) override {
    return alignment == 1 ? ngx_pnalloc(pool_, size) : ngx_palloc(pool_, size);
  }

 private:
  ngx_pool_t* pool_;
};

inline std::string_view view(const ngx_str_t& text) { return {reinterpret_cast<char*>(text.data), text.len}; }
inline ngx_str_t ngx_text(std::string_view text) {
  return {text.size(), reinterpret_cast<u_char*>(const_cast<char*>(text.data()))};
}

// settings.cc
void* create_main_config(ngx_conf_t* cf);
void* create_location_config(ngx_conf_t* cf);
char* merge_location_config(ngx_conf_t* cf, void* parent, void* child);

// zone.cc
/// Registers the shared zone of the configuration. False: it was logged.
bool add_zone(ngx_conf_t* cf, MainConfig& config, std::size_t size);

// request.cc
ngx_int_t endpoint_handler(ngx_http_request_t* r);
ngx_int_t log_handler(ngx_http_request_t* r);

// body.cc
struct ReceivedBody {
  std::string_view bytes;
  bool too_large = false;
};
/// Gets the body and answers the request. Returns what the content handler returns.
using BodyHandler = ngx_int_t (*)(ngx_http_request_t* r, const ReceivedBody& body);
/// Reads the body of a request, of at most `limit` bytes, then calls `done`. Returns what the content handler returns.
ngx_int_t read_body(ngx_http_request_t* r, std::size_t limit, BodyHandler done);

// reply.cc
/// Sends the answer of an endpoint. Returns what the content handler returns.
ngx_int_t send_reply(ngx_http_request_t* r, const Reply& reply);

// lookup.cc
/// Asks Redis, and answers the request when that has answered or failed. Returns what the content handler returns.
ngx_int_t await_reply(ngx_http_request_t* r, Deferred& deferred);
}  // namespace heartbeat
