// The Redis servers of a configuration: each one with its prefix is a store, resolved when the configuration is read.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "shared/session/snapshot.h"
#include "shared/session/table.h"
#include "shared/settings/settings.h"

namespace heartbeat {

struct Address {
  sockaddr_storage storage;
  socklen_t size;
};

struct Store {
  static constexpr std::uint32_t kAddresses = 8;

  const RedisUrl* url = nullptr;
  std::string_view prefix;
  std::string_view password;
  std::string_view identity;  // address, database, user and prefix: what makes it another store than the next
  Address addresses[kAddresses];
  std::uint32_t address_count = 0;
  std::uint16_t index = kNone;  // in the shared table
  bool records = false;         // sessions are recorded there
  bool touches = false;         // there are keys of applications to be kept alive
};

/// The stores of one configuration. Lives as long as that.
class Stores {
 public:
  /// The store that `settings` name, added if it is new; null without heartbeat_redis, or with `error` set: a host
  /// that does not resolve, too many stores. Blocks for name resolution: only while the configuration is read.
  Store* add(const Settings& settings, Arena& arena, Error& error);

  /// Adds the stores of `touches`, which are of a place with these settings: those of their URLs, and that of
  /// heartbeat_redis. A URL without a password takes that of heartbeat_redis where both name one user of one server.
  /// Error: as above, or a touch that has no Redis.
  void add_touches(std::span<const Touch> touches, const Settings& settings, Arena& arena, Error& error);

  /// Gives each store its place in the shared table. Error: the table has no room for another store.
  bool bind(Table& table, Error& error);

  std::span<Store* const> all() const { return {stores_, count_}; }
  /// Bit i for each store i of the table that this configuration has.
  std::uint32_t mask() const;

 private:
  Store* find_or_add(const RedisUrl& url, std::string_view prefix, std::string_view password, Arena& arena,
                     Error& error);
  Store* store_of(const Touch& touch, const Settings& settings, Arena& arena, Error& error);

  Store* stores_[kMaxStores] = {};
  std::uint32_t count_ = 0;
  std::uint32_t touched_ = 0;  // of them, those that have touches
};

/// The name of a virtual host as that of a site: what would break a Redis key is replaced.
std::string_view host_as_site(std::string_view host, Arena& arena);

/// What `settings` say of a site (retention, grace, ids, shards) holds from now on. Only once it is certain that the
/// configuration is used: what runs shares the table with what is tried.
void set_terms(Table& table, const Settings& settings, const Site& site);
/// Whether they say anything of it themselves. Virtual hosts of one name share a site: one that does has the last word
/// over one that does not, and of several the last.
bool has_terms(const Settings& settings);

/// Gives the site of `settings`, named `name`, its place in the shared table. Error: the table has no room.
bool bind_site(Table& table, const Settings& settings, const Store* store, std::string_view name, Site& site,
               Error& error);

/// Gives the touches of a place whose sessions are recorded in `own` (null: nowhere) their places in the shared table.
/// Error: the table has no room.
bool bind_touches(Table& table, std::span<const Touch> touches, const Store* own, Error& error);

/// Gives what `settings` say of the sessions of `site` its place in the shared table. False: the table has no room.
bool bind_place(Table& table, const Settings& settings, const Site& site, Place& place);

/// The site, named `name`, shows who is online: its list is kept from now on. Error: there is no room.
bool bind_list(Table& table, const Site& site, std::string_view name, Millis now, ListedSites& listed, Error& error);

}  // namespace heartbeat
