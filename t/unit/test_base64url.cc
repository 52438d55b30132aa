// base64url: the ASCII that libsodium takes is taken, and says the same. (It takes other bytes for digits.)
#include "t/unit/support/test.h"

#include <cstring>
#include <memory>
#include <random>
#include <sodium.h>

#include "shared/http/base64url.h"

namespace {
using namespace heartbeat;

void compare(const std::string& text) {
  std::unique_ptr<char[]> exact(new char[text.size()]), out(new char[base64url_bytes(text.size())]);
  std::memcpy(exact.get(), text.data(), text.size());
  std::string expected(text.size() + 1, '\0');
  std::size_t size = 0;
  bool good = sodium_base642bin(reinterpret_cast<unsigned char*>(expected.data()), expected.size(), text.data(), text.size(), nullptr, &size,
                                nullptr, sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0;
  for (char c : text) good = good && static_cast<unsigned char>(c) < 128;
  if (decode_base64url({exact.get(), text.size()}, out.get()) != good) fail_msg("%s: %s", text.c_str(), good ? "is good" : "is bad");
  if (!good) return;
  assert_int_equal(base64url_bytes(text.size()), size);
  assert_text_equal(std::string_view(out.get(), size), expected.substr(0, size));
}

void sizes(void**) {
  for (std::size_t size = 0; size <= 9; ++size) compare(std::string(size, 'A'));
  assert_int_equal(base64url_bytes(0), 0);
  assert_int_equal(base64url_bytes(2), 1);
  assert_int_equal(base64url_bytes(3), 2);
  assert_int_equal(base64url_bytes(4), 3);
  assert_int_equal(base64url_bytes(4096), 3072);
}

// Any byte anywhere, and any two in the end, where bits may be left over.
void each_byte(void**) {
  for (std::size_t size = 1; size <= 11; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string text(size, 'w');
        text[at] = static_cast<char>(byte);
        compare(text);
        text.back() = 'A';
        compare(text);
      }
    }
  }
  for (std::size_t size = 2; size <= 7; ++size) {
    std::string text(size, 'k');
    for (int pair = 0; pair < 65536; ++pair) {
      text[size - 2] = static_cast<char>(pair >> 8);
      text[size - 1] = static_cast<char>(pair);
      compare(text);
    }
  }
}

void there_and_back(void**) {
  std::mt19937 random(5);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes(random() % 100, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    std::string text(sodium_base64_encoded_len(bytes.size(), sodium_base64_VARIANT_URLSAFE_NO_PADDING), '\0');
    sodium_bin2base64(text.data(), text.size(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    text.pop_back();
    compare(text);
    std::string out(base64url_bytes(text.size()), '\0');
    assert_true(decode_base64url(text, out.data()));
    assert_text_equal(out, bytes);
    if (!text.empty()) text[random() % text.size()] = static_cast<char>(random());
    compare(text);
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(sizes), cmocka_unit_test(each_byte), cmocka_unit_test(there_and_back)};
  return cmocka_run_group_tests_name("base64url", tests, nullptr, nullptr);
}
