// Commands as Redis reads them: an array of bulk strings (RESP2).
#pragma once

#include <charconv>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "shared/port/buffer.h"

namespace heartbeat {

/// A script, and the SHA-1 by which a Redis that has had it knows it.
struct RedisScript {
  std::string_view text, sha1;
};

/// How it is named in the command.
enum class ScriptForm : std::uint8_t { by_hash, in_full };

/// Writes commands to the end of a buffer: begin() with the number of words, then each word.
class CommandWriter {
 public:
  explicit CommandWriter(Buffer& out) : out_(out) {}

  void begin(std::size_t words) { line('*', static_cast<std::int64_t>(words)); }
  void word(std::string_view text) {
    line('$', static_cast<std::int64_t>(text.size()));
    out_.append(text);
    out_.append("\r\n");
  }
  void number(std::int64_t value) {
    char digits[24];
    word({digits, static_cast<std::size_t>(std::to_chars(digits, digits + sizeof digits, value).ptr - digits)});
  }
  /// Begins a call of a script: its keys and then its other arguments follow, each as a word.
  void script(ScriptForm form, const RedisScript& script, std::size_t keys, std::size_t arguments) {
    begin(3 + keys + arguments);
    word(form == ScriptForm::by_hash ? "EVALSHA" : "EVAL");
    word(form == ScriptForm::by_hash ? script.sha1 : script.text);
    number(static_cast<std::int64_t>(keys));
  }
  /// A whole command.
  void command(std::initializer_list<std::string_view> words) {
    begin(words.size());
    for (std::string_view text : words) word(text);
  }

 private:
  void line(char type, std::int64_t value) {
    char text[24];
    text[0] = type;
    char* end = std::to_chars(text + 1, text + sizeof text - 2, value).ptr;
    *end++ = '\r';
    *end++ = '\n';
    out_.append({text, static_cast<std::size_t>(end - text)});
  }
  Buffer& out_;
};

}  // namespace heartbeat
