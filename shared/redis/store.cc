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

std::string_view identity_of(const Settings& settings, Arena& arena) {
  const RedisUrl& url = **settings.redis;
  char text[1024];
  int size = std::snprintf(text, sizeof text, "%.*s %u %.*s %u %.*s %.*s", HEARTBEAT_VIEW(url.host), url.port,
                           HEARTBEAT_VIEW(url.path), url.database, HEARTBEAT_VIEW(url.user),
                           HEARTBEAT_VIEW(*settings.prefix));
  if (size < 0) return {};
  return arena.copy({text, static_cast<std::size_t>(size) < sizeof text ? static_cast<std::size_t>(size)
                                                                        : sizeof text - 1});
}

}  // namespace

Store* Stores::add(const Settings& settings, Arena& arena, Error& error) {
  const RedisUrl* url = *settings.redis;
  if (url == nullptr) return nullptr;
  std::string_view identity = identity_of(settings, arena);
  std::string_view password = settings.password.value.empty() ? url->password : *settings.password;
  for (Store* store : all()) {
    if (store->identity != identity) continue;
    if (store->password == password) return store;
    error.set("two passwords for the Redis %.*s: expected one", HEARTBEAT_VIEW(url->shown));
    return nullptr;
  }
  Store* store = count_ < kMaxStores ? arena.make<Store>() : nullptr;
  if (store == nullptr) {
    error.set("too many different Redis servers and prefixes: expected at most %u", kMaxStores);
    return nullptr;
  }
  store->url = url;
  store->prefix = *settings.prefix;
  store->password = password;
  store->identity = identity;
  if (url->host.empty() ? !resolve_path(*store) : !resolve_host(*store, error)) return nullptr;
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
  for (const Store* store : all()) mask |= 1U << store->index;
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

bool bind_site(Table& table, const Settings& settings, const Store* store, std::string_view name, Site& site,
               Error& error) {
  std::uint16_t index = store == nullptr ? kNone : store->index;
  const Table::SiteTerms terms{*settings.ids == Ids::plain, *settings.retention,
                               static_cast<std::uint32_t>(*settings.grace), static_cast<std::uint16_t>(*settings.shards)};
  if (table.add_site(name, index, terms, site)) return true;
  error.set("no room for the site \"%.*s\": expected a larger zone and a restart", HEARTBEAT_VIEW(name));
  return false;
}

bool bind_place(Table& table, const Settings& settings, const Site& site, Place& place) {
  place.timeout = static_cast<std::uint32_t>(*settings.timeout);
  Millis gap = *settings.interval * 3 / 2 < *settings.timeout ? *settings.interval * 3 / 2 : *settings.timeout;
  place.gap = static_cast<std::uint32_t>(gap);
  place.rate_interval = settings.rate->interval;
  place.rate_burst = settings.rate->burst;
  std::uint16_t touches[kPlaceTouches];
  std::size_t count = 0;
  for (const Touch& touch : *settings.touch) touches[count++] = touch.index;
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
