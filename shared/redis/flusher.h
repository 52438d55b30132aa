// Carries what changed in the session table to Redis: one process of a host holds the lease and does it for all.
// Every `interval` a pass takes the changed sessions, batch after batch, each one applied and acknowledged before
// the next is made, so that neither the server's loop nor Redis is held up for longer than one batch takes.
#pragma once

#include <new>

#include "shared/beacon/shipper.h"
#include "shared/redis/batch.h"
#include "shared/redis/clock.h"
#include "shared/redis/link.h"
#include "shared/redis/touches.h"
#include "shared/redis/refresh.h"
#include "shared/session/census.h"

namespace heartbeat {

/// Under which name the batches of one store of one table are numbered in Redis; the same for all processes.
class NodeName {
 public:
  NodeName(Table& table, std::uint16_t store);
  operator std::string_view() const { return {text_, size_}; }

 private:
  char text_[96];
  std::size_t size_;
};

/// The flush to one store.
class StoreFlush final : public LinkUser {
 public:
  StoreFlush(Reactor& reactor, Log& log, Table& table, const Store& store, std::uint64_t owner, Millis interval,
             SnapshotArea& area, Millis refresh_period);

  void open() { link_.open(); }
  void close();
  /// Starts a pass; where something else is going on, as soon as that is over.
  void begin();
  /// Looks for silent sessions, if that is due and nothing is going on.
  void sweep();
  /// Asks who is online, if that is due and nothing else is being asked.
  void refresh();
  bool done() const { return step_ == Step::idle || step_ == Step::down; }
  bool down() const { return step_ == Step::down; }
  bool failed() const { return link_.failed_before(); }

  void on_ready() override;
  void on_reply(const RedisReply& reply) override;
  void on_down() override;

 private:
  enum class Step : std::uint8_t { down, set_key, get_key, get_batch, idle, clock, batch, pause, sweep, refresh };
  static constexpr Millis kSweep = 800;      // between two looks for silent sessions, with a quarter of jitter and a tick
  static constexpr Millis kMargin = 250;     // how long a batch may take from here to Redis
  static constexpr Millis kHoldOff = 8000;   // after Redis came back: other hosts still send what they kept
  static constexpr int kSwept = 200;         // sessions taken at a time
  static constexpr int kEmptyTurns = 2;  // looks at changed sessions of other stores before the server gets its turn

  void next();
  void idle();
  void flushed();
  void send_sweep(ScriptForm form);
  void take_sweep(const RedisReply& reply);
  void take_key(const RedisReply& reply);
  void take_applied(const RedisReply& reply);
  void ask_clock();
  void pause();
  void take_clock(const RedisReply& reply);
  void send_batch(ScriptForm form);
  void take_batch(const RedisReply& reply);
  void take_failed(const RedisReply& reply);
  void complain(const char* what, std::string_view why);
  void send_refresh(ScriptForm form);
  void take_refresh(const RedisReply& reply);

  Reactor& reactor_;
  Log& log_;
  Table& table_;
  const Store& store_;
  const NodeName node_;
  const std::uint64_t owner_;
  const Millis interval_;
  Link link_;
  Refresh refresh_;
  Step step_ = Step::down;
  bool pass_wanted_ = false;  // when the refresh is through
  Pass records_;
  ShownIds ids_;
  std::uint64_t sent_ = 0;  // number of the batch on its way
  RedisClock clock_;
  Millis next_sweep_ = 0;
  Millis calm_from_ = 0;
  Millis logged_ = -1000000;
};

/// What was told of a number that grows in shared memory.
struct Count {
  std::uint64_t told;
  /// How many came since the last call.
  std::uint64_t more(const std::atomic<std::uint64_t>& number) {
    std::uint64_t before = told;
    told = number.load();
    return told - before;
  }
};

class Flusher final : public TimerHandler, private SpoolKeeper::Shipped {
 public:
  static constexpr Millis kLease = 3000;  // how long after its holder died another takes over
  static constexpr Millis kTick = 250;    // longest time between two looks at the lease, and at what is due
  static constexpr Millis kPatience = 60000;  // for changes of stores that the configuration no longer has

  /// `listed`: the sites whose lists of who is online are kept up to date, and those that anybody asked for of late;
  /// null: none at all. `spool`: where beacons wait; null: none are shipped.
  Flusher(Reactor& reactor, Log& log, Table& table, const Stores& stores, Millis interval,
          const ListedSites* listed = nullptr, const SpoolSettings* spool = nullptr);
  ~Flusher();
  Flusher(const Flusher&) = delete;
  Flusher& operator=(const Flusher&) = delete;

  /// Begins to look for the lease. Nothing where there is no store and no list.
  void start();
  /// Closes everything and gives the lease back.
  void stop();

  void on_timer() override;

  /// For a process that is about to end: true when there is nothing left for it to wait for. Looks again every few
  /// milliseconds while the reactor runs after start_last().
  bool finished() const;
  /// Like start(), but passes follow each other at once.
  void start_last();

 private:
  void report();
  void pass();
  void touch();
  bool touched() const;
  void keep_lists();
  void make_shippers();
  void drop_shippers();
  void ship();
  std::uint64_t shipped(std::uint64_t instance) const override;
  bool idle() const {
    return stores_.all().empty() && (listed_ == nullptr || listed_->all().empty()) && !keeper_.wanted();
  }

  Reactor& reactor_;
  Log& log_;
  Table& table_;
  const Stores& stores_;
  const Millis interval_;
  const ListedSites* const listed_;
  std::uint64_t owner_ = 0;
  SnapshotArea area_;
  Census census_;
  StoreFlush* flushes_[kMaxStores] = {};
  alignas(StoreFlush) unsigned char memory_[kMaxStores][sizeof(StoreFlush)];
  TouchFlush* touches_[kTouchStores] = {};
  alignas(TouchFlush) unsigned char touch_memory_[kTouchStores][sizeof(TouchFlush)];
  SpoolKeeper keeper_;
  Shipper* shippers_[kMaxStores] = {};
  bool held_ = false;
  bool last_ = false;
  bool passing_ = false;
  std::uint64_t pass_ = 0;
  std::uint64_t target_ = 0;
  Millis next_pass_ = 0;
  Millis next_touch_ = 0;
  Millis next_ship_ = 0;
  std::uint32_t orphans_ = 0;  // cursor
  std::uint32_t details_ = 0;  // cursor
  struct Told {
    Count refused, unnamed, lost_runs, dropped, full, failed, damaged;
  } told_;
};

/// Sends what is left to Redis before the process ends, for at most `patience`, blocking. For the server's exit hook.
void flush_before_exit(Log& log, Table& table, const Stores& stores, Millis patience);

}  // namespace heartbeat
