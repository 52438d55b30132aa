// Asks Redis who is online at the sites that show it, one command for each shard of a site, and writes their lists.
// The flush to a store drives it: it begins where a pass ends, on the same connection.
#pragma once

#include "shared/redis/batch.h"
#include "shared/redis/link.h"
#include "shared/session/snapshot.h"

namespace heartbeat {

class Refresh {
 public:
  /// `period`: time between two refreshes.
  Refresh(Table& table, const Store& store, SnapshotArea& area, Millis period);

  /// True: it is time, and write() has something to ask.
  bool begin(Millis now);
  void write(CommandWriter writer, ScriptForm form) const;
  /// The answer to what was written last. True: write() has more to ask.
  bool take(const RedisReply& reply, Millis now);
  /// Gives its memory back.
  void stop() { told_.release(); }
  /// Why the last answer was none that can be read; empty: it was one.
  std::string_view why() const { return why_; }

 private:
  bool find_site(Millis now);
  bool keep(std::string_view text);
  void show(Millis now);

  Table& table_;
  const Store& store_;
  SnapshotArea& area_;
  const Millis period_;
  Millis begun_;
  std::uint32_t list_ = 0;   // of the area
  std::uint16_t site_ = kNone;
  std::uint32_t shard_ = 0;
  SnapshotHead sums_{};      // over the shards that have answered
  Buffer told_;              // by them: their sessions
  std::string_view why_;
};

}  // namespace heartbeat
