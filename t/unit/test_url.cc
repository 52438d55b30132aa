// Redis URLs.
#include "t/unit/support/test.h"

#include "shared/redis/url.h"
#include "t/unit/support/fake_arena.h"

namespace {
using namespace heartbeat;

struct Case {
  const char* text;
  const char* host;
  unsigned port;
  const char* path;
  const char* user;
  const char* password;
  unsigned database;
  const char* shown;
};

void good(void**) {
  static const Case cases[] = {
      {"redis://localhost", "localhost", 6379, "", "", "", 0, "redis://localhost"},
      {"redis://localhost/", "localhost", 6379, "", "", "", 0, "redis://localhost/"},
      {"redis://10.0.0.1:7000/12", "10.0.0.1", 7000, "", "", "", 12, "redis://10.0.0.1:7000/12"},
      {"redis://u:p@h:1/2", "h", 1, "", "u", "p", 2, "redis://u:***@h:1/2"},
      {"redis://u@h", "h", 6379, "", "u", "", 0, "redis://u@h"},
      {"redis://:p@h", "h", 6379, "", "", "p", 0, "redis://:***@h"},
      {"redis://u:p:q@h", "h", 6379, "", "u", "p:q", 0, "redis://u:***@h"},
      {"redis://u:p@q@h", "h", 6379, "", "u", "p@q", 0, "redis://u:***@h"},
      {"redis://u:%40%3a%2F@h", "h", 6379, "", "u", "@:/", 0, "redis://u:***@h"},
      {"redis://[::1]:6380/1", "::1", 6380, "", "", "", 1, "redis://[::1]:6380/1"},
      {"redis://[fe80::1]", "fe80::1", 6379, "", "", "", 0, "redis://[fe80::1]"},
      {"unix:/run/redis.sock", "", 6379, "/run/redis.sock", "", "", 0, "unix:/run/redis.sock"},
      {"unix:///run/redis.sock?db=3", "", 6379, "/run/redis.sock", "", "", 3, "unix:///run/redis.sock?db=3"},
  };
  for (const Case& each : cases) {
    FakeArena arena;
    Error error;
    const RedisUrl* url = parse_redis_url(each.text, arena, error);
    if (url == nullptr) fail_msg("%s: %s", each.text, error.text());
    assert_false(static_cast<bool>(error));
    assert_text_equal(url->host, each.host);
    assert_int_equal(url->port, each.port);
    assert_text_equal(url->path, each.path);
    assert_text_equal(url->user, each.user);
    assert_text_equal(url->password, each.password);
    assert_int_equal(url->database, each.database);
    assert_text_equal(url->shown, each.shown);
    for (std::string_view view : {url->host, url->path, url->user, url->password}) {
      if (view.data() != nullptr) assert_int_equal(view.data()[view.size()], 0);
    }
  }
}

void wrong(void**) {
  for (const char* text : {"", "redis", "redis:", "redis:/", "redis://", "redis://:6379", "redis://h:", "redis://h:0",
                           "redis://h:65536", "redis://h:x", "redis://h/x", "redis://h/-1", "redis://h/1000001", "redis://h/0/1",
                           "redis://h?db=1", "redis://[::1", "redis://[::1]x", "redis://[::1]:", "redis://[]", "redis://::1",
                           "redis://a b", "redis://h\n", "redis://h%20", "REDIS://h", "unix:", "unix:relative", "unix://",
                           "unix:/p?db=", "unix:/p?db=x", "unix:/p?x=1", "unix:/p?db=1&x", "tcp://h", "rediss://h", "sentinel://h/m",
                           "cluster://h"}) {
    FakeArena arena;
    Error error;
    if (parse_redis_url(text, arena, error) != nullptr) fail_msg("\"%s\"", text);
    assert_holds(error.text(), "expected ");
  }
}

void unsupported_says_so(void**) {
  for (const char* text : {"rediss://h", "sentinel://h:1,h:2/m", "cluster://h:1"}) {
    FakeArena arena;
    Error error;
    assert_null(parse_redis_url(text, arena, error));
    assert_holds(error.text(), "not supported yet");
  }
}

void longest_path(void**) {
  FakeArena arena;
  Error error;
  assert_non_null(parse_redis_url("unix:/" + std::string(106, 'p'), arena, error));
  assert_null(parse_redis_url("unix:/" + std::string(107, 'p'), arena, error));
}

// The one login that an error shows is that of nobody.
void wrong_ones_hide_the_login(void**) {
  for (const char* text : {"redis://u:s3cret@h:x", "s3cret@h", "s3cret@h:1", "u:s3cret@h:1", "redis://u:pa/s3cret@h",
                           "redis://u:x@s3cret@h/x"}) {
    FakeArena arena;
    Error error;
    assert_null(parse_redis_url(text, arena, error));
    assert_lacks(error.text(), "s3cret");
  }
}

void out_of_memory(void**) {
  for (std::size_t left = 0; left < 8; ++left) {
    FakeArena arena;
    Error error;
    arena.left = left;
    const RedisUrl* url = parse_redis_url("redis://u:p@h:1/2", arena, error);
    if (url == nullptr) assert_true(static_cast<bool>(error));
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(good), cmocka_unit_test(wrong), cmocka_unit_test(unsupported_says_so),
                              cmocka_unit_test(longest_path), cmocka_unit_test(wrong_ones_hide_the_login),
                              cmocka_unit_test(out_of_memory)};
  return cmocka_run_group_tests_name("url", tests, nullptr, nullptr);
}
