// Asks Redis who is online.
#include "shared/redis/refresh.h"

#include <charconv>

#include "online_lua.h"
#include "shared/redis/keys.h"
#include "shared/session/newest.h"

namespace heartbeat {
namespace {

// The words of the script's answer, each after its length and a colon.
class Words {
 public:
  explicit Words(std::string_view text) : rest_(text) {}

  bool next(std::string_view& word) {
    std::size_t size = 0;
    auto [end, failure] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), size);
    auto digits = static_cast<std::size_t>(end - rest_.data());
    if (failure != std::errc() || digits == rest_.size() || *end != ':' || size > rest_.size() - digits - 1) return false;
    word = rest_.substr(digits + 1, size);
    rest_.remove_prefix(digits + 1 + size);
    return true;
  }
  /// A number from 0 to 2^53; 0 where the word is empty.
  bool next(Millis& number) {
    std::string_view word;
    if (!next(word)) return false;
    number = 0;
    auto [end, failure] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (word.empty()) return true;
    return failure == std::errc() && end == word.data() + word.size() && number >= 0 && number <= Millis{1} << 53;
  }
  bool next(OnlineSession& session) {
    return next(session.id) && next(session.user) && next(session.since) && next(session.last) && next(session.active);
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

// So many of each shard that all together are enough, though they are not spread quite evenly.
std::uint32_t most_of_shard(std::uint32_t shards) { return shards == 1 ? kListed : kListed * 5 / 4 / shards + 8; }

}  // namespace

Refresh::Refresh(Table& table, const Store& store, SnapshotArea& area, Millis period)
    : table_(table), store_(store), area_(area), period_(period), begun_(-period) {}

// Passes begin at about the same distance as refreshes: a little too early is right.
bool Refresh::begin(Millis now) {
  if (now - begun_ < period_ - period_ / 4) return false;
  begun_ = now;
  list_ = 0;
  return find_site(now);
}

bool Refresh::find_site(Millis now) {
  for (; list_ < area_.capacity(); ++list_) {
    site_ = area_.site(list_);
    if (site_ == kNone || !area_.asked_for(list_, now) || table_.site(site_).store != store_.index) continue;
    shard_ = 0;
    sums_ = {};
    told_.clear();
    return true;
  }
  return false;
}

void Refresh::write(CommandWriter writer, ScriptForm form) const {
  const SiteRecord& site = table_.site(site_);
  const RedisKey tag = tag_of_shard(store_.prefix, {site.name, site.size}, site.shards, shard_);
  writer.script(form, {kOnlineLua, kOnlineLuaSha1}, 3, 2);
  for (std::string_view key : {"online", "seen", "user"}) writer.word(RedisKey(tag).add(key));
  writer.word(RedisKey(tag).add("session:"));
  writer.number(most_of_shard(site.shards));
}

bool Refresh::take(const RedisReply& reply, Millis now) {
  why_ = reply.is_error() ? reply.text() : keep(reply.text()) ? std::string_view() : "no list that can be read";
  if (why_.empty() && ++shard_ < table_.site(site_).shards) return true;
  if (why_.empty()) show(now);
  ++list_;
  return find_site(now);
}

// Adds what one shard says to what the others said.
bool Refresh::keep(std::string_view text) {
  Words words(text);
  Millis now = 0;
  Millis online = 0;
  Millis users = 0;
  if (!words.next(now) || !words.next(online) || !words.next(users) || now == 0) return false;
  sums_.at = now;
  sums_.online += static_cast<std::uint32_t>(online);
  sums_.users += static_cast<std::uint32_t>(users);
  std::string_view word;
  std::uint32_t seconds = 0;
  while (words.next(word) && !word.empty()) {
    Millis count = 0;
    if (seconds == kWithin || std::from_chars(word.data(), word.data() + word.size(), count).ec != std::errc()) return false;
    sums_.within[seconds++] += static_cast<std::uint32_t>(count < online ? count : online);
  }
  told_.append(words.rest());
  OnlineSession session;
  while (seconds == 0 && words.next(session)) count_within(sums_, now - session.last);
  return word.empty() && !told_.failed();
}

void Refresh::show(Millis now) {
  Newest<OnlineSession> newest;
  Words words(told_.view());
  OnlineSession session;
  while (words.next(session)) newest.add(session);
  area_.set_answered(site_, now, sums_.at - now);
  Snapshot snapshot(area_.room());
  if (!snapshot.usable()) return;
  snapshot.head() = sums_;
  snapshot.head().site = site_;
  snapshot.head().taken = now;
  for (const OnlineSession& each : newest.sorted()) {
    if (!snapshot.add(each)) break;
  }
  area_.write(snapshot);
}

}  // namespace heartbeat
