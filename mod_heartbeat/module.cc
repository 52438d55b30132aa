// The module as httpd sees it: the hooks, and what happens when the configuration is read, a child begins, a request
// comes and is logged.
#include "mod_heartbeat/module.h"

#include <cstring>
#include <new>

#include "mod_heartbeat/body.h"
#include "mod_heartbeat/flusher.h"
#include "mod_heartbeat/lookup.h"
#include "mod_heartbeat/reply.h"
#include "mod_heartbeat/request.h"
#include "mod_heartbeat/zone.h"
#include "shared/endpoint/endpoint.h"
#include "shared/port/poll_reactor.h"

#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mpm_common.h>
#include <unixd.h>

namespace heartbeat {
namespace {

Configuration* current = nullptr;

bool is_ours(const char* handler) {
  return handler != nullptr && std::strncmp(handler, kHandler.data(), kHandler.size()) == 0;
}

Endpoint endpoint_of(const char* handler) {
  return is_ours(handler) ? endpoint_by_name(handler + kHandler.size()) : Endpoint::none;
}

// --- the configuration is read ---

int begin_configuration(apr_pool_t* pconf, apr_pool_t*, apr_pool_t*) {
  current = PoolArena(pconf).make<Configuration>();
  return current == nullptr ? HTTP_INTERNAL_SERVER_ERROR : OK;
}

void* create_server_config(apr_pool_t* pool, server_rec*) { return PoolArena(pool).make<ServerConfig>(); }

Settings& settings_of(server_rec* server) { return directory_config(server->lookup_defaults).settings; }

// The event MPM makes its queues of idle connections from these times, so they must stand before its turn comes.
void set_keepalive(server_rec* server) {
  Millis timeout = *settings_of(server).keepalive_timeout;
  if (timeout == 0) return;
  server->keep_alive_timeout = apr_time_from_msec(timeout);
  server->keep_alive_timeout_set = 1;
}

void complain(server_rec* server, const ap_directive_t* directive, const Error& error, const char* consequence) {
  ServerLog(server).print(Level::error, "heartbeat: %s (line %d of %s)%s", error.text(), directive->line_num,
                          directive->filename, consequence);
}

// httpd gives a virtual host without a directive of ours the main server's configuration itself, but each has a name and
// so a site of its own.
void separate(apr_pool_t* pconf, server_rec* main_server, server_rec* server) {
  if (server == main_server || &server_config(server) != &server_config(main_server)) return;
  ap_set_module_config(server->module_config, &http_heartbeat_module, create_server_config(pconf, server));
}

bool covers(const TouchingSection& section, const server_rec* server) {
  return section.server == server || !section.server->is_virtual;
}

// A touch above the virtual hosts is one of all of them, but only those that have a Redis of their own need know.
int add_touches(Arena& arena, server_rec* main_server, bool running) {
  for (const TouchingSection* section = current->touching; section != nullptr; section = section->next) {
    Error error;
    bool added = false;
    for (server_rec* server = main_server; server != nullptr; server = server->next) {
      if (!covers(*section, server)) continue;
      Error own;
      current->stores.add_touches(*section->settings->touch, settings_of(server), arena, own);
      added = added || !own;
      if (own) error = own;
    }
    if (added) continue;
    complain(main_server, section->directive, error, running ? ": nothing is touched there" : "");
    if (!running) return HTTP_INTERNAL_SERVER_ERROR;
  }
  return OK;
}

// The children write there. False: said in the log.
bool make_spool(server_rec* main_server) {
  const SpoolSettings& spool = *settings_of(main_server).spool;
  Error error;
  if (spool.directory.empty() || prepare_spool(spool.directory.data(), ap_unixd_config.user_id, ap_unixd_config.group_id, error)) {
    return true;
  }
  ServerLog(main_server).print(Level::error, "heartbeat: HeartbeatSpool: %s", error.text());
  return false;
}

// A wrong host name stops the configuration test and the start. It does not stop a server that runs: one that is told
// to read its configuration again would otherwise end.
int check_configuration(apr_pool_t* pconf, apr_pool_t*, apr_pool_t*, server_rec* main_server) {
  PoolArena arena(pconf);
  bool running = ap_state_query(AP_SQ_CONFIG_GEN) > 0;
  const ap_directive_t* wrong = nullptr;
  for (server_rec* server = main_server; server != nullptr; server = server->next) {
    separate(pconf, main_server, server);
    if (!check_sections(pconf, server)) return HTTP_INTERNAL_SERVER_ERROR;
    set_keepalive(server);
    Error error;
    ServerConfig& config = server_config(server);
    if (config.redis == nullptr) config.redis = server_config(main_server).redis;
    config.store = current->stores.add(settings_of(server), arena, error);
    config.broken = static_cast<bool>(error);
    if (!config.broken) continue;
    if (config.redis != wrong) complain(server, config.redis, error, running ? ": nothing is recorded there" : "");
    wrong = config.redis;
    if (!running) return HTTP_INTERNAL_SERVER_ERROR;
  }
  if (!make_spool(main_server) && !running) return HTTP_INTERNAL_SERVER_ERROR;
  return add_touches(arena, main_server, running);
}

// `own`: what the virtual host's settings say of sites is meant for this one.
void bind(server_rec* server, std::string_view name, bool own, Site& site) {
  ServerConfig& config = server_config(server);
  Error error;
  if (config.broken) return;
  if (bind_site(current->table, settings_of(server), config.store, name, site, error)) {
    if (own) set_terms(current->table, settings_of(server), site);
    return;
  }
  ap_log_error(APLOG_MARK, APLOG_ERR, 0, server, "heartbeat: %s: its sessions are not recorded", error.text());
}

// A name given in a virtual host counts there, one given above them in all.
void bind_sites(apr_pool_t* pconf, server_rec* server) {
  PoolArena arena(pconf);
  ServerConfig& config = server_config(server);
  if (config.sites == nullptr) {
    config.sites = arena.make<Site>((current->names == nullptr ? 0 : current->names->number) + 1);
  }
  if (config.sites == nullptr) return;
  bind(server, host_as_site(server->server_hostname == nullptr ? "" : server->server_hostname, arena), true, config.sites[0]);
  unsigned usual = directory_config(server->lookup_defaults).site;
  for (const SiteName* name = current->names; name != nullptr; name = name->next) {
    bool own = name->server == server || name->number == usual;
    if (own || !name->server->is_virtual) bind(server, name->name, own, config.sites[name->number]);
  }
}

// See has_terms().
void bind_all(apr_pool_t* pconf, server_rec* main_server) {
  for (bool outspoken : {false, true}) {
    for (server_rec* server = main_server; server != nullptr; server = server->next) {
      if (has_terms(settings_of(server)) == outspoken) bind_sites(pconf, server);
    }
  }
}

void bind_touching(server_rec* main_server) {
  for (const TouchingSection* section = current->touching; section != nullptr; section = section->next) {
    for (server_rec* server = main_server; server != nullptr; server = server->next) {
      Error error;
      if (!covers(*section, server)) continue;
      if (bind_touches(current->table, *section->settings->touch, server_config(server).store, error)) continue;
      complain(server, section->directive, error, ": it is not touched");
    }
  }
}

// A section that names no site has that of the virtual host around it; one above the virtual hosts counts for all.
void bind_lists(server_rec* main_server) {
  for (const OnlineSection* each = current->online; each != nullptr; each = each->next) {
    for (server_rec* server = main_server; server != nullptr; server = server->next) {
      if (server != each->server && each->server != main_server) continue;
      ServerConfig& config = server_config(server);
      unsigned number = each->section->site != 0 ? each->section->site : directory_config(server->lookup_defaults).site;
      Error error;
      if (config.sites == nullptr || config.sites[number].index == kNone) continue;
      const SiteRecord& site = current->table.site(config.sites[number].index);
      if (bind_list(current->table, config.sites[number], {site.name, site.size}, monotonic_now(), current->listed, error)) continue;
      ap_log_error(APLOG_MARK, APLOG_ERR, 0, server, "heartbeat: %s", error.text());
    }
  }
}

int take_configuration(apr_pool_t* pconf, apr_pool_t*, apr_pool_t*, server_rec* main_server) {
  if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) return OK;
  const Settings& settings = settings_of(main_server);
  current->flush = *settings.flush;
  current->spool = *settings.spool;
  if (!attach_zone(main_server, *settings.zone, current->table)) return HTTP_INTERNAL_SERVER_ERROR;
  if (keep_directory(current->table, current->spool)) {
    ServerLog(main_server).print(Level::notice, "heartbeat: HeartbeatSpool stays in \"%s\" until a full restart",
                                 current->spool.directory.data());
  }
  Block block = current->table.verified_tokens();
  current->verified.attach(block.memory, block.size, current->table.key());
  Error error;
  if (!current->stores.bind(current->table, error)) {
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, main_server, "heartbeat: %s", error.text());
    for (server_rec* server = main_server; server != nullptr; server = server->next) {
      ServerConfig& config = server_config(server);
      config.broken = config.broken || (config.store != nullptr && config.store->index == kNone);
    }
  }
  bind_all(pconf, main_server);
  bind_touching(main_server);
  bind_lists(main_server);
  return OK;
}

