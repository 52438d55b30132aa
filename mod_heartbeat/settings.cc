// The directives: registered from the core's table, read by it, inherited by it.
#include <array>
#include <utility>

#include "mod_heartbeat/module.h"
#include "shared/settings/table.h"

#include <ap_expr.h>
#include <apr_strings.h>
#include <http_core.h>

namespace heartbeat {
namespace {

class Context final : public SettingsContext {
 public:
  Context(cmd_parms* cmd, Arena& arena) : SettingsContext(arena), cmd_(cmd) {}

  std::string_view full_path(std::string_view path) override {
    const char* full = ap_server_root_relative(cmd_->pool, arena.copy(path).data());
    return full == nullptr ? arena.copy(path) : std::string_view(full);
  }

  bool is_expression(std::string_view text) override { return text.starts_with(kExpression); }

  void* compile(std::string_view text, Error& error) override {
    const char* fault = nullptr;
    ap_expr_info_t* expression = ap_expr_parse_cmd(cmd_, arena.copy(text.substr(kExpression.size())).data(),
                                                   AP_EXPR_FLAG_STRING_RESULT, &fault, nullptr);
    if (fault == nullptr) return expression;
    error.set("invalid value \"%.*s\", expected expr=%%{...}, a string expression of httpd: %s", HEARTBEAT_VIEW(text),
              fault);
    return nullptr;
  }

