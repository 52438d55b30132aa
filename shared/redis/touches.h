// Keeps the sessions of applications alive in their Redis: what signs of life made due goes there with every pass of
// the flusher, on a connection of its own, so that a Redis of an application that is away delays nobody else.
#pragma once

#include "shared/redis/clock.h"
#include "shared/redis/command.h"
#include "shared/redis/link.h"

namespace heartbeat {

/// The touches of one store.
class TouchFlush final : public LinkUser {
 public:
  TouchFlush(Reactor& reactor, Log& log, Table& table, const Store& store, std::uint64_t owner);

  void open() { link_.open(); }
  void close();
  /// Starts a pass; nothing if one is running, or if another process holds the lease.
  void begin();

  /// For a process that is about to end: one pass over what is due now, whoever holds the lease. A touch may be sent
  /// twice, so nobody need wait for another.
  void begin_last();
  /// True when it is over, or hopeless.
  bool finished() const { return !last_ || passed_ || link_.failed_before(); }

  void on_ready() override;
  void on_reply(const RedisReply& reply) override;
  void on_down() override;

 private:
  enum class Step : std::uint8_t { down, idle, pause, clock, all, each };
  static constexpr std::uint32_t kDue = 768;  // most of one command: a script of about two milliseconds
  static constexpr int kEmptyTurns = 2;       // looks at touches that are not due before the server gets its turn

  bool may_take() const;
  void next();
  bool gather();
  void pause();
  void ask_clock();
  void take_clock(const RedisReply& reply);
  bool keep_known();
  void send_all();
  void take_all(const RedisReply& reply);
  void send_each();
  void take_each(const RedisReply& reply);
  bool write_key(const DueTouch& due, Buffer& key) const;
  void write(std::span<const DueTouch> touches);
  void tell_refused();

  Reactor& reactor_;
  Log& log_;
  Table& table_;
  const Store& store_;
  const std::uint64_t owner_;
  Link link_;
  RedisClock clock_;
  Step step_ = Step::down;
  bool script_known_ = true;
  bool last_ = false, passed_ = false;
  std::uint32_t cursor_ = 0;
  std::uint32_t begin_ = 0, end_ = 0;  // of those of due_ that are not answered
  DueTouch due_[kDue];
  std::uint32_t refused_ = 0;  // keys, since the log was told
  std::uint16_t refused_touch_ = 0;
  Millis told_ = -1000000;
};

/// The key of a touch for a session: {session} and {user} in `pattern` replaced. False: one of them is wanted and not
/// known. `key` was empty before.
bool write_touch_key(std::string_view pattern, const Name& session, std::string_view user, Buffer& key);

}  // namespace heartbeat
