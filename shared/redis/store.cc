// The Redis servers of a configuration.
#include "shared/redis/store.h"

#include <cstring>
#include <netdb.h>

namespace heartbeat {
namespace {

bool resolve_path(Store& store) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, store.url->path.data(), store.url->path.size());
  std::memcpy(&store.addresses[0].storage, &address, sizeof address);
  store.addresses[0].size = sizeof address;
  store.address_count = 1;
  return true;
}

bool resolve_host(Store& store, Error& error) {
  char port[8];
  std::snprintf(port, sizeof port, "%u", store.url->port);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  int failure = getaddrinfo(store.url->host.data(), port, &hints, &found);
  if (failure != 0) {
    error.set("Redis host \"%.*s\" not found: %s", HEARTBEAT_VIEW(store.url->host), gai_strerror(failure));
    return false;
  }
  for (addrinfo* each = found; each != nullptr && store.address_count < Store::kAddresses; each = each->ai_next) {
    Address& address = store.addresses[store.address_count++];
    std::memcpy(&address.storage, each->ai_addr, each->ai_addrlen);
    address.size = each->ai_addrlen;
  }
  freeaddrinfo(found);
  return store.address_count != 0;
}

std::string_view identity_of(const RedisUrl& url, std::string_view prefix, Arena& arena) {
  char text[1024];
  int size = std::snprintf(text, sizeof text, "%.*s %u %.*s %u %.*s %.*s", HEARTBEAT_VIEW(url.host), url.port,
                           HEARTBEAT_VIEW(url.path), url.database, HEARTBEAT_VIEW(url.user),
                           HEARTBEAT_VIEW(prefix));
  if (size < 0) return {};
  return arena.copy({text, static_cast<std::size_t>(size) < sizeof text ? static_cast<std::size_t>(size)
                                                                        : sizeof text - 1});
}

std::string_view password_of(const Settings& settings) {
  return settings.password.value.empty() ? (*settings.redis)->password : *settings.password;
}

bool same_login(const RedisUrl& a, const RedisUrl* b) {
  return b != nullptr && a.host == b->host && a.port == b->port && a.path == b->path && a.user == b->user;
}

Table::SiteTerms terms_of(const Settings& settings) {
  return {*settings.ids == Ids::plain, *settings.retention, static_cast<std::uint32_t>(*settings.grace),
          static_cast<std::uint16_t>(*settings.shards)};
}

}  // namespace

Store* Stores::add(const Settings& settings, Arena& arena, Error& error) {
  if (*settings.redis == nullptr) return nullptr;
  Store* store = find_or_add(**settings.redis, *settings.prefix, password_of(settings), arena, error);
  if (store != nullptr) store->records = true;
  return store;
}

Store* Stores::store_of(const Touch& touch, const Settings& settings, Arena& arena, Error& error) {
  if (touch.url == nullptr) return add(settings, arena, error);
  std::string_view password = touch.url->password;
  if (password.empty() && same_login(*touch.url, *settings.redis)) password = password_of(settings);
  return find_or_add(*touch.url, {}, password, arena, error);
}

void Stores::add_touches(std::span<const Touch> touches, const Settings& settings, Arena& arena, Error& error) {
  for (const Touch& touch : touches) {
    Store* store = store_of(touch, settings, arena, error);
    if (store == nullptr && !error) {
      error.set("heartbeat_touch %.*s: no Redis: expected heartbeat_redis, or a URL", HEARTBEAT_VIEW(touch.key));
    }
    if (error) return;
    if (touch.url != nullptr) touch.store = store;
    if (store->touches) continue;
    store->touches = true;
    if (++touched_ > kTouchStores) error.set("heartbeat_touch: keys in more than %u different Redis databases", kTouchStores);
  }
}

