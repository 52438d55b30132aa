// Where the session id comes from. Input, a line each: the sources as in heartbeat_session, the query, then the headers.
#include <set>
#include <vector>

#include "shared/identity/source.h"
#include "t/fuzz/check.h"
#include "t/unit/support/fake_request.h"
#include "t/unit/support/fake_settings.h"

using namespace heartbeat;

namespace {

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty() && words.size() < 8) {
    std::size_t end = line.find(' ');
    if (end != 0) words.push_back(line.substr(0, end));
    line = end == std::string_view::npos ? std::string_view() : line.substr(end + 1);
  }
  return words;
}

FakeRequest request_of(std::string_view input) {
  FakeRequest request;
  while (!input.empty()) {
    std::string_view line = take_line(input);
    std::size_t colon = line.find(": ");
    if (colon == std::string_view::npos) continue;
    if (line.substr(0, colon) == "Cookie") request.cookie_lines.emplace_back(line.substr(colon + 2));
    else request.headers.emplace_back(line.substr(0, colon), line.substr(colon + 2));
  }
  return request;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input = INPUT;
  std::vector<std::string_view> words = words_of(take_line(input));
  FakeArena arena;
  FakeContext context(arena);
  Settings settings;
  Error error;
  if (words.empty()) return 0;
  apply_setting(*setting_named("heartbeat_session"), "heartbeat_session", context, words, settings, error);
  CHECK(static_cast<bool>(error) == (std::string_view(error.text()).find("expected") != std::string_view::npos));
  if (error) return 0;
  CHECK((*settings.session).size() == words.size());

  Exact query(take_line(input));
  FakeRequest request = request_of(input);
  request.query = query;
  std::string_view id = session_id(request, *settings.session, arena);
  CHECK(id.size() <= kMaxId);
  // What the sources give one by one: the first that is not empty, unless it is too long.
  std::string expected;
  for (const Source& source : *settings.session) {
    expected = session_id(request, {&source, 1}, arena);
    bool hit = !expected.empty();
    if (!hit && source.kind == Source::Kind::cookie) continue;
    if (hit) break;
    if (source.kind == Source::Kind::header && request.header(source.name).size() > kMaxId) break;
    if (source.kind == Source::Kind::arg && query.view().size() > kMaxId) return 0;
  }
  bool too_long = false;
  for (const std::string& line : request.cookie_lines) too_long = too_long || line.size() > kMaxId;
  CHECK(too_long || id == expected);
  return 0;
}
