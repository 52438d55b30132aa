// How each setting is read and inherited.
#include "shared/settings/settings.h"

#include <fcntl.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cstdio>
#include <cstring>

#include "shared/beacon/spool_shared.h"
#include "shared/identity/keyring.h"
#include "shared/settings/parse.h"
#include "shared/settings/table.h"

namespace heartbeat {
namespace {

using Arguments = std::span<const std::string_view>;

constexpr Millis kSecond = 1000;
constexpr Millis kDay = 24 * 3600 * kSecond;
constexpr std::size_t kTouches = 4;
constexpr std::size_t kTouchKey = 200;
constexpr std::size_t kLeastSpool = std::size_t{8} << 20;  // two segments

// What a parser found: nothing wrong where `expected` is null.
struct Fault {
  std::string_view value;
  const char* expected = nullptr;
};

template <std::size_t kMin, std::size_t kMax>
Fault parse_size_in(SettingsContext&, Arguments arguments, std::size_t& value, const char* expected, Error&) {
  if (parse_size(arguments[0], value) && value >= kMin && value <= kMax) return {};
  return {arguments[0], expected};
}

template <Millis kMin, Millis kMax>
Fault parse_time_in(SettingsContext&, Arguments arguments, Millis& value, const char* expected, Error&) {
  if (parse_time(arguments[0], value) && value >= kMin && value <= kMax) return {};
  return {arguments[0], expected};
}

Fault parse_flag(SettingsContext&, Arguments arguments, bool& value, const char* expected, Error&) {
  value = arguments[0] == "on";
  if (value || arguments[0] == "off") return {};
  return {arguments[0], expected};
}

Fault parse_pings(SettingsContext&, Arguments arguments, std::uint32_t& value, const char* expected, Error&) {
  std::uint64_t number = 0;
  if (!parse_number(arguments[0], 1000000000, number)) return {arguments[0], expected};
  value = static_cast<std::uint32_t>(number);
  return {};
}

Fault parse_ids(SettingsContext&, Arguments arguments, Ids& value, const char* expected, Error&) {
  value = arguments[0] == "plain" ? Ids::plain : Ids::hash;
  if (arguments[0] == "plain" || arguments[0] == "hash") return {};
  return {arguments[0], expected};
}

Fault parse_policy(SettingsContext&, Arguments arguments, Policy& value, const char* expected, Error&) {
  if (arguments[0] == "extend")
    value = Policy::extend;
  else if (arguments[0] == "observe")
    value = Policy::observe;
  else if (arguments[0] == "never")
    value = Policy::never;
  else
    return {arguments[0], expected};
  return {};
}

// Names become parts of Redis keys: no control bytes, no braces (they mark the cluster slot), no spaces.
Fault parse_name(SettingsContext& context, Arguments arguments, std::string_view& value, const char* expected, Error&) {
  std::string_view name = arguments[0];
  bool good = !name.empty() && name.size() <= 255;
  for (char c : name) good = good && static_cast<unsigned char>(c) > ' ' && c != '{' && c != '}' && c != 127;
  if (!good) return {name, expected};
  value = context.arena.copy(name);
  return {};
}

Fault parse_prefix(SettingsContext& context, Arguments arguments, std::string_view& value, const char* expected,
                   Error& error) {
  if (arguments[0].size() > 64) return {arguments[0], expected};
  return parse_name(context, arguments, value, expected, error);
}

Fault parse_url(SettingsContext& context, Arguments arguments, const RedisUrl*& value, const char*, Error& error) {
  value = parse_redis_url(arguments[0], context.arena, error);
  return {};
}

Fault parse_password(SettingsContext& context, Arguments arguments, std::string_view& value, const char* expected,
                     Error&) {
  char text[1025];
  std::string_view path = context.full_path(arguments[0]);
  int file = ::open(path.data(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe would keep the server waiting
  if (file < 0) return {path, expected};
  struct stat status {};
  ssize_t size = ::fstat(file, &status) == 0 && S_ISREG(status.st_mode) ? ::read(file, text, sizeof text) : 0;
  ::close(file);
  while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\r')) --size;
  if (size <= 0 || size > 1024) return {path, expected};
  value = context.arena.copy({text, static_cast<std::size_t>(size)});
  return {};
}

bool read_source(SettingsContext& context, std::string_view word, Source& source, Error& error) {
  static constexpr struct {
    std::string_view prefix;
    Source::Kind kind;
  } kinds[] = {{"cookie:", Source::Kind::cookie},
               {"header:", Source::Kind::header},
               {"arg:", Source::Kind::arg},
               {"body:", Source::Kind::body}};
  if (word == "jwt") {
    source.kind = Source::Kind::jwt;
    return true;
  }
  for (const auto& kind : kinds) {
    if (!word.starts_with(kind.prefix)) continue;
    source.kind = kind.kind;
    source.name = context.arena.copy(word.substr(kind.prefix.size()));
    for (char c : source.name) {
      if (static_cast<unsigned char>(c) <= ' ' || c == 127 || c == '=' || c == ';' || c == '&') return false;
    }
    return !source.name.empty();
  }
  if (!context.is_expression(word)) return false;
  source.kind = Source::Kind::expression;
  source.name = context.arena.copy(word);
  source.expression = context.compile(word, error);
  return source.expression != nullptr;
}

Fault parse_sources(SettingsContext& context, Arguments arguments, std::span<const Source>& value, const char* expected,
                    Error& error) {
  Source* sources = context.arena.make<Source>(arguments.size());
  for (std::size_t i = 0; sources != nullptr && i < arguments.size(); ++i) {
    if (!read_source(context, arguments[i], sources[i], error)) return {arguments[i], expected};
  }
  value = {sources, sources == nullptr ? 0 : arguments.size()};
  return {};
}

Fault parse_origins(SettingsContext& context, Arguments arguments, Origins& value, const char* expected, Error&) {
  std::string_view* list = context.arena.make<std::string_view>(arguments.size());
  if (list == nullptr) return {};
  value = Origins();
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    bool any = arguments[i] == "*" && arguments.size() == 1;
    if (!any && !is_origin(arguments[i])) return {arguments[i], expected};
    value.any = any;
    list[i] = context.arena.copy(arguments[i]);
  }
  if (!value.any) value.list = {list, arguments.size()};
  return {};
}

Fault parse_keys(SettingsContext& context, Arguments arguments, const Keyring*& value, const char*, Error& error) {
  std::string_view paths[kAnyNumber];
  for (std::size_t i = 0; i < arguments.size(); ++i) paths[i] = context.full_path(arguments[i]);
  value = read_keyring({paths, arguments.size()}, context.arena, error);
  return {};
}

bool is_token(std::string_view word, std::string_view extra) {
  for (char c : word) {
    if (static_cast<unsigned char>(c) <= ' ' || c == 127 || c == ';' || c == ',' || c == '"' || c == '\\') return false;
    if (extra.find(c) != std::string_view::npos) return false;
  }
  return !word.empty();
}

bool same_word(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

bool has_start(std::string_view text, std::string_view start) { return same_word(text.substr(0, start.size()), start); }

// A browser drops a cookie that says SameSite=None or Partitioned without Secure, or whose name promises it (RFC 6265bis,
// sections 4.1.3 and 5.7).
Fault parse_cookie(SettingsContext& context, Arguments arguments, IssuedCookie& value, const char* expected, Error&) {
  char text[1024];
  std::size_t size = 0;
  bool secure = false;
  bool needs_secure = has_start(arguments[0], "__Secure-") || has_start(arguments[0], "__Host-");
  std::uint64_t max_age = 0;
  if (!is_token(arguments[0], "=") || arguments[0].size() > 100) return {arguments[0], expected};
  for (std::string_view word : arguments.subspan(1)) {
    if (!is_token(word, "") || word.size() > 100) return {word, expected};
    secure = secure || same_word(word, "Secure");
    needs_secure = needs_secure || same_word(word, "SameSite=None") || same_word(word, "Partitioned");
    size += static_cast<std::size_t>(std::snprintf(text + size, sizeof text - size, "; %.*s", HEARTBEAT_VIEW(word)));
    if (!has_start(word, "Max-Age=")) continue;
    bool good = max_age == 0 && parse_number(word.substr(std::strlen("Max-Age=")), 400 * kDay / kSecond, max_age) && max_age != 0;
    if (!good) return {word, "one Max-Age, of 1 to 34560000 seconds"};
  }
  if (needs_secure && !secure) return {arguments.back(), "Secure as well, without which browsers drop such a cookie"};
  value.name = context.arena.copy(arguments[0]);
  value.attributes = size == 0 ? std::string_view() : context.arena.copy({text, size});
  value.max_age = static_cast<std::int64_t>(max_age);
  return {};
}

// Several of one level add up.
Fault parse_touch(SettingsContext& context, Arguments arguments, std::span<const Touch>& value, const char* expected,
                  Error& error) {
  Touch touch;
  bool named = arguments[0].find("{session}") != std::string_view::npos ||
               arguments[0].find("{user}") != std::string_view::npos;
  if (!named || arguments[0].size() > kTouchKey) return {arguments[0], expected};
  touch.key = context.arena.copy(arguments[0]);
  if (!parse_time(arguments[1], touch.ttl) || touch.ttl < kSecond || touch.ttl > 3650 * kDay) {
    return {arguments[1], expected};
  }
  if (arguments.size() > 2) touch.url = parse_redis_url(arguments[2], context.arena, error);
  Touch* all = value.size() < kTouches ? context.arena.make<Touch>(value.size() + 1) : nullptr;
  if (all == nullptr) return {arguments[0], "at most four in one place"};
  for (std::size_t i = 0; i < value.size(); ++i) all[i] = value[i];
  all[value.size()] = touch;
  value = {all, value.size() + 1};
  return {};
}

// As nginx writes rates: 10r/s, 30r/m.
Fault parse_rate(SettingsContext&, Arguments arguments, Rate& value, const char* expected, Error&) {
  std::string_view word = arguments[0];
  value = {0, 10};
  if (word == "off" && arguments.size() == 1) return {};
  std::uint64_t number = 0;
  std::uint32_t unit = word.ends_with("r/s") ? 1000 : word.ends_with("r/m") ? 60000 : 0;
  if (unit == 0 || !parse_number(word.substr(0, word.size() - 3), 1000, number) || number == 0) return {word, expected};
  value.interval = unit / static_cast<std::uint32_t>(number);
  if (arguments.size() == 1) return {};
  std::string_view burst = arguments[1];
  if (!burst.starts_with("burst=") || !parse_number(burst.substr(6), 1000, number)) return {burst, expected};
  value.burst = static_cast<std::uint32_t>(number);
  return {};
}

Fault parse_shards(SettingsContext&, Arguments arguments, std::uint32_t& value, const char* expected, Error&) {
  std::uint64_t number = 0;
  if (!parse_number(arguments[0], 1024, number) || number == 0) return {arguments[0], expected};
  value = static_cast<std::uint32_t>(number);
  return {};
}

// The words may come in any order behind the directory.
Fault parse_spool(SettingsContext& context, Arguments arguments, SpoolSettings& value, const char* expected, Error&) {
  static constexpr std::string_view kMax = "max=";
  std::size_t max = std::size_t{256} << 20;
  value.directory = context.arena.copy(context.data_path(arguments[0]));
  if (arguments[0].empty() || value.directory.size() > kSpoolPath) return {arguments[0], expected};
  for (std::string_view word : arguments.subspan(1)) {
    bool size = word.starts_with(kMax) && parse_size(word.substr(kMax.size()), max) && max >= kLeastSpool;
    if (!size && word != "fsync") return {word, expected};
    value.sync = value.sync || !size;
  }
  value.max = max;
  return {};
}

Fault parse_transports(SettingsContext&, Arguments arguments, TransportOrder& value, const char* expected, Error&) {
  value = TransportOrder();
  value.automatic = arguments[0] == "auto" && arguments.size() == 1;
  if (value.automatic) return {};
  value.count = 0;
  for (std::string_view word : arguments) {
    Transport transport{};
    if (!transport_by_name(word, transport)) return {word, expected};
    for (unsigned i = 0; i < value.count; ++i) {
      if (value.list[i] == transport) return {word, "each way of sending at most once"};
    }
    value.list[value.count++] = transport;
  }
  return {};
}

template <auto kMember, auto kParse>
void apply(SettingsContext& context, Arguments arguments, Settings& settings, Error& error, const char* expected) {
  if (!(settings.*kMember).set) (settings.*kMember).value = {};
  Fault fault = kParse(context, arguments, (settings.*kMember).value, expected, error);
  if (!error && fault.expected != nullptr) {
    error.set("invalid value \"%.*s\", expected %s", HEARTBEAT_VIEW(fault.value.substr(0, 200)), fault.expected);
  }
  (settings.*kMember).set = true;
}

// One column of the table: how the words of a directive reach its member, and how the member is inherited.
template <auto kMember, auto kParse, const char* const& kExpected>
struct Column {
  static void set(SettingsContext& context, Arguments arguments, Settings& settings, Error& error) {
    apply<kMember, kParse>(context, arguments, settings, error, kExpected);
  }
  static void inherit(Settings& child, const Settings& parent) {
    if (!(child.*kMember).set) child.*kMember = parent.*kMember;
  }
  static void disown(Settings& settings) { (settings.*kMember).set = false; }
};

constexpr const char* kZone = "a size such as 16m, from 1m to 64g";
constexpr const char* kUrl = "a Redis URL";
constexpr const char* kFile = "a readable file that holds a password of 1 to 1024 bytes";
constexpr const char* kPrefix = "a word of 1 to 64 bytes without spaces and braces";
constexpr const char* kFlush = "a time such as 1s, from 50ms to 1h";
constexpr const char* kRetention = "a time such as 7d, from 1s to 3650d";
constexpr const char* kSite = "a name of 1 to 255 bytes without spaces and braces";
constexpr const char* kSources =
    "jwt, cookie:NAME, header:NAME, arg:NAME, body:NAME, or $variable (nginx) or expr=%{...} (Apache)";
constexpr const char* kKeys = "files that hold keys";
constexpr const char* kCookie = "a cookie name and attributes such as Secure HttpOnly SameSite=None Partitioned";
constexpr const char* kTouch =
    "a key of up to 200 bytes with {session} or {user}, and a time such as 24m, from 1s to 3650d";
constexpr const char* kInterval = "a time such as 30s, from 1s to 1d";
constexpr const char* kGrace = "a time such as 5s, from 0s to 1h";
constexpr const char* kRate = "off, or a rate such as 10r/s or 30r/m with burst=N, each up to 1000";
constexpr const char* kShards = "a number from 1 to 1024";
constexpr const char* kSpool = "a directory of up to 200 bytes, max=SIZE from 8m, fsync";
constexpr const char* kTransportWords = "auto, or some of fetchLater, beacon, fetch, image";
constexpr const char* kBody = "a size such as 64k, from 1k to 2m";
constexpr const char* kIds = "hash or plain";
constexpr const char* kFlag = "on or off";
constexpr const char* kPolicy = "extend, observe or never";
constexpr const char* kTimeout = "a time such as 90s, from 1s to 30d";
constexpr const char* kIdle = "a time such as 10m, from 1s to 30d";
constexpr const char* kKeepalive = "a time such as 75s, from 1s to 1d";
constexpr const char* kPings = "a number from 0 (no limit) to 1000000000";
constexpr const char* kOrigins = "*, or origins in lower case such as https://www.example.com:8443";

template <auto kMember, auto kParse, const char* const& kExpected>
constexpr SettingFunctions functions() {
  using Own = Column<kMember, kParse, kExpected>;
  return {Own::set, Own::inherit, Own::disown};
}

}  // namespace

namespace setting_functions {
extern const SettingFunctions zone =
    functions<&Settings::zone, (parse_size_in<std::size_t{1} << 20, std::size_t{64} << 30>), kZone>();
extern const SettingFunctions redis = functions<&Settings::redis, parse_url, kUrl>();
extern const SettingFunctions password = functions<&Settings::password, parse_password, kFile>();
extern const SettingFunctions prefix = functions<&Settings::prefix, parse_prefix, kPrefix>();
extern const SettingFunctions flush = functions<&Settings::flush, (parse_time_in<50, 3600 * kSecond>), kFlush>();
extern const SettingFunctions retention =
    functions<&Settings::retention, (parse_time_in<kSecond, 3650 * kDay>), kRetention>();
extern const SettingFunctions site = functions<&Settings::site, parse_name, kSite>();
extern const SettingFunctions session = functions<&Settings::session, parse_sources, kSources>();
extern const SettingFunctions user = functions<&Settings::user, parse_sources, kSources>();
extern const SettingFunctions keys = functions<&Settings::keys, parse_keys, kKeys>();
extern const SettingFunctions anonymous = functions<&Settings::anonymous, parse_flag, kFlag>();
extern const SettingFunctions cookie = functions<&Settings::cookie, parse_cookie, kCookie>();
extern const SettingFunctions touch = functions<&Settings::touch, parse_touch, kTouch>();
extern const SettingFunctions interval = functions<&Settings::interval, (parse_time_in<kSecond, kDay>), kInterval>();
extern const SettingFunctions grace = functions<&Settings::grace, (parse_time_in<0, 3600 * kSecond>), kGrace>();
extern const SettingFunctions rate = functions<&Settings::rate, parse_rate, kRate>();
extern const SettingFunctions shards = functions<&Settings::shards, parse_shards, kShards>();
extern const SettingFunctions spool = functions<&Settings::spool, parse_spool, kSpool>();
extern const SettingFunctions transports = functions<&Settings::transports, parse_transports, kTransportWords>();
extern const SettingFunctions body =
    functions<&Settings::body, (parse_size_in<std::size_t{1} << 10, std::size_t{2} << 20>), kBody>();
extern const SettingFunctions ids = functions<&Settings::ids, parse_ids, kIds>();
extern const SettingFunctions track = functions<&Settings::track, parse_flag, kFlag>();
extern const SettingFunctions policy = functions<&Settings::policy, parse_policy, kPolicy>();
extern const SettingFunctions timeout = functions<&Settings::timeout, (parse_time_in<kSecond, 30 * kDay>), kTimeout>();
extern const SettingFunctions idle = functions<&Settings::idle, (parse_time_in<kSecond, 30 * kDay>), kIdle>();
extern const SettingFunctions keepalive_timeout =
    functions<&Settings::keepalive_timeout, (parse_time_in<kSecond, kDay>), kKeepalive>();
extern const SettingFunctions keepalive_pings = functions<&Settings::keepalive_pings, parse_pings, kPings>();
extern const SettingFunctions trim = functions<&Settings::trim, parse_flag, kFlag>();
extern const SettingFunctions origin = functions<&Settings::origin, parse_origins, kOrigins>();
}  // namespace setting_functions

namespace {
const Setting* row_of(const SettingFunctions& functions) {
  for (const Setting& setting : kSettingTable) {
    if (setting.functions == &functions) return &setting;
  }
  return nullptr;
}
}  // namespace

void set_defaults(SettingsContext& context, Settings& settings) {
  Error error;
  for (const Setting& setting : kSettingTable) {
    if (setting.default_text == nullptr) continue;
    std::string_view words[4];
    std::size_t count = 0;
    for (std::string_view rest = setting.default_text; !rest.empty() && count < 4; ++count) {
      words[count] = rest.substr(0, rest.find(' '));
      rest.remove_prefix(words[count].size() == rest.size() ? rest.size() : words[count].size() + 1);
    }
    setting.functions->apply(context, {words, count}, settings, error);
    setting.functions->disown(settings);
  }
}

void apply_setting(const Setting& setting, const char* shown_name, SettingsContext& context, Arguments arguments,
                   Settings& settings, Error& error) {
  if (arguments.size() < setting.min_arguments || arguments.size() > setting.max_arguments) {
    error.set("%s: %zu values, expected %s", shown_name, arguments.size(), setting.arguments);
    return;
  }
  Error fault;
  setting.functions->apply(context, arguments, settings, fault);
  if (fault) error.set("%s: %s", shown_name, fault.text());
}

void inherit_settings(Settings& child, const Settings& parent) {
  if (child.redis.set) child.password.set = true;  // the password of another Redis is none of this one's
  for (const Setting& setting : kSettingTable) setting.functions->inherit(child, parent);
}

bool check_settings(const Settings& settings, Endpoint endpoint, const Setting*& wrong, Error& error) {
  const Keyring* keys = *settings.keys;
  wrong = nullptr;
  if (!settings.cookie->name.empty() && (keys == nullptr || !keys->can_sign())) {
    error.set("heartbeat_cookie: expected heartbeat_key_file with a first key that can sign");
    wrong = row_of(setting_functions::cookie);
  } else if (!*settings.anonymous && keys == nullptr) {
    error.set("heartbeat_anonymous: invalid value \"off\", expected heartbeat_key_file as well, or no session would be recorded");
    wrong = row_of(setting_functions::anonymous);
  } else if (endpoint == Endpoint::beacon && settings.spool->directory.empty()) {
    error.set("beacon: expected heartbeat_spool, where beacons wait for Redis");
  } else if (endpoint == Endpoint::beacon && keys == nullptr) {
    error.set("beacon: expected heartbeat_key_file, whose first key signs page views");
  }
  return !error;
}

Endpoint endpoint_by_name(std::string_view word) {
  if (word == "ping") return Endpoint::ping;
  if (word == "page") return Endpoint::page;
  if (word == "beat") return Endpoint::beat;
  if (word == "beacon") return Endpoint::beacon;
  if (word == "script") return Endpoint::script;
  if (word == "online") return Endpoint::online;
  if (word == "audit") return Endpoint::audit;
  if (word == "view") return Endpoint::view;
  return Endpoint::none;
}

}  // namespace heartbeat
