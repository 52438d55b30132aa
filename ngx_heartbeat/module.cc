// The life of the module in nginx: configuration read, worker begins, worker ends.
#include "ngx_heartbeat/module.h"
#include "ngx_heartbeat/reactor.h"
#include "shared/redis/flusher.h"

namespace heartbeat {
namespace {

// The master kills a worker that takes longer than about a second to stop.
constexpr Millis kLastFlush = 800;

/// What a worker has of its own.
struct Worker {
  Worker(ngx_cycle_t* cycle, MainConfig& config)
      : reactor(cycle->pool, cycle->log),
        log(cycle->log),
        flusher(reactor, log, config.table, config.stores, config.flush, &config.listed, &config.spool) {}
  NginxReactor reactor;
  NginxLog log;
  Flusher flusher;
};

Worker* worker = nullptr;

MainConfig* config_of(ngx_cycle_t* cycle) {
  if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE) return nullptr;
  if (cycle->conf_ctx[ngx_http_module.index] == nullptr) return nullptr;
  auto* config = static_cast<MainConfig*>(ngx_http_cycle_get_module_main_conf(cycle, ngx_http_heartbeat_module));
  return config != nullptr && config->table.attached() ? config : nullptr;
}

ngx_int_t init_configuration(ngx_conf_t* cf) {
  auto& config = *static_cast<MainConfig*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_heartbeat_module));
  auto& top = *static_cast<LocationConfig*>(ngx_http_conf_get_module_loc_conf(cf, ngx_http_heartbeat_module));
  if (config.recording == nullptr && config.stores.all().empty()) return NGX_OK;
  config.flush = *top.settings.flush;
  config.spool = *top.settings.spool;
  if (!add_zone(cf, config, *top.settings.zone)) return NGX_ERROR;
  if (!config.tracking) return NGX_OK;
  auto* core = static_cast<ngx_http_core_main_conf_t*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module));
  auto* handler = static_cast<ngx_http_handler_pt*>(ngx_array_push(&core->phases[NGX_HTTP_LOG_PHASE].handlers));
  if (handler == nullptr) return NGX_ERROR;
  *handler = log_handler;
  return NGX_OK;
}

// Here a configuration is certain to be used, not where its zone is made: nginx may still give it up then.
void use_terms(MainConfig& config) {
  for (bool outspoken : {false, true}) {
    for (LocationConfig* each = config.recording; each != nullptr; each = each->next) {
      if (has_terms(each->settings) == outspoken) set_terms(config.table, each->settings, each->site);
    }
  }
}

}  // namespace

void leave() {
  if (worker != nullptr) worker->flusher.stop();
}

}  // namespace heartbeat

using heartbeat::worker;

extern "C" {

ngx_int_t ngx_heartbeat_init_process(ngx_cycle_t* cycle) {
  heartbeat::MainConfig* config = heartbeat::config_of(cycle);
  if (config == nullptr) return NGX_OK;
  heartbeat::use_terms(*config);
  heartbeat::NginxLog log(cycle->log);
  config->beacons.open(config->spool, config->table, log);
  void* memory = ngx_palloc(cycle->pool, sizeof(heartbeat::Worker));
  if (memory == nullptr) return NGX_ERROR;
  worker = ::new (memory) heartbeat::Worker(cycle, *config);
  worker->flusher.start();
  return NGX_OK;
}

void ngx_heartbeat_exit_process(ngx_cycle_t* cycle) {
  heartbeat::MainConfig* config = heartbeat::config_of(cycle);
  if (config == nullptr || worker == nullptr) return;
  worker->flusher.stop();
  heartbeat::flush_before_exit(worker->log, config->table, config->stores, heartbeat::kLastFlush);
}

ngx_http_module_t ngx_heartbeat_context = {
    nullptr,  // preconfiguration
    heartbeat::init_configuration,
    heartbeat::create_main_config,
    nullptr,  // init main configuration
    nullptr,  // create server configuration
    nullptr,  // merge server configuration
    heartbeat::create_location_config,
    heartbeat::merge_location_config,
};
}
