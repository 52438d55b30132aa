// Words of the configuration into values.
#include "shared/settings/parse.h"

#include <charconv>

namespace heartbeat {
namespace {

constexpr Millis kMaxTime = 10LL * 365 * 24 * 3600 * 1000;

Millis unit_of_time(std::string_view unit) {
  if (unit == "ms") return 1;
  if (unit == "s" || unit.empty()) return 1000;
  if (unit == "m") return 60 * 1000;
  if (unit == "h") return 3600 * 1000;
  if (unit == "d") return 24 * 3600 * 1000;
  if (unit == "w") return 7 * 24 * 3600 * 1000;
  return 0;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view take(std::string_view& text, bool digits) {
  std::size_t end = 0;
  while (end < text.size() && is_digit(text[end]) == digits) ++end;
  std::string_view part = text.substr(0, end);
  text.remove_prefix(end);
  return part;
}

}  // namespace

bool parse_number(std::string_view text, std::uint64_t max, std::uint64_t& result) {
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), result);
  return failure == std::errc() && end == text.data() + text.size() && !text.empty() && result <= max;
}

bool parse_time(std::string_view text, Millis& result) {
  Millis total = 0;
  Millis last_unit = 0;
  if (text.empty()) return false;
  while (!text.empty()) {
    std::uint64_t number = 0;
    if (!parse_number(take(text, true), kMaxTime, number)) return false;
    std::string_view word = take(text, false);
    Millis unit = unit_of_time(word);
    if (unit == 0 || (last_unit != 0 && (unit >= last_unit || word.empty()))) return false;
    last_unit = unit;
    if (static_cast<Millis>(number) > (kMaxTime - total) / unit) return false;
    total += static_cast<Millis>(number) * unit;
  }
  result = total;
  return true;
}

bool parse_size(std::string_view text, std::size_t& result) {
  std::uint64_t number = 0;
  if (!parse_number(take(text, true), std::uint64_t{1} << 40, number)) return false;
  unsigned shift = 0;
  if (text == "k" || text == "K") shift = 10;
  else if (text == "m" || text == "M") shift = 20;
  else if (text == "g" || text == "G") shift = 30;
  else if (!text.empty()) return false;
  if (number > (std::uint64_t{1} << 40) >> shift) return false;
  result = static_cast<std::size_t>(number << shift);
  return true;
}

bool is_origin(std::string_view text) {
  std::size_t mark = text.find("://");
  if (mark == std::string_view::npos || mark == 0 || text.size() > 300) return false;
  std::string_view host = text.substr(mark + 3);
  std::size_t colon = host.rfind(':');
  if (colon != std::string_view::npos && host.back() != ']') {
    std::uint64_t port = 0;
    if (!parse_number(host.substr(colon + 1), 65535, port) || port == 0) return false;
    host = host.substr(0, colon);
  }
  if (host.empty()) return false;
  for (char c : text.substr(0, mark)) {
    if (!((c >= 'a' && c <= 'z') || is_digit(c) || c == '+' || c == '-' || c == '.')) return false;
  }
  for (char c : host) {
    if (!((c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '[' || c == ']' || c == ':'))
      return false;
  }
  return true;
}

}  // namespace heartbeat