void begin_child(apr_pool_t* pchild, server_rec* server) {
  ServerLog log(server);
  current->beacons.open(current->spool, current->table, log);
  start_flusher(pchild, server);
}

#if AP_MODULE_MAGIC_AT_LEAST(20120211, 110)
void end_child(apr_pool_t*, int) { retire_flusher(); }
#endif

// --- a request ---

// As httpd itself chooses it.
Millis keepalive_of(const request_rec* r) {
  const server_rec* server = r->server->keep_alive_timeout_set ? r->server : r->connection->base_server;
  return server->keep_alive ? apr_time_as_msec(server->keep_alive_timeout) : 0;
}

Exchange exchange_of(request_rec* r, const Request& request, Arena& arena) {
  const DirectoryConfig& config = directory_config(r->per_dir_config);
  const Site& site = server_config(r->server).sites[config.site];
  static constexpr Place kNowhere;
  auto* place = arena.make<Place>();
  bool bound = place != nullptr && site.index != kNone && bind_place(current->table, config.settings, site, *place);
  Exchange exchange{request, config.settings, site, bound ? *place : kNowhere, current->table, arena, monotonic_now()};
  exchange.verified = &current->verified;
  exchange.keepalive = keepalive_of(r);
  if (r->connection->master == nullptr) exchange.recent = &pinger_of(r->connection).recent;
  exchange.store = server_config(r->server).store;
  exchange.beacons = current->beacons.wanted ? &current->beacons : nullptr;
  return exchange;
}

