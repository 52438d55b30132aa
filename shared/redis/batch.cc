// A batch of signs of life as the command that applies it.
#include "shared/redis/batch.h"

#include "flush_lua.h"
#include "shared/identity/shown.h"
#include "shared/redis/keys.h"

namespace heartbeat {
namespace {

constexpr Millis kNodeRetention = 7LL * 24 * 3600 * 1000;
constexpr std::size_t kHeadWords = 6;
constexpr std::size_t kGroupWords = 6;
constexpr std::size_t kEntryWords = 5;
constexpr std::size_t kKeys = 2;

// The kind of an entry as the script reads it: the LifeSign, and these.
constexpr int kKeep = 8, kLeft = 16;

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

// The numbers of an entry as the script unpacks them (NUMBERS in flush.lua): big-endian.
class Packed {
 public:
  Packed& add(std::uint64_t value, int bytes) {
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) bytes_[size_++] = static_cast<char>(value >> shift);
    return *this;
  }
  operator std::string_view() const { return {bytes_, size_}; }

 private:
  char bytes_[32];
  std::size_t size_ = 0;
};

void write_entry(CommandWriter& writer, const BatchEntry& entry, const SiteRecord& site, const PlaceRecord& place,
                 Table& table, Millis clock_offset) {
  const bool left = (entry.source & kLeaving) != 0;
  const Millis seen = entry.seen + clock_offset;
  const int kind = (entry.source & ~kLeaving) | ((entry.flags & BatchEntry::kKeep) != 0 ? kKeep : 0) | (left ? kLeft : 0);
  writer.number(seen);
  writer.word(Packed()
                  .add(static_cast<std::uint64_t>(seen), 6)
                  .add(left && site.grace < place.timeout ? site.grace : place.timeout, 4)
                  .add(entry.open_length, 4)
                  .add(entry.fresh_back, 4)
                  .add(entry.active_back, 4)
                  .add(entry.active_length, 4)
                  .add(entry.delta, 4)
                  .add(static_cast<std::uint64_t>(kind), 1));
  bool detail = (entry.flags & BatchEntry::kDetail) != 0;
  writer.word(detail ? table.user(entry.slot) : std::string_view());
  writer.word(detail ? table.page(entry.slot) : std::string_view());
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
  writer.number(static_cast<std::int64_t>(entries.size()));
  for (const BatchEntry& entry : entries) {
    writer.word(shown_id(table.name(entry.slot), name, site.plain != 0, table.store(store.index).key));
    write_entry(writer, entry, site, place, table, clock_offset);
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
  writer.word(sender.calm ? "1" : "0");
  for (Entries rest = entries; !rest.empty(); rest = rest.subspan(first_place(rest).size())) {
    write_group(writer, first_place(rest), store, table, clock_offset);
  }
}

}  // namespace heartbeat
