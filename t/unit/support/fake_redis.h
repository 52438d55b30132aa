// The other end of a link: reads commands from a real socket and answers as a script of the test says, by default like
// a Redis that applies batches exactly once.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "flush_lua.h"
#include "shared/redis/store.h"
#include "sweep_lua.h"

namespace heartbeat {

using Command = std::vector<std::string>;

inline std::string bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}
inline std::string integer(long long value) { return ":" + std::to_string(value) + "\r\n"; }

/// Takes one whole command from the front of `bytes`. False: there is none yet.
inline bool take_command(std::string& bytes, Command& command) {
  std::size_t at = 0;
  auto line = [&](char type, long& value) {
    std::size_t end = bytes.find("\r\n", at);
    if (end == std::string::npos || bytes[at] != type) return false;
    value = std::strtol(bytes.c_str() + at + 1, nullptr, 10);
    at = end + 2;
    return true;
  };
  command.clear();
  long words = 0;
  if (!line('*', words)) return false;
  for (long size = 0; words > 0; --words) {
    if (!line('$', size) || bytes.size() < at + static_cast<std::size_t>(size) + 2) return false;
    command.push_back(bytes.substr(at, static_cast<std::size_t>(size)));
    at += static_cast<std::size_t>(size) + 2;
  }
  bytes.erase(0, at);
  return true;
}

/// A batch, read back from the command that carries it.
struct Batch {
  static constexpr long long kKeep = 8, kLeft = 16, kUser = 32;  // of Entry::bits
  struct Entry {
    std::string key, id, source;
    long long seen, from, fresh, active, active_from, stays, delta, bits;  // active 0: none
    std::string user, page;
    bool operator==(const Entry&) const = default;
  };
  struct Group {
    std::string site;
    long long shards, retention, timeout, gap;
    bool operator==(const Group&) const = default;
  };
  bool by_hash = false;
  std::vector<std::string> keys;
  long long number = 0, applied = 0;
  std::string version, prefix, calm;
  std::vector<Group> groups;
  std::vector<Entry> entries;
  bool whole = false;  // every word was used up, and said what it may say

  explicit Batch(const Command& command) {
    std::size_t at = 0;
    auto word = [&] { return at < command.size() ? command[at++] : std::string(); };
    auto value = [&] { return std::strtoll(word().c_str(), nullptr, 10); };
    bool hash = word() == "EVALSHA";
    by_hash = hash && word() == kFlushLuaSha1;
    at = 2;
    for (long long i = value(); i > 0; --i) keys.push_back(word());
    number = value();
    applied = value();
    version = word();
    value();  // how long the node is kept
    prefix = word();
    calm = word();
    bool good = calm == "0" || calm == "1";
    while (at < command.size()) {
      groups.push_back({word(), value(), value(), value(), value()});
      const auto count = static_cast<std::size_t>(value());
      const std::string numbers = word();
      const auto telling = static_cast<std::size_t>(value());
      const std::size_t first = at;
      at += 2 * (count + telling);
      if (at > command.size() || numbers.size() != count * kNumbers) return;
      std::size_t told = 0;
      for (std::size_t i = 0; i < count; ++i) {
        const std::string* words = &command[first + 2 * i];
        good = take(words[1], numbers.substr(i * kNumbers, kNumbers), told) && std::to_string(entries.back().seen) == words[0] && good;
        if (told == 0) continue;
        entries.back().user = command[first + 2 * (count + told - 1)];
        entries.back().page = command[first + 2 * (count + told - 1) + 1];
      }
      good = good && told_ == telling;
      told_ = 0;
      whole = at == command.size() && good;
    }
  }

 private:
  static constexpr std::size_t kNumbers = 33;
  std::size_t told_ = 0;  // entries of the group at hand

  bool take(const std::string& id, const std::string& numbers, std::size_t& told) {
    static constexpr const char* kSources[8] = {"ping", "page", "request", "beat", "beacon", "", "", ""};
    std::size_t at = 0;
    auto next = [&](int bytes) {
      long long number = 0;
      while (bytes-- > 0) number = number << 8 | (at < numbers.size() ? static_cast<unsigned char>(numbers[at]) : 0), ++at;
      return number;
    };
    long long seen = next(6), stays = next(4), open = next(4), fresh = next(4), back = next(4), length = next(4);
    long long delta = next(4), kind = next(1);
    told = static_cast<std::size_t>(next(2));
    bool in_order = told == 0 || told == ++told_;
    bool active = back != 4294967295;
    entries.push_back({prefix + ":{" + groups.back().site + "}:session:" + id, id, kSources[kind & 7], seen, seen - open, seen - fresh,
                       active ? seen - back : 0, active ? seen - back - length : 0, stays, delta, kind & ~7, "", ""});
    return in_order && kind < 64 && kSources[kind & 7][0] != '\0' && fresh <= open;
  }
};

class FakeRedis {
 public:
  FakeRedis() {
    static int serial = 0;
    name_ = "heartbeat-unit-" + std::to_string(getpid()) + "-" + std::to_string(++serial);
    listen();
  }
  FakeRedis(const FakeRedis&) = delete;
  FakeRedis& operator=(const FakeRedis&) = delete;
  ~FakeRedis() { away(); }

