// A batch of signs of life as the command that applies it.
#include "shared/redis/batch.h"

#include <algorithm>

#include "flush_lua.h"
#include "shared/redis/keys.h"

namespace heartbeat {
namespace {

constexpr Millis kNodeRetention = 7LL * 24 * 3600 * 1000;
constexpr std::size_t kHeadWords = 6;
constexpr std::size_t kGroupWords = 8;
constexpr std::size_t kEntryWords = 2;
constexpr std::size_t kTellingWords = 2;
constexpr std::size_t kKeys = 2;
constexpr std::size_t kAhead = 4;  // ids whose memory comes while others are written

// The kind of an entry as the script reads it: the LifeSign, and these.
constexpr int kKeep = 8, kLeft = 16, kUser = 32;

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

bool tells(const BatchEntry& entry) { return (entry.flags & BatchEntry::kDetail) != 0; }

std::size_t count_telling(Entries entries) { return static_cast<std::size_t>(std::ranges::count_if(entries, tells)); }

// The numbers of the entries of a group as the script unpacks them (NUMBERS in flush.lua): big-endian.
class Packed {
 public:
  Packed& add(std::uint64_t value, int bytes) {
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) bytes_[size_++] = static_cast<char>(value >> shift);
    return *this;
  }
  operator std::string_view() const { return {bytes_, size_}; }

 private:
  char bytes_[kBatch * 33];
  std::size_t size_ = 0;
};

int kind_of(const BatchEntry& entry) {
  return (entry.source & ~kLeaving) | ((entry.flags & BatchEntry::kKeep) != 0 ? kKeep : 0) |
         ((entry.source & kLeaving) != 0 ? kLeft : 0) | ((entry.flags & BatchEntry::kUser) != 0 ? kUser : 0);
}

void write_numbers(CommandWriter& writer, Entries entries, const SiteRecord& site, const PlaceRecord& place,
                   Millis clock_offset) {
  Packed numbers;
  std::size_t telling = 0;
  for (const BatchEntry& entry : entries) {
    const bool left = (entry.source & kLeaving) != 0;
    numbers.add(static_cast<std::uint64_t>(entry.seen + clock_offset), 6)
        .add(left && site.grace < place.timeout ? site.grace : place.timeout, 4)
        .add(entry.open_length, 4)
        .add(entry.fresh_back, 4)
        .add(entry.active_back, 4)
        .add(entry.active_length, 4)
        .add(entry.delta, 4)
        .add(static_cast<std::uint64_t>(kind_of(entry)), 1)
        .add(tells(entry) ? ++telling : 0, 2);
  }
  writer.word(numbers);
}

void write_group(CommandWriter& writer, Entries entries, const Store& store, Table& table, Millis clock_offset,
                 ShownIds& ids) {
  const PlaceRecord& place = table.place(entries[0].place);
  const SiteRecord& site = table.site(place.site);
  const std::string_view name(site.name, site.size);
  writer.word(name);
  writer.number(site.shards);
  writer.number(site.retention);
  writer.number(place.timeout);
  writer.number(place.gap);
  writer.number(static_cast<std::int64_t>(entries.size()));
  write_numbers(writer, entries, site, place, clock_offset);
  writer.number(static_cast<std::int64_t>(count_telling(entries)));
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const BatchEntry& entry = entries[i];
    if (i + kAhead < entries.size()) ids.fetch(table.slot(entries[i + kAhead].slot));
    writer.number(entry.seen + clock_offset);
    writer.word(ids.of(table.slot(entry.slot), table.name(entry.slot), name, site.plain != 0, table.store(store.index).key));
  }
  for (const BatchEntry& entry : entries) {
    if (!tells(entry)) continue;
    Table::Said said;
    table.said(entry, said);
    writer.word(said.user);
    writer.word(said.page);
  }
}

}  // namespace

void write_batch(CommandWriter writer, ScriptForm form, const Sender& sender, const Store& store, Table& table,
                 Millis clock_offset, ShownIds& ids) {
  const StoreRecord& record = table.store(store.index);
  const Entries entries(record.entries, record.count <= kBatch ? record.count : 0);
  writer.script(form, {kFlushLua, kFlushLuaSha1}, kKeys,
                kHeadWords + count_places(entries) * kGroupWords + entries.size() * kEntryWords +
                    count_telling(entries) * kTellingWords);
  writer.word(node_key(store.prefix, sender.node));
  writer.word(sites_key(store.prefix));
  writer.number(static_cast<std::int64_t>(record.number));
  writer.number(static_cast<std::int64_t>(record.applied));
  writer.word(sender.version);
  writer.number(kNodeRetention);
  writer.word(store.prefix);
  writer.word(sender.calm ? "1" : "0");
  for (Entries rest = entries; !rest.empty(); rest = rest.subspan(first_place(rest).size())) {
    write_group(writer, first_place(rest), store, table, clock_offset, ids);
  }
}

}  // namespace heartbeat