Store* Stores::find_or_add(const RedisUrl& url, std::string_view prefix, std::string_view password, Arena& arena,
                           Error& error) {
  std::string_view identity = identity_of(url, prefix, arena);
  for (Store* store : all()) {
    if (store->identity != identity) continue;
    if (store->password == password) return store;
    error.set("two passwords for the Redis %.*s: expected one", HEARTBEAT_VIEW(url.shown));
    return nullptr;
  }
  Store* store = count_ < kMaxStores ? arena.make<Store>() : nullptr;
  if (store == nullptr) {
    error.set("too many different Redis servers and prefixes: expected at most %u", kMaxStores);
    return nullptr;
  }
  store->url = &url;
  store->prefix = prefix;
  store->password = password;
  store->identity = identity;
  if (url.host.empty() ? !resolve_path(*store) : !resolve_host(*store, error)) return nullptr;
  stores_[count_++] = store;
  return store;
}

bool Stores::bind(Table& table, Error& error) {
  for (Store* store : all()) {
    store->index = table.add_store(store->identity);
    if (store->index != kNone) continue;
    error.set("no room for another Redis: the session table has seen %u; restart the server", kMaxStores);
    return false;
  }
  return true;
}

std::uint32_t Stores::mask() const {
  std::uint32_t mask = 0;
  for (const Store* store : all()) mask |= store->index == kNone ? 0 : 1U << store->index;
  return mask;
}

std::string_view host_as_site(std::string_view host, Arena& arena) {
  if (host.empty()) return "default";
  std::string_view name = arena.copy(host.substr(0, 255));
  for (char& c : std::span(const_cast<char*>(name.data()), name.size())) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '{' || c == '}' || c == 127) c = '_';
  }
  return name;
}

void set_terms(Table& table, const Settings& settings, const Site& site) {
  if (site.index != kNone) table.set_terms(site, terms_of(settings));
}

bool has_terms(const Settings& settings) {
  return settings.ids.set || settings.retention.set || settings.grace.set || settings.shards.set;
}

bool bind_site(Table& table, const Settings& settings, const Store* store, std::string_view name, Site& site,
               Error& error) {
  std::uint16_t index = store == nullptr ? kNone : store->index;
  if (table.add_site(name, index, terms_of(settings), site)) return true;
  error.set("no room for the site \"%.*s\": expected a larger zone and a restart", HEARTBEAT_VIEW(name));
  return false;
}

bool bind_touches(Table& table, std::span<const Touch> touches, const Store* own, Error& error) {
  for (const Touch& touch : touches) {
    const Store* store = touch.url == nullptr ? own : touch.store;
    if (store == nullptr || store->index == kNone || table.add_touch(store->index, touch.key, touch.ttl) != kNone) continue;
    error.set("no room for heartbeat_touch %.*s: the session table has seen %u of them, or %u Redis databases: expected "
              "a restart", HEARTBEAT_VIEW(touch.key), kMaxTouches, kTouchStores);
    return false;
  }
  return true;
}

bool bind_place(Table& table, const Settings& settings, const Site& site, Place& place) {
  place.timeout = static_cast<std::uint32_t>(*settings.timeout);
  Millis gap = *settings.interval * 3 / 2 < *settings.timeout ? *settings.interval * 3 / 2 : *settings.timeout;
  place.gap = static_cast<std::uint32_t>(gap);
  place.rate_interval = settings.rate->interval;
  place.rate_burst = settings.rate->burst;
  std::uint16_t touches[kPlaceTouches];
  std::size_t count = 0;
  for (const Touch& touch : *settings.touch) {
    std::uint16_t store = touch.url == nullptr ? table.site(site.index).store : touch.store == nullptr ? kNone : touch.store->index;
    if (store != kNone) touches[count++] = table.add_touch(store, touch.key, touch.ttl);
  }
  return table.add_place(site, {touches, count}, place);
}

bool bind_list(Table& table, const Site& site, std::string_view name, Millis now, ListedSites& listed, Error& error) {
  SnapshotArea area(table.snapshots().memory, table.snapshots().size);
  if (area.want(site.index, now)) return listed.add(site.index), true;
  error.set("no room for the list of who is online at \"%.*s\", the zone has room for %u: expected a larger zone and a "
            "restart",
            HEARTBEAT_VIEW(name), area.capacity());
  return false;
}

}  // namespace heartbeat
