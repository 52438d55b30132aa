// JSON objects as nearly all beats are: flat, short, of printable ASCII, without an escape. Such a one is read in place,
// without memory; every other, good or bad, is a matter for the library.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace heartbeat {

class PlainObject {
 public:
  static constexpr unsigned kMost = 12;  // members

  enum class Kind : std::uint8_t { null, text, number, yes, no };
  struct Member {
    std::int64_t number() const;  // what the digits say

    std::string_view name, text;  // of a string its characters, of a number its digits
    Kind kind;
  };

  PlainObject() {}
  /// True: `json` is an object of members with names of their own whose values are strings, whole numbers, true, false
  /// or null (RFC 8259). False says nothing about it. The members point into `json`.
  bool read(std::string_view json);
  /// Null: it has no such member.
  const Member* find(std::string_view name) const;
  std::span<const Member> members() const { return {members_, count_}; }

 private:
  const char* read_member(const char* at, const char* end);

  unsigned count_ = 0;
  union {
    Member members_[kMost];  // the others are not even cleared
  };
};

}  // namespace heartbeat
