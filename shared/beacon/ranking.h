// Which transport loses least, for each family of browsers, by what was counted of page views that were told to try it
// first: the counters chosen-leave and chosen-lost of the days (delivery.lua).
#pragma once

#include <cstdint>
#include <string_view>

#include "shared/beacon/transport.h"
#include "shared/http/browser.h"

namespace heartbeat {

/// An order of all transports in one byte, two bits for each from the lowest on. 0, which would be four times the same,
/// says that none is known.
using PackedOrder = std::uint8_t;
PackedOrder packed(const TransportOrder& order);
TransportOrder unpacked(PackedOrder order);

/// fetchLater is Chromium's.
constexpr bool has_transport(Browser browser, Transport transport) {
  return transport != Transport::fetch_later || browser == Browser::chromium;
}

class Ranking {
 public:
  /// Page views below which nothing is concluded from what became of them.
  static constexpr std::int64_t kEnough = 50;

  /// Takes one counter of a day; those of other things count for nothing.
  void add(std::string_view counter, std::int64_t value);
  /// The order for a family: those of which enough is known by their loss, the others behind them as they stand by
  /// default. 0: not enough is known of any.
  PackedOrder order_for(Browser browser) const;

 private:
  struct Count {
    std::int64_t left, lost;
  };
  double loss(Browser browser, Transport transport) const;

  Count counts_[kBrowsers][kTransports] = {};
};

/// The order for one page view. One in ten begins with any other transport of this family, as `random` has it, so that
/// what is measured of each stays true.
TransportOrder order_of_view(const TransportOrder& known, Browser browser, std::uint32_t random);

}  // namespace heartbeat
