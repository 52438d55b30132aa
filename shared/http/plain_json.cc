// JSON objects as nearly all beats are.
#include "shared/http/plain_json.h"

#include <array>
#include <memory>

namespace heartbeat {
namespace {

using Kind = PlainObject::Kind;

constexpr std::ptrdiff_t kDigits = 15;  // any number of so many digits is the same in every reader of JSON

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

// Each of those that follow reads something at `at` and returns where it ends, or null if it is not there.

inline const char* skip_space(const char* at, const char* end) {
  while (at < end && *at <= ' ' && is_space(*at)) ++at;
  return at;
}

// `mark`, and the white space on both sides of it.
inline const char* take(const char* at, const char* end, char mark) {
  at = skip_space(at, end);
  return at < end && *at == mark ? skip_space(at + 1, end) : nullptr;
}

// What a string may hold: what is printable in ASCII, but for the two characters that mean something there.
constexpr std::array<bool, 256> in_strings() {
  std::array<bool, 256> is{};
  for (unsigned char c = ' '; c <= '~'; ++c) is[c] = c != '"' && c != '\\';
  return is;
}
constexpr std::array<bool, 256> kInStrings = in_strings();

inline const char* read_string(const char* at, const char* end, std::string_view& out) {
  if (at == end || *at != '"') return nullptr;
  const char* start = ++at;
  while (at < end && kInStrings[static_cast<unsigned char>(*at)]) ++at;
  if (at == end || *at != '"') return nullptr;
  out = {start, static_cast<std::size_t>(at - start)};
  return at + 1;
}

// Written as a computer would: no zero in front, none with a minus.
const char* read_number(const char* at, const char* end, std::string_view& out) {
  const char* start = at;
  if (at < end && *at == '-') ++at;
  const char* digits = at;
  while (at < end && is_digit(*at)) ++at;
  if (at == digits || at - digits > kDigits || (*digits == '0' && at - start > 1)) return nullptr;
  if (at < end && (*at == '.' || *at == 'e' || *at == 'E')) return nullptr;
  out = {start, static_cast<std::size_t>(at - start)};
  return at;
}

const char* read_word(const char* at, const char* end, std::string_view word) {
  return std::string_view(at, static_cast<std::size_t>(end - at)).starts_with(word) ? at + word.size() : nullptr;
}

const char* read_value(const char* at, const char* end, PlainObject::Member& member) {
  switch (at == end ? '\0' : *at) {
    case '"':
      member.kind = Kind::text;
      return read_string(at, end, member.text);
    case 't':
      member.kind = Kind::yes;
      return read_word(at, end, "true");
    case 'f':
      member.kind = Kind::no;
      return read_word(at, end, "false");
    case 'n':
      member.kind = Kind::null;
      return read_word(at, end, "null");
    default:
      member.kind = Kind::number;
      return read_number(at, end, member.text);
  }
}

// Names are so short that a call would take longer.
bool same(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i]) return false;
  }
  return true;
}

}  // namespace

std::int64_t PlainObject::Member::number() const {
  bool negative = text.starts_with('-');
  std::int64_t value = 0;
  for (char c : text.substr(negative ? 1 : 0)) value = value * 10 + (c - '0');
  return negative ? -value : value;
}

const PlainObject::Member* PlainObject::find(std::string_view name) const {
  for (unsigned i = 0; i < count_; ++i) {
    if (same(members_[i].name, name)) return &members_[i];
  }
  return nullptr;
}

const char* PlainObject::read_member(const char* at, const char* end) {
  if (count_ == kMost) return nullptr;
  Member& member = *std::construct_at(&members_[count_]);
  at = read_string(at, end, member.name);
  if (at == nullptr || find(member.name) != nullptr) return nullptr;
  ++count_;
  at = take(at, end, ':');
  return at == nullptr ? nullptr : read_value(at, end, member);
}

bool PlainObject::read(std::string_view json) {
  const char* end = json.data() + json.size();
  count_ = 0;
  const char* at = take(json.data(), end, '{');
  if (at == nullptr) return false;
  if (at < end && *at != '}') {
    for (const char* next = at; next != nullptr; next = take(at, end, ',')) {
      at = read_member(next, end);
      if (at == nullptr) return false;
    }
  }
  return take(at, end, '}') == end;
}

}  // namespace heartbeat
