// What Redis would know from the batches of a table: runs of signs put together without any hurry. And a world to mark
// sessions in.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "t/unit/support/marks.h"
#include "t/unit/support/zone.h"

namespace heartbeat {

/// Stretches of time in any order; those at most a gap apart are one.
struct Runs {
  std::vector<std::pair<Millis, Millis>> all;

  void add(Millis from, Millis to) { all.emplace_back(from, to); }
  std::vector<std::pair<Millis, Millis>> merged(Millis gap) const {
    std::vector<std::pair<Millis, Millis>> sorted = all, result;
    std::sort(sorted.begin(), sorted.end());
    for (const auto& [from, to] : sorted) {
      if (result.empty() || from > result.back().second + gap) result.emplace_back(from, to);
      else result.back().second = std::max(result.back().second, to);
    }
    return result;
  }
  Millis length(Millis gap) const {
    Millis sum = 0;
    for (const auto& [from, to] : merged(gap)) sum += to - from;
    return sum;
  }
};

struct Ledger {
  struct Session {
    Runs open, active;
    std::map<std::string, Runs> open_of, active_of;  // by user
    std::uint64_t beats = 0;
    std::string user, page, source;
    bool left = false;
    Millis last = 0;
  };

  void apply(const Table& table, const BatchEntry& entry) {
    const Name& name = table.name(entry.slot);
    Session& session = sessions[std::string(name.bytes, name.size == Name::kDigest ? kDigestBytes : name.size)];
    Table::Said said;
    table.said(entry, said);
    if (!said.user.empty()) session.user = said.user;
    if (!said.page.empty()) session.page = said.page;
    Millis from = entry.seen - entry.open_length;
    session.open.add(from, entry.seen);
    session.open_of[session.user].add(from, entry.seen);
    if (entry.active_back != BatchEntry::kNever) {
      Millis active = entry.seen - entry.active_back;
      session.active.add(active - entry.active_length, active);
      session.active_of[session.user].add(active - entry.active_length, active);
    }
    if (entry.seen >= session.last) session.left = (entry.source & kLeaving) != 0;
    session.last = std::max(session.last, entry.seen);
    session.beats += entry.delta;
    entries.push_back(entry);
  }

  std::map<std::string, Session> sessions;
  std::vector<BatchEntry> entries;
};

struct LedgerWorld {
  static constexpr std::uint64_t kOwner = 77;

  explicit LedgerWorld(std::size_t size = std::size_t{1} << 20) : zone(size) {
    if (!table.create(zone.memory, size)) std::abort();
    store = table.add_store("redis");
    add_site(table, "site", store, true, 604800000, site);
    table.add_place(site, {}, place);
    table.take_lease(kOwner, 0, INT64_MAX / 2);
  }

  Marked mark(std::string_view id, const Sign& sign = {}) { return table.mark(site, place, id, sign, now); }
  Marked active(std::string_view id) { return mark(id, sign_of({}, {}, true)); }
  /// Puts the next batch on its way. Its size; 0: there is nothing to send.
  std::uint32_t publish() {
    Pass pass;
    std::uint32_t count = 0;
    while (count == 0 && !pass.done()) count = table.publish(store, kOwner, pass, now);
    return count;
  }
  const BatchEntry& entry(std::uint32_t i = 0) { return table.store(store).entries[i]; }
  /// Redis takes what is on its way.
  void apply() {
    const StoreRecord& record = table.store(store);
    for (std::uint32_t i = 0; i < record.count; ++i) ledger.apply(table, record.entries[i]);
  }
  bool acknowledge(std::span<const std::uint16_t> failed = {}) {
    return table.acknowledge(store, kOwner, table.store(store).number, failed);
  }
  /// All there is, batch by batch. How many entries there were.
  std::uint32_t flush() {
    std::uint32_t sum = 0;
    while (std::uint32_t count = publish()) {
      sum += count;
      apply();
      acknowledge();
    }
    return sum;
  }
  Ledger::Session& in_redis(const std::string& id) { return ledger.sessions[id]; }
  /// Of the only session, or of any.
  std::uint32_t slot_of(std::string_view id) {
    for (std::uint32_t i = 0; i < table.slots(); ++i) {
      if (table.in_use(i) && std::string_view(table.name(i).bytes, table.name(i).size) == id) return i;
    }
    return UINT32_MAX;
  }

  Zone zone;
  Table table;
  std::uint16_t store = kNone;
  Site site;
  Place place;
  Millis now = 10000000;
  Ledger ledger;
};

}  // namespace heartbeat
