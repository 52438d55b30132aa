// base64url without padding.
#include "shared/http/base64url.h"

#include <array>
#include <cstdint>

namespace heartbeat {
namespace {

constexpr std::uint64_t kNoDigit = 1 << 24;  // beyond what four digits fill, wherever in them it stands

constexpr std::array<std::uint32_t, 256> digits() {
  std::array<std::uint32_t, 256> values{};
  values.fill(kNoDigit);
  std::uint32_t value = 0;
  for (char c : std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")) {
    values[static_cast<unsigned char>(c)] = value++;
  }
  return values;
}
constexpr std::array<std::uint32_t, 256> kDigits = digits();

std::uint64_t digit(char c) { return kDigits[static_cast<unsigned char>(c)]; }

}  // namespace

bool decode_base64url(std::string_view text, char* out) {
  const char* at = text.data();
  const char* end = at + text.size();
  std::uint64_t all = 0;
  for (; end - at >= 4; at += 4, out += 3) {
    std::uint64_t bits = digit(at[0]) << 18 | digit(at[1]) << 12 | digit(at[2]) << 6 | digit(at[3]);
    all |= bits;
    out[0] = static_cast<char>(bits >> 16);
    out[1] = static_cast<char>(bits >> 8);
    out[2] = static_cast<char>(bits);
  }
  if (end - at == 1) return false;
  std::uint64_t bits = 0;  // of the last two or three
  for (unsigned shift = 18; at < end; ++at, shift -= 6) bits |= digit(*at) << shift;
  all |= bits;
  for (std::size_t left = base64url_bytes(text.size() % 4); left > 0; --left, bits <<= 8) {
    *out++ = static_cast<char>(bits >> 16);
  }
  return all < kNoDigit && (bits & 0xffffff) == 0;
}

}  // namespace heartbeat
