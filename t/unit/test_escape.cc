// Names in every format: what comes out is that format, and the name can be had back.
#include "t/unit/support/test.h"

#include "shared/http/escape.h"
#include "t/unit/support/fake_arena.h"

namespace {
using namespace heartbeat;
using Add = void (*)(Text&, std::string_view);

std::string written(Add add, std::string_view text) {
  FakeArena arena;
  Text out(arena, 1);
  add(out, text);
  assert_false(out.failed());
  return std::string(out.view());
}
std::string json(std::string_view text) { return written(add_json, text); }
std::string xml(std::string_view text) { return written(add_xml, text); }
std::string html(std::string_view text) { return written(add_html, text); }
std::string csv(std::string_view text) { return written(add_csv, text); }
#define FFFD "\xef\xbf\xbd"

void ordinary(void**) {
  for (std::string_view text : {"", "alice", "a.b_c~1", "Zo\xc3\xab", "\xe6\x97\xa5\xe6\x9c\xac", "\xf0\x9f\x92\x93", "a b"}) {
    assert_text_equal(json(text), "\"" + std::string(text) + "\"");
    assert_text_equal(xml(text), text);
    assert_text_equal(html(text), text);
    assert_text_equal(csv(text), text);
  }
}

void special(void**) {
  assert_text_equal(json("a\"b\\c\n\t\x01\x1f\x7f</script>"), "\"a\\\"b\\\\c\\n\\t\\u0001\\u001f\\u007f\\u003c/script>\"");
  assert_text_equal(json(std::string_view("\0", 1)), "\"\\u0000\"");
  assert_text_equal(html("<b a='1' c=\"2\">&amp;"), "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;amp;");
  assert_text_equal(xml("\t\r\n\x01\x1b\x7f]]>"), "&#9;&#13;&#10;" FFFD FFFD FFFD "]]&gt;");
  assert_text_equal(xml(std::string_view("\0", 1)), FFFD);
  assert_text_equal(xml("a\xef\xbf\xbe" "b\xef\xbf\xbf" "c\xef\xbf\xbd"), "a" FFFD "b" FFFD "c" FFFD);
  assert_text_equal(json("\xef\xbf\xbe"), "\"\xef\xbf\xbe\"");
}

void separators_of_lines(void**) {
  assert_text_equal(json("a\xe2\x80\xa8" "b\xe2\x80\xa9" "c\xe2\x80\xa7"), "\"a\\u2028b\\u2029c\xe2\x80\xa7\"");
  assert_text_equal(json("\xe2\x80\"\xe2\x80"), "\"" FFFD "\\\"" FFFD "\"");
  assert_text_equal(json("<\xe2\x80\xa8\xe2\x80\xa8<"), "\"\\u003c\\u2028\\u2028\\u003c\"");
}

void plain_lines(void**) {
  auto plain = [](std::string_view text) { return written(add_plain, text); };
  assert_text_equal(plain("Zo\xc3\xab <b>\"&' \xf0\x9f\x92\x93"), "Zo\xc3\xab <b>\"&' \xf0\x9f\x92\x93");
  for (std::string_view text : {"\t", "\n", "\r", "\x1b", "\x7f", "\xc2\x80", "\xc2\x85", "\xc2\x9f", "\xe2\x80\xa8", "\xe2\x80\xa9", "\xff", "\xe2\x80"}) {
    assert_text_equal(plain("a" + std::string(text) + "b"), "a" FFFD "b");
  }
  assert_text_equal(plain(std::string_view("\0", 1)), FFFD);
  assert_text_equal(plain("\xc2\xa0"), "\xc2\xa0");
}

void fields_of_csv(void**) {
  assert_text_equal(csv("a,b"), "\"a,b\"");
  assert_text_equal(csv("a\"b"), "\"a\"\"b\"");
  assert_text_equal(csv("a\r\nb"), "\"a\r\nb\"");
  assert_text_equal(csv(" a"), "\" a\"");
  assert_text_equal(csv("a "), "\"a \"");
  assert_text_equal(csv("a=b"), "a=b");
  assert_text_equal(csv(std::string_view("a\0b", 3)), "a" FFFD "b");
  for (std::string_view text : {"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'x", "  =1", "\x7f=1", "\xef\xbc\x9d" "1",
                                "\xef\xbc\x8b" "1", "\xef\xbc\x8d" "1", "\xef\xbc\xa0" "1"}) {
    std::string field = csv(text);
    if (!field.starts_with("\"'") || !field.ends_with('"')) fail_msg("%s", field.c_str());
    if (text[0] != '\x7f') assert_text_equal(field.substr(2, field.size() - 3), text);
  }
  assert_text_equal(csv("=HYPERLINK(\"http://x\",\"y\")"), "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\"");
}

// The examples of Unicode 15, tables 3-8 to 3-11.
void no_utf8(void**) {
  assert_text_equal(html("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41"), FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A");
  assert_text_equal(html("\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41"), FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A");
  assert_text_equal(html("\xf4\x91\x92\x93\xff\x41\x80\xbf\x42"), FFFD FFFD FFFD FFFD FFFD "A" FFFD FFFD "B");
  assert_text_equal(html("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41"), FFFD FFFD FFFD FFFD "A");
  assert_text_equal(json("\xe2\x82"), "\"" FFFD "\"");
  assert_text_equal(json("\xe2\"x"), "\"" FFFD "\\\"x\"");
  assert_text_equal(csv("\xff,"), "\"" FFFD ",\"");
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    bool good = false;
    std::size_t size = character(text, good);
    if (!good || size == 0 || size > text.size()) return false;
    text.remove_prefix(size);
  }
  return true;
}

void always_utf8(void**) {
  std::uint32_t random = 1;
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (int i = round % 12; i > 0; --i) {
      random = random * 1664525 + 1013904223;
      text += static_cast<char>(random % 3 == 0 ? random >> 24 : 0x80 | random >> 24);
    }
    for (Add add : {add_json, add_xml, add_html, add_csv}) assert_true(is_utf8(written(add, text)));
    for (char c : html(text)) assert_true(std::string_view("<>\"'").find(c) == std::string_view::npos);
  }
}

void every_character_is_good(void**) {
  for (std::uint32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xd800 && c < 0xe000) continue;
    std::string text;
    if (c < 0x80) text = {static_cast<char>(c)};
    else if (c < 0x800) text = {static_cast<char>(0xc0 | c >> 6), static_cast<char>(0x80 | (c & 63))};
    else if (c < 0x10000) text = {static_cast<char>(0xe0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 63)), static_cast<char>(0x80 | (c & 63))};
    else text = {static_cast<char>(0xf0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 63)), static_cast<char>(0x80 | (c >> 6 & 63)), static_cast<char>(0x80 | (c & 63))};
    bool good = false;
    if (character(text, good) != text.size() || !good) fail_msg("U+%04X", c);
  }
}

