// The ports: all that the core asks of the server it runs in. nginx and Apache each give their own;
// the unit tests give a third, whose clock they turn by hand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <string_view>

namespace heartbeat {

/// Milliseconds of the host's monotonic clock (CLOCK_MONOTONIC), the same in every process of the host.
using Millis = std::int64_t;

enum class Level : std::uint8_t { error, warn, notice, info };

/// Where messages for the operator go. A message is one line without a line end.
class Log {
 public:
  virtual void write(Level level, std::string_view message) = 0;

  /// printf into a line of at most 1,000 bytes; longer ones are cut.
  void print(Level level, const char* format, ...) __attribute__((format(printf, 3, 4)));

 protected:
  ~Log() = default;
};

/// Told when a watched descriptor is ready. `reactor_data` belongs to the reactor.
class IoHandler {
 public:
  virtual void on_io(bool readable, bool writable) = 0;
  void* reactor_data = nullptr;

 protected:
  ~IoHandler() = default;
};

/// Told when its one timer has run out. `reactor_data` belongs to the reactor.
class TimerHandler {
 public:
  virtual void on_timer() = 0;
  void* reactor_data = nullptr;

 protected:
  ~TimerHandler() = default;
};

/// An event loop: level-triggered descriptors and one timer for each handler. All calls from its own thread.
class Reactor {
 public:
  virtual Millis now() = 0;

  /// Watches `fd` for reading, and for writing if `writable`; calling it again changes that. False: out of resources.
  virtual bool watch(int fd, bool writable, IoHandler& handler) = 0;
  /// Stops watching; the handler is not called again. The descriptor stays open: closing it is the caller's.
  virtual void unwatch(int fd, IoHandler& handler) = 0;

  /// Calls `handler` once after `delay`; an earlier timer of the same handler is replaced.
  virtual void set_timer(TimerHandler& handler, Millis delay) = 0;
  virtual void cancel_timer(TimerHandler& handler) = 0;

 protected:
  ~Reactor() = default;
};

/// Memory that lives as long as what it was made for: a configuration, or a request (a pool of the server). Never freed piece
/// by piece.
class Arena {
 public:
  virtual void* allocate(std::size_t size, std::size_t alignment) = 0;  // nullptr: out of memory

  template <class T>
  T* make(std::size_t count = 1) {
    void* memory = allocate(sizeof(T) * count, alignof(T));
    if (memory == nullptr) return nullptr;
    T* first = static_cast<T*>(memory);
    for (std::size_t i = 0; i < count; ++i) ::new (static_cast<void*>(first + i)) T();
    return first;
  }
  /// A copy of `text` followed by a NUL that is not counted; empty where memory is out.
  std::string_view copy(std::string_view text);

 protected:
  ~Arena() = default;
};

}  // namespace heartbeat
