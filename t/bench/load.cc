// Full load on a server of this machine, from one thread: so many kept connections, each with one request of a file after
// the other. It takes less of a core than a server that does next to nothing, so that the server is what has no more time;
// wrk, which asks epoll for each request that it sends, is slower than such a server.
//
//   load PORT CONNECTIONS SECONDS FILE [own]
//
// FILE: requests, each behind its length and a line end; one of them at random each time, the same ones in each run. With
// `own`, each connection sends the same one again and again.
// Prints the number of answers, and per second. Any answer but 2xx and 304 ends it.
#include <algorithm>
#include <arpa/inet.h>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <netinet/tcp.h>
#include <string>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <vector>

namespace {

[[noreturn]] void die(const char* what, const std::string& answer = {}) {
  std::fprintf(stderr, "load: %s %s\n", what, answer.c_str());
  std::exit(1);
}

std::vector<std::string> read_requests(const char* path) {
  std::FILE* file = std::fopen(path, "rb");
  if (file == nullptr) die("no file", path);
  std::vector<std::string> requests;
  std::size_t size = 0;
  while (std::fscanf(file, "%zu", &size) == 1) {
    std::string request(size, '\0');
    if (std::fgetc(file) != '\n' || std::fread(request.data(), 1, size, file) != size) die("a request is cut off");
    requests.push_back(request);
  }
  std::fclose(file);
  if (requests.empty()) die("no requests");
  return requests;
}

int connect_to(std::uint16_t port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) die("no connection");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

// xorshift (Marsaglia, Xorshift RNGs, 2003).
std::uint32_t next_random() {
  static std::uint32_t state = 2463534242;
  state ^= state << 13;
  state ^= state >> 17;
  return state ^= state << 5;
}

// True once it is whole. An answer that has no length has no body here: 204 and 304 (RFC 9112, section 6.3).
bool whole(const std::string& answer) {
  std::size_t end = answer.find("\r\n\r\n");
  if (end == std::string::npos) return false;
  if (answer[9] != '2' && answer.compare(9, 3, "304") != 0) die("an answer", answer);
  static constexpr char kLength[] = "\r\nContent-Length: ";
  const char* length = answer[10] == '0' && answer[11] == '4' ? nullptr : strcasestr(answer.c_str(), kLength);
  std::size_t body = length == nullptr ? 0 : std::strtoul(length + sizeof kLength - 1, nullptr, 10);
  return answer.size() >= end + 4 + body;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5 && argc != 6) die("PORT CONNECTIONS SECONDS FILE [own]");
  const bool own = argc == 6;
  const std::vector<std::string> requests = read_requests(argv[4]);
  const int poll = epoll_create1(0);
  std::vector<std::string> answers;  // by file descriptor
  std::vector<bool> answered;
  auto ask = [&](int fd) {
    const std::string& request = requests[(own ? static_cast<std::size_t>(fd) : next_random()) % requests.size()];
    if (write(fd, request.data(), request.size()) != static_cast<ssize_t>(request.size())) die("a request does not go out");
  };
  auto take = [&](int fd) {
    char bytes[65536];
    ssize_t size = read(fd, bytes, sizeof bytes);
    if (size <= 0) die("a connection is closed");
    answers[fd].append(bytes, static_cast<std::size_t>(size));
  };
  for (int i = 0; i < std::atoi(argv[2]); ++i) {
    int fd = connect_to(static_cast<std::uint16_t>(std::atoi(argv[1])));
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.fd = fd;
    epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
    answers.resize(fd + 1);
    answered.resize(fd + 1, true);
    answered[fd] = false;
    ask(fd);
    while (!whole(answers[fd])) take(fd);  // before the next one: no server need keep many that it has not accepted
    answers[fd].clear();
  }
  for (std::size_t fd = 0; fd < answered.size(); ++fd) {
    if (!answered[fd]) ask(static_cast<int>(fd));
  }

  using Clock = std::chrono::steady_clock;
  const Clock::time_point began = Clock::now(), end = began + std::chrono::milliseconds(static_cast<long>(std::atof(argv[3]) * 1000));
  std::uint64_t count = 0;
  for (Clock::time_point now = began; now < end; now = Clock::now()) {
    epoll_event events[64];
    int ready = epoll_wait(poll, events, 64, 10000);
    if (ready <= 0) die("no answer for ten seconds");
    for (int i = 0; i < ready; ++i) {
      const int fd = events[i].data.fd;
      take(fd);
      if (!whole(answers[fd])) continue;
      answers[fd].clear();
      answered[fd] = true;
      ++count;
      ask(fd);
    }
  }
  if (std::find(answered.begin(), answered.end(), false) != answered.end()) die("a connection without an answer");
  const std::chrono::duration<double> took = Clock::now() - began;
  std::printf("%llu %.1f\n", static_cast<unsigned long long>(count), static_cast<double>(count) / took.count());
}
