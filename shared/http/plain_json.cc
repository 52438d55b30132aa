// JSON objects as nearly all beats are.
#include "shared/http/plain_json.h"

#include <memory>

namespace heartbeat {
namespace {

using Kind = PlainObject::Kind;

constexpr std::ptrdiff_t kDigits = 15;  // any number of so many digits is the same in every reader of JSON

bool is_digit(char c) { return c >= '0' && c <= '9'; }

void skip_space(const char*& at, const char* end) {
  while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')) ++at;
}

// Over `mark` and the white space on both sides of it.
bool take(const char*& at, const char* end, char mark) {
  skip_space(at, end);
  if (at == end || *at != mark) return false;
  ++at;
  skip_space(at, end);
  return true;
}

bool read_string(const char*& at, const char* end, std::string_view& out) {
  if (at == end || *at != '"') return false;
  const char* start = ++at;
  while (at < end && *at != '"') {
    if (*at < ' ' || *at > '~' || *at == '\\') return false;  // a char may be negative: no ASCII either
    ++at;
  }
  if (at == end) return false;
  out = {start, static_cast<std::size_t>(at - start)};
  ++at;
  return true;
}

// Written as a computer would: no zero in front, none with a minus.
bool read_number(const char*& at, const char* end, std::string_view& out) {
  const char* start = at;
  if (at < end && *at == '-') ++at;
  const char* digits = at;
  while (at < end && is_digit(*at)) ++at;
  if (at == digits || at - digits > kDigits || (*digits == '0' && at - start > 1)) return false;
  if (at < end && (*at == '.' || *at == 'e' || *at == 'E')) return false;
  out = {start, static_cast<std::size_t>(at - start)};
  return true;
}

bool read_word(const char*& at, const char* end, std::string_view word) {
  if (!std::string_view(at, static_cast<std::size_t>(end - at)).starts_with(word)) return false;
  at += word.size();
  return true;
}

bool read_value(const char*& at, const char* end, PlainObject::Member& member) {
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

}  // namespace

const PlainObject::Member* PlainObject::find(std::string_view name) const {
  for (unsigned i = 0; i < count_; ++i) {
    if (members_[i].name == name) return &members_[i];
  }
  return nullptr;
}

bool PlainObject::read_member(const char*& at, const char* end) {
  Member member;
  if (count_ == kMost || !read_string(at, end, member.name) || find(member.name) != nullptr) return false;
  if (!take(at, end, ':') || !read_value(at, end, member)) return false;
  std::construct_at(&members_[count_++], member);
  return true;
}

bool PlainObject::read(std::string_view json) {
  const char* at = json.data();
  const char* end = at + json.size();
  count_ = 0;
  if (!take(at, end, '{')) return false;
  if (at < end && *at != '}') {
    do {
      if (!read_member(at, end)) return false;
    } while (take(at, end, ','));
  }
  return take(at, end, '}') && at == end;
}

}  // namespace heartbeat