void memory_runs_out(void**) {
  FakeArena arena;
  arena.left = 2;
  Text out(arena, 4);
  out.add("abcd").add("efg");
  assert_text_equal(out.view(), "abcdefg");
  out.add(std::string(100, 'x')).add("y");
  assert_true(out.failed());
  assert_text_equal(out.view(), "abcdefg");
  arena.left = 0;
  Text none(arena);
  assert_true(none.add("a").failed() && none.view().empty());
}

void in_a_url(void**) {
  assert_text_equal(written(add_percent, "aZ09-._~"), "aZ09-._~");
  assert_text_equal(written(add_percent, "a b&c=d+e/f?g#h%i<\"'@[\\]^`{|}"),
                    "a%20b%26c%3Dd%2Be%2Ff%3Fg%23h%25i%3C%22%27%40%5B%5C%5D%5E%60%7B%7C%7D");
  assert_text_equal(written(add_percent, std::string_view("\0\x7f\xff\xc3\xab", 5)), "%00%7F%FF%C3%AB");
}

void numbers(void**) {
  FakeArena arena;
  Text out(arena);
  out.add(std::int64_t{0}).add(" ").add(INT64_MIN).add(" ").add(INT64_MAX);
  assert_text_equal(out.view(), "0 -9223372036854775808 9223372036854775807");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(ordinary), cmocka_unit_test(special), cmocka_unit_test(separators_of_lines), cmocka_unit_test(plain_lines), cmocka_unit_test(fields_of_csv),
                              cmocka_unit_test(no_utf8), cmocka_unit_test(always_utf8),
                              cmocka_unit_test(every_character_is_good), cmocka_unit_test(memory_runs_out),
                              cmocka_unit_test(in_a_url), cmocka_unit_test(numbers)};
  return cmocka_run_group_tests_name("escape", tests, nullptr, nullptr);
}
