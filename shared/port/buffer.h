// A growing byte buffer that owns its memory; running out of memory is remembered, never thrown.
#pragma once

#include <cstdlib>
#include <cstring>
#include <string_view>

namespace heartbeat {

class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { release(); }

  void append(std::string_view text) {
    if (!reserve(size_ + text.size()) || text.empty()) return;
    std::memcpy(data_ + size_, text.data(), text.size());
    size_ += text.size();
  }
  /// Drops `count` bytes from the front.
  void consume(std::size_t count) {
    size_ -= count;
    if (size_ != 0) std::memmove(data_, data_ + count, size_);
  }
  void clear() {
    size_ = 0;
    failed_ = false;
  }
  /// Gives its memory back.
  void release() {
    std::free(data_);
    data_ = nullptr;
    capacity_ = 0;
    clear();
  }
  std::string_view view() const { return {data_, size_}; }
  bool empty() const { return size_ == 0; }
  /// True once memory ran out: what it holds is then incomplete.
  bool failed() const { return failed_; }

 private:
  bool reserve(std::size_t needed) {
    if (needed <= capacity_) return !failed_;
    std::size_t capacity = capacity_ == 0 ? 1024 : capacity_;
    while (capacity < needed) capacity *= 2;
    char* data = static_cast<char*>(std::realloc(data_, capacity));
    if (data == nullptr) {
      failed_ = true;
      return false;
    }
    data_ = data;
    capacity_ = capacity;
    return true;
  }

  char* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  bool failed_ = false;
};

}  // namespace heartbeat
