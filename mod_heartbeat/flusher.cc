// The thread of a child that carries what changed to Redis: the core's flusher on a poll loop of its own.
// It ends before the child's memory goes, after a last flush, so that a full stop loses nothing.
#include "mod_heartbeat/flusher.h"

#include <pthread.h>
#include <sys/mman.h>
#include <atomic>
#include <csignal>

#include "mod_heartbeat/zone.h"
#include "shared/port/poll_reactor.h"
#include "shared/redis/flusher.h"

namespace heartbeat {
namespace {

constexpr Millis kTurn = 1000;  // how soon a new configuration is noticed
constexpr Millis kLastFlush = 800;
constexpr apr_interval_time_t kStep = 2000;  // microseconds between two looks at whether the thread has ended
constexpr apr_interval_time_t kLongest = apr_time_from_sec(5);  // httpd kills a child that takes longer than about nine seconds
constexpr std::size_t kStack = std::size_t{1} << 20;

class FlusherThread {
 public:
  FlusherThread(server_rec* server, Configuration& configuration)
      : log_(server),
        configuration_(configuration),
        generation_(zone_generation()),
        born_(generation_->load()),
        flusher_(reactor_, log_, configuration.table, configuration.stores, configuration.flush,
                 &configuration.listed, &configuration.spool) {}

  bool start();
  void retire() {
    retired_.store(true);
    reactor_.wake();
  }
  void stop();

 private:
  static void* run(void* self) {
    static_cast<FlusherThread*>(self)->flush_until_stopped();
    return nullptr;
  }
  void flush_until_stopped();
  void flush_last() { flush_before_exit(log_, configuration_.table, configuration_.stores, kLastFlush); }
  bool of_the_past() const { return retired_.load() || stopping_.load() || generation_->load() != born_; }

  ServerLog log_;
  Configuration& configuration_;
  const std::atomic<std::uint32_t>* generation_;
  const std::uint32_t born_;
  PollReactor reactor_;
  Flusher flusher_;
  pthread_t thread_{};
  std::atomic<bool> retired_{false}, stopping_{false}, done_{false};
};

FlusherThread* the_thread = nullptr;

// A child of an earlier configuration may live for hours, as long as its last download: it hands over at once, or the
// Redis servers of the new configuration would wait for it.
void FlusherThread::flush_until_stopped() {
  flusher_.start();
  while (!of_the_past()) reactor_.turn(kTurn);
  flusher_.stop();
  if (!stopping_.load()) flush_last();
  while (!stopping_.load()) reactor_.turn(kTurn * 60);
  flush_last();
  done_.store(true);
}

// Signals are for httpd's own threads: in prefork they end the process from within a handler.
bool FlusherThread::start() {
  sigset_t all, before;
  sigfillset(&all);
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  pthread_attr_setstacksize(&attributes, kStack);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool started = pthread_create(&thread_, &attributes, run, this) == 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  return started;
}

// May run in a signal handler (prefork), above whatever that interrupted: no lock, and no waiting for ever.
void FlusherThread::stop() {
  stopping_.store(true);
  reactor_.wake();
  for (apr_interval_time_t waited = 0; !done_.load() && waited < kLongest; waited += kStep) apr_sleep(kStep);
  if (done_.load()) pthread_join(thread_, nullptr);
}

apr_status_t stop_flusher(void*) {
  if (the_thread != nullptr) the_thread->stop();
  the_thread = nullptr;
  return APR_SUCCESS;
}

}  // namespace

void start_flusher(apr_pool_t* pool, server_rec* server) {
  Configuration& configuration = heartbeat::configuration();
  bool idle = configuration.stores.all().empty() && configuration.listed.all().empty() && configuration.spool.directory.empty();
  if (!configuration.table.attached() || idle) return;
  // Not of the pool: a thread that hangs when the child ends must not find its memory gone.
  void* memory = mmap(nullptr, sizeof(FlusherThread), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  auto* thread = memory == MAP_FAILED ? nullptr : new (memory) FlusherThread(server, configuration);
  if (thread == nullptr || !thread->start()) {
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, server, "heartbeat: no thread to flush to Redis could be started");
    return;
  }
  the_thread = thread;
  apr_pool_pre_cleanup_register(pool, nullptr, stop_flusher);
}

void retire_flusher() {
  if (the_thread != nullptr) the_thread->retire();
}

}  // namespace heartbeat
