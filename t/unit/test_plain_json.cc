// Plain JSON objects: what is read without the library is what the library reads.
#include "t/unit/support/test.h"

#include <jansson.h>
#include <random>

#include "shared/http/plain_json.h"

namespace {
using namespace heartbeat;
using Kind = PlainObject::Kind;

void members(void**) {
  PlainObject object;
  assert_true(object.read(" { \"page\" : \"/a b\" ,\t\"n\":-17,\r\n\"t\":true,\"f\":false,\"z\":null,\"e\":\"\",\"\":0 } "));
  assert_true(object.find("page")->kind == Kind::text);
  assert_text_equal(object.find("page")->text, "/a b");
  assert_true(object.find("n")->kind == Kind::number);
  assert_text_equal(object.find("n")->text, "-17");
  assert_int_equal(object.find("n")->number(), -17);
  assert_true(object.find("t")->kind == Kind::yes && object.find("f")->kind == Kind::no && object.find("z")->kind == Kind::null);
  assert_true(object.find("e")->kind == Kind::text && object.find("e")->text.empty());
  assert_text_equal(object.find("")->text, "0");
  assert_null(object.find("pag"));
  assert_true(object.read("{}") && object.find("page") == nullptr);
  assert_true(object.read("{ }"));
}

// Good or bad: the library decides.
void not_plain(void**) {
  PlainObject object;
  for (const char* text : {"", " ", "{", "}", "[]", "1", "{}x", "{} {}", "{,}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\":1 \"b\":2}", "{a:1}", "{'a':1}",
                           "{\"a\":1,\"a\":2}", "{\"a\":[]}", "{\"a\":{}}", "{\"a\":\"b\\n\"}", "{\"\\u0061\":1}", "{\"a\":\"\xc3\xa9\"}", "{\"a\":\"\x7f\"}", "{\"a\":\"\n\"}",
                           "{\"a\":01}", "{\"a\":-0}", "{\"a\":-}", "{\"a\":+1}", "{\"a\":1.5}", "{\"a\":1e3}", "{\"a\":1E3}", "{\"a\":1234567890123456}", "{\"a\":tru}",
                           "{\"a\":nul}", "{\"a\":truex}", "{\"a\":\"b", "{\"a", "{\"a\":1", "\xef\xbb\xbf{}", "\v{}"})
    if (object.read(text)) fail_msg("read: %s", text);
  assert_false(object.read(std::string_view("{\"a\":\"\0\"}", 9)));
  std::string many = "{\"a0\":0";
  for (unsigned i = 1; i < PlainObject::kMost; ++i) many += ",\"a" + std::to_string(i) + "\":" + std::to_string(i);
  std::string most = many + "}";
  assert_true(object.read(most));
  assert_text_equal(object.find("a11")->text, "11");
  assert_int_equal(object.members().size(), PlainObject::kMost);
  assert_false(object.read(many + ",\"more\":1}"));
}

bool same(const json_t* value, const PlainObject::Member& member) {
  switch (member.kind) {
    case Kind::null: return json_is_null(value);
    case Kind::yes: return json_is_true(value);
    case Kind::no: return json_is_false(value);
    case Kind::number: return json_is_integer(value) && std::to_string(json_integer_value(value)) == member.text && json_integer_value(value) == member.number();
    case Kind::text: return json_is_string(value) && std::string_view(json_string_value(value), json_string_length(value)) == member.text;
  }
  return false;
}

// Objects with one byte or more put wrong: whatever is read is what jansson says.
void as_the_library(void**) {
  const std::string good = R"({"page":"/x","active":true,"n":-120,"user":null,"leave":false, "s":"a b"})";
  const std::string bytes = "{}[]\":,-0123.eE \\tfn\x01\x7f\xc3";
  std::mt19937 random(7);
  unsigned read = 0;
  for (int round = 0; round < 200000; ++round) {
    std::string text = good;
    for (unsigned change = random() % 4; change > 0; --change) {
      std::size_t at = random() % text.size();
      if (random() % 2 == 0) text[at] = bytes[random() % bytes.size()];
      else text.erase(at, 1 + random() % 3);
      if (text.empty()) text = "{";
    }
    PlainObject object;
    if (!object.read(text)) continue;
    ++read;
    json_t* json = json_loadb(text.data(), text.size(), JSON_REJECT_DUPLICATES, nullptr);
    if (!json_is_object(json)) fail_msg("no object: %s", text.c_str());
    const char* name;
    json_t* value;
    json_object_foreach(json, name, value) {
      const PlainObject::Member* member = object.find(name);
      if (member == nullptr || !same(value, *member)) fail_msg("%s of %s", name, text.c_str());
    }
    json_decref(json);
  }
  assert_in_range(read, 60000, 150000);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(members), cmocka_unit_test(not_plain), cmocka_unit_test(as_the_library)};
  return cmocka_run_group_tests_name("plain_json", tests, nullptr, nullptr);
}
