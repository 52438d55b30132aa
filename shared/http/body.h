// The body of a beat: application/x-www-form-urlencoded (WHATWG URL, section 5.1), JSON (RFC 8259), or either of them
// sent as text/plain, which a browser sends to another origin without asking first.
#pragma once

#include <optional>
#include <string_view>

#include "shared/http/plain_json.h"
#include "shared/http/request.h"
#include "shared/port/error.h"
#include "shared/port/port.h"

struct json_t;

namespace heartbeat {

class Body {
 public:
  explicit Body(Arena& arena) : arena_(arena) {}
  ~Body();
  Body(const Body&) = delete;
  Body& operator=(const Body&) = delete;

  /// Reads the body of `request`. An empty one says nothing; a field that is empty or null is as one that is not there.
  /// False: `error` names the field and what is expected, or says what the body is not. It never quotes the body.
  bool read(const Request& request, Error& error);

  // What it says, without control characters; each view lives as long as this and the arena.
  std::string_view session, token, user, page;
  std::optional<bool> active;  // a human did something
  bool leave = false;          // the page is left

  /// Any field of it that is a string or a whole number, as text; empty: no such field, or one with control characters.
  std::string_view field(std::string_view name) const;

 private:
  enum class Format : std::uint8_t { none, form, plain, json, unknown };  // plain, json: how it is read
  enum class Kind : std::uint8_t { absent, text, number, yes, no, other };
  struct Value {
    Kind kind = Kind::absent;
    std::string_view text;
  };

  Format format_of(const Request& request);
  bool parse_json(std::string_view body, Error& error);
  bool read_fields(Error& error);
  bool read_field(std::string_view name, const Value& value, Error& error);
  Value find(std::string_view name) const;
  Value find_in_form(std::string_view name) const;
  Value find_in_json(std::string_view name) const;
  static Value value_of(const PlainObject::Member& member);

  Arena& arena_;
  Format format_ = Format::none;
  std::string_view form_;
  PlainObject plain_;
  json_t* json_ = nullptr;
};

}  // namespace heartbeat
