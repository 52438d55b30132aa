// What the process that ships has open of the spool: its own server's part and what dead servers left, and what of it may
// be deleted.
#pragma once

#include <span>

#include "shared/beacon/spool_reader.h"
#include "shared/settings/settings.h"

namespace heartbeat {

class SpoolKeeper {
 public:
  static constexpr std::size_t kInstances = 8;  // this server, and so many dead ones at a time
  static constexpr Millis kLook = 10000;        // between two looks for dead servers
  static constexpr Millis kKeep = 10000;        // what Redis has stays so long: it may forget the last second (appendfsync)
  static constexpr Millis kKeepLittle = 2000;   // the same where more than half of the room is taken

  /// Where up to which position all have it. `shipped(instance)`.
  class Shipped {
   public:
    virtual std::uint64_t shipped(std::uint64_t instance) const = 0;

   protected:
    ~Shipped() = default;
  };

  SpoolKeeper(Log& log, const SpoolSettings* settings, SpoolShared& shared);

  bool wanted() const { return settings_ != nullptr && !settings_->directory.empty(); }
  /// Those that can be read now; the first is this server's.
  std::span<SpoolReader> readers() { return {readers_, open_}; }
  /// A record at `position` belongs to nobody who could be sent it: it stays.
  void hold(const SpoolReader& reader, std::uint64_t position);
  /// Looks for dead servers, if that is due, and deletes what all have.
  void care(const Shipped& shipped, Millis now);
  void close();
  /// At most once a second.
  void complain(const Error& why, Millis now);

 private:
  void look(Millis now);
  bool has(std::uint64_t instance) const;
  void drop(std::size_t index);

  Log& log_;
  const SpoolSettings* settings_;
  SpoolShared& shared_;
  SpoolReader readers_[kInstances];
  std::uint64_t held_[kInstances];
  std::size_t open_ = 0;
  Millis next_look_ = 0;
  Millis logged_ = -1000000;
};

}  // namespace heartbeat
