// One question to Redis and its answer.
#include "shared/redis/lookup.h"

#include <atomic>

namespace heartbeat {
namespace {

constexpr const char* kMeanwhile = "a request that waits for it is not answered";

// Of this process; in Apache its threads share them.
constinit std::atomic<int> running{0};
constinit std::atomic<Millis> silent_until[kMaxStores] = {};

}  // namespace

Lookup::Lookup(Reactor& reactor, Log& log, const Store& store, Question& question, Waiter& waiter)
    : reactor_(reactor),
      log_(log),
      store_(store),
      question_(question),
      waiter_(waiter),
      link_(reactor, log, store, *this, kMeanwhile) {}

// A Redis that was silent a moment ago is not waited for by one request after the other.
bool Lookup::silent() const {
  return store_.index < kMaxStores && reactor_.now() < silent_until[store_.index].load(std::memory_order_relaxed);
}

void Lookup::start() {
  step_ = Step::connecting;
  reactor_.set_timer(*this, kDeadline);
  counted_ = true;
  if (running.fetch_add(1, std::memory_order_relaxed) >= kMost) return no_answer("too many such requests at a time");
  if (silent()) return no_answer("Redis does not answer");
  link_.open();
}

void Lookup::cancel() {
  leave();
  reactor_.cancel_timer(*this);
  step_ = Step::idle;
}

void Lookup::leave() {
  link_.close();
  if (counted_) running.fetch_sub(1, std::memory_order_relaxed);
  counted_ = false;
}

// The waiter is told by the timer: here we may be deep inside the link.
void Lookup::end() {
  leave();
  step_ = Step::ended;
  reactor_.set_timer(*this, 0);
}

void Lookup::no_answer(std::string_view why) {
  question_.no_answer(why);
  end();
}

void Lookup::on_timer() {
  if (step_ == Step::ended) return waiter_.on_end();
  log_.print(Level::error, "heartbeat: Redis %.*s: no answer within two seconds; %s", HEARTBEAT_VIEW(store_.url->shown),
             kMeanwhile);
  if (store_.index < kMaxStores) silent_until[store_.index].store(reactor_.now() + kSilence, std::memory_order_relaxed);
  question_.no_answer("Redis does not answer");
  leave();
  step_ = Step::ended;
  waiter_.on_end();
}

void Lookup::on_ready() { ask(Step::by_hash); }

void Lookup::ask(Step form) {
  step_ = form;
  CommandWriter writer = link_.commands();
  writer.script(form == Step::by_hash ? ScriptForm::by_hash : ScriptForm::in_full, question_.script(), question_.keys(),
                question_.arguments() - question_.keys());
  question_.write(writer);
  link_.send(1);
}

void Lookup::on_reply(const RedisReply& reply) {
  if (reply.is_error() && step_ == Step::by_hash && reply.text().starts_with("NOSCRIPT")) return ask(Step::in_full);
  if (reply.is_error()) return link_.give_up(reply.text());
  if (store_.index < kMaxStores) silent_until[store_.index].store(0, std::memory_order_relaxed);
  question_.take(reply);
  end();
}

void Lookup::on_down() { no_answer("Redis cannot answer this"); }

// A name may stand for several addresses: each is tried.
void Lookup::on_unreachable() {
  if (++failures_ >= store_.address_count) no_answer("Redis cannot be reached");
}

}  // namespace heartbeat
