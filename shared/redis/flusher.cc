// Carries what changed in the session table to Redis.
#include "shared/redis/flusher.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <sodium.h>
#include <sys/random.h>
#include <unistd.h>

#include "flush_lua.h"
#include "sweep_lua.h"
#include "shared/port/poll_reactor.h"
#include "shared/redis/keys.h"
#include "shared/version.h"

namespace heartbeat {
namespace {

std::uint64_t random_owner() {
  std::uint64_t owner = 0;
  if (getrandom(&owner, sizeof owner, 0) != sizeof owner) owner = static_cast<std::uint64_t>(getpid());
  return owner | 1;
}

Millis with_jitter(Millis time) {
  std::uint16_t random = 0;
  if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random) random = 0;
  return time - time / 4 + time / 2 * random / 65536;
}

// Lists of who is online are refreshed as often as changes are flushed, but never more often than five times a second
// nor less often than once.
Millis refresh_period(Millis interval) { return interval < 200 ? 200 : interval < 1000 ? interval : 1000; }

}  // namespace

NodeName::NodeName(Table& table, std::uint16_t store) {
  char host[64] = {};
  if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  int size = std::snprintf(text_, sizeof text_, "%s-%016lx-%08lx", host,
                           static_cast<unsigned long>(table.header().incarnation),
                           static_cast<unsigned long>(table.store(store).id & 0xffffffff));
  size_ = size < 0 ? 0 : static_cast<std::size_t>(size);
}

// --- one store -------------------------------------------------------------------------------------

StoreFlush::StoreFlush(Reactor& reactor, Log& log, Table& table, const Store& store, std::uint64_t owner,
                       Millis interval, SnapshotArea& area, Millis refresh_period)
    : reactor_(reactor),
      log_(log),
      table_(table),
      store_(store),
      node_(table, store.index),
      owner_(owner),
      interval_(interval),
      link_(reactor, log, store, *this),
      refresh_(table, store, area, refresh_period) {}

void StoreFlush::close() {
  link_.close();
  refresh_.stop();
  on_down();
  records_.release();  // the next pass begins anew
  ids_.release();
}

void StoreFlush::on_down() {
  step_ = Step::down;
  calm_from_ = INT64_MAX;
  pass_wanted_ = false;
}

// The end of a pass: what this host knows is in Redis, so now is the time to ask for what all know.
void StoreFlush::idle() {
  step_ = Step::idle;
  if (!pass_wanted_) return refresh();
  pass_wanted_ = false;
  begin();
}

// The key of the shown ids is made by the first host and kept by all; after Redis lost its data, whoever comes
// first gives it back.
void StoreFlush::on_ready() {
  std::string_view key(reinterpret_cast<const char*>(table_.store(store_.index).key),
                       sizeof table_.store(store_.index).key);
  step_ = Step::set_key;
  next_sweep_ = reactor_.now() + kHoldOff;
  calm_from_ = link_.failed_before() ? next_sweep_ : 0;  // a link that was closed by us says nothing of Redis
  link_.commands().command({"SET", id_key(store_.prefix), key, "NX"});
  link_.commands().command({"GET", id_key(store_.prefix)});
  link_.commands().command({"HGET", node_key(store_.prefix, node_), "batch"});
  link_.send(3);
}

void StoreFlush::on_reply(const RedisReply& reply) {
  bool may_fail = step_ == Step::batch || step_ == Step::sweep || step_ == Step::refresh;
  if (reply.is_error() && !may_fail) return link_.give_up(reply.text());
  switch (step_) {
    case Step::set_key:
      step_ = Step::get_key;
      return;
    case Step::get_key:
      return take_key(reply);
    case Step::get_batch:
      return take_applied(reply);
    case Step::clock:
      return take_clock(reply);
    case Step::batch:
      return take_batch(reply);
    case Step::pause:
      return next();
    case Step::sweep:
      return take_sweep(reply);
    case Step::refresh:
      return take_refresh(reply);
    case Step::idle:
    case Step::down:
      return link_.give_up("an answer that was not asked for");
  }
}

