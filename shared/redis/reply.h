// Replies of Redis, read by hiredis' protocol parser into memory that is used again for the next one. It grows with
// what comes, up to a bound: nothing a server sends makes it grow further.
#pragma once

#include <cstdint>
#include <string_view>

#include "shared/port/buffer.h"

struct redisReader;

namespace heartbeat {

/// One reply. An array is kept as a flat list; nested ones are not used here.
class RedisReply {
 public:
  static constexpr int kElements = 4096;
  static constexpr std::size_t kText = std::size_t{1} << 20;  // bytes in all elements together
  static constexpr std::size_t kLine = 4096;                  // of an error or a status; longer ones are cut

  enum class Type : std::uint8_t { nil, status, error, integer, string, array };

  RedisReply() = default;
  ~RedisReply() { release(); }
  RedisReply(const RedisReply&) = delete;
  RedisReply& operator=(const RedisReply&) = delete;

  Type type = Type::nil;
  int count = 0;  // of elements; 1 for a reply that is no array

  bool is_error() const { return type == Type::error; }
  Type type_of(int i) const { return has(i) ? elements_[i].type : Type::nil; }
  /// A view of this reply's memory.
  std::string_view text(int i = 0) const {
    return has(i) ? bytes_.view().substr(elements_[i].start, elements_[i].size) : std::string_view();
  }
  std::int64_t integer(int i = 0) const { return has(i) ? elements_[i].integer : 0; }

  // For the reader. False: beyond the bounds, or out of memory.
  bool begin(Type whole, int elements);
  bool put(int i, Type kind, std::string_view text, std::int64_t integer);
  void release();

 private:
  struct Element {
    Type type;
    std::uint32_t start, size;  // of its text in `bytes_`, which moves as it grows
    std::int64_t integer;
  };
  bool has(int i) const { return i >= 0 && i < count; }

  Element* elements_ = nullptr;
  int capacity_ = 0;
  Buffer bytes_;
};

/// The whole number that a text begins with, as Redis writes numbers; 0 where there is none.
std::int64_t number_of(std::string_view text);

/// Cuts a stream of bytes into replies.
class ReplyReader {
 public:
  enum class Next : std::uint8_t { reply, more, broken, refused };

  ReplyReader() { reset(); }
  ~ReplyReader() { release(); }
  ReplyReader(const ReplyReader&) = delete;
  ReplyReader& operator=(const ReplyReader&) = delete;

  /// Begins anew, as for a new connection. False: out of memory.
  bool reset();
  /// Gives its memory back, that of the reply too.
  void release();
  bool feed(std::string_view bytes);
  /// Looks for the next whole reply, which is then in reply(). `broken`: the bytes are no Redis protocol; `refused`: a
  /// reply beyond the bounds, or an array in an array. After these two, only reset() helps.
  Next next();
  /// What next() found. The next call of any other function changes it.
  const RedisReply& reply() const { return reply_; }

 private:
  // A reply's text, and in front of and behind each element its length and line ends.
  static constexpr std::size_t kMaxPending = RedisReply::kText + RedisReply::kElements * std::size_t{32};

  redisReader* reader_ = nullptr;
  RedisReply reply_;
  std::size_t pending_ = 0;  // fed since the last whole reply
};

}  // namespace heartbeat
