// Replies of Redis, read by hiredis' protocol parser into one fixed structure: nothing a server sends makes the
// memory grow.
#pragma once

#include <cstdint>
#include <string_view>

struct redisReader;

namespace heartbeat {

/// One reply. An array of up to kElements elements is kept as a flat list; nested ones are not used by the link.
struct RedisReply {
  static constexpr int kElements = 8;
  static constexpr std::size_t kText = 4096;

  enum class Type : std::uint8_t { nil, status, error, integer, string, array };
  struct Element {
    Type type = Type::nil;
    std::int64_t integer = 0;
    std::string_view text;  // into `bytes`
  };

  Type type = Type::nil;
  int count = 0;  // of elements; 1 for a reply that is no array
  Element elements[kElements];
  char bytes[kText];
  std::size_t used = 0;

  bool is_error() const { return type == Type::error; }
  std::string_view text(int i = 0) const { return i < count ? elements[i].text : std::string_view(); }
  std::int64_t integer(int i = 0) const { return i < count ? elements[i].integer : 0; }
};

/// Cuts a stream of bytes into replies.
class ReplyReader {
 public:
  enum class Next : std::uint8_t { reply, more, broken };

  ReplyReader() { reset(); }
  ~ReplyReader() { release(); }
  ReplyReader(const ReplyReader&) = delete;
  ReplyReader& operator=(const ReplyReader&) = delete;

  /// Begins anew, as for a new connection. False: out of memory.
  bool reset();
  /// Gives its memory back.
  void release();
  bool feed(std::string_view bytes);
  /// The next whole reply into `reply`; `broken` if the bytes are no Redis protocol, or a reply beyond our limits.
  Next next(RedisReply& reply);

 private:
  static constexpr std::size_t kMaxPending = 65536;
  redisReader* reader_ = nullptr;
  RedisReply current_;
  std::size_t pending_ = 0;
};

}  // namespace heartbeat
