// One connection to a Redis server.
#include "shared/redis/link.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

namespace heartbeat {
namespace {

// A server's own words in a log line: printable, short, and without the password. A server that does not know a
// command repeats its arguments.
std::string_view shown(std::string_view text, std::string_view password, char (&line)[160]) {
  text = text.substr(0, text.find(", with args beginning"));
  if (!password.empty() && text.find(password) != std::string_view::npos) text = "an error that holds the password";
  std::size_t size = 0;
  for (char c : text) {
    if (size == sizeof line) break;
    line[size++] = c >= ' ' && c < 127 ? c : '?';
  }
  return {line, size};
}

Millis backoff(std::uint32_t failures) {
  Millis delay = Link::kBackoffMin;
  for (std::uint32_t i = 1; i < failures && delay < Link::kBackoffMax; ++i) delay *= 2;
  if (delay > Link::kBackoffMax) delay = Link::kBackoffMax;
  std::uint16_t random = 0;
  if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random) random = 0;
  return delay - delay / 4 + delay / 2 * random / 65536;
}

}  // namespace

Link::Link(Reactor& reactor, Log& log, const Store& store, LinkUser& user, const char* meanwhile)
    : reactor_(reactor), log_(log), store_(store), user_(user), meanwhile_(meanwhile) {}

void Link::open() {
  if (state_ != State::closed) return;
  failures_ = 0;
  connect();
}

void Link::close() {
  drop();
  reactor_.cancel_timer(*this);
  reader_.release();
  out_.release();
  state_ = State::closed;
}

void Link::drop() {
  if (fd_ >= 0) {
    reactor_.unwatch(fd_, *this);
    ::close(fd_);
  }
  fd_ = -1;
  due_ = pings_ = 0;
  ++drops_;
  out_.clear();
}

void Link::connect() {
  const Address& address = store_.addresses[address_ % store_.address_count];
  state_ = State::connecting;
  fd_ = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0 || !reader_.reset()) return give_up(std::strerror(errno));
  if (address.storage.ss_family != AF_UNIX) {
    int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  int result = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address.storage), address.size);
  if (result != 0 && errno != EINPROGRESS) return give_up(std::strerror(errno));
  if (!reactor_.watch(fd_, true, *this)) return give_up("no free connection in the server");
  writable_watched_ = true;
  reactor_.set_timer(*this, kConnectTimeout);
}

void Link::connected() {
  int failure = 0;
  socklen_t size = sizeof failure;
  if (::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &failure, &size) != 0) failure = errno;
  if (failure != 0) return give_up(std::strerror(failure));
  state_ = State::login;
  std::uint32_t replies = 1;
  if (!store_.password.empty()) {
    ++replies;
    if (store_.url->user.empty()) commands().command({"AUTH", store_.password});
    else commands().command({"AUTH", store_.url->user, store_.password});
  }
  CommandWriter writer = commands();
  writer.begin(2);
  writer.word("SELECT");
  writer.number(store_.url->database);
  send(replies);
}

void Link::send(std::uint32_t replies) {
  if (out_.failed()) return give_up("out of memory");
  due_ += replies;
  write();
}

void Link::write() {
  while (!out_.empty()) {
    std::string_view bytes = out_.view();
    ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (sent < 0) return give_up(std::strerror(errno));
    out_.consume(static_cast<std::size_t>(sent));
  }
  bool wanted = !out_.empty();
  if (wanted != writable_watched_ && !reactor_.watch(fd_, wanted, *this)) return give_up("no free connection");
  writable_watched_ = wanted;
  deadline();
}

void Link::deadline() { reactor_.set_timer(*this, due_ != 0 ? kCommandTimeout : kIdleTimeout); }

void Link::on_io(bool readable, bool writable) {
  if (state_ == State::connecting) {
    if (writable) connected();
    return;
  }
  std::uint32_t drops = drops_;
  if (writable) write();
  if (readable && drops == drops_) read();
}

void Link::read() {
  char bytes[16384];
  ssize_t size = ::recv(fd_, bytes, sizeof bytes, 0);
  if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
  if (size < 0) return give_up(std::strerror(errno));
  if (size == 0) return give_up("it closed the connection");
  if (!reader_.feed({bytes, static_cast<std::size_t>(size)})) return give_up("out of memory");
  std::uint32_t drops = drops_;
  for (;;) {
    ReplyReader::Next next = reader_.next();
    if (next == ReplyReader::Next::more) return;
    if (next == ReplyReader::Next::broken) return give_up("its answer is not the Redis protocol");
    if (next == ReplyReader::Next::refused) return give_up("its answer is beyond 1 MiB, 4096 elements or one level");
    const RedisReply& reply = reader_.reply();
    if (due_ == 0) return give_up(reply.is_error() ? reply.text() : "it answered without being asked");
    --due_;
    deadline();
    take(reply);
    if (drops != drops_) return;
  }
}

void Link::take(const RedisReply& reply) {
  if (state_ == State::login) return take_login(reply);
  if (pings_ == 0) return user_.on_reply(reply);
  --pings_;
  if (reply.is_error()) give_up(reply.text());
}

void Link::take_login(const RedisReply& reply) {
  if (reply.is_error()) return give_up(reply.text());
  if (due_ != 0) return;
  state_ = State::ready;
  user_.on_ready();
}

void Link::succeeded() {
  if (failures_ != 0) log_.print(Level::notice, "heartbeat: Redis %.*s is back", HEARTBEAT_VIEW(store_.url->shown));
  failures_ = 0;
}

void Link::give_up(std::string_view why) {
  char line[160];
  ++failures_;
  Millis now = reactor_.now();
  if (now - logged_ >= 1000) {
    logged_ = now;
    std::string_view words = shown(why, store_.password, line);
    log_.print(Level::error, "heartbeat: Redis %.*s: %.*s; %s", HEARTBEAT_VIEW(store_.url->shown),
               HEARTBEAT_VIEW(words), meanwhile_);
  }
  bool told = state_ == State::ready;
  ++address_;
  drop();
  state_ = State::waiting;
  reactor_.set_timer(*this, backoff(failures_));
  if (told) user_.on_down();
  else user_.on_unreachable();
}

void Link::on_timer() {
  switch (state_) {
    case State::closed:
      return;
    case State::waiting:
      return connect();
    case State::connecting:
      return give_up("no connection within two seconds");
    case State::login:
      return give_up("no answer to the login within five seconds");
    case State::ready:
      if (due_ != 0) return give_up("no answer within five seconds");
      commands().command({"PING"});
      ++pings_;
      send(1);
  }
}

}  // namespace heartbeat