  /// An address of Linux' abstract namespace: it leaves no file behind.
  Address address() const {
    sockaddr_un own{};
    own.sun_family = AF_UNIX;
    std::memcpy(own.sun_path + 1, name_.data(), name_.size());
    Address address{};
    std::memcpy(&address.storage, &own, sizeof own);
    address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name_.size());
    return address;
  }

  void listen() {
    if (listener_ >= 0) return;
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    Address own = address();
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&own.storage), own.size) != 0 || ::listen(listener_, 16) != 0)
      std::abort();
  }
  /// Nobody listens any more, and the connection is cut.
  void away() {
    hang_up();
    if (listener_ >= 0) ::close(listener_);
    listener_ = -1;
  }
  void hang_up() {
    if (client_ >= 0) ::close(client_);
    client_ = -1;
    in_.clear();
  }
  bool connected() const { return client_ >= 0; }

  /// Accepts, reads and answers what there is. False: nothing happened.
  bool look() {
    bool happened = false;
    if (int fd = listener_ < 0 || !accepts ? -1 : ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC); fd >= 0) {
      hang_up();
      client_ = fd;
      ++connections;
      happened = true;
    }
    char bytes[65536];
    ssize_t size = client_ < 0 || !reads ? -1 : ::recv(client_, bytes, sizeof bytes, 0);
    if (size == 0) hang_up();
    if (size > 0) in_.append(bytes, static_cast<std::size_t>(size));
    Command command;
    while (client_ >= 0 && take_command(in_, command)) {
      seen.push_back(command);
      send(answer ? answer(command) : usual(command));
    }
    return happened || size >= 0;
  }
  void send(std::string_view bytes) {
    if (client_ >= 0 && !bytes.empty() && ::send(client_, bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) hang_up();
  }

  /// What a Redis answers; flush.lua in a few lines.
  std::string usual(const Command& command) {
    const std::string& verb = command[0];
    if (verb == "AUTH") return command.back() == password ? "+OK\r\n" : "-WRONGPASS invalid username-password pair\r\n";
    if (verb == "SELECT") return "+OK\r\n";
    if (verb == "PING") return "+PONG\r\n";
    if (verb == "SET") {
      if (!id_key.empty()) return "$-1\r\n";
      id_key = command[2];
      return "+OK\r\n";
    }
    if (verb == "GET") return bulk(id_key);
    if (verb == "HGET") return batch == 0 ? "$-1\r\n" : bulk(std::to_string(batch));
    if (verb == "TIME") return time();
    if (is_sweep(command)) return answer_sweep(command);
    if (verb == "EVALSHA" && !script_known) return "-NOSCRIPT No matching script. Please use EVAL.\r\n";
    if (verb == "EVAL" || verb == "EVALSHA") return apply(Batch(command));
    return "-ERR unknown command\r\n";
  }
  static bool is_sweep(const Command& command) {
    return command.size() > 1 && (command[1] == kSweepLuaSha1 || command[1] == kSweepLua);
  }
  std::string answer_sweep(const Command& command) {
    if (command[0] == "EVALSHA" && !sweep_known) return "-NOSCRIPT No matching script. Please use EVAL.\r\n";
    sweep_known = true;
    long long taken = std::min(silent, std::strtoll(command.back().c_str(), nullptr, 10));
    silent -= taken;
    return "*2\r\n" + integer(taken) + bulk("");
  }
  std::string time() const {
    long long now = clock();
    return "*2\r\n" + bulk(std::to_string(now / 1000)) + bulk(std::to_string(now % 1000 * 1000));
  }
  std::string apply(const Batch& next) {
    script_known = true;
    if (next.number <= batch) return result(0, last_failed, 0, "");
    bool lost = batch < next.applied;
    batch = next.number;
    std::string failed;
    for (std::size_t i = 0; i < next.entries.size(); ++i) {
      const Batch::Entry& entry = next.entries[i];
      if (refuses.count(entry.id) != 0) {
        failed += (failed.empty() ? "" : ",") + std::to_string(i);
        continue;
      }
      beats[entry.key] += entry.delta;
      last[entry.key] = std::max(last[entry.key], entry.seen);
    }
    last_failed = failed;
    return result(1, failed, lost, failed.empty() ? "" : "key: WRONGTYPE Operation against a key");
  }
  std::string result(int applied, const std::string& failed, bool lost, const std::string& why) const {
    return "*4\r\n" + integer(applied) + bulk(failed) + integer(lost) + bulk(why);
  }
  void forget_everything() {
    id_key.clear();
    last_failed.clear();
    batch = 0;
    script_known = sweep_known = false;
    beats.clear();
    last.clear();
  }

  std::vector<Command> commands(std::string_view verb) const {
    std::vector<Command> found;
    for (const Command& command : seen) {
      if (command[0] == verb) found.push_back(command);
    }
    return found;
  }
  std::vector<Batch> batches() const {
    std::vector<Batch> found;
    for (const Command& command : seen) {
      if ((command[0] == "EVAL" || command[0] == "EVALSHA") && !is_sweep(command)) found.emplace_back(command);
    }
    return found;
  }
  std::vector<Command> sweeps() const {
    std::vector<Command> found;
    for (const Command& command : seen) {
      if (is_sweep(command)) found.push_back(command);
    }
    return found;
  }

  std::function<std::string(const Command&)> answer;     // instead of usual(); empty: silence
  std::function<long long()> clock = [] { return 0LL; };  // of Redis, in milliseconds
  bool reads = true;
  bool accepts = true;
  int connections = 0;
  std::vector<Command> seen;
  std::string password;
  std::string id_key, last_failed;
  long long batch = 0;
  bool script_known = false, sweep_known = false;
  long long silent = 0;  // sessions that wait for a sweep
  std::map<std::string, long long> beats, last;
  std::set<std::string> refuses;

 private:
  std::string name_;
  int listener_ = -1;
  int client_ = -1;
  std::string in_;
};

}  // namespace heartbeat
