// The shared zone: made once, handed over from one configuration to the next.
#include "ngx_heartbeat/module.h"

namespace heartbeat {
namespace {

constexpr std::string_view kZoneName = "heartbeat";

// The table is one block of the zone's slab, as large as it goes; the pool's `data` points to it.
bool open_table(ngx_slab_pool_t* pool, Table& table, Error& error) {
  if (pool->data != nullptr) {
    auto size = static_cast<std::size_t>(pool->end - static_cast<u_char*>(pool->data));
    if (table.attach(pool->data, size)) return true;
    error.set("the session table was made by another version of the module: restart nginx");
    return false;
  }
  std::size_t size = pool->pfree * ngx_pagesize;
  pool->log_nomem = 0;
  void* memory = ngx_slab_alloc(pool, size);
  if (memory == nullptr || !table.create(memory, size)) {
    error.set("no session table in a zone of %zu bytes, expected heartbeat_zone of at least 1m", size);
    return false;
  }
  pool->data = memory;
  return true;
}

// The workers write there.
bool make_spool(MainConfig& config, Error& error) {
  if (config.spool.directory.empty()) return true;
  if (keep_directory(config.table, config.spool)) {
    ngx_log_error(NGX_LOG_NOTICE, config.cycle->log, 0, "heartbeat_spool: stays in \"%s\" until a full restart",
                  config.spool.directory.data());
  }
  auto* core = reinterpret_cast<ngx_core_conf_t*>(ngx_get_conf(config.cycle->conf_ctx, ngx_core_module));
  return prepare_spool(config.spool.directory.data(), core->user, core->group, error);
}

bool bind(MainConfig& config, Error& error) {
  Block block = config.table.verified_tokens();
  config.verified.attach(block.memory, block.size, config.table.key());
  if (!config.stores.bind(config.table, error)) return false;
  for (LocationConfig* each = config.recording; each != nullptr; each = each->next) {
    if (!bind_site(config.table, each->settings, each->store, each->site_name, each->site, error)) return false;
    if (!bind_touches(config.table, *each->settings.touch, each->store, error)) return false;
    if (!bind_place(config.table, each->settings, each->site, each->place)) {
      error.set("no room for another location of \"%.*s\": expected a larger heartbeat_zone and a restart",
                HEARTBEAT_VIEW(each->site_name));
      return false;
    }
    if (each->endpoint == Endpoint::online &&
        !bind_list(config.table, each->site, each->site_name, static_cast<Millis>(ngx_current_msec), config.listed, error)) {
      return false;
    }
  }
  return true;
}

ngx_int_t init_zone(ngx_shm_zone_t* zone, void*) {
  auto& config = *static_cast<MainConfig*>(zone->data);
  auto* pool = reinterpret_cast<ngx_slab_pool_t*>(zone->shm.addr);
  Error error;
  if (open_table(pool, config.table, error) && bind(config, error) && make_spool(config, error)) return NGX_OK;
  ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0, "heartbeat: %s", error.text());
  return NGX_ERROR;
}

// The size of the zone that the running nginx has; 0 at a start.
std::size_t running_size(ngx_conf_t* cf) {
  ngx_list_part_t* part = &cf->cycle->old_cycle->shared_memory.part;
  for (; part != nullptr; part = part->next) {
    auto* zones = static_cast<ngx_shm_zone_t*>(part->elts);
    for (ngx_uint_t i = 0; i < part->nelts; ++i) {
      if (zones[i].tag == &ngx_http_heartbeat_module && view(zones[i].shm.name) == kZoneName) return zones[i].shm.size;
    }
  }
  return 0;
}

}  // namespace

bool add_zone(ngx_conf_t* cf, MainConfig& config, std::size_t size) {
  std::size_t running = running_size(cf);
  if (running != 0 && running != size) {
    ngx_conf_log_error(NGX_LOG_NOTICE, cf, 0,
                       "heartbeat_zone: the table keeps its %uz bytes until a full restart, then it gets %uz", running,
                       size);
    size = running;
  }
  ngx_str_t name = ngx_text(kZoneName);
  ngx_shm_zone_t* zone = ngx_shared_memory_add(cf, &name, size, &ngx_http_heartbeat_module);
  if (zone == nullptr) return false;
  zone->init = init_zone;
  zone->data = &config;
  config.cycle = cf->cycle;
  return true;
}

}  // namespace heartbeat
