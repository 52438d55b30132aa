// Cross-origin calls.
#include "t/unit/support/test.h"

#include "shared/http/origin.h"
#include "t/unit/support/fake_request.h"

namespace {
using namespace heartbeat;

const std::string_view kList[] = {"https://a.example", "https://b.example:8443"};
const Origins kTwo{false, kList};
const Origins kAny{true, {}};
const Origins kNone{};

std::string headers(const Reply& reply) {
  std::string all;
  for (unsigned i = 0; i < reply.header_count; ++i) {
    all += std::string(reply.headers[i].name) + ": " + std::string(reply.headers[i].value) + "\n";
  }
  return all;
}

std::string cors(const Origins& allowed, const char* origin, bool bare = false) {
  FakeRequest request;
  if (origin != nullptr) request.headers = {{"origin", origin}};
  Reply reply;
  reply.bare = bare;
  add_cors(request, allowed, reply);
  return headers(reply);
}

void allowed(void**) {
  assert_true(origin_allowed(kTwo, "https://a.example"));
  assert_true(origin_allowed(kTwo, "https://b.example:8443"));
  for (const char* origin : {"", "https://a.example:443", "https://a.example.evil", "http://a.example", "a.example", "null",
                             "https://A.example", "https://a.exampl"}) {
    assert_false(origin_allowed(kTwo, origin));
  }
  assert_true(origin_allowed(kAny, "null"));
  assert_false(origin_allowed(kAny, ""));
  assert_false(origin_allowed(kNone, "https://a.example"));
}

void lists(void**) {
  assert_text_equal(cors(kTwo, "https://a.example"),
                    "Vary: Origin\nAccess-Control-Allow-Origin: https://a.example\nAccess-Control-Allow-Credentials: true\n");
  assert_text_equal(cors(kTwo, "https://evil.example"), "Vary: Origin\n");
  assert_text_equal(cors(kTwo, nullptr), "Vary: Origin\n");
  assert_text_equal(cors(kTwo, nullptr, true), "");
  assert_text_equal(cors(kTwo, "https://a.example", true),
                    "Access-Control-Allow-Origin: https://a.example\nAccess-Control-Allow-Credentials: true\n");
}

// Anybody may call, but never with the visitor's cookies.
void any(void**) {
  assert_text_equal(cors(kAny, "https://x"), "Access-Control-Allow-Origin: *\n");
  assert_text_equal(cors(kAny, nullptr), "");
  assert_text_equal(cors(kNone, "https://x"), "");
}

void preflight(void**) {
  Reply reply;
  add_preflight("HEAD, GET", reply);
  assert_int_equal(reply.status, 204);
  assert_holds(headers(reply), "Access-Control-Allow-Methods: HEAD, GET\n");
  assert_holds(headers(reply), "Access-Control-Max-Age: ");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(allowed), cmocka_unit_test(lists), cmocka_unit_test(any),
                              cmocka_unit_test(preflight)};
  return cmocka_run_group_tests_name("origin", tests, nullptr, nullptr);
}
