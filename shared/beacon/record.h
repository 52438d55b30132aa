// What the spool keeps of one request: a page view's script was delivered, or a batch of it came in.
#pragma once

#include <cstdint>
#include <string_view>

#include "shared/beacon/transport.h"
#include "shared/http/browser.h"

namespace heartbeat {

class Text;

/// What a page had to say when it sent a batch.
enum class BeaconEvent : std::uint8_t { load, more, hidden, leave, resume };
inline constexpr std::string_view kBeaconEventNames[] = {"load", "more", "hidden", "leave", "resume"};

/// One record. Views: into the request, or into the bytes that were read.
struct BeaconRecord {
  enum class Kind : std::uint8_t { script, batch };
  static constexpr std::uint8_t kFinal = 1, kGzip = 2, kContinues = 4;

  Kind kind = Kind::batch;
  std::int64_t at = 0;       // ms since 1970 by this host's clock
  std::string_view site;     // up to 255 bytes, like the next three
  std::string_view view;
  std::string_view session;  // as Redis shows it; empty: not known
  std::string_view type;     // of the payload, as the request names it
  std::string_view payload;
  std::uint16_t number = 0;  // of the batch
  BeaconEvent event = BeaconEvent::more;
  Transport transport = Transport::fetch;  // of a script: the first that the page was told to try
  Browser browser = Browser::other;
  std::uint8_t flags = 0;
};

/// Adds the bytes of `record` to `out`.
void write_record(const BeaconRecord& record, Text& out);

/// False: no record of this version.
bool read_record(std::string_view bytes, BeaconRecord& record);

}  // namespace heartbeat
