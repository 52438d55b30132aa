// Words of the configuration. The input through the parsers, compared with what they promise; and as the value of
// every setting, whole and cut at its spaces: it is taken, or refused with a sentence.
#include <algorithm>
#include <vector>

#include "shared/settings/parse.h"
#include "t/fuzz/check.h"
#include "t/unit/support/fake_settings.h"

using namespace heartbeat;

namespace {

constexpr Millis kTenYears = 10LL * 365 * 24 * 3600 * 1000;

void check_numbers(std::string_view word) {
  std::uint64_t number = 0;
  bool digits = !word.empty() && word.find_first_not_of("0123456789") == std::string_view::npos;
  bool good = parse_number(word, UINT64_MAX, number);
  CHECK(!good || digits);
  if (digits && word.size() < 19) CHECK(good && number == std::strtoull(std::string(word).c_str(), nullptr, 10));
  if (good && number != UINT64_MAX) {
    std::uint64_t same = 0;
    CHECK(parse_number(word, number, same) && same == number);
    CHECK(number == 0 || !parse_number(word, number - 1, same));
  }
}

void check_times(std::string_view word) {
  Millis time = -1;
  if (!parse_time(word, time)) {
    CHECK(time == -1);
    return;
  }
  CHECK(time >= 0 && time <= kTenYears);
  Millis again = -1;
  CHECK(parse_time(std::to_string(time) + "ms", again) && again == time);
  for (char c : word) CHECK((c >= '0' && c <= '9') || std::string_view("mshdw").find(c) != std::string_view::npos);
}

void check_sizes(std::string_view word) {
  std::size_t bytes = 0;
  if (!parse_size(word, bytes)) return;
  CHECK(bytes <= std::size_t{1} << 40);
  std::size_t again = 0;
  CHECK(parse_size(std::to_string(bytes), again) && again == bytes);
}

void check_origins(std::string_view word) {
  if (!is_origin(word)) return;
  CHECK(word.size() <= 300 && word.find("://") != std::string_view::npos);
  for (char c : word) CHECK(static_cast<unsigned char>(c) > ' ' && c < 127 && std::string_view("\"'<>;,@/?#%").find(c == '/' ? 'x' : c) == std::string_view::npos);
  CHECK(word.find('/', word.find("://") + 3) == std::string_view::npos);
}

void check_settings(std::span<const std::string_view> words) {
  for (const Setting& setting : kSettingTable) {
    if (std::string_view(setting.name).ends_with("_file")) continue;  // no reading of any file
    FakeArena arena;
    FakeContext context(arena);
    Settings settings;
    Error error;
    apply_setting(setting, setting.name, context, words, settings, error);
    if (error) CHECK(std::string_view(error.text()).starts_with(setting.name) && std::strstr(error.text(), "expected ") != nullptr);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Exact word(INPUT);
  check_numbers(word);
  check_times(word);
  check_sizes(word);
  check_origins(word);
  const std::string_view whole = word;
  check_settings({&whole, 1});
  std::vector<std::string_view> words;
  for (std::string_view rest = whole; !rest.empty() && words.size() < 10;) {
    words.push_back(rest.substr(0, rest.find(' ')));
    rest.remove_prefix(std::min(rest.size(), words.back().size() + 1));
  }
  if (words.size() > 1) check_settings(words);
  endpoint_by_name(word);
  return 0;
}
