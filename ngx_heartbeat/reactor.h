// The core's reactor on nginx's event loop, and its log.
#pragma once

#include "ngx_heartbeat/module.h"

namespace heartbeat {

/// Its timers lie in `pool`, which must outlive their handlers.
class NginxReactor final : public Reactor {
 public:
  /// A worker that is told to leave does not stay for timers of the `background`; it does for those of a `request`.
  enum class Duty : std::uint8_t { background, request };

  NginxReactor(ngx_pool_t* pool, ngx_log_t* log, Duty duty = Duty::background) : pool_(pool), log_(log), duty_(duty) {}

  Millis now() override { return static_cast<Millis>(ngx_current_msec); }
  bool watch(int fd, bool writable, IoHandler& handler) override;
  void unwatch(int fd, IoHandler& handler) override;
  void set_timer(TimerHandler& handler, Millis delay) override;
  void cancel_timer(TimerHandler& handler) override;

 private:
  ngx_pool_t* pool_;
  ngx_log_t* log_;
  const Duty duty_;
};

/// Stops the flusher of this worker; module.cc.
void leave();

class NginxLog final : public Log {
 public:
  explicit NginxLog(ngx_log_t* log) : log_(log) {}
  void write(Level level, std::string_view message) override;

 private:
  ngx_log_t* log_;
};

}  // namespace heartbeat