void StoreFlush::take_key(const RedisReply& reply) {
  StoreRecord& record = table_.store(store_.index);
  if (reply.text().size() != sizeof record.key) {
    RedisKey name = id_key(store_.prefix);
    char why[128];
    int size = std::snprintf(why, sizeof why, "the key %.*s does not hold 32 bytes; delete it",
                             HEARTBEAT_VIEW(std::string_view(name).substr(0, 80)));
    return link_.give_up({why, static_cast<std::size_t>(size)});
  }
  std::memcpy(record.key, reply.text().data(), sizeof record.key);
  step_ = Step::get_batch;
}

void StoreFlush::take_applied(const RedisReply& reply) {
  if (static_cast<std::uint64_t>(number_of(reply.text())) < table_.store(store_.index).applied) table_.forget_stored(store_.index);
  step_ = Step::idle;
  begin();
}

void StoreFlush::begin() {
  pass_wanted_ = step_ != Step::idle && step_ != Step::down;
  if (step_ != Step::idle) return;
  records_.begin();
  clock_.begin();
  next();
}

// The next batch of this pass: the one that was on its way when this or another process lost its connection, or a
// new one.
void StoreFlush::next() {
  for (int turn = 0;; ++turn) {
    if (table_.header().lease_owner.load() != owner_) return idle();
    bool pending = table_.store(store_.index).count != 0;
    if (pending || table_.publish(store_.index, owner_, records_, reactor_.now()) != 0) break;
    if (records_.done()) {
      if (!table_.mark_forgotten(store_.index)) return flushed();
      records_.begin();
    }
    if (turn == kEmptyTurns) return pause();
  }
  if (!clock_.asked()) ask_clock();
  else send_batch(ScriptForm::by_hash);
}

// There is more to look at, but nothing to send yet: the server's loop goes on until Redis has answered.
void StoreFlush::pause() {
  step_ = Step::pause;
  link_.commands().command({"PING"});
  link_.send(1);
}

// Times are sent in the clock of Redis.
void StoreFlush::ask_clock() {
  step_ = Step::clock;
  clock_.ask(reactor_.now());
  link_.commands().command({"TIME"});
  link_.send(1);
}

void StoreFlush::take_clock(const RedisReply& reply) {
  if (reply.count != 2) return link_.give_up("no answer to TIME that can be read");
  auto seconds = Millis{number_of(reply.text(0))};
  auto micros = Millis{number_of(reply.text(1))};
  if (!clock_.take(seconds * 1000 + micros / 1000, reactor_.now())) return ask_clock();
  if (table_.store(store_.index).count != 0) send_batch(ScriptForm::by_hash);
  else send_sweep(ScriptForm::by_hash);
}

void StoreFlush::send_batch(ScriptForm form) {
  step_ = Step::batch;
  sent_ = table_.store(store_.index).number;
  write_batch(link_.commands(), form, {node_, HEARTBEAT_VERSION, reactor_.now() >= calm_from_}, store_, table_,
              clock_.offset(), ids_);
  link_.send(1);
}

void StoreFlush::take_batch(const RedisReply& reply) {
  if (reply.is_error() && reply.text().starts_with("NOSCRIPT")) return send_batch(ScriptForm::in_full);
  if (reply.is_error()) return link_.give_up(reply.text());
  if (reply.count != 4) return link_.give_up("no answer of the script that can be read");
  if (reply.integer(2) != 0) table_.forget_stored(store_.index);
  take_failed(reply);
  link_.succeeded();
  next();
}

// All that this host knows is in Redis: now whoever is silent there can be told from whoever is not flushed yet.
void StoreFlush::flushed() {
  if (reactor_.now() < next_sweep_) return idle();
  next_sweep_ = reactor_.now() + with_jitter(kSweep);
  if (!clock_.asked()) ask_clock();
  else send_sweep(ScriptForm::by_hash);
}

// Between two passes: with a long time between them, the next one would be too late. Signs of life that wait for it are
// younger than what the sweep looks at.
void StoreFlush::sweep() {
  if (step_ != Step::idle || reactor_.now() < next_sweep_) return;
  clock_.begin();
  flushed();
}

void StoreFlush::send_sweep(ScriptForm form) {
  step_ = Step::sweep;
  CommandWriter writer = link_.commands();
  writer.script(form, {kSweepLua, kSweepLuaSha1}, 1, 4);
  writer.word(sites_key(store_.prefix));
  writer.word(store_.prefix);
  writer.number(interval_ + kMargin);
  writer.number(reactor_.now() + clock_.offset());
  writer.number(kSwept);
  link_.send(1);
}

