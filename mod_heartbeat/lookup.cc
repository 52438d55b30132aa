// A request whose answer waits for Redis: the thread that has the request drives the lookup on a poll loop of its own.
#include "mod_heartbeat/lookup.h"

#include "shared/endpoint/deferred.h"
#include "shared/port/poll_reactor.h"

namespace heartbeat {
namespace {

struct Ended final : public Lookup::Waiter {
  void on_end() override { ended = true; }
  bool ended = false;
};

}  // namespace

Reply await_reply(request_rec* r, Deferred& deferred) {
  PoolArena arena(r->pool);
  deferred.arena = &arena;
  PollReactor reactor;
  RequestLog log(r);
  Ended waiter;
  Lookup lookup(reactor, log, deferred.store, deferred, waiter);
  lookup.start();
  while (!waiter.ended) reactor.turn(Lookup::kDeadline);
  return deferred.reply;
}

}  // namespace heartbeat
