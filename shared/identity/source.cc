// Where the session id and the user's name come from.
#include "shared/identity/source.h"

#include <cstring>

#include "shared/http/cookie.h"
#include "shared/http/escape.h"
#include "shared/http/query.h"

namespace heartbeat {
namespace {

// A cookie that holds a token stands for the session in it, never for itself: whoever reads a list of sessions would
// read tokens, and one that is renewed would be another session.
std::string_view from_cookie(const Request& request, std::string_view name, const Evidence& evidence,
                             std::string_view claim) {
  std::string_view value = cookie_of(request, name);
  if (evidence.token_cookie.empty() || name != evidence.token_cookie) return value;
  if (!evidence.token.empty() && value == evidence.token) return claim;
  return evidence.issued || token_shaped(value) ? std::string_view() : value;
}

std::string_view from_query(const Request& request, std::string_view name, Arena& arena) {
  std::string_view value = query_value(request.query, name);
  if (value.size() > 3 * kMaxId) return value;  // too long whatever it decodes to
  if (value.find('%') == std::string_view::npos) return value;
  auto* bytes = static_cast<char*>(arena.allocate(value.size(), 1));
  if (bytes == nullptr) return {};
  return {bytes, percent_decode(value, bytes, value.size())};
}

std::string_view from(const Request& request, const Source& source, Arena& arena, const Evidence& evidence,
                      std::string_view claim) {
  switch (source.kind) {
    case Source::Kind::cookie:
      return from_cookie(request, source.name, evidence, claim);
    case Source::Kind::header:
      return request.header(source.name);
    case Source::Kind::arg:
      return from_query(request, source.name, arena);
    case Source::Kind::expression:
      return request.evaluate(source.expression);
    case Source::Kind::body:
      return evidence.body == nullptr ? std::string_view() : evidence.body->field(source.name);
    case Source::Kind::jwt:
      return claim;
  }
  return {};
}

// `claim` is what the token says of the matter: nothing in most requests, though most settings ask for it first.
std::string_view first_hit(const Request& request, std::span<const Source> sources, Arena& arena,
                           const Evidence& evidence, std::string_view claim) {
  for (const Source& source : sources) {
    if (source.kind == Source::Kind::jwt && claim.empty()) continue;
    std::string_view value = from(request, source, arena, evidence, claim);
    if (!value.empty()) return value;
  }
  return {};
}

bool is_control(char c) { return static_cast<unsigned char>(c) < ' ' || c == 127; }

// Most names are: ASCII that can be seen.
bool is_plain(std::string_view name) {
  for (char c : name) {
    if (static_cast<unsigned char>(c) >= 127 || is_control(c)) return false;
  }
  return true;
}

std::string_view replaced(std::string_view raw, std::size_t most, Arena& arena) {
  static constexpr std::string_view kReplacement = "\xef\xbf\xbd";
  auto* text = static_cast<char*>(arena.allocate(most, 1));
  if (text == nullptr) return {};
  std::size_t size = 0;
  for (std::size_t at = 0; at < raw.size();) {
    bool good = true;
    std::size_t length = character(raw.substr(at), good);
    good = good && !is_control(raw[at]);
    std::string_view piece = good ? raw.substr(at, length) : kReplacement;
    if (piece.size() > most - size) break;
    std::memcpy(text + size, piece.data(), piece.size());
    size += piece.size();
    at += length;
  }
  return {text, size};
}

}  // namespace

bool token_shaped(std::string_view text) {
  std::size_t first = text.find('.');
  if (first == 0 || first == std::string_view::npos) return false;
  std::size_t second = text.find('.', first + 1);
  if (second == first + 1 || second == std::string_view::npos || second + 1 == text.size()) return false;
  return text.find('.', second + 1) == std::string_view::npos;
}

std::string_view cookie_of(const Request& request, std::string_view name) {
  for (unsigned i = 0;; ++i) {
    std::string_view header = request.cookies(i);
    if (header.data() == nullptr) return {};
    std::string_view value = cookie_value(header, name);
    if (!value.empty()) return value;
  }
}

std::string_view session_id(const Request& request, std::span<const Source> sources, Arena& arena,
                            const Evidence& evidence) {
  std::string_view id = first_hit(request, sources, arena, evidence, evidence.session);
  return id.size() <= kMaxId ? id : std::string_view();
}

std::string_view user_name(const Request& request, std::span<const Source> sources, Arena& arena,
                           const Evidence& evidence) {
  std::string_view name = first_hit(request, sources, arena, evidence, evidence.user);
  return name.empty() ? name : clean_text(name, kMaxUser, arena);
}

std::string_view clean_text(std::string_view raw, std::size_t most, Arena& arena) {
  return is_plain(raw) ? raw.substr(0, most) : replaced(raw, most, arena);
}

}  // namespace heartbeat
