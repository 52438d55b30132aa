// The body of a beat, in each of its formats.
#include "t/unit/support/test.h"

#include "shared/http/body.h"
#include "t/unit/support/fake_arena.h"
#include "t/unit/support/fake_request.h"

namespace {
using namespace heartbeat;

constexpr const char* kForm = "application/x-www-form-urlencoded";
constexpr const char* kJson = "application/json";

struct Sent {
  FakeArena arena;
  FakeRequest request;
  Body body{arena};
  Error error;
  std::string bytes;
  bool good;
  Sent(const char* type, const std::string& text) : bytes(text) {
    request.body = bytes;
    if (type != nullptr) request.headers = {{"content-type", type}};
    good = body.read(request, error);
    if (good != (std::string(error.text()).empty())) fail_msg("%s: %s", text.c_str(), error.text());
  }
};

void assert_full(const Sent& sent) {
  assert_text_equal(sent.error.text(), "");
  assert_text_equal(sent.body.session, "s 1");
  assert_text_equal(sent.body.token, "a.b.c");
  assert_text_equal(sent.body.user, "Ann+B\xc3\xa9");
  assert_text_equal(sent.body.page, "/x?y=1&z");
  assert_true(sent.body.active == false && sent.body.leave);
}

void each_format(void**) {
  const std::string form = "session=s+1&token=a.b.c&user=Ann%2BB%C3%A9&page=%2Fx%3Fy%3D1%26z&active=0&leave=1&other=%00";
  const std::string json = R"({"session":"s 1","token":"a.b.c","user":"Ann+B\u00e9","page":"/x?y=1&z","active":false,"leave":true,"other":[{}]})";
  for (const char* type : {kForm, "text/plain", "text/plain;charset=UTF-8", "APPLICATION/X-www-form-urlencoded ; charset=x", static_cast<const char*>(nullptr)})
    assert_full(Sent(type, form));
  for (const char* type : {kJson, "application/json; charset=utf-8", "text/plain", "Text/Plain", static_cast<const char*>(nullptr)})
    assert_full(Sent(type, json));
  assert_full(Sent(kJson, " \n" + json + "\n"));
}

void nothing_said(void**) {
  for (const char* type : {kForm, kJson, "text/plain", "image/png", static_cast<const char*>(nullptr)}) assert_true(Sent(type, "").good);
  for (const auto& [type, text] : {std::pair{kForm, "user=&active=&session"}, std::pair{kForm, "&&=&"}, std::pair{kJson, "{}"},
                                   std::pair{kJson, R"({"user":null,"session":"","active":null,"leave":null,"token":null})"}}) {
    Sent sent(type, text);
    assert_text_equal(sent.error.text(), "");
    assert_true(sent.body.session.empty() && sent.body.token.empty() && sent.body.user.empty() && sent.body.page.empty());
    assert_true(!sent.body.active.has_value() && !sent.body.leave);
  }
}

void numbers(void**) {
  Sent sent(kJson, R"({"session":12345678901234,"user":-7,"active":1,"leave":0})");
  assert_text_equal(sent.error.text(), "");
  assert_text_equal(sent.body.session, "12345678901234");
  assert_text_equal(sent.body.user, "-7");
  assert_true(sent.body.active == true && !sent.body.leave);
}

void other_types(void**) {
  for (const char* type : {"text/html", "multipart/form-data; boundary=x", "application/octet-stream", "application/jsonx", "x", ";"}) {
    Sent sent(type, "{}");
    if (std::string(type) == ";") continue;  // says none
    assert_false(sent.good);
    assert_holds(sent.error.text(), "body: expected application/json, application/x-www-form-urlencoded, or text/plain");
  }
}

void refused(const char* type, const std::string& text, const char* expected) {
  Sent sent(type, text);
  if (sent.good) fail_msg("accepted: %s", text.c_str());
  assert_holds(sent.error.text(), expected);
}

void bad_fields(void**) {
  refused(kForm, "user=a%00", "user: expected text without control");
  refused(kForm, "session=%7f", "session: expected text");
  refused(kForm, "page=a%1Fb", "page: expected text");
  refused(kForm, "token=a%0d", "token: expected text");
  for (const char* word : {"yes", "2", "True", "01", "null"}) {
    refused(kForm, std::string("active=") + word, "active: expected true, false, 1 or 0");
    refused(kForm, std::string("leave=") + word, "leave: expected true, false, 1 or 0");
  }
  refused(kJson, R"({"session":{}})", "session: expected a string or a whole number");
  refused(kJson, R"({"user":1.5})", "user: expected a string or a whole number");
  refused(kJson, R"({"user":true})", "user: expected a string or a whole number");
  refused(kJson, R"({"page":1})", "page: expected a string");
  refused(kJson, R"({"token":1})", "token: expected a string");
  refused(kJson, R"({"user":"a\u0001"})", "user: expected text");
  for (const char* value : {"2", "\"1\"", "\"true\"", "1.0", "[]", "{}"}) refused(kJson, std::string(R"({"active":)") + value + "}", "active: expected true");
}

void bad_json(void**) {
  for (const char* text : {"{", "{]", "x", "{\"a\":1,}", "{\"a\":1}x", "{\"a\":1,\"a\":2}", "{\"user\":\"\xff\"}", "{'a':1}", "{\"user\":\"a\\u0000\"}", "{\"a\":1e999}", "\xef\xbb\xbf{}"})
    refused(kJson, text, "body: invalid JSON at byte");
  for (const char* text : {"[]", "[{}]"}) refused(kJson, text, "body: expected a JSON object");
  refused("text/plain", "{", "body: invalid JSON");
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "{\"a\":";
  refused(kJson, deep, "body: invalid JSON");
  Sent secret(kJson, "{\"token\":\"s3cr3t\",");
  assert_lacks(secret.error.text(), "s3cr3t");
}

void any_field(void**) {
  Sent form(kForm, "sid=a+b%2B&n=1&bad=%01&user=x");
  assert_text_equal(form.body.field("sid"), "a b+");
  assert_text_equal(form.body.field("user"), "x");
  for (const char* name : {"bad", "none", "si", ""}) assert_text_equal(form.body.field(name), "");
  Sent json(kJson, R"({"sid":"a b","n":17,"bad":"\u0001","flag":true,"list":["x"],"real":1.5})");
  assert_text_equal(json.body.field("sid"), "a b");
  assert_text_equal(json.body.field("n"), "17");
  for (const char* name : {"bad", "none", "flag", "list", "real", ""}) assert_text_equal(json.body.field(name), "");
  Sent none(kJson, "");
  assert_text_equal(none.body.field("sid"), "");
}

void without_memory(void**) {
  for (std::size_t left = 0; left < 8; ++left) {
    for (const char* text : {"user=%41&session=%42", "{\"user\":1,\"session\":\"x\"}"}) {
      FakeArena arena;
      FakeRequest request;
      Body body(arena);
      Error error;
      request.body = text;
      arena.left = left;
      body.read(request, error);
      body.field("user");
    }
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(each_format), cmocka_unit_test(nothing_said), cmocka_unit_test(numbers),
                              cmocka_unit_test(other_types), cmocka_unit_test(bad_fields), cmocka_unit_test(bad_json),
                              cmocka_unit_test(any_field), cmocka_unit_test(without_memory)};
  return cmocka_run_group_tests_name("body", tests, nullptr, nullptr);
}
