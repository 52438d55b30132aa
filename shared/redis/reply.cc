// Replies of Redis.
#include "shared/redis/reply.h"

#include <cstring>
#include <hiredis/hiredis.h>
#include <hiredis/read.h>

namespace heartbeat {
namespace {

using Type = RedisReply::Type;

// hiredis hands each value of a reply to one of these; a null result means "refused" and ends the parsing.
RedisReply& reply_of(const redisReadTask* task) { return *static_cast<RedisReply*>(task->privdata); }

void* put(const redisReadTask* task, Type type, std::string_view text, std::int64_t integer) {
  RedisReply& reply = reply_of(task);
  if (task->parent == nullptr) {
    reply.type = type;
    reply.used = 0;
    reply.count = 1;
  } else if (task->parent->parent != nullptr || task->idx >= RedisReply::kElements) {
    return nullptr;
  }
  if (text.size() > RedisReply::kText - reply.used) {
    if (type != Type::error && type != Type::status) return nullptr;
    text = text.substr(0, RedisReply::kText - reply.used);
  }
  RedisReply::Element& element = reply.elements[task->parent == nullptr ? 0 : task->idx];
  element.type = type;
  element.integer = integer;
  element.text = {reply.bytes + reply.used, text.size()};
  if (!text.empty()) std::memcpy(reply.bytes + reply.used, text.data(), text.size());
  reply.used += text.size();
  return &reply;
}

void* on_string(const redisReadTask* task, char* text, std::size_t size) {
  Type type = task->type == REDIS_REPLY_ERROR ? Type::error : task->type == REDIS_REPLY_STATUS ? Type::status
                                                                                                 : Type::string;
  return put(task, type, {text, size}, 0);
}

#if HIREDIS_MAJOR >= 1
void* on_array(const redisReadTask* task, std::size_t elements) {
#else
void* on_array(const redisReadTask* task, int elements) {
#endif
  if (task->parent != nullptr || elements > RedisReply::kElements) return nullptr;
  RedisReply& reply = reply_of(task);
  reply.type = Type::array;
  reply.used = 0;
  reply.count = static_cast<int>(elements);
  return &reply;
}

void* on_integer(const redisReadTask* task, long long value) { return put(task, Type::integer, {}, value); }
void* on_nil(const redisReadTask* task) { return put(task, Type::nil, {}, 0); }
void free_nothing(void*) {}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"  // later versions of hiredis have more: RESP3 only
constinit redisReplyObjectFunctions reply_functions = {.createString = on_string,
                                                       .createArray = on_array,
                                                       .createInteger = on_integer,
                                                       .createNil = on_nil,
                                                       .freeObject = free_nothing};
#pragma GCC diagnostic pop

}  // namespace

void ReplyReader::release() {
  if (reader_ != nullptr) redisReaderFree(reader_);
  reader_ = nullptr;
}

bool ReplyReader::reset() {
  release();
  reader_ = redisReaderCreateWithFunctions(&reply_functions);
  pending_ = 0;
  if (reader_ != nullptr) reader_->privdata = &current_;
  return reader_ != nullptr;
}

bool ReplyReader::feed(std::string_view bytes) {
  pending_ += bytes.size();
  return reader_ != nullptr && redisReaderFeed(reader_, bytes.data(), bytes.size()) == REDIS_OK;
}

ReplyReader::Next ReplyReader::next(RedisReply& reply) {
  void* whole = nullptr;
  if (reader_ == nullptr || redisReaderGetReply(reader_, &whole) != REDIS_OK) return Next::broken;
  if (whole == nullptr) return pending_ > kMaxPending ? Next::broken : Next::more;
  pending_ = 0;
  reply = current_;
  for (int i = 0; i < reply.count; ++i) {  // the views move along with the bytes
    RedisReply::Element& element = reply.elements[i];
    if (element.text.data() == nullptr) continue;
    element.text = {reply.bytes + (element.text.data() - current_.bytes), element.text.size()};
  }
  return Next::reply;
}

}  // namespace heartbeat
