// Where a Redis is and how to log in there.
#include "shared/redis/url.h"

#include "shared/http/query.h"
#include "shared/settings/parse.h"

namespace heartbeat {
namespace {

constexpr std::string_view kForms = "redis://[user[:password]@]host[:port][/db] or unix:/path[?db=N]";

bool take_scheme(std::string_view& text, std::string_view scheme) {
  if (!text.starts_with(scheme)) return false;
  text.remove_prefix(scheme.size());
  return true;
}

std::string_view decoded(std::string_view text, Arena& arena) {
  std::string_view copy = arena.copy(text);
  char* memory = const_cast<char*>(copy.data());
  if (memory == nullptr) return {};
  std::size_t size = percent_decode(text, memory, text.size());
  memory[size] = '\0';
  return {memory, size};
}

bool parse_database(std::string_view text, RedisUrl& url) {
  std::uint64_t number = 0;
  if (!parse_number(text, 1000000, number)) return false;
  url.database = static_cast<std::uint32_t>(number);
  return true;
}

// "user:password@" in front of the host; an empty user is Redis' own "default".
std::string_view take_login(std::string_view& text, RedisUrl& url, Arena& arena) {
  std::size_t at = text.substr(0, text.find('/')).rfind('@');
  if (at == std::string_view::npos) return {};
  std::string_view login = text.substr(0, at);
  text.remove_prefix(at + 1);
  std::size_t colon = login.find(':');
  url.user = decoded(login.substr(0, colon), arena);
  if (colon != std::string_view::npos) url.password = decoded(login.substr(colon + 1), arena);
  return login.substr(0, colon);
}

bool take_host(std::string_view text, RedisUrl& url, Arena& arena) {
  std::string_view host = text;
  std::string_view port;
  if (text.starts_with('[')) {
    std::size_t close = text.find(']');
    if (close == std::string_view::npos) return false;
    host = text.substr(1, close - 1);
    text.remove_prefix(close + 1);
    if (!text.empty() && text[0] != ':') return false;
    if (!text.empty()) port = text.substr(1);
    if (!text.empty() && port.empty()) return false;
  } else if (std::size_t colon = text.find(':'); colon != std::string_view::npos) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (port.empty()) return false;
  }
  std::uint64_t number = url.port;
  if (!port.empty() && (!parse_number(port, 65535, number) || number == 0)) return false;
  if (host.empty() || host.find_first_of("?#@ \t%") != std::string_view::npos) return false;
  url.port = static_cast<std::uint16_t>(number);
  url.host = arena.copy(host);
  return !url.host.empty();
}

std::string_view joined(Arena& arena, std::string_view a, std::string_view b, std::string_view c) {
  char* memory = static_cast<char*>(arena.allocate(a.size() + b.size() + c.size() + 1, 1));
  if (memory == nullptr) return {};
  char* end = memory;
  for (std::string_view part : {a, b, c}) {
    for (char byte : part) *end++ = byte;
  }
  *end = '\0';
  return {memory, static_cast<std::size_t>(end - memory)};
}

bool parse_tcp(std::string_view rest, RedisUrl& url, Arena& arena) {
  bool login = rest.substr(0, rest.find('/')).find('@') != std::string_view::npos;
  std::string_view user = take_login(rest, url, arena);
  std::string_view shown_login;
  if (login) shown_login = joined(arena, user, url.password.empty() ? "" : ":***", "@");
  url.shown = joined(arena, "redis://", shown_login, rest);
  std::size_t slash = rest.find('/');
  if (slash != std::string_view::npos) {
    std::string_view database = rest.substr(slash + 1);
    if (!database.empty() && !parse_database(database, url)) return false;
  }
  return take_host(rest.substr(0, slash), url, arena);
}

bool parse_unix(std::string_view rest, RedisUrl& url, Arena& arena) {
  constexpr std::size_t kLongestPath = 107;  // sun_path of unix(7), less its NUL
  std::size_t mark = rest.find('?');
  if (mark != std::string_view::npos) {
    std::string_view query = rest.substr(mark + 1);
    if (!take_scheme(query, "db=") || !parse_database(query, url)) return false;
  }
  std::string_view path = rest.substr(0, mark);
  if (path.starts_with("//")) path.remove_prefix(2);
  if (!path.starts_with('/') || path.size() > kLongestPath) return false;
  url.path = arena.copy(path);
  url.shown = joined(arena, "unix:", rest, "");
  return !url.path.empty();
}

}  // namespace

const RedisUrl* parse_redis_url(std::string_view text, Arena& arena, Error& error) {
  for (std::string_view scheme : {"rediss://", "sentinel://", "cluster://"}) {
    if (!text.starts_with(scheme)) continue;
    error.set("\"%.*s\" is not supported yet: expected %.*s", HEARTBEAT_VIEW(scheme), HEARTBEAT_VIEW(kForms));
    return nullptr;
  }
  RedisUrl* url = arena.make<RedisUrl>();
  if (url == nullptr) {
    error.set("out of memory");
    return nullptr;
  }
  bool control = false;
  for (char c : text) control = control || static_cast<unsigned char>(c) <= ' ';
  std::string_view rest = text;
  bool valid = false;
  if (!control && take_scheme(rest, "redis://")) valid = parse_tcp(rest, *url, arena);
  else if (!control && take_scheme(rest, "unix:")) valid = parse_unix(rest, *url, arena);
  if (valid) return url;
  std::size_t at = text.rfind('@');
  std::size_t colon = text.find(':');  // in front of it stands no password, unless it is beyond the login
  std::string_view scheme = at == std::string_view::npos || colon > at ? std::string_view() : text.substr(0, colon);
  std::string_view shown = at == std::string_view::npos ? text : joined(arena, scheme, ":***", text.substr(at));
  error.set("invalid Redis URL \"%.*s\", expected %.*s", HEARTBEAT_VIEW(shown.substr(0, 200)), HEARTBEAT_VIEW(kForms));
  return nullptr;
}

}  // namespace heartbeat
