// The query of a URL.
#include "shared/http/query.h"

namespace heartbeat {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = static_cast<char>(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::size_t decode(std::string_view text, char* out, std::size_t capacity, char plus) {
  std::size_t size = 0;
  for (std::size_t i = 0; i < text.size() && size < capacity; ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      int high = hex_digit(text[i + 1]);
      int low = hex_digit(text[i + 2]);
      if (high >= 0 && low >= 0) {
        out[size++] = static_cast<char>(high << 4 | low);
        i += 2;
        continue;
      }
    }
    out[size++] = text[i] == '+' ? plus : text[i];
  }
  return size;
}

}  // namespace

std::string_view query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    std::size_t end = query.find('&');
    std::string_view pair = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
    if (pair.size() > name.size() + 1 && pair[name.size()] == '=' && pair.starts_with(name)) {
      return pair.substr(name.size() + 1);
    }
  }
  return {};
}

std::size_t percent_decode(std::string_view text, char* out, std::size_t capacity) {
  return decode(text, out, capacity, '+');
}

std::size_t form_decode(std::string_view text, char* out, std::size_t capacity) {
  return decode(text, out, capacity, ' ');
}

}  // namespace heartbeat