 private:
  static constexpr std::string_view kExpression = "expr=";
  cmd_parms* cmd_;
};

// Every name of a site has a number, so that a request finds its site without comparing names.
unsigned number_of_site(cmd_parms* cmd, std::string_view name) {
  Configuration& configuration = heartbeat::configuration();
  for (SiteName* each = configuration.names; each != nullptr; each = each->next) {
    if (each->server == cmd->server && each->name == name) return each->number;
  }
  unsigned last = configuration.names == nullptr ? 0 : configuration.names->number;
  configuration.names =
      new (apr_palloc(cmd->pool, sizeof(SiteName))) SiteName{name, cmd->server, last + 1, configuration.names};
  return last + 1;
}

// Its keys may be in Redis servers that no virtual host names. A section is noted once for each directive.
void note_touches(cmd_parms* cmd, const Settings& settings) {
  Configuration& configuration = heartbeat::configuration();
  configuration.touching = new (apr_palloc(cmd->pool, sizeof(TouchingSection)))
      TouchingSection{&settings, cmd->server, cmd->directive, configuration.touching};
}

const char* set_setting(cmd_parms* cmd, void* section, int count, char* const words[]) {
  auto& setting = *static_cast<const Setting*>(cmd->info);
  auto& config = *static_cast<DirectoryConfig*>(section);
  if ((setting.where & (kVhost | kLocation)) == 0) {
    const char* misplaced = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    if (misplaced != nullptr) return misplaced;
  }
  auto* arguments = static_cast<std::string_view*>(apr_palloc(cmd->temp_pool, sizeof(std::string_view) * (count + 1)));
  for (int i = 0; i < count; ++i) new (arguments + i) std::string_view(words[i]);
  PoolArena arena(cmd->pool);
  Context context(cmd, arena);
  Error error;
  const RedisUrl* url = *config.settings.redis;
  const Touch* touches = config.settings.touch->data();
  apply_setting(setting, cmd->cmd->name, context, {arguments, static_cast<std::size_t>(count)}, config.settings, error);
  if (error) return apr_pstrdup(cmd->pool, error.text());
  config.has_settings = true;
  config.spots = new (apr_palloc(cmd->pool, sizeof(Spot))) Spot{&setting, cmd->directive, config.spots};
  if (*config.settings.redis != url) server_config(cmd->server).redis = cmd->directive;
  if (config.settings.touch->data() != touches) note_touches(cmd, config.settings);
  if (config.settings.site.set) config.site = number_of_site(cmd, *config.settings.site);
  return nullptr;
}

// httpd gives a directive to every module that has it: its own SetHandler does the work, this one notes an endpoint
// of ours, so that a request is known as such before httpd has evaluated the handler's name.
const char* note_handler(cmd_parms* cmd, void* section, const char* name) {
  auto& config = *static_cast<DirectoryConfig*>(section);
  config.handler = name;
  config.endpoint = Endpoint::none;
  if (!std::string_view(name).starts_with(kHandler)) return nullptr;
  config.endpoint = endpoint_by_name(name + kHandler.size());
  if (config.endpoint == Endpoint::online) {
    Configuration& whole = heartbeat::configuration();
    whole.online = new (apr_palloc(cmd->pool, sizeof(OnlineSection))) OnlineSection{cmd->server, &config, whole.online};
  }
  config.spots = new (apr_palloc(cmd->pool, sizeof(Spot))) Spot{nullptr, cmd->directive, config.spots};
  if (config.endpoint != Endpoint::none) return nullptr;
  return apr_psprintf(cmd->pool, "SetHandler: invalid value \"%s\", expected %.*s and one of: %.*s", name,
                      HEARTBEAT_VIEW(kHandler), HEARTBEAT_VIEW(kEndpointWords));
}

constexpr int places(unsigned where) {
  int places = 0;
  if ((where & (kMain | kVhost)) != 0) places |= RSRC_CONF;
  if ((where & kLocation) != 0) places |= ACCESS_CONF;
  return places;
}

template <std::size_t... kRow>
constexpr std::array<ApacheName, sizeof...(kRow)> names_of(std::index_sequence<kRow...>) {
  return {apache_name(kSettingTable[kRow].name)...};
}
constexpr auto kNames = names_of(std::make_index_sequence<kSettings>());

template <std::size_t kRow>
constexpr command_rec directive() {
  const Setting& setting = kSettingTable[kRow];
  return AP_INIT_TAKE_ARGV(kNames[kRow].text, set_setting, const_cast<Setting*>(&setting), places(setting.where),
                           setting.help);
}

template <std::size_t... kRow>
constexpr std::array<command_rec, sizeof...(kRow) + 2> directives(std::index_sequence<kRow...>) {
  return {directive<kRow>()...,
          AP_INIT_TAKE1("SetHandler", note_handler, nullptr, OR_FILEINFO, "an endpoint, such as heartbeat-ping"),
          command_rec{}};
}
constexpr auto kTable = directives(std::make_index_sequence<kSettings>());

const ap_directive_t* directive_of(const DirectoryConfig* config, const Setting* setting) {
  for (; config != nullptr; config = config->outer) {
    for (const Spot* spot = config->spots; spot != nullptr; spot = spot->next) {
      if (spot->setting == setting) return spot->directive;
    }
  }
  return nullptr;
}

// The core names settings as nginx spells them.
const char* respelled(apr_pool_t* pool, std::string_view sentence) {
  const char* result = "";
  while (!sentence.empty()) {
    std::size_t begin = sentence.find("heartbeat_");
    std::size_t end = begin == std::string_view::npos ? begin : sentence.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", begin);
    if (end == std::string_view::npos) end = sentence.size();
    if (begin > end) begin = end;
    const char* name = apr_pstrmemdup(pool, sentence.data() + begin, end - begin);
    result = apr_psprintf(pool, "%s%.*s%s", result, HEARTBEAT_VIEW(sentence.substr(0, begin)), apache_name(name).text);
    sentence.remove_prefix(end);
  }
  return result;
}

bool check_section(apr_pool_t* pool, server_rec* server, const DirectoryConfig& config) {
  Error error;
  const Setting* wrong = nullptr;
  if (check_settings(config.settings, config.endpoint, wrong, error)) return true;
  const ap_directive_t* directive = directive_of(&config, wrong);
  ServerLog log(server);
  if (directive == nullptr) log.print(Level::error, "heartbeat: %s", respelled(pool, error.text()));
  else log.print(Level::error, "heartbeat: %s (line %d of %s)", respelled(pool, error.text()), directive->line_num, directive->filename);
  return false;
}

}  // namespace

// What stands in .htaccess and <If> shows only when a request comes; then it issues and believes nothing.
bool check_sections(apr_pool_t* pool, server_rec* server) {
  DirectoryConfig& whole = directory_config(server->lookup_defaults);
  if (*whole.settings.track && !check_section(pool, server, whole)) return false;
  auto* core = static_cast<core_server_config*>(ap_get_core_module_config(server->module_config));
  for (int i = 0; i < core->sec_url->nelts; ++i) {
    void* section = ap_get_module_config(APR_ARRAY_IDX(core->sec_url, i, ap_conf_vector_t*), &http_heartbeat_module);
    if (section == nullptr) continue;  // says nothing about us
    const auto& merged = *static_cast<DirectoryConfig*>(merge_directory_configs(pool, &whole, section));
    bool counts = merged.endpoint != Endpoint::none || *merged.settings.track || !merged.settings.cookie->name.empty();
    if (counts && !check_section(pool, server, merged)) return false;
  }
  return true;
}

constinit const command_rec* const kDirectives = kTable.data();

void* create_directory_config(apr_pool_t* pool, char*) {
  PoolArena arena(pool);
  cmd_parms nowhere{};  // the defaults of the table hold no path and no expression
  nowhere.pool = pool;
  Context context(&nowhere, arena);
  auto* config = arena.make<DirectoryConfig>();
  set_defaults(context, config->settings);
  return config;
}

// httpd calls this for every request to a <Location> that has settings of its own, and wherever a SetHandler stands:
// what says nothing new costs nothing.
void* merge_directory_configs(apr_pool_t* pool, void* parent, void* child) {
  const auto& from = *static_cast<DirectoryConfig*>(parent);
  const auto& own = *static_cast<DirectoryConfig*>(child);
  Endpoint endpoint = own.handler != nullptr ? own.endpoint : from.endpoint;
  if (!own.has_settings && endpoint == from.endpoint) return parent;
  auto* config = new (apr_palloc(pool, sizeof(DirectoryConfig))) DirectoryConfig(own.has_settings ? own : from);
  config->endpoint = endpoint;
  config->spots = own.spots;
  config->outer = &from;
  config->handler = own.handler != nullptr ? own.handler : from.handler;
  if (!own.has_settings) return config;
  if (!own.settings.site.set) config->site = from.site;
  inherit_settings(config->settings, from.settings);
  return config;
}

}  // namespace heartbeat
