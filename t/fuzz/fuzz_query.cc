// The query of a URL. Input: a name, a line end, the query. Decoding is compared with a plain reading, in every capacity.
#include "shared/http/query.h"
#include "t/fuzz/check.h"

namespace {

std::string plain_value(std::string_view query, std::string_view name) {
  std::string start = std::string(name) + "=";
  for (std::size_t at = 0; at <= query.size();) {
    std::size_t end = query.find('&', at);
    if (end == std::string_view::npos) end = query.size();
    std::string_view pair = query.substr(at, end - at);
    if (pair.starts_with(start) && pair.size() > start.size()) return std::string(pair.substr(start.size()));
    at = end + 1;
  }
  return {};
}

std::string plain_decoding(std::string_view text) {
  static constexpr std::string_view kDigits = "0123456789abcdef0123456789ABCDEF";
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::size_t high = i + 2 < text.size() ? kDigits.find(text[i + 1]) : std::string_view::npos;
    std::size_t low = i + 2 < text.size() ? kDigits.find(text[i + 2]) : std::string_view::npos;
    bool encoded = text[i] == '%' && high != std::string_view::npos && low != std::string_view::npos;
    result += encoded ? static_cast<char>(high % 16 * 16 + low % 16) : text[i];
    if (encoded) i += 2;
  }
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input = INPUT;
  Exact name(take_line(input));
  Exact query(input);
  std::string_view value = query;
  if (!name.view().empty() && name.view().find_first_of("&=") == std::string_view::npos) {
    value = heartbeat::query_value(query, name);
    CHECK(lies_in(value, query));
    CHECK(value == plain_value(query, name));
  }
  for (std::string_view text : {value, query.view()}) {
    std::string expected = plain_decoding(text);
    CHECK(expected.size() <= text.size());
    for (std::size_t capacity : {text.size(), expected.size(), expected.size() / 2, std::size_t{0}}) {
      std::unique_ptr<char[]> out(new char[capacity]);
      std::size_t written = heartbeat::percent_decode(text, out.get(), capacity);
      CHECK(std::string_view(out.get(), written) == std::string_view(expected).substr(0, capacity));
    }
  }
  std::string in_place(query.view());
  in_place.resize(heartbeat::percent_decode(in_place, in_place.data(), in_place.size()));
  CHECK(in_place == plain_decoding(query));
  return 0;
}
