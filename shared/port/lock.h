// A mutex in shared memory that survives the death of its holder (robust, pthread_mutexattr_setrobust(3)).
#pragma once

#include <cerrno>
#include <ctime>
#include <pthread.h>

namespace heartbeat {

class SharedMutex {
 public:
  /// Call once, before any other process uses the memory. False: the system has no such mutex.
  bool init() {
    pthread_mutexattr_t attributes;
    if (pthread_mutexattr_init(&attributes) != 0) return false;
    bool made = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0 &&
                pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0 &&
                pthread_mutex_init(&mutex_, &attributes) == 0;
    pthread_mutexattr_destroy(&attributes);
    return made;
  }

  /// Takes the lock. True: the former holder died inside; what it guarded must be checked.
  bool lock() {
    int result = pthread_mutex_trylock(&mutex_);
    while (result == EBUSY || result == ETIMEDOUT) result = wait();
    if (result != EOWNERDEAD) return false;
    pthread_mutex_consistent(&mutex_);
    return true;
  }
  void unlock() { pthread_mutex_unlock(&mutex_); }

 private:
  // Never for long at a time: a process that is killed just as the kernel wakes it takes that wake-up along, and the
  // next in line would sleep on at a free lock.
  int wait() {
    timespec until{};
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += 20000000;
    if (until.tv_nsec >= 1000000000) {
      until.tv_nsec -= 1000000000;
      ++until.tv_sec;
    }
    return pthread_mutex_clocklock(&mutex_, CLOCK_MONOTONIC, &until);
  }

  pthread_mutex_t mutex_;
};

}  // namespace heartbeat
