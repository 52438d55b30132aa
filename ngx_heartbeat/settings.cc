// The directives: registered from the core's table, read by it, inherited by it.
#include "ngx_heartbeat/module.h"
#include "shared/endpoint/endpoint.h"
#include "shared/settings/table.h"

namespace heartbeat {
namespace {

class Context final : public SettingsContext {
 public:
  Context(ngx_conf_t* cf, Arena& arena) : SettingsContext(arena), cf_(cf) {}

  std::string_view full_path(std::string_view path) override { return below(path, 1); }
  std::string_view data_path(std::string_view path) override { return below(path, 0); }

  bool is_expression(std::string_view text) override { return text.find('$') != std::string_view::npos; }

  void* compile(std::string_view text, Error& error) override {
    auto* value = static_cast<ngx_http_complex_value_t*>(ngx_pcalloc(cf_->pool, sizeof(ngx_http_complex_value_t)));
    ngx_str_t source = ngx_text(arena.copy(text));
    ngx_http_compile_complex_value_t compile{};
    compile.cf = cf_;
    compile.value = &source;
    compile.complex_value = value;
    if (value != nullptr && ngx_http_compile_complex_value(&compile) == NGX_OK) return value;
    error.set("invalid expression \"%.*s\", expected an nginx variable such as $cookie_id", HEARTBEAT_VIEW(text));
    return nullptr;
  }

 private:
  // nginx' folder, or that of its configuration.
  std::string_view below(std::string_view path, ngx_uint_t of_configuration) {
    ngx_str_t full = ngx_text(arena.copy(path));
    return ngx_conf_full_name(cf_->cycle, &full, of_configuration) == NGX_OK ? view(full) : std::string_view();
  }

  ngx_conf_t* cf_;
};

char* say(ngx_conf_t* cf, const Error& error) {
  ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s", error.text());
  return static_cast<char*>(NGX_CONF_ERROR);
}

char* note_spot(ngx_conf_t* cf, LocationConfig& config, const Setting* setting) {
  auto* spot = static_cast<Spot*>(ngx_palloc(cf->pool, sizeof(Spot)));
  if (spot == nullptr) return static_cast<char*>(NGX_CONF_ERROR);
  config.spots = ::new (spot) Spot{setting, cf->conf_file->file.name, cf->conf_file->line, config.spots};
  return NGX_CONF_OK;
}

char* set_setting(ngx_conf_t* cf, ngx_command_t* command, void* conf) {
  auto& setting = *static_cast<const Setting*>(command->post);
  auto& config = *static_cast<LocationConfig*>(conf);
  auto* words = static_cast<ngx_str_t*>(cf->args->elts);
  std::string_view arguments[NGX_CONF_MAX_ARGS + kAnyNumber];
  std::size_t count = 0;
  for (; count + 1 < cf->args->nelts && count < sizeof arguments / sizeof *arguments; ++count) {
    arguments[count] = view(words[count + 1]);
  }
  PoolArena arena(cf->pool);
  Context context(cf, arena);
  Error error;
  apply_setting(setting, setting.name, context, {arguments, count}, config.settings, error);
  return error ? say(cf, error) : note_spot(cf, config, &setting);
}

const Spot* spot_of(const LocationConfig* config, const Setting* setting) {
  for (; config != nullptr; config = config->outer) {
    for (const Spot* spot = config->spots; spot != nullptr; spot = spot->next) {
      if (spot->setting == setting) return spot;
    }
  }
  return nullptr;
}

// When nginx merges a location it has read the whole file: the line is that of the directive.
bool check(ngx_conf_t* cf, const LocationConfig& config) {
  Error error;
  const Setting* wrong = nullptr;
  if (check_settings(config.settings, config.endpoint, wrong, error)) return true;
  const Spot* spot = spot_of(&config, wrong);
  if (spot == nullptr) return say(cf, error) == NGX_CONF_OK;
  ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "%s in %V:%ui", error.text(), &spot->file, spot->line);
  return false;
}

char* set_endpoint(ngx_conf_t* cf, ngx_command_t*, void* conf) {
  auto& config = *static_cast<LocationConfig*>(conf);
  std::string_view word = view(static_cast<ngx_str_t*>(cf->args->elts)[1]);
  Error error;
  config.endpoint = endpoint_by_name(word);
  if (config.endpoint == Endpoint::none) {
    error.set("heartbeat: invalid value \"%.*s\", expected one of: %.*s", HEARTBEAT_VIEW(word),
              HEARTBEAT_VIEW(kEndpointWords));
    return say(cf, error);
  }
  auto* core = static_cast<ngx_http_core_loc_conf_t*>(ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
  core->handler = endpoint_handler;
  return note_spot(cf, config, nullptr);
}

constexpr ngx_uint_t places(unsigned where) {
  ngx_uint_t places = 0;
  if ((where & (kMain | kVhost)) != 0) places |= NGX_HTTP_MAIN_CONF;
  if ((where & kVhost) != 0) places |= NGX_HTTP_SRV_CONF;
  if ((where & (kLocation | kLocationNginx)) != 0) places |= NGX_HTTP_LOC_CONF;
  return places;
}

ngx_command_t command(const char* name, ngx_uint_t type, char* (*set)(ngx_conf_t*, ngx_command_t*, void*),
                      const Setting* setting) {
  return {ngx_text(name), type, set, NGX_HTTP_LOC_CONF_OFFSET, 0, const_cast<Setting*>(setting)};
}

// The Redis of a place, also where nothing is recorded: its sites, which may have been recorded until now, are looked
// after. False: `error` says why not.
bool add_store(ngx_conf_t* cf, LocationConfig& config, Error& error) {
  auto& main = *static_cast<MainConfig*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_heartbeat_module));
  PoolArena arena(cf->pool);
  config.store = main.stores.add(config.settings, arena, error);
  return !error;
}