void StoreFlush::take_sweep(const RedisReply& reply) {
  if (reply.is_error() && reply.text().starts_with("NOSCRIPT")) return send_sweep(ScriptForm::in_full);
  if (reply.is_error()) return link_.give_up(reply.text());
  if (reply.count != 2) return link_.give_up("no answer of the sweep that can be read");
  if (!reply.text(1).empty()) complain("did not tell all of the sessions that went", reply.text(1));
  link_.succeeded();
  if (reply.integer() < kSwept) return idle();
  // There are more. What came in meanwhile goes first: while many are swept, a session whose sign of life waits here
  // would be taken for silent.
  next_sweep_ = reactor_.now();
  records_.begin();
  next();
}

// At most once a second.
void StoreFlush::complain(const char* what, std::string_view why) {
  if (reactor_.now() - logged_ < 1000) return;
  logged_ = reactor_.now();
  log_.print(Level::error, "heartbeat: Redis %.*s %s: %.*s", HEARTBEAT_VIEW(store_.url->shown), what,
             HEARTBEAT_VIEW(why.substr(0, 300)));
}

// Entries that Redis refused one by one, for a key that holds something else: they stay changed, and are tried again
// in the next pass.
void StoreFlush::take_failed(const RedisReply& reply) {
  std::uint16_t failed[kBatch];
  std::size_t count = 0;
  std::string_view list = reply.text(1);
  while (!list.empty() && count < kBatch) {
    std::size_t comma = list.find(',');
    failed[count++] = static_cast<std::uint16_t>(number_of(list.substr(0, comma)));
    list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
  }
  table_.acknowledge(store_.index, owner_, sent_, {failed, count});
  if (count != 0) {
    char what[64];
    std::snprintf(what, sizeof what, "refused %zu sessions, they are tried again", count);
    complain(what, reply.text(3));
  } else if (!reply.text(3).empty()) {
    complain("did not take all that there is to say of the sessions", reply.text(3));
  }
}

// --- who is online ---

void StoreFlush::refresh() {
  if (step_ == Step::idle && table_.header().lease_owner.load() == owner_ && refresh_.begin(reactor_.now())) {
    send_refresh(ScriptForm::by_hash);
  }
}

void StoreFlush::send_refresh(ScriptForm form) {
  step_ = Step::refresh;
  refresh_.write(link_.commands(), form);
  link_.send(1);
}

// A Redis that does not answer this, because its user may not read, keeps all the same what it is sent.
void StoreFlush::take_refresh(const RedisReply& reply) {
  if (reply.is_error() && reply.text().starts_with("NOSCRIPT")) return send_refresh(ScriptForm::in_full);
  bool more = refresh_.take(reply, reactor_.now());
  if (!refresh_.why().empty()) complain("does not tell who is online", refresh_.why());
  if (more) return send_refresh(ScriptForm::by_hash);
  step_ = Step::idle;
  if (!pass_wanted_) return;
  pass_wanted_ = false;
  begin();
}

// --- all stores ------------------------------------------------------------------------------------

Flusher::Flusher(Reactor& reactor, Log& log, Table& table, const Stores& stores, Millis interval,
                 const ListedSites* listed, const SpoolSettings* spool)
    : reactor_(reactor),
      log_(log),
      table_(table),
      stores_(stores),
      interval_(interval),
      listed_(listed),
      owner_(random_owner()),
      area_(listed == nullptr ? SnapshotArea() : SnapshotArea(table.snapshots().memory, table.snapshots().size)),
      census_(reactor, table, area_, owner_, interval, refresh_period(interval)),
      keeper_(log, spool, table.header().spool),
      told_{{table.header().refused.load()},
            {table.header().unnamed.load()},
            {table.header().lost_runs.load()},
            {table.header().dropped.load()},
            {table.header().spool.full.load()},
            {table.header().spool.failed.load()},
            {table.header().spool.damaged.load()}} {
  std::size_t i = 0;
  std::size_t t = 0;
  for (const Store* store : stores.all()) {
    if (store->index == kNone) continue;
    if (store->records) {
      flushes_[i] = ::new (memory_[i]) StoreFlush(reactor, log, table, *store, owner_, interval, area_,
                                             refresh_period(interval));
      ++i;
    }
    if (store->touches && t < kTouchStores) {
      touches_[t] = ::new (touch_memory_[t]) TouchFlush(reactor, log, table, *store, owner_);
      ++t;
    }
  }
}

