// Keeps the sessions of applications alive in their Redis.
#include "shared/redis/touches.h"

#include <algorithm>

#include "touch_lua.h"

namespace heartbeat {
namespace {

// Redis lets this user do what the script does, but not with these keys; or a Redis Cluster has them elsewhere.
bool refuses_keys(std::string_view error) {
  bool forbidden = error.starts_with("NOPERM") && error.find(" key") != std::string_view::npos;
  return forbidden || error.starts_with("CROSSSLOT") || error.starts_with("MOVED");
}

}  // namespace

bool write_touch_key(std::string_view pattern, const Name& session, std::string_view user, Buffer& key) {
  constexpr std::string_view kSession = "{session}";
  constexpr std::string_view kUser = "{user}";
  while (!pattern.empty()) {
    std::string_view rest = pattern;
    while (!rest.empty() && !rest.starts_with(kSession) && !rest.starts_with(kUser)) rest.remove_prefix(1);
    key.append(pattern.substr(0, pattern.size() - rest.size()));
    if (rest.empty()) break;
    bool of_session = rest.starts_with(kSession);
    if (of_session ? session.size > kNameBytes : user.empty()) return false;
    key.append(of_session ? std::string_view(session.bytes, session.size) : user);
    pattern = rest.substr(of_session ? kSession.size() : kUser.size());
  }
  return true;
}

TouchFlush::TouchFlush(Reactor& reactor, Log& log, Table& table, const Store& store, std::uint64_t owner)
    : reactor_(reactor),
      log_(log),
      table_(table),
      store_(store),
      owner_(owner),
      link_(reactor, log, store, *this) {}

void TouchFlush::close() {
  link_.close();
  on_down();
}

// What was not answered is due again, and goes with the next pass.
void TouchFlush::on_down() {
  step_ = Step::down;
  table_.give_back_touches(store_.index, {due_ + begin_, end_ - begin_});
  begin_ = end_ = 0;
}

void TouchFlush::on_ready() {
  step_ = Step::idle;
  begin();
}

void TouchFlush::begin() {
  if (step_ != Step::idle) return;
  cursor_ = 0;
  clock_.begin();
  next();
}

void TouchFlush::begin_last() {
  if (!table_.any_touch_due(1U << store_.index)) return;
  last_ = true;
  open();
}

bool TouchFlush::may_take() const { return last_ || table_.header().lease_owner.load() == owner_; }

void TouchFlush::next() {
  step_ = Step::idle;
  for (int turn = 0; !gather(); ++turn) {
    passed_ = cursor_ >= table_.end();
    if (passed_ || !may_take()) return;
    if (turn == kEmptyTurns) return pause();
  }
  if (clock_.asked()) send_all();
  else ask_clock();
}

// False, and an empty key, which Redis has nowhere: the session is not known any more, or has no user to name.
bool TouchFlush::write_key(const DueTouch& due, Buffer& key) const {
  const TouchRecord& touch = table_.touch(due.touch);
  std::uint32_t slot = table_.slot_of(due);
  key.clear();
  bool known = slot != UINT32_MAX && write_touch_key({touch.key, touch.size}, table_.name(slot), table_.user(slot), key);
  if (known && table_.slot_of(due) == slot) return true;  // no lock is held: it may just have gone to another slot
  key.clear();
  return false;
}

// The next touches that can still do some good.
bool TouchFlush::gather() {
  if (!may_take()) return false;
  std::uint32_t taken = table_.take_touches(store_.index, cursor_, due_);
  begin_ = end_ = 0;
  Buffer key;
  for (const DueTouch& due : std::span(due_, taken)) {
    const TouchRecord& touch = table_.touch(due.touch);
    bool known = write_key(due, key);
    if (known && due.seen + touch.ttl > reactor_.now()) due_[end_++] = due;
  }
  return end_ != 0;
}

// There is more to look at, but nothing to send yet: the server's loop goes on until Redis has answered.
void TouchFlush::pause() {
  step_ = Step::pause;
  link_.commands().command({"PING"});
  link_.send(1);
}

// The script without a key answers what time it is there.
void TouchFlush::ask_clock() {
  step_ = Step::clock;
  clock_.ask(reactor_.now());
  write({});
  link_.send(1);
}

// Who is not in the table any more has no key.
bool TouchFlush::keep_known() {
  Buffer key;
  auto gone = [&](const DueTouch& due) { return !write_key(due, key); };
  begin_ = 0;
  end_ = static_cast<std::uint32_t>(std::remove_if(due_, due_ + end_, gone) - due_);
  return end_ != 0;
}

void TouchFlush::send_all() {
  if (!keep_known()) return next();
  step_ = Step::all;
  write({due_, end_});
  link_.send(1);
}

void TouchFlush::send_each() {
  if (!keep_known()) return next();
  step_ = Step::each;
  for (const DueTouch& due : std::span(due_, end_)) write({&due, 1});
  link_.send(end_);
}

void TouchFlush::write(std::span<const DueTouch> touches) {
  CommandWriter writer = link_.commands();
  writer.script(script_known_ ? ScriptForm::by_hash : ScriptForm::in_full, {kTouchLua, kTouchLuaSha1}, touches.size(),
                touches.size());
  Buffer key;
  for (const DueTouch& due : touches) {
    write_key(due, key);
    writer.word(key.view());
  }
  for (const DueTouch& due : touches) {
    writer.number(due.seen + table_.touch(due.touch).ttl + clock_.offset());
  }
}

void TouchFlush::on_reply(const RedisReply& reply) {
  switch (step_) {
    case Step::pause:
      return reply.is_error() ? link_.give_up(reply.text()) : next();
    case Step::clock:
      return take_clock(reply);
    case Step::all:
      return take_all(reply);
    case Step::each:
      return take_each(reply);
    case Step::idle:
    case Step::down:
      return link_.give_up("an answer that was not asked for");
  }
}

void TouchFlush::take_clock(const RedisReply& reply) {
  if (reply.is_error() && reply.text().starts_with("NOSCRIPT") && script_known_) {
    script_known_ = false;
    return ask_clock();
  }
  if (reply.is_error()) return link_.give_up(reply.text());
  if (reply.type != RedisReply::Type::integer) return link_.give_up("no answer of the script that can be read");
  script_known_ = true;
  if (clock_.take(reply.integer(), reactor_.now())) send_all();
  else ask_clock();
}

void TouchFlush::take_all(const RedisReply& reply) {
  if (reply.is_error() && refuses_keys(reply.text())) return send_each();
  if (reply.is_error()) return link_.give_up(reply.text());
  link_.succeeded();
  begin_ = end_ = 0;
  next();
}

// A key that is refused is left to the next sign of life of its session.
void TouchFlush::take_each(const RedisReply& reply) {
  bool refused = reply.is_error() && refuses_keys(reply.text());
  if (reply.is_error() && !refused) return link_.give_up(reply.text());
  if (refused) refused_touch_ = due_[begin_].touch;
  refused_ += refused ? 1 : 0;
  if (++begin_ != end_) return;
  link_.succeeded();
  tell_refused();
  next();
}

// Redis' own words may hold the key, and with it the id of a session.
void TouchFlush::tell_refused() {
  if (refused_ == 0 || reactor_.now() - told_ < 1000) return;
  told_ = reactor_.now();
  const TouchRecord& touch = table_.touch(refused_touch_);
  log_.print(Level::error, "heartbeat: Redis %.*s refuses to touch %u keys, of %.*s for one: may its user use them?",
             HEARTBEAT_VIEW(store_.url->shown), refused_, touch.size, touch.key);
  refused_ = 0;
}

}  // namespace heartbeat
