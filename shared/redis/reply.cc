// Replies of Redis.
#include "shared/redis/reply.h"

#include <charconv>
#include <cstdlib>
#include <hiredis/hiredis.h>
#include <hiredis/read.h>

namespace heartbeat {

std::int64_t number_of(std::string_view text) {
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

bool RedisReply::begin(Type whole, int elements) {
  type = whole;
  count = 0;
  bytes_.clear();
  if (elements > kElements) return false;
  if (elements > capacity_) {
    constexpr int kFewest = 8;
    int capacity = elements > kFewest ? elements : kFewest;
    void* memory = std::realloc(elements_, static_cast<std::size_t>(capacity) * sizeof(Element));
    if (memory == nullptr) return false;
    elements_ = static_cast<Element*>(memory);
    capacity_ = capacity;
  }
  count = elements;
  for (int i = 0; i < count; ++i) elements_[i] = {};
  return true;
}

bool RedisReply::put(int i, Type kind, std::string_view text, std::int64_t integer) {
  if (kind == Type::error || kind == Type::status) text = text.substr(0, kLine);
  std::size_t start = bytes_.view().size();
  if (!has(i) || text.size() > kText - start) return false;
  bytes_.append(text);
  elements_[i] = {kind, static_cast<std::uint32_t>(start), static_cast<std::uint32_t>(text.size()), integer};
  return !bytes_.failed();
}

void RedisReply::release() {
  std::free(elements_);
  elements_ = nullptr;
  capacity_ = count = 0;
  bytes_.release();
}

namespace {

using Type = RedisReply::Type;

// hiredis hands each value of a reply to one of these; a null result means "refused" and ends the parsing.
RedisReply& reply_of(const redisReadTask* task) { return *static_cast<RedisReply*>(task->privdata); }

bool nested(const redisReadTask* task) { return task->parent != nullptr && task->parent->parent != nullptr; }

void* put(const redisReadTask* task, Type type, std::string_view text, std::int64_t integer) {
  RedisReply& reply = reply_of(task);
  if (nested(task) || (task->parent == nullptr && !reply.begin(type, 1))) return nullptr;
  return reply.put(task->parent == nullptr ? 0 : task->idx, type, text, integer) ? &reply : nullptr;
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
  constexpr auto kMost = static_cast<decltype(elements)>(RedisReply::kElements);
  RedisReply& reply = reply_of(task);
  int count = elements > kMost ? RedisReply::kElements + 1 : static_cast<int>(elements);
  return task->parent == nullptr && reply.begin(Type::array, count) ? &reply : nullptr;
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
  reply_.release();
}

bool ReplyReader::reset() {
  release();
  reader_ = redisReaderCreateWithFunctions(&reply_functions);
  pending_ = 0;
  if (reader_ != nullptr) reader_->privdata = &reply_;
  return reader_ != nullptr;
}

bool ReplyReader::feed(std::string_view bytes) {
  pending_ += bytes.size();
  return reader_ != nullptr && redisReaderFeed(reader_, bytes.data(), bytes.size()) == REDIS_OK;
}

ReplyReader::Next ReplyReader::next() {
  void* whole = nullptr;
  if (reader_ == nullptr) return Next::broken;
  if (redisReaderGetReply(reader_, &whole) != REDIS_OK) {
    return reader_->err == REDIS_ERR_OOM ? Next::refused : Next::broken;  // OOM is how hiredis takes a null result
  }
  if (whole == nullptr) return pending_ > kMaxPending ? Next::refused : Next::more;
  pending_ = 0;
  return Next::reply;
}

}  // namespace heartbeat
