// Carries what the spool holds to one Redis: window by window, each merged there before the next is read, so that neither
// the server's loop nor Redis is held up for longer than one window takes. Redis itself knows how far it has each part of a
// site; so a window may be sent again, by whichever process, and nothing is merged twice.
#pragma once

#include "shared/beacon/ranking.h"
#include "shared/beacon/record.h"
#include "shared/beacon/spool_keeper.h"
#include "shared/redis/batch.h"
#include "shared/redis/clock.h"
#include "shared/redis/link.h"
#include "shared/session/table.h"

namespace heartbeat {

class Shipper final : public LinkUser {
 public:
  static constexpr std::size_t kBytes = std::size_t{256} << 10;  // of a window
  static constexpr Millis kLook = 1000;  // between two looks for page views whose session has gone
  static constexpr std::uint32_t kParts = 32;      // parts of sites looked at together
  static constexpr int kLooked = 200;    // page views of each
  static constexpr int kRounds = 10;     // so often at once where more of them wait

  static constexpr Millis kRank = 60000;  // between two looks at what was lost
  static constexpr Millis kFirstRank = 2000;    // after the link came up
  static constexpr Millis kRanked = 3600 * 1000;  // so long after a page last asked
  static constexpr std::uint32_t kSample = 16;    // most parts of a site that are looked at: page views are spread evenly

  Shipper(Reactor& reactor, Log& log, Table& table, const Store& store, SpoolKeeper& keeper, std::uint64_t owner);

  void open() { link_.open(); }
  void close();
  /// Ships what there is, and looks for page views that are over, unless it is at it.
  void begin();
  /// Up to where this Redis has what `instance` has spooled.
  std::uint64_t shipped(std::uint64_t instance) const;

  void on_ready() override;
  void on_reply(const RedisReply& reply) override;
  void on_down() override;

 private:
  enum class Step : std::uint8_t { down, idle, clock, records, views, ranks };

  struct Progress {
    std::uint64_t instance, position;
  };
  /// One record of the window, and which part of which site it goes to.
  struct Routed {
    BeaconRecord record;
    std::uint64_t end;
    std::uint16_t site;
    std::uint16_t shard;
    bool sent;  // its group was written
  };

  void next();
  void idle();
  bool read_window();
  bool read_from(SpoolReader& reader);
  Progress* progress_of(SpoolReader& reader);
  void route(SpoolReader& reader);
  std::uint16_t site_of(std::string_view name, bool& held) const;
  void send_window(ScriptForm form);
  void write_part(std::size_t first, ScriptForm form);
  void write_record(CommandWriter writer, const Routed& routed, std::int64_t clock) const;
  void take_merged(const RedisReply& reply);
  void take_clock(const RedisReply& reply);
  bool chores();
  bool look(ScriptForm form);
  void write_look(const SiteRecord& site, std::uint16_t index, std::uint32_t shard, ScriptForm form);
  void take_looked(const RedisReply& reply);
  bool rank();
  void take_ranks(const RedisReply& reply);
  bool all_in(const RedisReply& reply, bool& again);
  void complain(const char* what, std::string_view why);

  Reactor& reactor_;
  Log& log_;
  Table& table_;
  const Store& store_;
  SpoolKeeper& keeper_;
  const std::uint64_t owner_;
  Link link_;
  RedisClock clock_;
  Step step_ = Step::down;

  Progress progress_[SpoolKeeper::kInstances] = {};
  SpoolWindow window_;
  Routed routed_[SpoolWindow::kRecords];
  std::size_t count_ = 0;          // of these
  std::uint64_t instance_ = 0;     // that the window is of
  std::uint64_t window_end_ = 0;
  std::uint32_t due_ = 0;          // replies
  bool unknown_ = false;           // one of them: the script is not known there
  bool behind_ = true;             // much is to be shipped: page views are not judged before it is there

  Millis next_look_ = 0;
  std::uint32_t look_from_ = 0, look_to_ = 0;  // parts of all sites, counted through
  bool more_views_ = false;        // wait in one of these
  int rounds_ = 0;                 // of these parts
  Millis next_rank_ = 0;
  std::uint32_t rank_site_ = 0;  // of which the counters come
  Ranking ranking_;
  Millis logged_ = -1000000;
};

}  // namespace heartbeat