// An endpoint in a <Location> has no file: the walk through the directories, six calls of stat, is left out, as
// mod_proxy does. Everything else, access control too, goes its ordinary way. Here httpd knows the settings of the
// <Location>; when it comes to the walk it has put them aside.
int note_endpoint(request_rec* r) {
  if (directory_config(r->per_dir_config).endpoint != Endpoint::none) {
    ap_set_module_config(r->request_config, &http_heartbeat_module, r->uri);
  }
  return DECLINED;
}

// A module that has changed the path meanwhile may have left the <Location>.
int skip_directory_walk(request_rec* r) {
  void* noted = ap_get_module_config(r->request_config, &http_heartbeat_module);
  return noted != nullptr && noted == r->uri ? OK : DECLINED;
}

// The path of an endpoint says nothing about a type: no table of file name extensions is asked.
int skip_type(request_rec* r) {
  const DirectoryConfig& config = directory_config(r->per_dir_config);
  if (config.endpoint == Endpoint::none) return DECLINED;
  r->handler = config.handler;
  return OK;
}

// A body that is too large is left where it is: httpd closes the connection after such an answer. Of one that is coded
// otherwise than in chunks (RFC 9112, section 6.1), httpd's filters would take the chunks and leave the code.
int take_body(request_rec* r, Endpoint endpoint, Request& request) {
  const char* length = apr_table_get(r->headers_in, "Content-Length");
  const char* coding = length == nullptr ? apr_table_get(r->headers_in, "Transfer-Encoding") : nullptr;
  if (length == nullptr && coding == nullptr) return OK;
  if (coding != nullptr && ap_cstr_casecmp(coding, "chunked") != 0) return HTTP_NOT_IMPLEMENTED;
  if (request.method != Method::post || !reads_body(endpoint)) return ap_discard_request_body(r);
  int status = read_body(r, length, *directory_config(r->per_dir_config).settings.body, request.body);
  request.body_too_large = status == HTTP_REQUEST_ENTITY_TOO_LARGE;
  return request.body_too_large ? OK : status;
}

