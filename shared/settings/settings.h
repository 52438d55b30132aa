// The one table of settings: each is declared once, with its name, its place, its default and a line of help.
// Both servers register their directives from it and the manual's table is generated from it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "shared/beacon/transport.h"
#include "shared/port/error.h"
#include "shared/port/port.h"
#include "shared/redis/url.h"

namespace heartbeat {

enum class Endpoint : std::uint8_t { none, ping, page, beat, beacon, script, online, audit, view };
enum class Policy : std::uint8_t { extend, observe, never };
enum class Ids : std::uint8_t { hash, plain };

/// One place a session id or a user's name may come from. `expression` is the server's own compiled form, null for the
/// other kinds.
struct Source {
  enum class Kind : std::uint8_t { cookie, header, arg, body, jwt, expression };
  Kind kind = Kind::cookie;
  std::string_view name;
  void* expression = nullptr;
};

/// Who may call from another origin (RFC 6454): a list of serialized origins, or anybody.
struct Origins {
  bool any = false;
  std::span<const std::string_view> list;
};

struct Keyring;
struct Store;

/// The anonymous session cookie that is issued. `attributes` is what follows the value, from "; " on; empty: none given.
struct IssuedCookie {
  std::string_view name;  // empty: none is issued
  std::string_view attributes;
  std::int64_t max_age = 0;  // seconds; 0: not given
};

/// A key of the application's own session in Redis, and for how long a sign of life keeps it there. {session} and
/// {user} in the key stand for the session's id and its user's name.
struct Touch {
  std::string_view key;
  Millis ttl = 0;
  const RedisUrl* url = nullptr;         // null: the Redis of heartbeat_redis
  mutable const Store* store = nullptr;  // of the URL, once the configuration was read
};

/// How often one session may ping and beat: once every `interval`, `burst` of them at once. interval 0: no limit.
struct Rate {
  std::uint32_t interval = 0;  // ms
  std::uint32_t burst = 0;
};

/// Where accepted beacons wait on disk until Redis has them.
struct SpoolSettings {
  std::string_view directory;  // absolute and NUL-terminated; empty: no beacon is accepted
  std::uint64_t max = 0;       // bytes on disk
  bool sync = false;           // a beacon counts as kept once the disk has it, not only the kernel
};

/// A value and whether this level of the configuration gave it; if not, the value is the default or inherited.
template <class T>
struct Value {
  T value{};
  bool set = false;
  const T& operator*() const { return value; }
  const T* operator->() const { return &value; }
};

/// The settings of one place in the configuration. Every member has one row in the table.
struct Settings {
  Value<std::size_t> zone;                // bytes
  Value<const RedisUrl*> redis;           // null: memory only
  Value<std::string_view> password;       // read from the password file; never logged
  Value<std::string_view> prefix;
  Value<Millis> flush;
  Value<SpoolSettings> spool;
  Value<Millis> retention;
  Value<std::string_view> site;           // empty: the name of the virtual host
  Value<std::span<const Source>> session;
  Value<std::span<const Source>> user;
  Value<const Keyring*> keys;             // null: no token is believed
  Value<bool> anonymous;
  Value<IssuedCookie> cookie;
  Value<Ids> ids;
  Value<bool> track;
  Value<std::span<const Touch>> touch;
  Value<Policy> policy;
  Value<Millis> interval;
  Value<Millis> timeout;
  Value<Millis> idle;
  Value<Millis> grace;
  Value<Rate> rate;
  Value<Millis> keepalive_timeout;        // 0: the server's own
  Value<std::uint32_t> keepalive_pings;   // 0: no limit
  Value<bool> trim;
  Value<Origins> origin;
  Value<std::uint32_t> shards;
  Value<TransportOrder> transports;
  Value<std::size_t> body;                // bytes
};

/// What the table needs of the server while it reads the configuration.
class SettingsContext {
 public:
  explicit SettingsContext(Arena& arena) : arena(arena) {}
  Arena& arena;

  /// A path of the configuration made absolute, by the server's own rule; NUL-terminated.
  virtual std::string_view full_path(std::string_view path) = 0;
  /// The same for what the server writes.
  virtual std::string_view data_path(std::string_view path) { return full_path(path); }
  /// True where `text` is the server's own expression.
  virtual bool is_expression(std::string_view text) = 0;
  /// Compiles one; null with `error` set where it is wrong.
  virtual void* compile(std::string_view text, Error& error) = 0;

 protected:
  ~SettingsContext() = default;
};

/// Where a setting may stand. What may stand in a virtual host may also stand above all of them, as their default.
enum Where : unsigned {
  kMain = 1,
  kVhost = 2,
  kLocation = 4,
  kLocationNginx = 8,  // nginx only: Apache has one value for each virtual host
};

/// How the words of a directive reach its member of Settings, and how that is inherited.
struct SettingFunctions {
  void (*apply)(SettingsContext&, std::span<const std::string_view>, Settings&, Error&);
  void (*inherit)(Settings& child, const Settings& parent);
  void (*disown)(Settings&);  // the value stays, but counts as not given at this level
};

/// One row of kSettingTable, in table.h.
struct Setting {
  const char* name;  // as nginx spells it; see apache_name()
  unsigned where;    // of Where
  unsigned min_arguments, max_arguments;
  const char* arguments;     // for the manual
  const char* default_text;  // for the manual, and parsed as the default; null: none
  const char* help;
  const SettingFunctions* functions;
};

/// Fills `settings` with the defaults of the table.
void set_defaults(SettingsContext& context, Settings& settings);

/// Reads one directive. `shown_name` is the name as the operator wrote it.
/// Error: a sentence with that name, the value, and what is expected.
void apply_setting(const Setting& setting, const char* shown_name, SettingsContext& context,
                   std::span<const std::string_view> arguments, Settings& settings, Error& error);

/// Whatever `child` does not set itself comes from `parent`.
void inherit_settings(Settings& child, const Settings& parent);

/// Whether several settings and the endpoint they are for mean something together. False: `error` is a sentence that
/// names them as nginx spells them, and `wrong` the one to point at, null for the endpoint itself.
bool check_settings(const Settings& settings, Endpoint endpoint, const Setting*& wrong, Error& error);

/// heartbeat_keepalive_timeout becomes HeartbeatKeepaliveTimeout.
struct ApacheName {
  char text[48];
};
constexpr ApacheName apache_name(const char* name) {
  ApacheName result{};
  std::size_t length = 0;
  bool upper = true;
  for (; *name != '\0'; ++name) {
    if (*name == '_') {
      upper = true;
    } else {
      result.text[length++] = upper ? static_cast<char>(*name - 'a' + 'A') : *name;
      upper = false;
    }
  }
  return result;
}

/// The words of `heartbeat ping;` and `SetHandler heartbeat-ping`; none where there is no such endpoint.
Endpoint endpoint_by_name(std::string_view word);
inline constexpr std::string_view kEndpointWords = "ping, page, beat, beacon, script, online, audit, view";

}  // namespace heartbeat
