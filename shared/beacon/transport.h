// How a browser sends a beacon, and in which order the client script tries the ways it has.
#pragma once

#include <cstdint>
#include <string_view>

namespace heartbeat {

/// fetchLater (WICG), navigator.sendBeacon (W3C Beacon), fetch with keepalive (Fetch standard), an image's address.
enum class Transport : std::uint8_t { fetch_later, beacon, fetch, image };
inline constexpr unsigned kTransports = 4;

inline constexpr std::string_view kTransportNames[kTransports] = {"fetchLater", "beacon", "fetch", "image"};
constexpr std::string_view name_of(Transport transport) { return kTransportNames[static_cast<unsigned>(transport)]; }
/// False: there is none of that name.
constexpr bool transport_by_name(std::string_view name, Transport& transport) {
  for (unsigned i = 0; i < kTransports; ++i) {
    if (kTransportNames[i] != name) continue;
    transport = static_cast<Transport>(i);
    return true;
  }
  return false;
}

/// An order of some of them, each at most once.
struct TransportOrder {
  Transport list[kTransports] = {Transport::fetch_later, Transport::beacon, Transport::fetch, Transport::image};
  std::uint8_t count = kTransports;
  bool automatic = false;  // by the loss that is measured; the list holds those to choose from
};

}  // namespace heartbeat
