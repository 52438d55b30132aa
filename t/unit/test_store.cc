// The Redis servers of a configuration, and the names of sites.
#include "t/unit/support/test.h"

#include "shared/redis/store.h"
#include "t/unit/support/fake_settings.h"
#include "t/unit/support/zone.h"

namespace {
using namespace heartbeat;

struct World {
  World() { set_defaults(context, settings); }
  Store* add(std::string_view url, std::string_view prefix = "hb") {
    Settings own = settings;
    assert_text_equal(apply(context, own, "heartbeat_redis", {url}), "");
    assert_text_equal(apply(context, own, "heartbeat_prefix", {prefix}), "");
    error = Error();
    return stores.add(own, arena, error);
  }
  FakeArena arena;
  FakeContext context{arena};
  Settings settings;
  Stores stores;
  Error error;
};

void same_and_other(void**) {
  World world;
  assert_null(world.stores.add(world.settings, world.arena, world.error));
  assert_false(static_cast<bool>(world.error));
  Store* first = world.add("redis://127.0.0.1");
  assert_non_null(first);
  assert_ptr_equal(world.add("redis://127.0.0.1"), first);
  assert_ptr_equal(world.add("redis://127.0.0.1:6379/0"), first);
  std::set<Store*> different = {first};
  for (const char* url : {"redis://127.0.0.1:1", "redis://127.0.0.1/1", "redis://127.0.0.2", "redis://u:p@127.0.0.1", "unix:/x", "unix:/y", "unix:/y?db=1"})
    assert_true(different.insert(world.add(url)).second);
  assert_true(different.insert(world.add("redis://127.0.0.1", "other")).second);
  assert_int_equal(world.stores.all().size(), 9);
  assert_null(world.add("redis://:p@127.0.0.1"));  // the same data, by another password
  assert_holds(world.error.text(), "two passwords");
}

void addresses(void**) {
  World world;
  Store* tcp = world.add("redis://127.0.0.1:7000");
  assert_int_equal(tcp->address_count, 1);
  assert_int_equal(tcp->addresses[0].storage.ss_family, AF_INET);
  Store* six = world.add("redis://[::1]");
  assert_int_equal(six->addresses[0].storage.ss_family, AF_INET6);
  Store* local = world.add("unix:/run/x.sock");
  assert_int_equal(local->addresses[0].storage.ss_family, AF_UNIX);
  assert_string_equal(reinterpret_cast<sockaddr_un*>(&local->addresses[0].storage)->sun_path, "/run/x.sock");
}

void unknown_host(void**) {
  World world;
  assert_null(world.add("redis://u:s3cret@no.such.host.invalid"));
  assert_holds(world.error.text(), "no.such.host.invalid");
  assert_lacks(world.error.text(), "s3cret");
}

void too_many(void**) {
  World world;
  for (unsigned i = 0; i < kMaxStores; ++i) assert_non_null(world.add("unix:/x" + std::to_string(i)));
  assert_null(world.add("unix:/more"));
  assert_holds(world.error.text(), "expected at most 16");
  assert_non_null(world.add("unix:/x3"));
}

void bind(void**) {
  World world;
  Zone zone;
  Table table;
  assert_true(table.create(zone.memory, zone.size));
  table.add_store("of an earlier configuration");
  Store* first = world.add("unix:/a");
  Store* second = world.add("unix:/b");
  assert_true(world.stores.bind(table, world.error));
  assert_int_equal(first->index, 1);
  assert_int_equal(second->index, 2);
  assert_int_equal(world.stores.mask(), 6);
  for (unsigned i = 3; i < kMaxStores; ++i) table.add_store(std::to_string(i));
  world.add("unix:/c");
  assert_false(world.stores.bind(table, world.error));
  assert_holds(world.error.text(), "restart");
}

void hosts_as_sites(void**) {
  FakeArena arena;
  assert_text_equal(host_as_site("www.example.com", arena), "www.example.com");
  assert_text_equal(host_as_site("", arena), "default");
  assert_text_equal(host_as_site("a{b} c\n\x7f", arena), "a_b__c__");
  assert_int_equal(host_as_site(std::string(300, 'x'), arena).size(), 255);
}

// The gap of activity is one and a half intervals, but never more than the timeout.
void places(void**) {
  static const struct {
    const char *interval, *timeout;
    std::uint32_t gap;
  } cases[] = {{"30s", "90s", 45000}, {"60s", "90s", 90000}, {"70s", "90s", 90000}, {"1d", "30d", 129600000}, {"1s", "1s", 1000}};
  World world;
  Zone zone;
  Table table;
  assert_true(table.create(zone.memory, zone.size));
  Site site;
  apply(world.context, world.settings, "heartbeat_grace", {"7s"});
  apply(world.context, world.settings, "heartbeat_shards", {"3"});
  assert_true(bind_site(table, world.settings, nullptr, "s", site, world.error));
  assert_int_equal(table.site(site.index).grace, 7000);
  assert_int_equal(table.site(site.index).shards, 3);
  apply(world.context, world.settings, "heartbeat_rate", {"30r/m", "burst=4"});
  for (const auto& each : cases) {
    apply(world.context, world.settings, "heartbeat_interval", {each.interval});
    apply(world.context, world.settings, "heartbeat_timeout", {each.timeout});
    Place place;
    assert_true(bind_place(table, world.settings, site, place));
    assert_int_equal(place.gap, each.gap);
    assert_int_equal(place.timeout, *world.settings.timeout);
    assert_int_equal(table.place(place.index).gap, each.gap);
    assert_int_equal(table.place(place.index).timeout, place.timeout);
    assert_int_equal(place.rate_interval, 2000);
    assert_int_equal(place.rate_burst, 4);
  }
}

void too_many_sites(void**) {
  World world;
  Zone zone;
  Table table;
  assert_true(table.create(zone.memory, zone.size));
  Site site;
  for (unsigned i = 0; i < table.header().max_sites; ++i) assert_true(bind_site(table, world.settings, nullptr, "s" + std::to_string(i), site, world.error));
  assert_false(site.durable);
  assert_false(bind_site(table, world.settings, nullptr, "one-more", site, world.error));
  assert_holds(world.error.text(), "\"one-more\"");
  assert_holds(world.error.text(), "expected ");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(same_and_other), cmocka_unit_test(addresses), cmocka_unit_test(unknown_host),
                              cmocka_unit_test(too_many), cmocka_unit_test(bind), cmocka_unit_test(hosts_as_sites), cmocka_unit_test(places),
                              cmocka_unit_test(too_many_sites)};
  return cmocka_run_group_tests_name("store", tests, nullptr, nullptr);
}