int answer_request(request_rec* r) {
  if (!is_ours(r->handler)) return DECLINED;
  Endpoint endpoint = endpoint_of(r->handler);
  if (endpoint == Endpoint::none) {
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                  "heartbeat: no endpoint \"%s\", expected SetHandler %.*s and one of: %.*s", r->handler,
                  HEARTBEAT_VIEW(kHandler), HEARTBEAT_VIEW(kEndpointWords));
    return HTTP_INTERNAL_SERVER_ERROR;
  }
  ApacheRequest request(r);
  int status = take_body(r, endpoint, request);
  if (status != OK) return status;
  PoolArena arena(r->pool);
  Exchange exchange = exchange_of(r, request, arena);
  bool ping = endpoint == Endpoint::ping && (request.method == Method::head || request.method == Method::get);
  if (ping && r->connection->master == nullptr) {
    exchange.pings = count_ping(pinger_of(r->connection), r->connection);
  }
  Reply reply = answer(endpoint, exchange);
  if (reply.deferred != nullptr) reply = await_reply(r, *reply.deferred);
  if (ping && !reply.close) spare_connection(r->connection);
  return send_reply(r, reply);
}

int track_request(request_rec* r) {
  conn_rec* c = r->connection;
  if (c->keepalives < 0) c->keepalives = 0;  // a spared ping after which the connection ends; the log shows it
  const DirectoryConfig& config = directory_config(r->per_dir_config);
  if (!*config.settings.track || is_ours(r->handler)) return DECLINED;
  for (request_rec* next = r->next; next != nullptr; next = next->next) {
    if (is_ours(next->handler)) return DECLINED;
  }
  ApacheRequest request(r);
  PoolArena arena(r->pool);
  track(exchange_of(r, request, arena));
  return DECLINED;
}

void register_hooks(apr_pool_t*) {
  ap_hook_pre_config(begin_configuration, nullptr, nullptr, APR_HOOK_MIDDLE);
  ap_hook_check_config(check_configuration, nullptr, nullptr, APR_HOOK_MIDDLE);
  ap_hook_post_config(take_configuration, nullptr, nullptr, APR_HOOK_REALLY_FIRST);
  ap_hook_child_init(begin_child, nullptr, nullptr, APR_HOOK_MIDDLE);
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 110)
  ap_hook_child_stopping(end_child, nullptr, nullptr, APR_HOOK_MIDDLE);
#endif
  ap_hook_translate_name(note_endpoint, nullptr, nullptr, APR_HOOK_REALLY_FIRST);
  ap_hook_map_to_storage(skip_directory_walk, nullptr, nullptr, APR_HOOK_FIRST);
  ap_hook_type_checker(skip_type, nullptr, nullptr, APR_HOOK_REALLY_FIRST);
  ap_hook_handler(answer_request, nullptr, nullptr, APR_HOOK_REALLY_FIRST);
  ap_hook_log_transaction(track_request, nullptr, nullptr, APR_HOOK_REALLY_FIRST);
}

int httpd_level(Level level) {
  switch (level) {
    case Level::error:
      return APLOG_ERR;
    case Level::warn:
      return APLOG_WARNING;
    case Level::notice:
      return APLOG_NOTICE;
    case Level::info:
      break;
  }
  return APLOG_INFO;
}

}  // namespace

Configuration& configuration() { return *current; }

void ServerLog::write(Level level, std::string_view message) {
  ap_log_error(APLOG_MARK, httpd_level(level), 0, server_, "%.*s", HEARTBEAT_VIEW(message));
}

void RequestLog::write(Level level, std::string_view message) {
  ap_log_rerror(APLOG_MARK, httpd_level(level), 0, r_, "%.*s", HEARTBEAT_VIEW(message));
}

}  // namespace heartbeat

extern "C" {
__attribute__((visibility("default"))) module AP_MODULE_DECLARE_DATA http_heartbeat_module = {
    STANDARD20_MODULE_STUFF,
    heartbeat::create_directory_config,
    heartbeat::merge_directory_configs,
    heartbeat::create_server_config,
    nullptr,
    heartbeat::kDirectives,
    heartbeat::register_hooks,
    0,
};
}
