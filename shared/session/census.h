// Who is online at this host, found by walking its table: for sites that are kept in memory only, and for those whose
// Redis does not answer. The walk goes on in small steps, so that no request waits for it.
#pragma once

#include "shared/session/snapshot.h"
#include "shared/session/table.h"

namespace heartbeat {

class Census final : public TimerHandler {
 public:
  static constexpr Millis kPatience = 3000;  // with Redis, and a flush interval more

  /// `owner` is the name under which this process holds the lease. `interval` is that of the flush.
  Census(Reactor& reactor, Table& table, SnapshotArea& area, std::uint64_t owner, Millis interval, Millis period);
  ~Census() { stop(); }
  Census(const Census&) = delete;
  Census& operator=(const Census&) = delete;

  /// This process holds the lease: begins a walk where one is due.
  void go_on();
  void stop();

  void on_timer() override;

 private:
  struct Count;  // of one site
  static constexpr Millis kPause = 4;
  static constexpr std::int64_t kStep = 300000;       // ns of work in one go
  static constexpr std::uint32_t kSlotsOfLook = 256;  // between two looks at the clock

  bool needed(std::uint32_t i, Millis now) const;
  bool begin(Millis now);
  void walk();
  void visit(std::uint32_t slot);
  void show(Count& count);
  Millis ahead(const Count& count) const;

  Reactor& reactor_;
  Table& table_;
  SnapshotArea& area_;
  const std::uint64_t owner_;
  const Millis patience_, period_;
  Millis held_since_ = -1;  // the lease; -1: not held
  Millis begun_;
  Millis now_ = 0;          // of the walk
  Count** counts_ = nullptr;  // by site; null: not wanted
  std::uint32_t sites_ = 0;   // of counts_
  std::uint32_t slot_ = 0;
};

}  // namespace heartbeat
