// A page view: what is asked of Redis, and what becomes of the answer.
#include "t/unit/support/test.h"

#include <jansson.h>
#include <sodium.h>

#include "shared/endpoint/deferred.h"
#include "shared/endpoint/endpoint.h"
#include "t/unit/support/fake_request.h"
#include "t/unit/support/fake_settings.h"
#include "t/unit/support/zone.h"
#include "view_lua.h"

namespace {
using namespace heartbeat;

constexpr std::string_view kName = "AAAAAAAAAAAAAAAAAAAAAA";

std::string bulk(std::string_view text) { return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n"; }
constexpr std::string_view kNil = "$-1\r\n";

using Fields = std::vector<std::pair<std::string, std::string>>;
using Batches = std::vector<std::pair<long, std::string>>;

std::string answer_of(const Fields& fields, const Batches& batches) {
  std::string bytes = "*" + std::to_string(1 + 2 * fields.size() + 2 * batches.size()) + "\r\n:" + std::to_string(2 * fields.size()) + "\r\n";
  for (const auto& [name, value] : fields) bytes += bulk(name) + bulk(value);
  for (const auto& [n, payload] : batches) bytes += bulk(std::to_string(n)) + bulk(payload);
  return bytes;
}

struct World {
  World() {
    set_defaults(context, settings);
    assert_true(table.create(zone.memory, zone.size));
    assert_true(table.add_site("one.test", table.add_store("x"), {}, site));
    store.prefix = "hb";
    request.method = Method::get;
  }
  void ask(std::string_view query) {
    request.query = query;
    Place place;
    Exchange exchange{request, settings, site, place, table, arena, 0};
    exchange.store = has_store ? &store : nullptr;
    reply = view(exchange);
    deferred = reply.deferred;
    if (deferred != nullptr) deferred->arena = &arena;
  }
  std::string asked(std::string_view query) {
    ask(query);
    if (deferred == nullptr) return std::to_string(reply.status);
    Buffer out;
    deferred->write(CommandWriter(out));
    std::string words;
    std::string_view rest = out.view();
    for (std::size_t i = 0; i < deferred->arguments(); ++i) {
      std::size_t size = std::strtoul(std::string(rest.substr(1)).c_str(), nullptr, 10);
      rest.remove_prefix(rest.find('\n') + 1);
      words += (i == 0 ? "" : "|") + std::string(rest.substr(0, size));
      rest.remove_prefix(size + 2);
    }
    assert_true(rest.empty());
    return words;
  }
  const Reply& answered(const std::string& bytes) {
    ask("view=AAAAAAAAAAAAAAAAAAAAAA");
    assert_non_null(deferred);
    assert_true(reader.reset() && reader.feed(bytes));
    assert_true(reader.next() == ReplyReader::Next::reply);
    deferred->take(reader.reply());
    return deferred->reply;
  }
  std::string header(const Reply& its, std::string_view name) {
    for (unsigned i = 0; i < its.header_count; ++i) {
      if (its.headers[i].name == name) return std::string(its.headers[i].value);
    }
    return "";
  }

  FakeArena arena;
  FakeContext context{arena};
  Settings settings;
  FakeRequest request;
  Zone zone;
  Table table;
  Site site;
  Store store;
  bool has_store = true;
  Reply reply;
  Deferred* deferred = nullptr;
  ReplyReader reader;
};

// The body, as a parser of JSON takes it.
struct Json {
  explicit Json(std::string_view text) : root(json_loadb(text.data(), text.size(), JSON_ALLOW_NUL, nullptr)) {
    if (root == nullptr) fail_msg("no JSON: %s", std::string(text.substr(0, 2000)).c_str());
  }
  ~Json() { json_decref(root); }
  json_t* at(const char* name) const { return json_object_get(root, name); }
  long long number(const char* name) const {
    assert_true(json_is_integer(at(name)));
    return json_integer_value(at(name));
  }
  json_t* batch(std::size_t i) const { return json_array_get(at("batches"), i); }
  json_t* root;
};

void questions(void**) {
  World world;
  assert_text_equal(world.asked("view=AAAAAAAAAAAAAAAAAAAAAA"), "hb:{one.test}:view:AAAAAAAAAAAAAAAAAAAAAA|hb:{one.test}:|AAAAAAAAAAAAAAAAAAAAAA|786432");
  assert_int_equal(world.deferred->keys(), 1);
  assert_true(world.deferred->script().text == kViewLua && world.deferred->script().sha1 == kViewLuaSha1);
  assert_text_equal(world.asked("x=1&view=%41AAAAAAAAAAAAAAAAAA-%5fw"), "hb:{one.test}:view:AAAAAAAAAAAAAAAAAAA-_w|hb:{one.test}:|AAAAAAAAAAAAAAAAAAA-_w|786432");
  world.settings.shards.value = 7;
  assert_text_equal(world.asked("view=AAAAAAAAAAAAAAAAAAAAAA"), "hb:{one.test/5}:view:AAAAAAAAAAAAAAAAAAAAAA|hb:{one.test/5}:|AAAAAAAAAAAAAAAAAAAAAA|786432");
}

void mistakes(void**) {
  World world;
  for (std::string_view query : {"", "view=", "view=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "view=AAAAAAAAAAAAAAAAAAAAA.", "view=AAAAAAAAAAAAAAAAAAAAA%00",
                                 "view=AAAAAAAAAAAAAAAAAAAA*A", "view=AAAAAAAAAAAAAAAAAAAA+A", "view=AAAAAAAAAAAAAAAAAAAA%0aA", "View=AAAAAAAAAAAAAAAAAAAAAA"}) {
    world.ask(query);
    if (world.deferred != nullptr || world.reply.status != 400) fail_msg("%s", std::string(query).c_str());
    assert_text_equal(world.reply.body, "view: expected the name of a page view, up to 64 letters, digits, - and _\n");
    assert_text_equal(world.header(world.reply, "Cache-Control"), "no-store");
  }
  world.request.headers = {{"Accept", "application/json"}};
  world.ask("view=x.");
  assert_text_equal(world.reply.body, "{\"error\":\"view: expected the name of a page view, up to 64 letters, digits, - and _\"}\n");
}

void no_redis(void**) {
  World world;
  world.has_store = false;
  world.ask("view=AAAAAAAAAAAAAAAAAAAAAA");
  assert_int_equal(world.reply.status, 503);
  assert_text_equal(world.header(world.reply, "Retry-After"), "2");
  world.has_store = true;
  world.ask("view=AAAAAAAAAAAAAAAAAAAAAA");
  world.deferred->no_answer("Redis does not answer");
  assert_int_equal(world.deferred->reply.status, 503);
  assert_text_equal(world.header(world.deferred->reply, "Retry-After"), "2");
  assert_text_equal(world.deferred->reply.body, "Redis does not answer\n");
}

void no_view(void**) {
  World world;
  const Reply& reply = world.answered("*1\r\n:0\r\n");
  assert_int_equal(reply.status, 404);
  assert_text_equal(reply.content_type, "application/json");
  assert_text_equal(reply.body, "{\"error\":\"there is no such view\"}\n");
  assert_text_equal(world.header(reply, "Cache-Control"), "no-store");
}

void json(void**) {
  World world;
  const Reply& reply = world.answered(answer_of({{"session", "s<1>"}, {"family", "chromium"}, {"choice", "fetchLater"}, {"state", "open"}, {"script", "1"}, {"load", "2"},
                                                 {"first", "1"}, {"seen", "9007199254740991"}, {"parts", "2"}, {"transport", "beacon"}, {"duplicates", "3"}, {"bytes", "9"},
                                                 {"batches", "2"}, {"last", "4"}, {"final", "4"}},
                                                {{1, "a\"\n<b>"}, {4, "\xff"}}));
  assert_int_equal(reply.status, 200);
  assert_text_equal(reply.content_type, "application/json");
  assert_text_equal(world.header(reply, "Cache-Control"), "no-store");
  assert_text_equal(world.header(reply, "X-Content-Type-Options"), "nosniff");
  assert_text_equal(world.header(reply, "Cross-Origin-Resource-Policy"), "same-origin");
  assert_text_equal(reply.body,
                    "{\"view\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"session\":\"s\\u003c1>\",\"family\":\"chromium\",\"state\":\"open\",\"script\":1,\"load\":2,\"leave\":null,"
                    "\"first\":1,\"seen\":9007199254740991,\"parts\":2,\"choice\":\"fetchLater\",\"transport\":\"beacon\",\"duplicates\":3,\"bytes\":9,\"batches\":[\n"
                    "{\"n\":1,\"payload\":\"a\\\"\\n\\u003cb>\"},\n{\"n\":4,\"base64\":\"/w==\"}],\"missing\":[0,2,3],\"final\":4}\n");
  Json body(reply.body);
  assert_int_equal(body.number("final"), 4);
}

void only_delivered(void**) {
  World world;
  const Reply& reply = world.answered(answer_of({{"state", "open"}, {"script", "5"}}, {}));
  assert_text_equal(reply.body,
                    "{\"view\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"session\":null,\"family\":null,\"state\":\"open\",\"script\":5,\"load\":null,\"leave\":null,\"first\":null,"
                    "\"seen\":null,\"parts\":1,\"choice\":null,\"transport\":null,\"duplicates\":0,\"bytes\":0,\"batches\":[],\"missing\":[],\"final\":null}\n");
}

// What a browser sends may be anything; what is shown is JSON, and the bytes can be had from it.
void hostile_payloads(void**) {
  World world;
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  std::string odd = "</script><!--\"'\\\0\x7f\u2028";
  std::string large;
  for (int i = 0; i < 5000; ++i) large += static_cast<char>(i * 7);
  const Reply& reply = world.answered(answer_of({{"state", "open"}, {"last", "3"}, {"session", "\xff\"\\"}}, {{0, all}, {1, odd}, {2, ""}, {3, large}}));
  Json body(reply.body);
  assert_lacks(reply.body, "<");
  auto text = [](json_t* batch, const char* name) { return std::string(json_string_value(json_object_get(batch, name)), json_string_length(json_object_get(batch, name))); };
  auto bytes = [&](json_t* batch) {
    std::string encoded = text(batch, "base64");
    std::string out(encoded.size(), '\0');
    std::size_t size = 0;
    assert_int_equal(sodium_base642bin(reinterpret_cast<unsigned char*>(out.data()), out.size(), encoded.data(), encoded.size(), nullptr, &size, nullptr, sodium_base64_VARIANT_ORIGINAL), 0);
    return out.substr(0, size);
  };
  assert_true(bytes(body.batch(0)) == all);
  assert_true(text(body.batch(1), "payload") == odd);
  assert_true(text(body.batch(2), "payload").empty());
  assert_true(bytes(body.batch(3)) == large);
}

void a_thousand_batches(void**) {
  World world;
  Batches batches;
  for (int n = 0; n < 1000; ++n) {
    if (n % 10 != 3) batches.emplace_back(n, std::string(700, static_cast<char>(n % 2 == 0 ? 'a' : 0xfe)));
  }
  const Reply& reply = world.answered(answer_of({{"state", "given-up"}, {"last", "999"}, {"batches", "900"}}, batches));
  assert_int_equal(reply.status, 200);
  Json body(reply.body);
  assert_int_equal(json_array_size(body.at("batches")), 900);
  assert_int_equal(json_array_size(body.at("missing")), 100);
  assert_int_equal(json_integer_value(json_array_get(body.at("missing"), 99)), 993);
  assert_int_equal(json_integer_value(json_object_get(body.batch(899), "n")), 999);
}

void more_than_is_shown(void**) {
  World world;
  const Reply& reply = world.answered("*7\r\n:2\r\n" + bulk("last") + bulk("1") + bulk("0") + bulk("x") + bulk("1") + std::string(kNil));
  assert_holds(reply.body, "\"batches\":[\n{\"n\":0,\"payload\":\"x\"},\n{\"n\":1,\"payload\":null}],\"missing\":[]");
}

void answers_that_cannot_be_read(void**) {
  for (const std::string& bytes : {std::string("*0\r\n"), std::string("*1\r\n:2\r\n"), std::string("*2\r\n:0\r\n:1\r\n"), std::string("*1\r\n:-2\r\n"), std::string("*2\r\n:1\r\n:1\r\n"),
                                   std::string(":0\r\n:0\r\n"), std::string("*3\r\n:4\r\n") + bulk("a") + bulk("b"), std::string("*3\r\n:9223372036854775806\r\n") + bulk("a") + bulk("b")}) {
    World world;
    unsigned status = world.answered(bytes).status;
    if (status != 503 && bytes != ":0\r\n:0\r\n") fail_msg("%s", bytes.c_str());
  }
  World world;
  Json body(world.answered(answer_of({{"state", ""}, {"script", "x"}, {"load", "-1"}, {"last", "99999999999999999999"}, {"final", "5000"}, {"parts", "1e3"}, {"bytes", "\xff"}}, {{7, ""}})).body);
  assert_true(json_is_null(body.at("script")) && json_is_null(body.at("load")) && json_is_null(body.at("state")));
  assert_int_equal(json_array_size(body.at("missing")), 999);
}

void memory_runs_out(void**) {
  for (std::size_t left = 0; left < 12; ++left) {
    World world;
    world.ask("view=AAAAAAAAAAAAAAAAAAAAAA");
    assert_non_null(world.deferred);
    assert_true(world.reader.reset() && world.reader.feed(answer_of({{"state", "open"}}, {{0, std::string(20000, 'x')}})));
    assert_true(world.reader.next() == ReplyReader::Next::reply);
    world.arena.left = left;
    world.deferred->take(world.reader.reply());
    assert_true(world.deferred->reply.status == 503 || world.deferred->reply.status == 200);
  }
  for (std::size_t left = 0; left < 3; ++left) {
    World world;
    world.arena.left = left;
    world.ask("view=AAAAAAAAAAAAAAAAAAAAAA");
    assert_true(world.deferred != nullptr || world.reply.status == 400 || world.reply.status == 503);
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(questions), cmocka_unit_test(mistakes), cmocka_unit_test(no_redis), cmocka_unit_test(no_view), cmocka_unit_test(json),
                              cmocka_unit_test(only_delivered), cmocka_unit_test(hostile_payloads), cmocka_unit_test(a_thousand_batches),
                              cmocka_unit_test(more_than_is_shown), cmocka_unit_test(answers_that_cannot_be_read), cmocka_unit_test(memory_runs_out)};
  return cmocka_run_group_tests_name("view", tests, nullptr, nullptr);
}
