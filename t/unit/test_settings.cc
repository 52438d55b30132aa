// The one table of settings.
#include "t/unit/support/test.h"

#include <array>
#include <sstream>
#include <unistd.h>

#include "shared/settings/parse.h"
#include "t/unit/support/fake_settings.h"

namespace {
using namespace heartbeat;

constexpr char kPasswordFile[] = "/tmp/heartbeat-unit-password";
constexpr char kKeyFile[] = "/tmp/heartbeat-unit-key";

// Names every member: one more in Settings does not compile here, and then needs its row in the table.
constexpr std::size_t kMembers = 29;
std::array<bool, kMembers> set_flags(const Settings& settings) {
  const auto& [zone, redis, password, prefix, flush, spool, retention, site, session, user, keys, anonymous, cookie, ids, track,
               touch, policy, interval, timeout, idle, grace, rate, keepalive_timeout, keepalive_pings, trim, origin, shards,
               transports, body] = settings;
  return {zone.set,  redis.set,     password.set,  prefix.set,  flush.set,    spool.set,    retention.set,         site.set,
          session.set, user.set,    keys.set,      anonymous.set, cookie.set, ids.set,               track.set,
          touch.set, policy.set,    interval.set,  timeout.set, idle.set, grace.set,    rate.set,              keepalive_timeout.set,
          keepalive_pings.set,      trim.set,      origin.set,  shards.set,   transports.set, body.set};
}
static_assert(kMembers == kSettings);

// A good value of each setting that is not its default, and wrong ones.
struct Sample {
  const char* name;
  std::vector<std::string_view> good;
  std::vector<std::vector<std::string_view>> wrong;
};
const std::string kLong65(65, 'x'), kLong101(101, 'x'), kLong201(201, 'x'), kLong256(256, 'x');
const std::vector<Sample> kSamples = {
    {"heartbeat_zone", {"64m"}, {{"1023k"}, {"65g"}, {"x"}, {"-1"}, {"16mb"}}},
    {"heartbeat_redis", {"redis://localhost"}, {{"localhost"}, {"http://x"}, {"redis://"}, {"rediss://x"}, {"sentinel://x"}, {"cluster://x"}}},
    {"heartbeat_redis_password_file", {kPasswordFile}, {{"/nonexistent/file"}, {"/dev/null"}, {"/tmp"}, {"/dev/zero"}}},
    {"heartbeat_prefix", {"app"}, {{""}, {"a b"}, {"{a}"}, {kLong65}, {"a\nb"}, {"a\x7f"}}},
    {"heartbeat_flush", {"5s"}, {{"49ms"}, {"61m"}, {"soon"}, {""}}},
    {"heartbeat_spool", {"/tmp/spool", "max=64m", "fsync"}, {{""}, {kLong201}, {"/tmp", "max=7m"}, {"/tmp", "max="}, {"/tmp", "max=x"}, {"/tmp", "FSYNC"}, {"/tmp", "fsync", "x"}}},
    {"heartbeat_retention", {"1d"}, {{"999ms"}, {"3651d"}, {"x"}}},
    {"heartbeat_site", {"shop"}, {{""}, {"a b"}, {"a{b"}, {kLong256}, {"a\tb"}}},
    {"heartbeat_session", {"cookie:sid", "header:X-S", "arg:s", "$x", "body:s", "jwt"}, {{"cookie:"}, {"sid"}, {"cookie:a=b"}, {"arg:a&b"}, {"header:a b"}, {"cookie:a;b"}, {"body:"}, {"JWT"}, {"cookie:ok", "nonsense"}}},
    {"heartbeat_user", {"header:X-User", "jwt"}, {{"cookie:"}, {"name"}, {"jwt:"}, {"arg:x", "header:"}}},
    {"heartbeat_key_file", {kKeyFile}, {{"/nonexistent/file"}}},
    {"heartbeat_anonymous", {"off"}, {{"never"}, {""}}},
    {"heartbeat_cookie", {"sid", "Secure", "SameSite=None", "Partitioned"}, {{""}, {"a=b"}, {"a b"}, {kLong101}, {"sid", "SameSite=None"}, {"sid", "HttpOnly", "samesite=none"}, {"sid", "partitioned"}, {"__Host-sid", "HttpOnly"}, {"__Secure-sid"}, {"sid", "Max-Age=0"}, {"sid", "max-age=1h"}, {"sid", "Max-Age=60", "Max-Age=60"}, {"sid", "Path=/;x"}, {"sid", kLong101}}},
    {"heartbeat_ids", {"plain"}, {{"Plain"}, {"none"}, {""}}},
    {"heartbeat_track", {"on"}, {{"yes"}, {"ON"}, {"1"}}},
    {"heartbeat_touch", {"PHPREDIS_SESSION:{session}", "24m", "redis://app.example"}, {{"", "24m"}, {kLong201, "24m"}, {"k", "999ms"}, {"k", "3651d"}, {"k", "x"}, {"k", "24m", "http://x"}}},
    {"heartbeat_policy", {"observe"}, {{"always"}, {""}}},
    {"heartbeat_interval", {"20s"}, {{"999ms"}, {"25h"}, {"x"}}},
    {"heartbeat_timeout", {"10m"}, {{"999ms"}, {"31d"}, {"x"}}},
    {"heartbeat_idle", {"20m"}, {{"999ms"}, {"31d"}, {"x"}}},
    {"heartbeat_grace", {"0"}, {{"61m"}, {"x"}, {"-1s"}}},
    {"heartbeat_rate", {"30r/m", "burst=5"}, {{"0r/s"}, {"10"}, {"10r/h"}, {"1001r/s"}, {"r/s"}, {"-1r/s"}, {"on"}, {"10r/s", "5"}, {"10r/s", "burst="}, {"10r/s", "burst=1001"}, {"off", "burst=1"}}},
    {"heartbeat_keepalive_timeout", {"75s"}, {{"0"}, {"25h"}, {"x"}}},
    {"heartbeat_keepalive_pings", {"100"}, {{"-1"}, {"1000000001"}, {"x"}, {"1.5"}}},
    {"heartbeat_trim", {"on"}, {{"maybe"}, {""}}},
    {"heartbeat_origin", {"https://a.example", "http://b:80"}, {{"a.example"}, {"*", "https://a"}, {"https://a/"}, {"https://A"}, {"null"}}},
    {"heartbeat_shards", {"7"}, {{"0"}, {"1025"}, {"x"}, {"-1"}}},
    {"heartbeat_transports", {"image", "fetchLater", "beacon", "fetch"}, {{""}, {"xhr"}, {"fetchlater"}, {"fetch", "fetch"}, {"auto", "fetch"}, {"fetch", "auto"}}},
    {"heartbeat_body", {"2m"}, {{"1023"}, {"2049k"}, {"x"}}},
};

struct World {
  FakeArena arena;
  FakeContext context{arena};
  Settings settings;
};

int write_password(void**) {
  FILE* file = std::fopen(kPasswordFile, "w");
  std::fputs("s3cret-of-file\n", file);
  std::fclose(file);
  return 0;
}
int write_files(void** state) {
  FILE* file = std::fopen(kKeyFile, "w");
  std::fputs("thirty-two bytes at the very least\n", file);
  std::fclose(file);
  return write_password(state);
}
int remove_files(void**) { return ::unlink(kPasswordFile) | ::unlink(kKeyFile); }

// A build without tokens refuses every key file.
bool without_tokens(const std::string& error) { return error.find("no key files yet") != std::string::npos; }

void samples_are_complete(void**) {
  assert_int_equal(kSamples.size(), kSettings);
  for (std::size_t i = 0; i < kSettings; ++i) assert_string_equal(kSamples[i].name, kSettingTable[i].name);
}

void each_row_sets_its_own_member(void**) {
  World world;
  std::set<std::size_t> seen;
  for (const Sample& sample : kSamples) {
    Settings settings;
    std::string error = apply(world.context, settings, sample.name, sample.good);
    if (!without_tokens(error)) assert_text_equal(error, "");
    auto flags = set_flags(settings);
    assert_int_equal(std::count(flags.begin(), flags.end(), true), 1);
    seen.insert(static_cast<std::size_t>(std::find(flags.begin(), flags.end(), true) - flags.begin()));
    apply(world.context, world.settings, sample.name, sample.good);
  }
  assert_int_equal(seen.size(), kMembers);
  auto all = set_flags(world.settings);
  assert_int_equal(std::count(all.begin(), all.end(), true), kMembers);
}

void values(void**) {
  World world;
  Settings& settings = world.settings;
  for (const Sample& sample : kSamples) apply(world.context, settings, sample.name, sample.good);
  assert_int_equal(*settings.zone, 64 << 20);
  assert_text_equal((*settings.redis)->host, "localhost");
  assert_text_equal(*settings.password, "s3cret-of-file");
  assert_text_equal(*settings.prefix, "app");
  assert_int_equal(*settings.flush, 5000);
  assert_int_equal(*settings.retention, 86400000);
  assert_text_equal(*settings.site, "shop");
  assert_int_equal((*settings.session).size(), 6);
  assert_int_equal(static_cast<int>((*settings.session)[0].kind), static_cast<int>(Source::Kind::cookie));
  assert_text_equal((*settings.session)[0].name, "sid");
  assert_int_equal(static_cast<int>((*settings.session)[1].kind), static_cast<int>(Source::Kind::header));
  assert_int_equal(static_cast<int>((*settings.session)[2].kind), static_cast<int>(Source::Kind::arg));
  assert_int_equal(static_cast<int>((*settings.session)[3].kind), static_cast<int>(Source::Kind::expression));
  assert_ptr_equal((*settings.session)[3].expression, &world.context.value);
  assert_int_equal(static_cast<int>((*settings.session)[4].kind), static_cast<int>(Source::Kind::body));
  assert_text_equal((*settings.session)[4].name, "s");
  assert_int_equal(static_cast<int>((*settings.session)[5].kind), static_cast<int>(Source::Kind::jwt));
  assert_int_equal((*settings.user).size(), 2);
  assert_text_equal((*settings.user)[0].name, "X-User");
  assert_false(*settings.anonymous);
  assert_text_equal(settings.cookie->name, "sid");
  assert_text_equal(settings.cookie->attributes, "; Secure; SameSite=None; Partitioned");
  assert_true(*settings.ids == Ids::plain);
  assert_true(*settings.track);
  assert_int_equal((*settings.touch).size(), 1);
  assert_text_equal((*settings.touch)[0].key, "PHPREDIS_SESSION:{session}");
  assert_int_equal((*settings.touch)[0].ttl, 24 * 60000);
  assert_text_equal((*settings.touch)[0].url->host, "app.example");
  assert_true(*settings.policy == Policy::observe);
  assert_int_equal(*settings.interval, 20000);
  assert_int_equal(*settings.timeout, 600000);
  assert_int_equal(*settings.idle, 1200000);
  assert_int_equal(*settings.grace, 0);
  assert_int_equal(settings.rate->interval, 2000);
  assert_int_equal(settings.rate->burst, 5);
  assert_int_equal(*settings.keepalive_timeout, 75000);
  assert_int_equal(*settings.keepalive_pings, 100);
  assert_true(*settings.trim);
  assert_false((*settings.origin).any);
  assert_int_equal((*settings.origin).list.size(), 2);
  assert_text_equal((*settings.origin).list[1], "http://b:80");
  assert_int_equal(*settings.shards, 7);
  assert_int_equal(*settings.body, 2 << 20);
  assert_text_equal(apply(world.context, settings, "heartbeat_origin", {"*"}), "");
  assert_true((*settings.origin).any);
  assert_int_equal((*settings.origin).list.size(), 0);
}

void wrong_values(void**) {
  World world;
  for (const Sample& sample : kSamples) {
    for (const auto& words : sample.wrong) {
      Settings settings;
      std::string error = apply(world.context, settings, sample.name, words);
      if (without_tokens(error)) continue;
      assert_holds(error, "expected ");
      assert_holds(error, sample.name);
      bool named = false;
      for (std::string_view word : words) {
        named = named || error.find(word.substr(0, std::min<std::size_t>(word.find("://"), 200))) != std::string::npos;
      }
      if (!named) fail_msg("no value in: %s", error.c_str());
    }
  }
}

void wrong_expression(void**) {
  World world;
  std::string error = apply(world.context, world.settings, "heartbeat_session", {"cookie:a", "$bad"});
  assert_holds(error, "unknown variable \"bad\"");
}

void wrong_number_of_values(void**) {
  World world;
  for (const Setting& setting : kSettingTable) {
    std::vector<std::string_view> none, many(setting.max_arguments + 1, "x");
    assert_holds(apply(world.context, world.settings, setting.name, none), "expected ");
    assert_holds(apply(world.context, world.settings, setting.name, many), "expected ");
  }
}

void defaults(void**) {
  World world;
  set_defaults(world.context, world.settings);
  const Settings& settings = world.settings;
  auto flags = set_flags(settings);
  assert_int_equal(std::count(flags.begin(), flags.end(), true), 0);
  assert_int_equal(*settings.zone, 16 << 20);
  assert_null(*settings.redis);
  assert_true((*settings.password).empty());
  assert_text_equal(*settings.prefix, "hb");
  assert_int_equal(*settings.flush, 1000);
  assert_int_equal(*settings.retention, 604800000);
  assert_true((*settings.site).empty());
  assert_int_equal((*settings.session).size(), 2);
  assert_true((*settings.session)[0].kind == Source::Kind::jwt);
  assert_text_equal((*settings.session)[1].name, "hb");
  assert_int_equal((*settings.user).size(), 1);
  assert_true((*settings.user)[0].kind == Source::Kind::jwt);
  assert_null(*settings.keys);
  assert_true(*settings.anonymous);
  assert_true(settings.cookie->name.empty());
  assert_true((*settings.touch).empty());
  assert_int_equal(*settings.interval, 30000);
  assert_int_equal(*settings.grace, 5000);
  assert_int_equal(settings.rate->interval, 0);
  assert_int_equal(*settings.shards, 1);
  assert_int_equal(*settings.body, 65536);
  assert_true(*settings.ids == Ids::hash);
  assert_false(*settings.track);
  assert_true(*settings.policy == Policy::extend);
  assert_int_equal(*settings.timeout, 90000);
  assert_int_equal(*settings.idle, 600000);
  assert_int_equal(*settings.keepalive_timeout, 0);
  assert_int_equal(*settings.keepalive_pings, 0);
  assert_false(*settings.trim);
  assert_false((*settings.origin).any);
  assert_true((*settings.origin).list.empty());
}

// What the manual says is the default is a good value, and gives what set_defaults() gives.
void defaults_are_their_texts(void**) {
  World world;
  set_defaults(world.context, world.settings);
  for (const Setting& setting : kSettingTable) {
    if (setting.default_text == nullptr) continue;
    Settings settings;
    std::vector<std::string_view> words;
    std::istringstream text(setting.default_text);
    std::deque<std::string> kept;
    for (std::string word; text >> word;) words.push_back(kept.emplace_back(word));
    assert_text_equal(apply(world.context, settings, setting.name, words), "");
  }
  std::size_t size = 0;
  Millis time = 0;
  assert_true(parse_size(setting_named("heartbeat_zone")->default_text, size));
  assert_int_equal(size, *world.settings.zone);
  assert_true(parse_time(setting_named("heartbeat_timeout")->default_text, time));
  assert_int_equal(time, *world.settings.timeout);
}

template <class T>
void expect_inherited(const Value<T>& child, const Value<T>& parent) {
  assert_true(child.set);
  assert_memory_equal(&child.value, &parent.value, sizeof child.value);
}

// Each row alone: an unset child takes the parent's, a set child keeps its own, and no other member moves.
void inheritance(void**) {
  World world;
  for (const Sample& sample : kSamples) {
    Settings parent, child;
    set_defaults(world.context, parent);
    set_defaults(world.context, child);
    apply(world.context, parent, sample.name, sample.good);
    inherit_settings(child, parent);
    assert_true(set_flags(child) == set_flags(parent));
    if (parent.zone.set) expect_inherited(child.zone, parent.zone);
    if (parent.redis.set) expect_inherited(child.redis, parent.redis);
    if (parent.password.set) expect_inherited(child.password, parent.password);
    if (parent.prefix.set) expect_inherited(child.prefix, parent.prefix);
    if (parent.flush.set) expect_inherited(child.flush, parent.flush);
    if (parent.retention.set) expect_inherited(child.retention, parent.retention);
    if (parent.site.set) expect_inherited(child.site, parent.site);
    if (parent.session.set) expect_inherited(child.session, parent.session);
    if (parent.ids.set) expect_inherited(child.ids, parent.ids);
    if (parent.track.set) expect_inherited(child.track, parent.track);
    if (parent.policy.set) expect_inherited(child.policy, parent.policy);
    if (parent.timeout.set) expect_inherited(child.timeout, parent.timeout);
    if (parent.idle.set) expect_inherited(child.idle, parent.idle);
    if (parent.keepalive_timeout.set) expect_inherited(child.keepalive_timeout, parent.keepalive_timeout);
    if (parent.keepalive_pings.set) expect_inherited(child.keepalive_pings, parent.keepalive_pings);
    if (parent.trim.set) expect_inherited(child.trim, parent.trim);
    if (parent.origin.set) assert_int_equal((*child.origin).list.size(), (*parent.origin).list.size());
  }
}

// Up to four of one level add up; a level that says any forgets those above.
void touches_add_up(void**) {
  World world;
  Settings parent, child;
  for (const char* key : {"a:{session}", "b:{user}", "{session}", "d:{user}:{session}"})
    assert_text_equal(apply(world.context, parent, "heartbeat_touch", {key, "1m"}), "");
  assert_int_equal((*parent.touch).size(), 4);
  assert_text_equal((*parent.touch)[3].key, "d:{user}:{session}");
  assert_holds(apply(world.context, parent, "heartbeat_touch", {"e:{session}", "1m"}), "at most four");
  assert_text_equal(apply(world.context, child, "heartbeat_touch", {"own:{user}", "1m"}), "");
  inherit_settings(child, parent);
  assert_int_equal((*child.touch).size(), 1);
  Settings other;
  inherit_settings(other, parent);
  assert_int_equal((*other.touch).size(), 4);
  // One key for everybody would be kept by anybody.
  for (const char* key : {"a", "own:", "{Session}", "{session", "user}", "{}", "{other}"})
    assert_holds(apply(world.context, other, "heartbeat_touch", {key, "1m"}), "with {session} or {user}");
}

void rates(void**) {
  static const struct {
    std::vector<std::string_view> words;
    std::uint32_t interval, burst;
  } cases[] = {{{"off"}, 0, 10}, {{"10r/s"}, 100, 10}, {{"1r/m"}, 60000, 10}, {{"1000r/s"}, 1, 10}, {{"1000r/m", "burst=0"}, 60, 0}, {{"3r/s", "burst=1000"}, 333, 1000}};
  World world;
  for (const auto& each : cases) {
    assert_text_equal(apply(world.context, world.settings, "heartbeat_rate", each.words), "");
    assert_int_equal(world.settings.rate->interval, each.interval);
    assert_int_equal(world.settings.rate->burst, each.burst);
  }
}

// What is right word by word, and wrong together.
void settings_together(void**) {
  World world;
  set_defaults(world.context, world.settings);
  auto fault = [&](Settings settings, Endpoint endpoint = Endpoint::ping) {
    Error error;
    const Setting* wrong = nullptr;
    const bool good = check_settings(settings, endpoint, wrong, error);
    assert_int_equal(good, !error);
    return std::string(error.text());
  };
  assert_text_equal(fault(world.settings), "");
  Settings settings = world.settings;
  apply(world.context, settings, "heartbeat_cookie", {"sid"});
  assert_holds(fault(settings), "heartbeat_cookie");
  assert_holds(fault(settings), "expected heartbeat_key_file");
  settings = world.settings;
  apply(world.context, settings, "heartbeat_anonymous", {"off"});
  assert_holds(fault(settings), "heartbeat_anonymous");
  assert_holds(fault(settings), "expected heartbeat_key_file");
  settings = world.settings;
  assert_holds(fault(settings, Endpoint::beacon), "expected heartbeat_spool");
  apply(world.context, settings, "heartbeat_spool", {"/tmp"});
  assert_holds(fault(settings, Endpoint::beacon), "expected heartbeat_key_file");
  assert_text_equal(fault(settings), "");
}

void a_child_keeps_its_own(void**) {
  World world;
  Settings parent, child, grandchild;
  apply(world.context, parent, "heartbeat_timeout", {"1m"});
  apply(world.context, parent, "heartbeat_trim", {"on"});
  apply(world.context, parent, "heartbeat_site", {"parent"});
  apply(world.context, child, "heartbeat_timeout", {"2m"});
  apply(world.context, child, "heartbeat_trim", {"off"});
  inherit_settings(child, parent);
  inherit_settings(grandchild, child);
  assert_int_equal(*grandchild.timeout, 120000);
  assert_false(*grandchild.trim);
  assert_text_equal(*grandchild.site, "parent");
  assert_int_equal(*parent.timeout, 60000);
}

// The file's words are nobody's business: no error shows them, whatever is wrong.
void no_password_in_errors(void**) {
  World world;
  for (const char* url : {"redis://user:s3cret@host:x", "redis://:s3cret@", "redis://user:s3cret@host:99999", "redis://user:s3cret@host/x",
                          "rediss://user:s3cret@host", "sentinel://user:s3cret@h/m", "cluster://:s3cret@h", "http://user:s3cret@host",
                          "user:s3cret@host", "redis://user:s3/cret@host", "redis://user:s3cr@et@ho st", "redis://u:s3cret@host\n",
                          "unix:s3cret@x", "redis:s3cret@host", "s3cret@host:6379", "redis//:s3cret@host"}) {
    std::string error = apply(world.context, world.settings, "heartbeat_redis", {url});
    assert_holds(error, "expected ");
    for (const char* part : {"s3cr", "cret", "et@"}) assert_lacks(error, part);
  }
  std::string big(2000, 'p');
  FILE* file = std::fopen(kPasswordFile, "w");
  std::fputs(big.c_str(), file);
  std::fclose(file);
  std::string error = apply(world.context, world.settings, "heartbeat_redis_password_file", {kPasswordFile});
  write_password(nullptr);
  assert_holds(error, "expected ");
  assert_lacks(error, "ppp");
}

void password_file(void**) {
  World world;
  static const struct {
    const char* text;
    const char* expected;
  } cases[] = {{"a", "a"}, {"a\n", "a"}, {"a\r\n", "a"}, {" a b \n\n", " a b "}, {"a\nb\n", "a\nb"}};
  for (const auto& each : cases) {
    FILE* file = std::fopen(kPasswordFile, "w");
    std::fputs(each.text, file);
    std::fclose(file);
    assert_text_equal(apply(world.context, world.settings, "heartbeat_redis_password_file", {kPasswordFile}), "");
    assert_text_equal(*world.settings.password, each.expected);
  }
  write_password(nullptr);
}

void names(void**) {
  std::set<std::string> seen;
  for (const Setting& setting : kSettingTable) {
    assert_true(seen.insert(setting.name).second);
    assert_true(std::string_view(setting.name).starts_with("heartbeat_"));
    assert_true(setting.where != 0);
    assert_true(setting.min_arguments >= 1 && setting.min_arguments <= setting.max_arguments);
    assert_true(std::string_view(setting.help).ends_with('.'));
    assert_true(std::string_view(apache_name(setting.name).text).starts_with("Heartbeat"));
  }
  assert_string_equal(apache_name("heartbeat_keepalive_timeout").text, "HeartbeatKeepaliveTimeout");
  assert_string_equal(apache_name("heartbeat_redis_password_file").text, "HeartbeatRedisPasswordFile");
}

void endpoints(void**) {
  assert_true(endpoint_by_name("ping") == Endpoint::ping);
  assert_true(endpoint_by_name("page") == Endpoint::page);
  assert_true(endpoint_by_name("beat") == Endpoint::beat);
  assert_true(endpoint_by_name("script") == Endpoint::script);
  assert_true(endpoint_by_name("online") == Endpoint::online);
  assert_true(endpoint_by_name("audit") == Endpoint::audit);
  assert_true(endpoint_by_name("view") == Endpoint::view);
  for (const char* word : {"", "Ping", "pings", "none", "Online"}) assert_true(endpoint_by_name(word) == Endpoint::none);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(samples_are_complete), cmocka_unit_test(each_row_sets_its_own_member), cmocka_unit_test(values),
      cmocka_unit_test(wrong_values), cmocka_unit_test(wrong_expression), cmocka_unit_test(wrong_number_of_values),
      cmocka_unit_test(defaults), cmocka_unit_test(defaults_are_their_texts), cmocka_unit_test(inheritance),
      cmocka_unit_test(touches_add_up), cmocka_unit_test(rates),
      cmocka_unit_test(settings_together), cmocka_unit_test(a_child_keeps_its_own), cmocka_unit_test(no_password_in_errors), cmocka_unit_test(password_file),
      cmocka_unit_test(names), cmocka_unit_test(endpoints)};
  return cmocka_run_group_tests_name("settings", tests, write_files, remove_files);
}
