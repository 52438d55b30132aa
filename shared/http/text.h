// Text that grows in the memory of a request: what an answer's body is written into.
#pragma once

#include <charconv>
#include <cstring>
#include <string_view>

#include "shared/port/port.h"

namespace heartbeat {

class Text {
 public:
  /// `expected` bytes are the first piece of memory; where that is enough, nothing is ever moved.
  explicit Text(Arena& arena, std::size_t expected = 1024) : arena_(arena) { reserve(expected); }
  Text(const Text&) = delete;
  Text& operator=(const Text&) = delete;

  Text& add(std::string_view part) {
    if (part.empty() || !reserve(part.size())) return *this;
    std::memcpy(bytes_ + size_, part.data(), part.size());
    size_ += part.size();
    return *this;
  }
  Text& add(std::int64_t number) {
    char digits[24];
    return add({digits, static_cast<std::size_t>(std::to_chars(digits, digits + sizeof digits, number).ptr - digits)});
  }
  /// What was written so far; it stays as it is when more is added.
  std::string_view view() const { return {bytes_, size_}; }
  /// True once memory ran out: what was written is then incomplete.
  bool failed() const { return failed_; }

 private:
  // What was outgrown stays in the arena: doubling keeps that below the size of the text.
  bool reserve(std::size_t more) {
    if (more <= capacity_ - size_) return !failed_;
    std::size_t capacity = 2 * capacity_ < size_ + more ? size_ + more : 2 * capacity_;
    auto* bytes = failed_ ? nullptr : static_cast<char*>(arena_.allocate(capacity, 1));
    failed_ = bytes == nullptr;
    if (failed_) return false;
    if (size_ != 0) std::memcpy(bytes, bytes_, size_);
    bytes_ = bytes;
    capacity_ = capacity;
    return true;
  }

  Arena& arena_;
  char* bytes_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  bool failed_ = false;
};

/// Copies `page`; where @NAME@ stands in it, `write(NAME)` adds what belongs there.
template <class Write>
void fill(Text& out, std::string_view page, Write write) {
  for (;;) {
    std::size_t open = page.find('@');
    out.add(page.substr(0, open));
    if (open == std::string_view::npos) return;
    std::size_t close = page.find('@', open + 1);
    write(page.substr(open + 1, close - open - 1));
    page = page.substr(close + 1);
  }
}

}  // namespace heartbeat
