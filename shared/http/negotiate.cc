// Which of several formats a request gets.
#include "shared/http/negotiate.h"

#include <strings.h>

namespace heartbeat {
namespace {

constexpr int kWhole = 1000;  // a quality of 1

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

// Cuts off the front of `text`, up to a separator that does not stand in quotes.
std::string_view take(std::string_view& text, char separator) {
  bool quoted = false;
  std::size_t end = 0;
  for (; end < text.size() && (quoted || text[end] != separator); ++end) {
    if (text[end] == '"') quoted = !quoted;
    else if (quoted && text[end] == '\\') ++end;
  }
  std::string_view part = trimmed(text.substr(0, end));
  text = end < text.size() ? text.substr(end + 1) : std::string_view();
  return part;
}

// "0.5" is 500. What is no quality (section 12.4.2) counts as none given.
int quality(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1')) return kWhole;
  if (text.size() > 1 && text[1] != '.') return kWhole;
  int thousandths = (text[0] - '0') * kWhole;
  int weight = 100;
  for (char c : text.substr(text.size() > 1 ? 2 : 1)) {
    if (c < '0' || c > '9') return kWhole;
    thousandths += (c - '0') * weight;
    weight /= 10;
  }
  return thousandths < kWhole ? thousandths : kWhole;
}

int quality_of(std::string_view parameters) {
  while (!parameters.empty()) {
    std::string_view parameter = take(parameters, ';');
    if (parameter.size() > 1 && (parameter[0] | 0x20) == 'q' && parameter[1] == '=') return quality(parameter.substr(2));
  }
  return kWhole;
}

// How closely a range fits a type: 3 the type itself, 2 "text/*", 1 "*/*", 0 not at all.
int closeness(std::string_view range, std::string_view type) {
  if (same(range, type)) return 3;
  if (range == "*/*") return 1;
  std::size_t slash = type.find('/');
  return range.size() == slash + 2 && range.ends_with("/*") && same(range.substr(0, slash), type.substr(0, slash)) ? 2 : 0;
}

// The closest range says how much a type is wanted.
int wanted(std::string_view accept, std::string_view type) {
  int closest = 0;
  int result = 0;
  while (!accept.empty()) {
    std::string_view parameters = take(accept, ',');
    int close = closeness(take(parameters, ';'), type);
    if (close <= closest) continue;
    closest = close;
    result = quality_of(parameters);
  }
  return result;
}

}  // namespace

int negotiate(std::string_view accept, std::span<const std::string_view> offered) {
  if (accept.empty()) return 0;
  int best = -1;
  int most = 0;
  for (std::size_t i = 0; i < offered.size(); ++i) {
    int want = wanted(accept, offered[i]);
    if (want <= most) continue;
    most = want;
    best = static_cast<int>(i);
  }
  return best;
}

bool takes_coding(std::string_view accept_encoding, std::string_view coding) {
  bool any = false;
  while (!accept_encoding.empty()) {
    std::string_view parameters = take(accept_encoding, ',');
    std::string_view name = take(parameters, ';');
    if (same(name, coding)) return quality_of(parameters) > 0;
    if (name == "*") any = quality_of(parameters) > 0;
  }
  return any;
}

}  // namespace heartbeat
