// Where the session id comes from.
#include "shared/identity/source.h"

#include "shared/http/cookie.h"
#include "shared/http/query.h"

namespace heartbeat {
namespace {

std::string_view from_cookies(const Request& request, std::string_view name) {
  for (unsigned i = 0;; ++i) {
    std::string_view header = request.cookies(i);
    if (header.data() == nullptr) return {};
    std::string_view value = cookie_value(header, name);
    if (!value.empty()) return value;
  }
}

std::string_view from_query(const Request& request, std::string_view name, IdScratch& scratch) {
  std::string_view value = query_value(request.query, name);
  if (value.size() > 3 * kMaxId) return value;  // too long whatever it decodes to
  if (value.find('%') == std::string_view::npos) return value;
  std::size_t size = percent_decode(value, scratch.bytes, sizeof scratch.bytes);
  return {scratch.bytes, size};
}

std::string_view from(const Request& request, const Source& source, IdScratch& scratch) {
  switch (source.kind) {
    case Source::Kind::cookie:
      return from_cookies(request, source.name);
    case Source::Kind::header:
      return request.header(source.name);
    case Source::Kind::arg:
      return from_query(request, source.name, scratch);
    case Source::Kind::expression:
      return request.evaluate(source.expression);
    case Source::Kind::body:
    case Source::Kind::jwt:
      return {};
  }
  return {};
}

}  // namespace

std::string_view session_id(const Request& request, std::span<const Source> sources, IdScratch& scratch) {
  for (const Source& source : sources) {
    std::string_view id = from(request, source, scratch);
    if (!id.empty()) return id.size() <= kMaxId ? id : std::string_view();
  }
  return {};
}

}  // namespace heartbeat
