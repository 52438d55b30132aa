// Which transport loses least.
#include "shared/beacon/ranking.h"

#include <algorithm>

namespace heartbeat {
namespace {

constexpr std::string_view kLeft = "chosen-leave:", kLost = "chosen-lost:";

bool browser_by_name(std::string_view name, Browser& browser) {
  for (unsigned i = 0; i < kBrowsers; ++i) {
    if (kBrowserNames[i] != name) continue;
    browser = static_cast<Browser>(i);
    return true;
  }
  return false;
}

}  // namespace

PackedOrder packed(const TransportOrder& order) {
  PackedOrder bits = 0;
  for (unsigned i = 0; i < kTransports; ++i) bits |= static_cast<PackedOrder>(static_cast<unsigned>(order.list[i]) << 2 * i);
  return bits;
}

TransportOrder unpacked(PackedOrder bits) {
  TransportOrder order;
  for (unsigned i = 0; i < kTransports; ++i) order.list[i] = static_cast<Transport>(bits >> 2 * i & 3);
  return order;
}

void Ranking::add(std::string_view counter, std::int64_t value) {
  const bool left = counter.starts_with(kLeft);
  if (!left && !counter.starts_with(kLost)) return;
  counter.remove_prefix(left ? kLeft.size() : kLost.size());
  const std::size_t colon = counter.find(':');
  Transport transport{};
  Browser browser{};
  bool known = colon != std::string_view::npos && transport_by_name(counter.substr(0, colon), transport) &&
               browser_by_name(counter.substr(colon + 1), browser);
  if (!known || value < 0) return;
  Count& count = counts_[static_cast<unsigned>(browser)][static_cast<unsigned>(transport)];
  (left ? count.left : count.lost) += value;
}

// Above 1: not enough is known. A little is added to both sides, so that a few lucky ones are not the best for ever.
double Ranking::loss(Browser browser, Transport transport) const {
  const Count& count = counts_[static_cast<unsigned>(browser)][static_cast<unsigned>(transport)];
  const std::int64_t all = count.left + count.lost;
  if (all < kEnough || !has_transport(browser, transport)) return 2;
  return (static_cast<double>(count.lost) + 1) / (static_cast<double>(all) + 2);
}

PackedOrder Ranking::order_for(Browser browser) const {
  TransportOrder order;
  auto loss_of = [&](Transport transport) { return loss(browser, transport); };
  if (std::ranges::none_of(order.list, [&](Transport transport) { return loss_of(transport) < 1; })) return 0;
  for (unsigned i = 1; i < kTransports; ++i) {  // by insertion: those that are equal stay as they stand
    for (unsigned j = i; j > 0 && loss_of(order.list[j]) < loss_of(order.list[j - 1]); --j) {
      std::swap(order.list[j], order.list[j - 1]);
    }
  }
  return packed(order);
}

TransportOrder order_of_view(const TransportOrder& known, Browser browser, std::uint32_t random) {
  TransportOrder order = known;
  if (random % 10 != 0) return order;
  Transport* others[kTransports];
  unsigned count = 0;
  for (unsigned i = 0; i < order.count; ++i) {
    if (has_transport(browser, order.list[i])) others[count++] = &order.list[i];
  }
  if (count == 0) return order;
  Transport* chosen = others[random / 10 % count];
  std::rotate(order.list, chosen, chosen + 1);
  return order;
}

}  // namespace heartbeat
