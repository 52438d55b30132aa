// One connection to a Redis server, on the reactor: connect, log in, send, receive, and come back after trouble.
// Never blocks. hiredis parses the replies; the socket is ours, because the asynchronous part of hiredis has no
// timeouts in the versions that systems ship, and frees its context inside callbacks.
#pragma once

#include "shared/port/buffer.h"
#include "shared/port/port.h"
#include "shared/redis/command.h"
#include "shared/redis/reply.h"
#include "shared/redis/store.h"

namespace heartbeat {

/// Who uses a link: told of its state and of each reply, in the order of the commands.
class LinkUser {
 public:
  virtual void on_ready() = 0;
  /// `reply` stays as it is until on_reply() returns or closes the link.
  virtual void on_reply(const RedisReply& reply) = 0;
  /// The connection is gone, and with it the replies still due. The link tries again by itself.
  virtual void on_down() = 0;
  /// No connection came about, or no login. The link tries again by itself.
  virtual void on_unreachable() {}

 protected:
  ~LinkUser() = default;
};

class Link final : public IoHandler, public TimerHandler {
 public:
  static constexpr Millis kConnectTimeout = 2000;
  static constexpr Millis kCommandTimeout = 5000;
  static constexpr Millis kIdleTimeout = 15000;  // then a PING tells whether the other end is still there
  static constexpr Millis kBackoffMin = 100;
  static constexpr Millis kBackoffMax = 5000;    // doubled from the least to this, each with a quarter of jitter

  /// `meanwhile` ends the log line about trouble: what it means for whatever the link is there for.
  Link(Reactor& reactor, Log& log, const Store& store, LinkUser& user,
       const char* meanwhile = "its changes are kept and sent later");
  ~Link() { close(); }
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  void open();   // nothing if it is open or trying already
  void close();  // now, without telling the user
  bool ready() const { return state_ == State::ready; }
  /// True once a connection failed since open(): whoever has no time can stop waiting.
  bool failed_before() const { return failures_ != 0; }

  /// Where to write commands; send() starts them on their way. Only while ready.
  CommandWriter commands() { return CommandWriter(out_); }
  void send(std::uint32_t replies);

  /// The server answered in a way that makes the connection useless: drop it and come back later.
  void give_up(std::string_view why);

  /// The server did what it was asked: the next trouble starts with the least backoff.
  void succeeded();

  void on_io(bool readable, bool writable) override;
  void on_timer() override;

 private:
  enum class State : std::uint8_t { closed, waiting, connecting, login, ready };

  void connect();
  void connected();
  void read();
  void write();
  void take(const RedisReply& reply);
  void take_login(const RedisReply& reply);
  void drop();
  void deadline();

  Reactor& reactor_;
  Log& log_;
  const Store& store_;
  LinkUser& user_;
  const char* const meanwhile_;
  Buffer out_;
  ReplyReader reader_;
  State state_ = State::closed;
  int fd_ = -1;
  bool writable_watched_ = false;
  std::uint32_t address_ = 0;
  std::uint32_t due_ = 0;        // replies still to come
  std::uint32_t pings_ = 0;      // of these, the first are for our own PINGs
  std::uint32_t failures_ = 0;   // since it last did what it was asked
  std::uint32_t drops_ = 0;      // tells on_io() that a callback dropped the connection
  Millis logged_ = -1000000;
};

}  // namespace heartbeat
