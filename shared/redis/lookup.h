// One question to Redis and its answer, while a request waits: over a connection of its own, within a deadline, and
// without ever blocking the reactor. An audit is rare, so a connection for each costs less than one that is kept open.
#pragma once

#include "shared/redis/link.h"

namespace heartbeat {

/// A script that only reads, with its arguments, and who takes the answer. Exactly one of take() and no_answer() is
/// called.
class Question {
 public:
  virtual RedisScript script() const = 0;
  /// How many of its arguments, the first ones, are keys.
  virtual std::size_t keys() const { return 0; }
  virtual std::size_t arguments() const = 0;
  /// Writes so many words as arguments() says.
  virtual void write(CommandWriter writer) const = 0;

  /// The answer of Redis, no error. It is gone when this returns.
  virtual void take(const RedisReply& reply) = 0;
  /// There is no answer: `why` is a sentence for people without any detail that is not theirs. The log knows more.
  virtual void no_answer(std::string_view why) = 0;

 protected:
  ~Question() = default;
};

class Lookup final : public LinkUser, public TimerHandler {
 public:
  static constexpr Millis kDeadline = 2000;  // from start() to the end
  static constexpr Millis kSilence = 1000;   // so long after a deadline that passed nothing is asked of that Redis
  static constexpr int kMost = 16;           // at a time in one process

  /// Whoever waits: told that take() or no_answer() of the question was called. The lookup may be destroyed there.
  class Waiter {
   public:
    virtual void on_end() = 0;

   protected:
    ~Waiter() = default;
  };

  Lookup(Reactor& reactor, Log& log, const Store& store, Question& question, Waiter& waiter);
  ~Lookup() { cancel(); }
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

  /// Asks. The end comes from the reactor, never from within this call. Once.
  void start();
  /// No one waits any more: nothing is called from now on.
  void cancel();

  void on_ready() override;
  void on_reply(const RedisReply& reply) override;
  void on_down() override;
  void on_unreachable() override;
  void on_timer() override;

 private:
  enum class Step : std::uint8_t { idle, connecting, by_hash, in_full, ended };

  void ask(Step form);
  void no_answer(std::string_view why);
  void end();
  void leave();
  bool silent() const;

  Reactor& reactor_;
  Log& log_;
  const Store& store_;
  Question& question_;
  Waiter& waiter_;
  Link link_;
  Step step_ = Step::idle;
  bool counted_ = false;
  std::uint32_t failures_ = 0;
};

}  // namespace heartbeat
