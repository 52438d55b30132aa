// A mutex in shared memory that survives the death of its holder (robust, pthread_mutexattr_setrobust(3)).
#pragma once

#include <cerrno>
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
    if (pthread_mutex_lock(&mutex_) != EOWNERDEAD) return false;
    pthread_mutex_consistent(&mutex_);
    return true;
  }
  void unlock() { pthread_mutex_unlock(&mutex_); }

 private:
  pthread_mutex_t mutex_;
};

}  // namespace heartbeat
