// The body of a beat. Input: a line with the content type, then the body.
#include "shared/http/body.h"
#include "t/fuzz/check.h"
#include "t/unit/support/fake_arena.h"
#include "t/unit/support/fake_request.h"

using namespace heartbeat;

namespace {

bool clean(std::string_view text) {
  for (char c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == 127) return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input = INPUT;
  std::string type(take_line(input));
  Exact bytes(input);
  FakeArena arena;
  FakeRequest request;
  request.headers = {{"Content-Type", type}};
  request.body = bytes;
  Body body(arena);
  Error error;
  bool good = body.read(request, error);
  CHECK(good == (error.text()[0] == '\0'));
  CHECK(good || std::string_view(error.text()).find("expected") != std::string_view::npos);
  CHECK(clean(error.text()));
  for (std::string_view text : {body.session, body.token, body.user, body.page}) CHECK(clean(text));
  for (std::string_view name : {"session", "sid", ""}) CHECK(clean(body.field(name)));
  CHECK(!good || body.field("session") == body.session);
  CHECK(!input.empty() || (good && body.session.empty() && !body.active.has_value() && !body.leave));
  return 0;
}
