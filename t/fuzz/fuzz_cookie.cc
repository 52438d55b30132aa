// The Cookie header. Input: a name, a line end, the header. Compared with a plain reading of RFC 6265.
#include "shared/http/cookie.h"
#include "t/fuzz/check.h"

namespace {

bool is_space(char c) { return c == ' ' || c == '\t'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::string plain_reading(std::string_view header, std::string_view name) {
  while (!header.empty()) {
    std::size_t end = header.find(';');
    std::string_view pair = header.substr(0, end);
    header = end == std::string_view::npos ? std::string_view() : header.substr(end + 1);
    while (!pair.empty() && is_space(pair.front())) pair.remove_prefix(1);
    if (!pair.starts_with(name) || pair.substr(name.size()).substr(0, 1) != "=") continue;
    std::string_view value = pair.substr(name.size() + 1);
    while (!value.empty() && is_space(value.back())) value.remove_suffix(1);
    if (!value.empty()) return std::string(value);
  }
  return {};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input = INPUT;
  Exact name(trimmed(take_line(input)));
  if (name.view().empty() || name.view().find_first_of("=; \t") != std::string_view::npos) return 0;
  Exact header(input);
  std::string_view value = heartbeat::cookie_value(header, name);
  CHECK(lies_in(value, header));
  CHECK(value == plain_reading(header, name));
  return 0;
}
