// Accept and If-None-Match.
#include "t/unit/support/test.h"

#include "shared/http/etag.h"
#include "shared/http/negotiate.h"

namespace {
using namespace heartbeat;

constexpr std::string_view kOffered[] = {"application/json", "application/xml", "text/html", "text/plain"};

void expect(std::string_view accept, int best) {
  if (negotiate(accept, kOffered) != best) fail_msg("\"%.*s\": %d", static_cast<int>(accept.size()), accept.data(), negotiate(accept, kOffered));
}

void favourites(void**) {
  expect("", 0);
  expect("*/*", 0);
  expect("application/xml", 1);
  expect("text/*", 2);
  expect("text/plain", 3);
  expect("TEXT/Plain", 3);
  expect("image/png", -1);
  expect("image/*, text/plain", 3);
  expect("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 2);
}

void qualities(void**) {
  expect("application/json;q=0.1, text/plain;q=0.2", 3);
  expect("application/json;q=0", -1);
  expect("application/json;q=0, */*", 1);
  expect("*/*;q=0.5, application/json;q=0.4", 1);
  expect("text/*;q=0.9, text/html;q=0.1, */*;q=0.2", 3);  // the closest range counts, not the best
  expect("text/plain;q=1.000, */*;q=0.999", 3);
  expect("text/html ; level=1 ; Q=0.3 , text/plain;q=0.31", 3);
  expect("text/plain;q=0.001", 3);
  expect("text/plain;q=0.000", -1);
}

void nonsense(void**) {
  for (std::string_view accept : {",", ";", ";;,,;", "/", "*", "text", "text/", "/*", "*/", "text /plain", "\"", "\"text/plain"}) expect(accept, -1);
  expect("text/plain;q=2", 3);
  expect("text/plain;q=", 3);
  expect("text/plain;q=0.5555, text/html;q=0.9", 3);  // none that is given: 1
  expect("text/plain;q=0x, text/html;q=0.9", 3);
  expect("a/b;c=\",text/plain,\\\"\", text/html", 2);  // a comma in quotes
  expect("text/plain;x=\"\\", 3);
}

void codings(void**) {
  for (std::string_view header : {"br", "gzip, br", "gzip;q=0.1,\tBR ;q=0.001", "*", "gzip, *;q=0.5", "br;q=1.0, *;q=0"}) {
    if (!takes_coding(header, "br")) fail_msg("%.*s", static_cast<int>(header.size()), header.data());
  }
  for (std::string_view header : {"", "gzip", "bro", "br;q=0", "br;q=0.000, *", "*;q=0", "gzip;x=br", ","}) {
    if (takes_coding(header, "br")) fail_msg("%.*s", static_cast<int>(header.size()), header.data());
  }
}

void tags(void**) {
  const std::string_view tag = "W/\"abc\"";
  for (std::string_view header : {"W/\"abc\"", "\"abc\"", "*", " \"abc\"", "\"x\", \"abc\"", "\"x\",W/\"abc\",\"y\"", "\"a,b\", \"abc\"", ",,\"abc\"",
                                  "\"abc-gzip\"", "W/\"abc-br\"", "\"abc;gzip\"", "\"\", \"abc\"", "W/\"x\" \t, W/\"abc\""}) {
    if (!has_tag(header, tag)) fail_msg("%.*s", static_cast<int>(header.size()), header.data());
  }
  for (std::string_view header : {"", " ", "\"x\"", "abc", "\"abc", "\"abcd\"", "\"ab\"", "W/", "W/abc", "w/\"abc\"", "\"x\" abc \"abc", "\"-gzip\"", ",",
                                  "\"ABC\"", "x, \"abc\""}) {
    if (has_tag(header, tag)) fail_msg("%.*s", static_cast<int>(header.size()), header.data());
  }
  assert_false(has_tag("\"\"", ""));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(favourites), cmocka_unit_test(qualities), cmocka_unit_test(nonsense), cmocka_unit_test(codings), cmocka_unit_test(tags)};
  return cmocka_run_group_tests_name("negotiate", tests, nullptr, nullptr);
}
