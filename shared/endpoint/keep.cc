// What endpoints put into the spool.
#include "shared/endpoint/keep.h"

#include <algorithm>

#include "shared/http/date.h"
#include "shared/redis/store.h"

namespace heartbeat {
ShownId shown_session(const Exchange& exchange, std::string_view session) {
  if (session.empty() || exchange.store == nullptr || exchange.site.index == kNone) return {};
  const SiteRecord& site = exchange.table.site(exchange.site.index);
  const auto& key = exchange.table.store(exchange.store->index).key;
  if (std::ranges::all_of(key, [](unsigned char byte) { return byte == 0; })) return {};
  return shown_id(kept_name(session), {site.name, site.size}, site.plain != 0, key);
}

bool keep(const Exchange& exchange, BeaconRecord& record) {
  if (exchange.beacons == nullptr || exchange.site.index == kNone) return false;
  const SiteRecord& site = exchange.table.site(exchange.site.index);
  record.site = {site.name, site.size};
  record.at = wall_clock();
  record.browser = browser_of(exchange.request.header("User-Agent"));
  Text bytes(exchange.arena, record.payload.size() + 512);
  write_record(record, bytes);
  Error why;  // is counted, and told by the process that ships
  Spool::Care care = record.kind == BeaconRecord::Kind::script ? Spool::Care::noted : Spool::Care::promised;
  return !bytes.failed() && exchange.beacons->spool.append(bytes.view(), why, care) == Spool::Kept::yes;
}

}  // namespace heartbeat
