// What the script tells a page so that it can send beacons: a page view of its own, and how to send.
#include "shared/endpoint/script_view.h"

#include <algorithm>
#include <ctime>
#include <sodium.h>

#include "shared/beacon/ranking.h"
#include "shared/endpoint/keep.h"
#include "shared/identity/view.h"

namespace heartbeat {
namespace {

// From another origin the script sends its batches without cookies, and a beacon has them: browsers open a connection of
// its own for it, while the page goes. fetch takes the one that is there. (Sec-Fetch-Site: Fetch Metadata, W3C.)
TransportOrder default_order(const Exchange& exchange) {
  TransportOrder order;
  std::string_view site = exchange.request.header("Sec-Fetch-Site");
  if (site == "cross-site" || site == "same-site") {
    order.list[1] = Transport::fetch;
    order.list[2] = Transport::beacon;
  }
  return order;
}

// As the settings have it, or, where these leave it to what is measured, by that.
TransportOrder order_for(const Exchange& exchange, Browser browser) {
  const auto& order = exchange.settings.transports;
  if (!order.set) return default_order(exchange);
  if (!(*order).automatic) return *order;
  SiteRecord& site = exchange.table.site(exchange.site.index);
  site.orders_wanted.store(exchange.now, std::memory_order_relaxed);
  PackedOrder best = site.orders[static_cast<unsigned>(browser)].load(std::memory_order_relaxed);
  return order_of_view(best == 0 ? default_order(exchange) : unpacked(best), browser, randombytes_random());
}

void add_order(const TransportOrder& order, Text& out) {
  for (unsigned i = 0; i < order.count; ++i) out.add(i == 0 ? "[\"" : ",\"").add(name_of(order.list[i])).add("\"");
  out.add("]");
}

// The first that this family of browsers has.
Transport first_of(const TransportOrder& order, Browser browser) {
  const Transport* end = order.list + order.count;
  const Transport* first = std::find_if(order.list, end, [&](Transport each) { return has_transport(browser, each); });
  return first == end ? order.list[0] : *first;
}

// Where nobody is anonymous, only who shows a token gets a page view: then what comes under its name is no stranger's.
IssuedView view_for(const Exchange& exchange, const Visitor& visitor) {
  const Keyring* keys = *exchange.settings.keys;
  bool wanted = exchange.beacons != nullptr && exchange.site.index != kNone && keys != nullptr &&
                exchange.request.method == Method::get && (*exchange.settings.anonymous || visitor.verified);
  return wanted ? issue_view(*keys, *exchange.settings.retention, std::time(nullptr), exchange.arena) : IssuedView();
}

}  // namespace

void add_view(const Exchange& exchange, Text& out) {
  Visitor visitor = visitor_of({exchange.request, exchange.settings, exchange.arena, exchange.verified});
  IssuedView view = view_for(exchange, visitor);
  if (view.token.empty()) return;
  const Browser browser = browser_of(exchange.request.header("User-Agent"));
  const TransportOrder order = order_for(exchange, browser);
  ShownId session = shown_session(exchange, visitor.session);
  BeaconRecord record;
  record.kind = BeaconRecord::Kind::script;
  record.view = view.name;
  record.session = session;
  record.transport = first_of(order, browser);
  keep(exchange, record);
  out.add(",view:\"").add(view.token).add("\",order:");
  add_order(order, out);
  out.add(",most:").add(static_cast<std::int64_t>(*exchange.settings.body));
}

}  // namespace heartbeat