// A location whose requests are recorded: its site and touches. False: `error` says why not.
bool add_recording(ngx_conf_t* cf, LocationConfig& config, Error& error) {
  auto& main = *static_cast<MainConfig*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_heartbeat_module));
  auto* server = static_cast<ngx_http_core_srv_conf_t*>(ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module));
  PoolArena arena(cf->pool);
  config.site_name = *config.settings.site;
  if (config.site_name.empty()) config.site_name = host_as_site(view(server->server_name), arena);
  main.stores.add_touches(*config.settings.touch, config.settings, arena, error);
  *main.last_recording = &config;
  main.last_recording = &config.next;
  main.tracking = main.tracking || *config.settings.track;
  return !error;
}

// In a build with as many modules as Debian's, no request fits into nginx's default of 4 KiB: a second block for each
// costs more than all that a ping does.
void give_room(ngx_conf_t* cf) {
  constexpr std::size_t kDefault = 4096;
  auto* server = static_cast<ngx_http_core_srv_conf_t*>(ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module));
  if (server->request_pool_size == kDefault) server->request_pool_size = 2 * kDefault;
}

// A connection that pings lives as long as its visitor: nginx's own limits on its number of requests and its age
// would end it in the middle of its ping budget.
void keep_connection(ngx_conf_t* cf, const Settings& settings) {
  auto* core = static_cast<ngx_http_core_loc_conf_t*>(ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
  if (*settings.keepalive_timeout != 0) core->keepalive_timeout = static_cast<ngx_msec_t>(*settings.keepalive_timeout);
  core->keepalive_requests = NGX_MAX_INT_T_VALUE;
#if (nginx_version >= 1019010)
  core->keepalive_time = NGX_MAX_INT_T_VALUE;
#endif
}

// heartbeat_body is the limit there, and nginx' own would answer with a page.
void take_bodies(ngx_conf_t* cf) {
  auto* core = static_cast<ngx_http_core_loc_conf_t*>(ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
  core->client_max_body_size = 0;
}

}  // namespace

void* create_main_config(ngx_conf_t* cf) {
  PoolArena arena(cf->pool);
  return arena.make<MainConfig>();
}

void* create_location_config(ngx_conf_t* cf) {
  PoolArena arena(cf->pool);
  auto* config = arena.make<LocationConfig>();
  if (config == nullptr) return nullptr;
  Context context(cf, arena);
  set_defaults(context, config->settings);
  return config;
}

char* merge_location_config(ngx_conf_t* cf, void* parent, void* child) {
  auto& config = *static_cast<LocationConfig*>(child);
  config.outer = static_cast<LocationConfig*>(parent);
  inherit_settings(config.settings, config.outer->settings);
  auto* core = static_cast<ngx_http_core_loc_conf_t*>(ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
  if (core->noname) config.endpoint = config.outer->endpoint;  // `if` keeps the handler
  if (config.endpoint == Endpoint::ping) keep_connection(cf, config.settings);
  if (reads_body(config.endpoint)) take_bodies(cf);
  Error error;
  if (!add_store(cf, config, error)) return say(cf, error);
  if (config.endpoint == Endpoint::none && !*config.settings.track) return NGX_CONF_OK;
  give_room(cf);
  if (!check(cf, config)) return static_cast<char*>(NGX_CONF_ERROR);
  return add_recording(cf, config, error) ? NGX_CONF_OK : say(cf, error);
}

}  // namespace heartbeat

// Filled before nginx looks at them: when the module is loaded, or before main() where it is linked in.
extern "C" {
ngx_command_t ngx_heartbeat_commands[heartbeat::kSettings + 2] = {};

__attribute__((constructor)) static void ngx_heartbeat_fill_commands() {
  ngx_command_t* next = ngx_heartbeat_commands;
  *next++ = heartbeat::command("heartbeat", NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1, heartbeat::set_endpoint, nullptr);
  for (const heartbeat::Setting& setting : heartbeat::kSettingTable) {
    *next++ = heartbeat::command(setting.name, NGX_CONF_ANY | heartbeat::places(setting.where), heartbeat::set_setting,
                                 &setting);
  }
}
}
