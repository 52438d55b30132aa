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
  return a.size() == b.size() && (a == b || strncasecmp(a.data(), b.data(), a.size()) == 0);
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
  std::string_view type = media_type(request.content_type());
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
    return std::ranges::all_of(plain_.members(), [&](const PlainObject::Member& member) { return read_field(member.name, value_of(member), error); });
  }
  return std::ranges::all_of(kFields, [&](std::string_view name) { return read_field(name, find(name), error); });
}

bool Body::read_field(std::string_view name, const Value& value, Error& error) {
  if (value.kind == Kind::absent) return true;
  auto text = [&](bool or_number, std::string_view& out) {
    if (value.kind != Kind::text && !(value.kind == Kind::number && or_number)) {
      error.set("%.*s: expected a string%s", HEARTBEAT_VIEW(name), or_number ? " or a whole number" : "");
    } else if (format_ != Format::plain && has_control(value.text)) {
      error.set("%.*s: expected text without control characters", HEARTBEAT_VIEW(name));
    } else {
      out = value.text;
    }
    return !error;
  };
  auto flag = [&](std::optional<bool>& out) {
    bool word = value.kind == Kind::number || (value.kind == Kind::text && format_ == Format::form);
    if (value.kind == Kind::yes || (word && (value.text == "true" || value.text == "1"))) out = true;
    else if (value.kind == Kind::no || (word && (value.text == "false" || value.text == "0"))) out = false;
    else error.set("%.*s: expected true, false, 1 or 0", HEARTBEAT_VIEW(name));
    return !error;
  };
  if (name == "page") return text(false, page);
  if (name == "active") return flag(active);
  if (name == "session") return text(true, session);
  if (name == "token") return text(false, token);
  if (name == "user") return text(true, user);
  if (name != "leave") return true;
  std::optional<bool> leaves;
  bool good = flag(leaves);
  leave = leaves.value_or(false);
  return good;
}

Body::Value Body::find(std::string_view name) const {
  if (format_ == Format::json) return find_in_json(name);
  if (format_ != Format::plain) return find_in_form(name);
  const PlainObject::Member* member = plain_.find(name);
  return member == nullptr ? Value() : value_of(*member);
}

Body::Value Body::find_in_form(std::string_view name) const {
  std::string_view raw = query_value(form_, name);
  if (raw.empty()) return {};
  if (raw.find_first_of("%+") == std::string_view::npos) return {Kind::text, raw};
  auto* bytes = static_cast<char*>(arena_.allocate(raw.size(), 1));
  std::size_t size = bytes == nullptr ? 0 : form_decode(raw, bytes, raw.size());
  return size == 0 ? Value() : Value{Kind::text, {bytes, size}};
}

Body::Value Body::value_of(const PlainObject::Member& member) {
  switch (member.kind) {
    case PlainObject::Kind::text:
      return member.text.empty() ? Value() : Value{Kind::text, member.text};
    case PlainObject::Kind::number:
      return {Kind::number, member.text};
    case PlainObject::Kind::yes:
      return {Kind::yes, {}};
    case PlainObject::Kind::no:
      return {Kind::no, {}};
    case PlainObject::Kind::null:
      break;
  }
  return {};
}

Body::Value Body::find_in_json(std::string_view name) const {
  const json_t* value = json_object_get(json_, arena_.copy(name).data());
  if (value == nullptr || json_is_null(value)) return {};
  if (json_is_string(value)) {
    std::string_view text(json_string_value(value), json_string_length(value));
    return text.empty() ? Value() : Value{Kind::text, text};
  }
  if (json_is_boolean(value)) return {json_is_true(value) ? Kind::yes : Kind::no, {}};
  if (!json_is_integer(value)) return {Kind::other, {}};
  Text digits(arena_, 24);
  return {Kind::number, digits.add(std::int64_t{json_integer_value(value)}).view()};
}

std::string_view Body::field(std::string_view name) const {
  Value value = find(name);
  return (value.kind == Kind::text || value.kind == Kind::number) && !has_control(value.text) ? value.text : std::string_view();
}

}  // namespace heartbeat