Flusher::~Flusher() {
  stop();
  for (StoreFlush* flush : flushes_) {
    if (flush != nullptr) flush->~StoreFlush();
  }
  for (TouchFlush* touches : touches_) {
    if (touches != nullptr) touches->~TouchFlush();
  }
}

// libsodium looks for what this CPU hashes ids fastest with only if it is told to.
void Flusher::start() {
  if (sodium_init() < 0) log_.write(Level::warn, "libsodium hashes with its slowest code");
  if (!idle()) on_timer();
}

void Flusher::start_last() {
  last_ = true;
  target_ = table_.header().passes_begun.load() + 1;
  for (TouchFlush* touches : touches_) {
    if (touches != nullptr) touches->begin_last();
  }
  start();
}

void Flusher::stop() {
  reactor_.cancel_timer(*this);
  census_.stop();
  for (StoreFlush* flush : flushes_) {
    if (flush != nullptr) flush->close();
  }
  for (TouchFlush* touches : touches_) {
    if (touches != nullptr) touches->close();
  }
  drop_shippers();
  keeper_.close();
  if (held_) table_.drop_lease(owner_);
  held_ = passing_ = false;
}

void Flusher::on_timer() {
  Millis now = reactor_.now();
  bool held = table_.take_lease(owner_, now, kLease);
  if (held_ && !held) stop();
  held_ = held;
  if (held_) {
    pass();
    for (StoreFlush* flush : flushes_) {
      if (flush != nullptr) flush->sweep();
    }
    touch();
    ship();
    keep_lists();
  }
  Millis tick = last_ ? 10 : interval_ < kTick ? interval_ : kTick;
  reactor_.set_timer(*this, tick);
}

void Flusher::pass() {
  Millis now = reactor_.now();
  bool all_done = true;
  bool any_down = false;
  for (StoreFlush* flush : flushes_) {
    if (flush == nullptr) continue;
    flush->open();
    all_done = all_done && flush->done();
    any_down = any_down || flush->down();
  }
  Header& header = table_.header();
  if (passing_ && all_done) {
    passing_ = false;
    if (!any_down) header.passes_done.store(pass_);
    report();
  }
  if (passing_ || (now < next_pass_ && !last_)) return;
  passing_ = true;
  pass_ = header.passes_begun.fetch_add(1) + 1;
  next_pass_ = now + interval_;
  for (StoreFlush* flush : flushes_) {
    if (flush != nullptr) flush->begin();
  }
}

// Apart from the passes, for which a Redis of an application that does not answer would be one to wait for.
void Flusher::touch() {
  Millis now = reactor_.now();
  if (now < next_touch_) return;
  next_touch_ = now + interval_;
  for (TouchFlush* touches : touches_) {
    if (touches == nullptr) continue;
    touches->open();
    touches->begin();
  }
}

// Only who holds the lease has their memory. All of them or none: what one of them has not shipped must stay.
void Flusher::make_shippers() {
  if (shippers_[0] != nullptr) return;
  Shipper** next = shippers_;
  for (const Store* store : stores_.all()) {
    if (store->index == kNone || !store->records) continue;
    void* memory = std::malloc(sizeof(Shipper));
    if (memory == nullptr) return drop_shippers();
    *next++ = ::new (memory) Shipper(reactor_, log_, table_, *store, keeper_, owner_);
  }
}

void Flusher::drop_shippers() {
  for (Shipper*& shipper : shippers_) {
    if (shipper == nullptr) continue;
    shipper->close();
    shipper->~Shipper();
    std::free(shipper);
    shipper = nullptr;
  }
}

