// The Cookie header.
#include "shared/http/cookie.h"

#include <cstring>

namespace heartbeat {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t'; }

std::string_view trimmed(std::string_view value) {
  while (!value.empty() && is_space(value.back())) value.remove_suffix(1);
  return value;
}

}  // namespace

std::string_view cookie_value(std::string_view header, std::string_view name) {
  const char* at = header.data();
  const char* end = at + header.size();
  while (at < end) {
    while (at < end && (is_space(*at) || *at == ';')) ++at;
    const auto* stop = static_cast<const char*>(std::memchr(at, ';', static_cast<std::size_t>(end - at)));
    if (stop == nullptr) stop = end;
    auto size = static_cast<std::size_t>(stop - at);
    if (size > name.size() && at[name.size()] == '=' && std::memcmp(at, name.data(), name.size()) == 0) {
      std::string_view value = trimmed({at + name.size() + 1, size - name.size() - 1});
      if (!value.empty()) return value;
    }
    at = stop;
  }
  return {};
}

}  // namespace heartbeat
