// The Cookie header.
#include "t/unit/support/test.h"

#include "shared/http/cookie.h"

namespace {
using namespace heartbeat;

std::string value(std::string_view header) {
  std::string exact(header);  // the sanitizer sees a byte read beyond it
  exact.shrink_to_fit();
  return std::string(cookie_value(exact, "hb"));
}

void found(void**) {
  assert_text_equal(value("hb=1"), "1");
  assert_text_equal(value("a=b; hb=1; c=d"), "1");
  assert_text_equal(value("a=b;hb=1;c=d"), "1");
  assert_text_equal(value("hb=1;"), "1");
  assert_text_equal(value("  ;; \t;hb=1"), "1");
  assert_text_equal(value("hb=1 \t; x=y"), "1");
  assert_text_equal(value("hb=a=b=c"), "a=b=c");
  assert_text_equal(value("hb=\"quoted\""), "\"quoted\"");
  assert_text_equal(value("hb=a,b"), "a,b");
  assert_true(value(std::string("hb=a\0b", 6)) == std::string("a\0b", 3));
  assert_text_equal(value("hb=\xff\xfe"), "\xff\xfe");
}

void first_that_is_not_empty(void**) {
  assert_text_equal(value("hb=1; hb=2"), "1");
  assert_text_equal(value("hb=; hb=2"), "2");
  assert_text_equal(value("hb=  ; hb=2"), "2");
  assert_text_equal(value("hb; hb=2"), "2");
}

void not_found(void**) {
  for (const char* header : {"", "hb", "hb=", "hbb=1", "xhb=1", "x-hb=1", "HB=1", "a=hb=1", "h", "=hb", ";", "  ", "hb =1"}) {
    if (!value(header).empty()) fail_msg("\"%s\"", header);
  }
  assert_true(cookie_value({}, "hb").empty());
}

void every_length(void**) {
  for (std::size_t size = 1; size <= 5000; size += size < 100 ? 1 : 97) {
    std::string long_value(size, 'v');
    assert_true(value("a=b; hb=" + long_value) == long_value);
    assert_true(value("hb=" + long_value + "; a=b") == long_value);
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(found), cmocka_unit_test(first_that_is_not_empty),
                              cmocka_unit_test(not_found), cmocka_unit_test(every_length)};
  return cmocka_run_group_tests_name("cookie", tests, nullptr, nullptr);
}
