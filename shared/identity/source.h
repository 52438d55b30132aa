// Where the session id and the user's name come from: the sources of the settings, tried in their order.
#pragma once

#include "shared/http/body.h"
#include "shared/http/request.h"
#include "shared/session/layout.h"
#include "shared/settings/settings.h"

namespace heartbeat {

/// Longest session id, in bytes. A longer one is no session.
inline constexpr std::size_t kMaxId = 4096;
/// Longest name of a user and of a page, in bytes. What is longer is cut.
inline constexpr std::size_t kMaxUser = kUserBytes, kMaxPage = kPageBytes;

/// What sources draw on beside the request itself.
struct Evidence {
  const Body* body = nullptr;     // of a beat
  std::string_view token;         // the one that is good; empty: none
  std::string_view session, user; // what it says
  std::string_view token_cookie;  // name of the cookie that holds tokens; empty: none is believed
  bool issued = false;            // that cookie is heartbeat_cookie's: what is no token there counts for nothing
};

/// True for three parts with dots between them, as a token has, good or not.
bool token_shaped(std::string_view text);

/// The value of the first cookie of that name in the request that is not empty.
std::string_view cookie_of(const Request& request, std::string_view name);

/// The id of the request's session: the bytes as they came, but for an argument of the query, which is
/// percent-decoded into `arena`. Empty: the request has none, or memory ran out.
std::string_view session_id(const Request& request, std::span<const Source> sources, Arena& arena,
                            const Evidence& evidence = {});

/// The name of the request's user, in the same way, as UTF-8 of at most kMaxUser bytes: what is no UTF-8 and control
/// characters are replaced by U+FFFD. Empty: not known.
std::string_view user_name(const Request& request, std::span<const Source> sources, Arena& arena,
                           const Evidence& evidence = {});

/// `raw` as UTF-8 of at most `most` bytes in the same way; where it must be changed, in `arena`.
std::string_view clean_text(std::string_view raw, std::size_t most, Arena& arena);

}  // namespace heartbeat
