// Which family of browsers sends a request: what ways of sending they have, and how they lose what is sent, is the same
// within one.
#pragma once

#include <cstdint>
#include <string_view>

namespace heartbeat {

enum class Browser : std::uint8_t { chromium, firefox, safari, other };
inline constexpr unsigned kBrowsers = 4;
inline constexpr std::string_view kBrowserNames[kBrowsers] = {"chromium", "firefox", "safari", "other"};
constexpr std::string_view name_of(Browser browser) { return kBrowserNames[static_cast<unsigned>(browser)]; }

/// By the User-Agent header (RFC 9110, section 10.1.5). On iOS all browsers are Safari inside, and say so.
constexpr Browser browser_of(std::string_view user_agent) {
  auto says = [&](std::string_view word) { return user_agent.find(word) != std::string_view::npos; };
  if (says("Chrome/") || says("Chromium/")) return Browser::chromium;
  if (says("Firefox/")) return Browser::firefox;
  return says("AppleWebKit/") ? Browser::safari : Browser::other;
}

}  // namespace heartbeat
