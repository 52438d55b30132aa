// The body of a beat. jansson reads all JSON that is not plain: it bounds the depth, refuses what is no UTF-8, and keys
// the hash of its objects with random bytes.
#include "shared/http/body.h"

#include <algorithm>
#include <jansson.h>
#include <strings.h>

#include "shared/http/query.h"
#include "shared/http/text.h"

namespace heartbeat {
namespace {

constexpr std::string_view kFields[] = {"session", "token", "user", "page", "active", "leave"};

bool has_control(std::string_view text) {
  for (char c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == 127) return true;
  }
  return false;
}

bool same_word(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

// Without parameters such as charset: JSON has none, and a form is UTF-8.
std::string_view media_type(std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) type.remove_suffix(1);
  return type;
}

}  // namespace

Body::~Body() {
  if (json_ != nullptr) json_decref(json_);
}

// A browser names no type for a blob that has none.
Body::Format Body::format_of(const Request& request) {
  if (request.body.empty()) return Format::none;
  std::string_view type = media_type(request.header("Content-Type"));
  bool json = same_word(type, "application/json");
  if (!json) {
    if (same_word(type, "application/x-www-form-urlencoded")) return Format::form;
    if (!type.empty() && !same_word(type, "text/plain")) return Format::unknown;
    if (!request.body.starts_with('{')) return Format::form;
  }
  return plain_.read(request.body) ? Format::plain : Format::json;
}

bool Body::read(const Request& request, Error& error) {
  format_ = format_of(request);
  switch (format_) {
    case Format::none:
      return true;
    case Format::plain:
      break;
    case Format::form:
      form_ = request.body;
      break;
    case Format::json:
      if (!parse_json(request.body, error)) return false;
      break;
    case Format::unknown:
      error.set("body: expected application/json, application/x-www-form-urlencoded, or text/plain that holds one of them");
      return false;
  }
  return read_fields(error);
}

// Neither jansson's own words nor the place where it stopped quote the body: it may hold a token.
bool Body::parse_json(std::string_view body, Error& error) {
  json_error_t fault;
  json_ = json_loadb(body.data(), body.size(), JSON_REJECT_DUPLICATES, &fault);
  if (json_ == nullptr) {
    error.set("body: invalid JSON at byte %d, expected an object", fault.position);
  } else if (!json_is_object(json_)) {
    error.set("body: expected a JSON object");
  }
  return !error;
}

// A plain object is short, and most that it might say is not there: its members are looked at instead.
bool Body::read_fields(Error& error) {
  if (format_ == Format::plain) {
    return std::ranges::all_of(plain_.members(), [&](const PlainObject::Member& member) { return read_field(member.name, error); });
  }
  return std::ranges::all_of(kFields, [&](std::string_view name) { return read_field(name, error); });
}

bool Body::read_field(std::string_view name, Error& error) {
  if (name == "page") return read_text(name, false, page, error);
  if (name == "active") return read_flag(name, active, error);
  if (name == "session") return read_text(name, true, session, error);
  if (name == "token") return read_text(name, false, token, error);
  if (name == "user") return read_text(name, true, user, error);
  if (name != "leave") return true;
  std::optional<bool> leaves;
  bool good = read_flag(name, leaves, error);
  leave = leaves.value_or(false);
  return good;
}

Body::Value Body::find(std::string_view name, std::string_view& out) const {
  switch (format_) {
    case Format::plain:
      return find_in_plain(name, out);
    case Format::json:
      return find_in_json(name, out);
    default:
      return find_in_form(name, out);
  }
}

Body::Value Body::find_in_form(std::string_view name, std::string_view& out) const {
  std::string_view raw = query_value(form_, name);
  if (raw.empty()) return Value::absent;
  out = raw;
  if (raw.find_first_of("%+") == std::string_view::npos) return Value::text;
  auto* bytes = static_cast<char*>(arena_.allocate(raw.size(), 1));
  out = bytes == nullptr ? std::string_view() : std::string_view(bytes, form_decode(raw, bytes, raw.size()));
  return out.empty() ? Value::absent : Value::text;
}

Body::Value Body::find_in_plain(std::string_view name, std::string_view& out) const {
  const PlainObject::Member* member = plain_.find(name);
  if (member == nullptr) return Value::absent;
  out = member->text;
  switch (member->kind) {
    case PlainObject::Kind::null:
      return Value::absent;
    case PlainObject::Kind::text:
      return out.empty() ? Value::absent : Value::text;
    case PlainObject::Kind::number:
      return Value::number;
    case PlainObject::Kind::yes:
    case PlainObject::Kind::no:
      break;
  }
  out = member->kind == PlainObject::Kind::yes ? "true" : "false";
  return Value::flag;
}

Body::Value Body::find_in_json(std::string_view name, std::string_view& out) const {
  const json_t* value = json_object_get(json_, arena_.copy(name).data());
  if (value == nullptr || json_is_null(value)) return Value::absent;
  if (json_is_string(value)) {
    out = {json_string_value(value), json_string_length(value)};
    return out.empty() ? Value::absent : Value::text;
  }
  if (json_is_boolean(value)) {
    out = json_is_true(value) ? "true" : "false";
    return Value::flag;
  }
  if (!json_is_integer(value)) return Value::other;
  Text digits(arena_, 24);
  out = digits.add(std::int64_t{json_integer_value(value)}).view();
  return Value::number;
}

bool Body::read_text(std::string_view name, bool or_number, std::string_view& out, Error& error) const {
  std::string_view text;
  Value kind = find(name, text);
  if (kind == Value::absent) return true;
  if (kind != Value::text && !(kind == Value::number && or_number)) {
    error.set("%.*s: expected a string%s", HEARTBEAT_VIEW(name), or_number ? " or a whole number" : "");
  } else if (has_control(text)) {
    error.set("%.*s: expected text without control characters", HEARTBEAT_VIEW(name));
  } else {
    out = text;
  }
  return !error;
}

bool Body::read_flag(std::string_view name, std::optional<bool>& out, Error& error) const {
  std::string_view word;
  Value kind = find(name, word);
  if (kind == Value::absent) return true;
  bool of_a_kind = kind == Value::flag || kind == Value::number || (kind == Value::text && format_ == Format::form);
  if (of_a_kind && (word == "true" || word == "1")) out = true;
  else if (of_a_kind && (word == "false" || word == "0")) out = false;
  else error.set("%.*s: expected true, false, 1 or 0", HEARTBEAT_VIEW(name));
  return !error;
}

std::string_view Body::field(std::string_view name) const {
  std::string_view text;
  Value kind = find(name, text);
  return (kind == Value::text || kind == Value::number) && !has_control(text) ? text : std::string_view();
}

}  // namespace heartbeat
