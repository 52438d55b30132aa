// A batch of signs of life as the command that applies it.
#include "shared/redis/batch.h"

#include "flush_lua.h"
#include "shared/identity/shown.h"
#include "shared/redis/keys.h"

namespace heartbeat {
namespace {

constexpr Millis kNodeRetention = 7LL * 24 * 3600 * 1000;
constexpr std::size_t kHeadWords = 5;
constexpr std::size_t kGroupWords = 7;
constexpr std::size_t kEntryWords = 10;
constexpr std::size_t kKeys = 2;

// What the script reads from an entry's number of bits.
constexpr int kKeep = 1, kPast = 2, kLeft = 4;

using Entries = std::span<const BatchEntry>;

// The entries at the front that are of one place: publish() put them in the order of their places.
Entries first_place(Entries entries) {
  std::size_t end = 1;
  while (end < entries.size() && entries[end].place == entries[0].place) ++end;
  return entries.first(end);
}

std::size_t count_places(Entries entries) {
  std::size_t count = 0;
  for (; !entries.empty(); ++count) entries = entries.subspan(first_place(entries).size());
  return count;
}

std::string_view word_of(std::uint8_t source) {
  switch (static_cast<LifeSign>(source & ~kLeaving)) {
    case LifeSign::page:
      return "page";
    case LifeSign::request:
      return "request";
    case LifeSign::beat:
      return "beat";
    case LifeSign::beacon:
      return "beacon";
    default:
      return "ping";
  }
}

void write_entry(CommandWriter& writer, const BatchEntry& entry, Table& table, Millis clock_offset) {
  const Millis seen = entry.seen + clock_offset;
  writer.number(seen);
  writer.number(seen - entry.open_length);
  if (entry.active_back == BatchEntry::kNever) {
    writer.word("");
    writer.word("");
  } else {
    writer.number(seen - entry.active_back);
    writer.number(seen - entry.active_back - entry.active_length);
  }
  writer.number(entry.delta);
  writer.word(word_of(entry.source));
  writer.number(((entry.flags & BatchEntry::kKeep) != 0 ? kKeep : 0) | ((entry.flags & BatchEntry::kPast) != 0 ? kPast : 0) |
                ((entry.source & kLeaving) != 0 ? kLeft : 0));
  Table::Said said;
  table.said(entry, said);
  writer.word(said.user);
  writer.word(said.page);
}

void write_group(CommandWriter& writer, Entries entries, const Store& store, Table& table, Millis clock_offset) {
  const PlaceRecord& place = table.place(entries[0].place);
  const SiteRecord& site = table.site(place.site);
  const std::string_view name(site.name, site.size);
  writer.word(name);
  writer.number(site.shards);
  writer.number(site.retention);
  writer.number(place.timeout);
  writer.number(place.gap);
  writer.number(site.grace);
  writer.number(static_cast<std::int64_t>(entries.size()));
  for (const BatchEntry& entry : entries) {
    writer.word(shown_id(table.name(entry.slot), name, site.plain != 0, table.store(store.index).key));
    write_entry(writer, entry, table, clock_offset);
  }
}

}  // namespace

void write_batch(CommandWriter writer, ScriptForm form, const Sender& sender, const Store& store, Table& table,
                 Millis clock_offset) {
  const StoreRecord& record = table.store(store.index);
  const Entries entries(record.entries, record.count <= kBatch ? record.count : 0);
  writer.begin(3 + kKeys + kHeadWords + count_places(entries) * kGroupWords + entries.size() * kEntryWords);
  writer.word(form == ScriptForm::by_hash ? "EVALSHA" : "EVAL");
  writer.word(form == ScriptForm::by_hash ? kFlushLuaSha1 : kFlushLua);
  writer.number(kKeys);
  writer.word(node_key(store.prefix, sender.node));
  writer.word(sites_key(store.prefix));
  writer.number(static_cast<std::int64_t>(record.number));
  writer.number(static_cast<std::int64_t>(record.applied));
  writer.word(sender.version);
  writer.number(kNodeRetention);
  writer.word(store.prefix);
  for (Entries rest = entries; !rest.empty(); rest = rest.subspan(first_place(rest).size())) {
    write_group(writer, first_place(rest), store, table, clock_offset);
  }
}

}  // namespace heartbeat
