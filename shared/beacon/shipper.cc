// Carries what the spool holds to one Redis.
#include "shared/beacon/shipper.h"

#include <algorithm>
#include <cstdio>

#include "beacons_lua.h"
#include "shared/http/date.h"
#include "shared/redis/keys.h"
#include "views_lua.h"

namespace heartbeat {
namespace {

constexpr std::size_t kPartWords = 6;  // of what tells the part of a site
constexpr std::size_t kHeadWords = kPartWords + 2;
constexpr std::size_t kRecordWords = 13;

std::string_view name_of(const SiteRecord& site) { return {site.name, site.size}; }

// Signs that are more than so far apart are of different visits.
Millis timeout_of(Table& table, std::uint16_t site) {
  Millis timeout = 0;
  for (std::uint32_t i = 0; i < table.header().places.load(); ++i) {
    const PlaceRecord& place = table.place(static_cast<std::uint16_t>(i));
    if (place.site == site) timeout = std::max<Millis>(timeout, place.timeout);
  }
  return timeout;
}

// What both scripts are told first.
void write_part_words(CommandWriter& writer, const Store& store, Table& table, std::uint16_t index, std::string_view tag) {
  const SiteRecord& site = table.site(index);
  writer.word(store.prefix);
  writer.word(name_of(site));
  writer.number(site.shards);
  writer.word(tag);
  writer.number(site.retention);
  writer.number(timeout_of(table, index));
}

}  // namespace

Shipper::Shipper(Reactor& reactor, Log& log, Table& table, const Store& store, SpoolKeeper& keeper, std::uint64_t owner)
    : reactor_(reactor),
      log_(log),
      table_(table),
      store_(store),
      keeper_(keeper),
      owner_(owner),
      link_(reactor, log, store, *this, "beacons wait in the spool") {}

void Shipper::close() {
  link_.close();
  on_down();
  window_.release();
}

void Shipper::on_down() { step_ = Step::down; }

// What Redis had when it was lost sight of it may have forgotten: it is sent all that is left of the spool, and passes over
// what it has.
void Shipper::on_ready() {
  for (Progress& each : progress_) each = {};
  next_look_ = 0;
  behind_ = true;
  rounds_ = 0;
  next_rank_ = reactor_.now() + kFirstRank;
  step_ = Step::idle;
  begin();
}

void Shipper::on_reply(const RedisReply& reply) {
  switch (step_) {
    case Step::clock:
      return take_clock(reply);
    case Step::records:
      return take_merged(reply);
    case Step::views:
      return take_looked(reply);
    case Step::ranks:
      return take_ranks(reply);
    case Step::idle:
    case Step::down:
      return link_.give_up("an answer that was not asked for");
  }
}

void Shipper::begin() {
  if (step_ != Step::idle) return;
  clock_.begin();
  next();
}

void Shipper::idle() {
  step_ = Step::idle;
  window_.release();
}

// --- the window ------------------------------------------------------------------------------------

// Where beacons come faster than one by one, there is always a window: what else is to be done must not wait for none.
void Shipper::next() {
  if (table_.header().lease_owner.load() != owner_) return idle();
  if (!behind_ && chores()) return;
  if (read_window()) {
    if (clock_.asked()) return send_window(ScriptForm::by_hash);
    step_ = Step::clock;
    clock_.ask(reactor_.now());
    link_.commands().command({"TIME"});
    return link_.send(1);
  }
  behind_ = false;
  if (!chores()) idle();
}

// False: there is nothing to be done, for now.
bool Shipper::chores() { return (reactor_.now() >= next_look_ && look(ScriptForm::by_hash)) || rank(); }

// While it is away nothing: who knows what it will have forgotten, and when it comes back.
std::uint64_t Shipper::shipped(std::uint64_t instance) const {
  if (step_ == Step::down) return 0;
  for (const Progress& each : progress_) {
    if (each.instance == instance) return each.position;
  }
  return 0;
}

// Null: it is not known where it begins. Places of servers that are no longer read are used again.
Shipper::Progress* Shipper::progress_of(SpoolReader& reader) {
  Progress* unused = nullptr;
  for (Progress& each : progress_) {
    if (each.instance == reader.instance()) return &each;
    auto readers = keeper_.readers();
    bool read = std::ranges::any_of(readers, [&](const SpoolReader& other) { return other.instance() == each.instance; });
    if (!read) unused = &each;
  }
  Error why;
  std::uint64_t oldest = 0;
  if (unused == nullptr || !reader.oldest(oldest, why)) {
    if (why) keeper_.complain(why, reactor_.now());
    return nullptr;
  }
  *unused = {reader.instance(), oldest};
  return unused;
}

// What dead servers left is older.
bool Shipper::read_window() {
  auto readers = keeper_.readers();
  for (std::size_t i = readers.size(); i-- > 0;) {
    if (read_from(readers[i])) return true;
  }
  return false;
}

// Passes over what is for others, but not for ever at a time: the rest is for the next round.
bool Shipper::read_from(SpoolReader& reader) {
  constexpr int kTurns = 8;
  Progress* progress = progress_of(reader);
  for (int turn = 0; progress != nullptr && turn < kTurns; ++turn) {
    Error why;
    window_end_ = progress->position;
    SpoolReader::Found found = reader.next(window_end_, kBytes, window_, why);
    if (found == SpoolReader::Found::failed) keeper_.complain(why, reactor_.now());
    // Where the last of what a dead server left cannot be read, that is done with, too, or it would stay for ever.
    if (found == SpoolReader::Found::nothing && reader.dead()) progress->position = window_end_;
    if (found != SpoolReader::Found::records) return false;
    instance_ = reader.instance();
    route(reader);
    if (count_ != 0) return true;
    progress->position = window_end_;
  }
  return false;
}

// The site of that name whose records go anywhere: the one that was configured last, or else the latest; a site that goes
// back to the Redis it had is no new one. kNone: none; `held` where it is recorded without a Redis.
std::uint16_t Shipper::site_of(std::string_view name, bool& held) const {
  std::uint16_t found = kNone;
  held = false;
  for (std::uint32_t i = table_.header().sites; i-- > 0;) {
    const SiteRecord& site = table_.site(static_cast<std::uint16_t>(i));
    if (name_of(site) != name) continue;
    if (site.store == kNone) held = true;
    else if (found == kNone || site.current) found = static_cast<std::uint16_t>(i);
    if (found == i && site.current) break;
  }
  return found;
}

void Shipper::route(SpoolReader& reader) {
  std::string_view name;
  std::uint16_t site = kNone;
  bool held = false;
  count_ = 0;
  for (const SpoolRecord& each : window_.records()) {
    Routed& routed = routed_[count_];
    if (!read_record(each.bytes, routed.record)) continue;
    if (routed.record.site != name) {
      name = routed.record.site;
      site = site_of(name, held);
    }
    if (site == kNone && held) keeper_.hold(reader, each.end - each.bytes.size());
    if (site == kNone || table_.site(site).store != store_.index) continue;
    routed.end = each.end;
    routed.site = site;
    routed.shard = static_cast<std::uint16_t>(shard_of(routed.record.view, table_.site(site).shards));
    routed.sent = false;
    ++count_;
  }
}

// --- to Redis --------------------------------------------------------------------------------------

void Shipper::take_clock(const RedisReply& reply) {
  if (reply.is_error()) return link_.give_up(reply.text());
  if (reply.count != 2) return link_.give_up("no answer to TIME that can be read");
  if (clock_.take(number_of(reply.text(0)) * 1000 + number_of(reply.text(1)) / 1000, reactor_.now())) return send_window(ScriptForm::by_hash);
  clock_.ask(reactor_.now());
  link_.commands().command({"TIME"});
  link_.send(1);
}

// One command for each part of a site that has records in the window.
void Shipper::send_window(ScriptForm form) {
  step_ = Step::records;
  unknown_ = false;
  due_ = 0;
  for (std::size_t i = 0; i < count_; ++i) routed_[i].sent = false;
  for (std::size_t i = 0; i < count_; ++i) {
    if (!routed_[i].sent) write_part(i, form);
  }
  link_.send(due_);
}

void Shipper::write_part(std::size_t first, ScriptForm form) {
  const std::uint16_t index = routed_[first].site;
  const std::uint16_t shard = routed_[first].shard;
  const SiteRecord& site = table_.site(index);
  auto of_part = [&](const Routed& routed) { return routed.site == index && routed.shard == shard; };
  auto records = static_cast<std::size_t>(std::count_if(routed_ + first, routed_ + count_, of_part));
  const RedisKey tag = tag_of_shard(store_.prefix, name_of(site), site.shards, shard);
  char instance[17];
  std::snprintf(instance, sizeof instance, "%016llx", static_cast<unsigned long long>(instance_));
  CommandWriter writer = link_.commands();
  writer.script(form, {kBeaconsLua, kBeaconsLuaSha1}, 1, kHeadWords + records * kRecordWords);
  writer.word(RedisKey(tag).add("spool"));
  write_part_words(writer, store_, table_, index, tag);
  writer.word(instance);
  writer.number(static_cast<std::int64_t>(window_end_));
  const std::int64_t clock = reactor_.now() + clock_.offset() - wall_clock();
  for (std::size_t i = first; i < count_; ++i) {
    if (!of_part(routed_[i])) continue;
    write_record(writer, routed_[i], clock);
    routed_[i].sent = true;
  }
  ++due_;
}

// `clock`: how far that of Redis is ahead of this host's.
void Shipper::write_record(CommandWriter writer, const Routed& routed, std::int64_t clock) const {
  const BeaconRecord& record = routed.record;
  const bool batch = record.kind == BeaconRecord::Kind::batch;
  char flags[3];
  std::size_t flag_count = 0;
  if ((record.flags & BeaconRecord::kFinal) != 0) flags[flag_count++] = 'f';
  if ((record.flags & BeaconRecord::kGzip) != 0) flags[flag_count++] = 'z';
  if ((record.flags & BeaconRecord::kContinues) != 0) flags[flag_count++] = 'c';
  writer.number(static_cast<std::int64_t>(routed.end));
  writer.number(std::min(record.at + clock, reactor_.now() + clock_.offset()));
  writer.word(batch ? "batch" : "script");
  writer.word(record.view);
  writer.word(record.session);
  writer.word(name_of(record.browser));
  writer.word(batch ? std::string_view() : name_of(record.transport));
  writer.number(record.number);
  writer.word(kBeaconEventNames[static_cast<unsigned>(record.event)]);
  writer.word(name_of(record.transport));
  writer.word({flags, flag_count});
  writer.word(record.type);
  writer.word(record.payload);
}

// True once all commands were answered; `again`: Redis does not know the script. Where it does not take records the link is
// given up, for they must be sent again; what else it refuses, because of one key that is another's perhaps, can wait.
bool Shipper::all_in(const RedisReply& reply, bool& again) {
  bool unknown = reply.is_error() && reply.text().starts_with("NOSCRIPT");
  if (reply.is_error() && !unknown && step_ == Step::records) {
    link_.give_up(reply.text());
    return false;
  }
  if (reply.is_error() && !unknown) complain("does not tell what became of page views", reply.text());
  unknown_ = unknown_ || unknown;
  again = unknown_;
  return --due_ == 0;
}

// Only what the script itself answers says that the records are in Redis: where something between answers for it, they are
// sent again.
void Shipper::take_merged(const RedisReply& reply) {
  bool again = false;
  if (!reply.is_error() && reply.count != 4) return link_.give_up("no answer of the script that can be read");
  if (!reply.is_error() && !reply.text(3).empty()) complain("did not take all that came from page views", reply.text(3));
  if (!all_in(reply, again)) return;
  if (again) return send_window(ScriptForm::in_full);
  for (Progress& each : progress_) {
    if (each.instance != instance_) continue;
    behind_ = window_end_ - each.position > kBytes / 2;
    each.position = window_end_;
  }
  link_.succeeded();
  next();
}

// --- page views that are over ----------------------------------------------------------------------

// All parts of all sites of this store, some at a time. False: there is none.
bool Shipper::look(ScriptForm form) {
  step_ = Step::views;
  unknown_ = more_views_ = false;
  due_ = 0;
  std::uint32_t part = 0;
  bool more = false;
  for (std::uint32_t i = 0; i < table_.header().sites && !more; ++i) {
    const SiteRecord& site = table_.site(static_cast<std::uint16_t>(i));
    if (site.store != store_.index) continue;
    for (std::uint32_t shard = 0; shard < site.shards && !more; ++shard, ++part) {
      if (part < look_from_) continue;
      more = due_ == kParts;
      if (!more) write_look(site, static_cast<std::uint16_t>(i), shard, form);
    }
  }
  look_to_ = more ? look_from_ + kParts : 0;
  if (due_ != 0) {
    link_.send(due_);
    return true;
  }
  look_from_ = 0;
  next_look_ = reactor_.now() + kLook;
  return false;
}

void Shipper::write_look(const SiteRecord& site, std::uint16_t index, std::uint32_t shard, ScriptForm form) {
  const RedisKey tag = tag_of_shard(store_.prefix, name_of(site), site.shards, shard);
  CommandWriter writer = link_.commands();
  writer.script(form, {kViewsLua, kViewsLuaSha1}, 1, kPartWords + 1);
  writer.word(RedisKey(tag).add("views"));
  write_part_words(writer, store_, table_, index, tag);
  writer.number(kLooked);
  ++due_;
}

void Shipper::take_looked(const RedisReply& reply) {
  bool again = false;
  if (reply.count == 2 && !reply.text(1).empty()) complain("did not tell all of the page views that are over", reply.text(1));
  more_views_ = more_views_ || (reply.count == 2 && reply.integer(0) >= kLooked);
  if (!all_in(reply, again)) return;
  if (again && look(ScriptForm::in_full)) return;
  link_.succeeded();
  if (!more_views_ || ++rounds_ >= kRounds) {
    rounds_ = 0;
    look_from_ = look_to_;
    next_look_ = reactor_.now() + kLook;
  }
  next();
}

// --- the order of transports -----------------------------------------------------------------------

// The counters of today and yesterday, of the next site that leaves the order to them. False: there is none, for now.
bool Shipper::rank() {
  if (reactor_.now() < next_rank_) return false;
  for (; rank_site_ < table_.header().sites; ++rank_site_) {
    const SiteRecord& site = table_.site(static_cast<std::uint16_t>(rank_site_));
    Millis wanted = site.orders_wanted.load(std::memory_order_relaxed);
    if (site.store != store_.index || wanted == 0 || reactor_.now() - wanted > kRanked) continue;
    step_ = Step::ranks;
    due_ = 0;
    ranking_ = Ranking();
    const Day today = day_of(wall_clock());
    for (std::uint32_t shard = 0; shard < site.shards && shard < kSample; ++shard) {
      for (Day day : {today - 1, today}) {
        RedisKey key = tag_of_shard(store_.prefix, name_of(site), site.shards, shard).add("delivery:");
        link_.commands().command({"HGETALL", key.add(written(day))});
        ++due_;
      }
    }
    link_.send(due_);
    return true;
  }
  rank_site_ = 0;
  next_rank_ = reactor_.now() + kRank;
  return false;
}

void Shipper::take_ranks(const RedisReply& reply) {
  bool again = false;
  for (int i = 0; i + 1 < reply.count; i += 2) ranking_.add(reply.text(i), number_of(reply.text(i + 1)));
  if (!all_in(reply, again)) return;
  SiteRecord& site = table_.site(static_cast<std::uint16_t>(rank_site_++));
  for (unsigned i = 0; i < kBrowsers; ++i) {
    site.orders[i].store(ranking_.order_for(static_cast<Browser>(i)), std::memory_order_relaxed);
  }
  next();
}

// At most once a second.
void Shipper::complain(const char* what, std::string_view why) {
  if (reactor_.now() - logged_ < 1000) return;
  logged_ = reactor_.now();
  log_.print(Level::error, "heartbeat: Redis %.*s %s: %.*s", HEARTBEAT_VIEW(store_.url->shown), what,
             HEARTBEAT_VIEW(why.substr(0, 300)));
}

}  // namespace heartbeat
