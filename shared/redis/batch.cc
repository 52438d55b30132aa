// A batch of last-seen times as the command that applies it.
#include "shared/redis/batch.h"

#include "flush_lua.h"
#include "shared/identity/shown.h"
#include "shared/redis/keys.h"

namespace heartbeat {
namespace {

constexpr Millis kNodeRetention = 7LL * 24 * 3600 * 1000;
constexpr std::size_t kHeadWords = 4;
constexpr std::size_t kSiteWords = 3;
constexpr std::size_t kSessionWords = 6;

using Entries = std::span<const BatchEntry>;

// The entries at the front that are of one site: publish() put them in the order of their sites.
Entries first_site(Entries entries) {
  std::size_t end = 1;
  while (end < entries.size() && entries[end].site == entries[0].site) ++end;
  return entries.first(end);
}

std::size_t count_sites(Entries entries) {
  std::size_t count = 0;
  for (; !entries.empty(); ++count) entries = entries.subspan(first_site(entries).size());
  return count;
}

std::string_view word_of(LifeSign source) {
  switch (source) {
    case LifeSign::page:
      return "page";
    case LifeSign::request:
      return "request";
    default:
      return "ping";
  }
}

// A time by the clock of Redis; 0 is none and becomes an empty word.
void write_time(CommandWriter& writer, Millis time, Millis clock_offset) {
  if (time == 0) writer.word("");
  else writer.number(time + clock_offset);
}

void write_site(CommandWriter& writer, Entries entries, const Store& store, Table& table, Millis clock_offset) {
  const SiteRecord& site = table.site(entries[0].site);
  writer.word(session_prefix(store.prefix, site));
  writer.number(site.retention);
  writer.number(static_cast<std::int64_t>(entries.size()));
  for (const BatchEntry& entry : entries) {
    writer.word(shown_id(table.name(entry.slot), {site.name, site.size}, site.plain != 0, table.store(store.index).key));
    write_time(writer, entry.seen, clock_offset);
    write_time(writer, entry.active, clock_offset);
    write_time(writer, entry.first, clock_offset);
    writer.number(entry.delta);
    writer.word(word_of(entry.source));
  }
}

}  // namespace

void write_batch(CommandWriter writer, ScriptForm form, const Sender& sender, const Store& store, Table& table,
                 Millis clock_offset) {
  const StoreRecord& record = table.store(store.index);
  const Entries entries(record.entries, record.count <= kBatch ? record.count : 0);
  const std::size_t sites = count_sites(entries);
  writer.begin(3 + 1 + sites + kHeadWords + sites * kSiteWords + entries.size() * kSessionWords);
  writer.word(form == ScriptForm::by_hash ? "EVALSHA" : "EVAL");
  writer.word(form == ScriptForm::by_hash ? kFlushLuaSha1 : kFlushLua);
  writer.number(static_cast<std::int64_t>(1 + sites));
  writer.word(node_key(store.prefix, sender.node));
  for (Entries rest = entries; !rest.empty(); rest = rest.subspan(first_site(rest).size())) {
    writer.word(seen_key(store.prefix, table.site(rest[0].site)));
  }
  writer.number(static_cast<std::int64_t>(record.number));
  writer.number(static_cast<std::int64_t>(record.applied));
  writer.word(sender.version);
  writer.number(kNodeRetention);
  for (Entries rest = entries; !rest.empty(); rest = rest.subspan(first_site(rest).size())) {
    write_site(writer, first_site(rest), store, table, clock_offset);
  }
}

}  // namespace heartbeat
