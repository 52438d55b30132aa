// Redis URLs. A good one can be taken apart and written again; the password is in no error and not in the shown form.
#include "shared/redis/url.h"
#include "t/fuzz/check.h"
#include "t/unit/support/fake_arena.h"

using namespace heartbeat;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Exact text(INPUT);
  FakeArena arena;
  Error error;
  const RedisUrl* url = parse_redis_url(text, arena, error);
  CHECK((url == nullptr) == static_cast<bool>(error));
  if (url == nullptr) {
    CHECK(std::strstr(error.text(), "expected ") != nullptr);
  } else {
    CHECK(url->host.empty() != url->path.empty());
    CHECK(url->port != 0);
    CHECK(url->database <= 1000000);
    CHECK(url->path.size() <= 107);
    for (std::string_view view : {url->host, url->path, url->user, url->password}) CHECK(view.data() == nullptr || view.data()[view.size()] == '\0');
    CHECK(url->shown.starts_with("redis://") || url->shown.starts_with("unix:"));
    // Written from its parts, it reads the same.
    std::string again;
    auto encoded = [&](std::string_view part) {
      static constexpr char kDigits[] = "0123456789abcdef";
      for (char c : part) {
        auto byte = static_cast<unsigned char>(c);
        again += '%';
        again += kDigits[byte / 16];
        again += kDigits[byte % 16];
      }
    };
    if (!url->path.empty()) {
      again = "unix://" + std::string(url->path) + "?db=" + std::to_string(url->database);
    } else {
      again = "redis://";
      encoded(url->user);
      if (!url->password.empty()) again += ":", encoded(url->password);
      if (!url->user.empty() || !url->password.empty()) again += "@";
      bool six = url->host.find(':') != std::string_view::npos || url->host.find(']') != std::string_view::npos;
      if (six && url->host.find(']') != std::string_view::npos) return 0;
      again += six ? "[" + std::string(url->host) + "]" : std::string(url->host);
      again += ":" + std::to_string(url->port) + "/" + std::to_string(url->database);
    }
    const RedisUrl* second = parse_redis_url(again, arena, error);
    CHECK(second != nullptr);
    CHECK(second->host == url->host && second->port == url->port && second->path == url->path);
    CHECK(second->user == url->user && second->password == url->password && second->database == url->database);
  }
  // The same bytes as a password: whatever is wrong with the rest, nobody sees it.
  std::string secret;
  for (char c : text.view().substr(0, 40)) secret += static_cast<char>('A' + (static_cast<unsigned char>(c) & 15));
  if (secret.size() < 6) return 0;
  for (const char* rest : {"@host", "@host:x", "@", "@ho st", "@h/x"}) {
    for (const char* front : {"redis://:", "redis://user:", "redis:", "", "rediss://u:", "http://u:"}) {
      Error wrong;
      std::string whole = front + secret + rest;
      const RedisUrl* login = parse_redis_url(whole, arena, wrong);
      if (login != nullptr) CHECK(login->shown.find(secret) == std::string_view::npos);
      CHECK(std::strstr(wrong.text(), secret.c_str()) == nullptr);
    }
  }
  return 0;
}