// Apart from the passes as well: what is in the spool can wait, and sessions should not wait for it.
void Flusher::ship() {
  Millis now = reactor_.now();
  if (!keeper_.wanted() || now < next_ship_ || last_) return;
  next_ship_ = now + interval_;
  make_shippers();
  keeper_.care(*this, now);
  for (Shipper* shipper : shippers_) {
    if (shipper == nullptr) continue;
    shipper->open();
    shipper->begin();
  }
}

// Where there is no Redis, nothing is.
std::uint64_t Flusher::shipped(std::uint64_t instance) const {
  std::uint64_t least = shippers_[0] == nullptr ? 0 : UINT64_MAX;
  for (const Shipper* shipper : shippers_) {
    if (shipper != nullptr) least = std::min(least, shipper->shipped(instance));
  }
  return least;
}

bool Flusher::touched() const {
  for (const TouchFlush* touches : touches_) {
    if (touches != nullptr && !touches->finished()) return false;
  }
  return true;
}

// A list that is configured counts as asked for.
void Flusher::keep_lists() {
  if (listed_ == nullptr) return;
  Millis now = reactor_.now();
  for (std::uint16_t site : listed_->all()) area_.want(site, now);
  for (StoreFlush* flush : flushes_) {
    if (flush != nullptr) flush->refresh();
  }
  census_.go_on();
}

void Flusher::report() {
  if (orphans_ >= table_.end()) orphans_ = 0;
  table_.drop_orphans(stores_.mask(), orphans_, reactor_.now(), kPatience);
  table_.free_silent_details(details_, reactor_.now());
  Header& header = table_.header();
  if (std::uint64_t more = told_.refused.more(header.refused); more != 0) {
    log_.print(Level::warn,
               "heartbeat: %lu new sessions refused: the table is full of sessions that are here or that Redis does not "
               "have yet (the zone holds %lu)",
               static_cast<unsigned long>(more), static_cast<unsigned long>(table_.capacity()));
  }
  if (std::uint64_t more = told_.unnamed.more(header.unnamed); more != 0) {
    log_.print(Level::warn, "heartbeat: %lu sessions without room for their user and page (the zone holds %u)",
               static_cast<unsigned long>(more), header.max_details);
  }
  if (std::uint64_t more = told_.lost_runs.more(header.lost_runs); more != 0) {
    log_.print(Level::warn, "heartbeat: %lu stretches of time lost: a Redis has been away for long",
               static_cast<unsigned long>(more));
  }
  if (std::uint64_t more = told_.dropped.more(header.dropped); more != 0) {
    log_.print(Level::warn, "heartbeat: %lu sessions given up: their Redis left the configuration",
               static_cast<unsigned long>(more));
  }
  SpoolShared& spool = header.spool;
  if (std::uint64_t more = told_.full.more(spool.full); more != 0) {
    log_.print(Level::error, "heartbeat_spool: %lu beacons refused: the spool or its disk is full (%lu MiB wait in it)",
               static_cast<unsigned long>(more), static_cast<unsigned long>(spool.bytes.load() >> 20));
  }
  if (std::uint64_t more = told_.failed.more(spool.failed); more != 0) {
    log_.print(Level::error, "heartbeat_spool: %lu beacons refused: they could not be written", static_cast<unsigned long>(more));
  }
  if (std::uint64_t more = told_.damaged.more(spool.damaged); more != 0) {
    log_.print(Level::error, "heartbeat_spool: %lu stretches of it are damaged and were passed over", static_cast<unsigned long>(more));
  }
}

bool Flusher::finished() const {
  const Header& header = const_cast<Table&>(table_).header();
  if (!touched()) return false;
  if (header.passes_done.load() >= target_ || !table_.anything_to_flush(stores_.mask())) return true;
  bool hopeless = held_;
  for (const StoreFlush* flush : flushes_) hopeless = hopeless && (flush == nullptr || flush->failed());
  return hopeless;
}

void flush_before_exit(Log& log, Table& table, const Stores& stores, Millis patience) {
  if (!table.anything_to_flush(stores.mask()) && !table.any_touch_due(stores.mask())) return;
  PollReactor reactor;
  Flusher flusher(reactor, log, table, stores, 1000);
  Millis deadline = reactor.now() + patience;
  flusher.start_last();
  while (!flusher.finished() && reactor.now() < deadline) reactor.turn(10);
  flusher.stop();
}

}  // namespace heartbeat
