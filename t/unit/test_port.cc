// The small parts that every server shares: lines of the log, memory, buffers, the lock.
#include "t/unit/support/test.h"

#include <sys/wait.h>
#include <unistd.h>

#include "shared/port/buffer.h"
#include "shared/port/error.h"
#include "shared/port/lock.h"
#include "t/unit/support/fake_arena.h"
#include "t/unit/support/fake_log.h"
#include "t/unit/support/zone.h"

namespace {
using namespace heartbeat;

void log_lines(void**) {
  FakeLog log;
  log.print(Level::warn, "%s %d %.*s", "a", 7, HEARTBEAT_VIEW(std::string_view("bcd").substr(1)));
  assert_text_equal(log.lines[0].second, "a 7 cd");
  assert_true(log.lines[0].first == Level::warn);
  for (std::size_t size : {999, 1000, 1001, 5000}) {
    log.print(Level::info, "%s", std::string(size, 'x').c_str());
    assert_int_equal(log.lines.back().second.size(), std::min<std::size_t>(size, 1000));
  }
}

void errors(void**) {
  Error error;
  assert_false(static_cast<bool>(error));
  error.set("%d", 1);
  assert_true(static_cast<bool>(error));
  error.set("%s", std::string(1000, 'x').c_str());
  assert_int_equal(std::strlen(error.text()), 511);
}

void copies(void**) {
  FakeArena arena;
  std::string text = "abc";
  std::string_view copy = arena.copy(text);
  text = "xyz";
  assert_text_equal(copy, "abc");
  assert_int_equal(copy.data()[3], 0);
  assert_true(arena.copy("").data() != nullptr);
  arena.left = 0;
  assert_true(arena.copy("abc").empty());
  assert_null(arena.make<int>(3));
}

void buffers(void**) {
  Buffer buffer;
  std::string expected;
  for (int i = 0; i < 2000; ++i) {
    std::string part(static_cast<std::size_t>(i % 97), static_cast<char>('a' + i % 26));
    buffer.append(part);
    expected += part;
    if (i % 5 == 0) {
      std::size_t count = expected.size() / 3;
      buffer.consume(count);
      expected.erase(0, count);
    }
    assert_true(buffer.view() == expected);
  }
  buffer.consume(expected.size());
  assert_true(buffer.empty());
  buffer.append("again");
  assert_text_equal(buffer.view(), "again");
  buffer.clear();
  assert_true(buffer.empty() && !buffer.failed());
}

void the_lock_outlives_its_holder(void**) {
  Zone zone(4096);
  auto* mutex = static_cast<SharedMutex*>(zone.memory);
  assert_true(mutex->init());
  assert_false(mutex->lock());
  mutex->unlock();
  for (int i = 0; i < 3; ++i) {
    pid_t child = ::fork();
    if (child == 0) {
      mutex->lock();
      ::kill(::getpid(), SIGKILL);
    }
    ::waitpid(child, nullptr, 0);
    assert_true(mutex->lock());
    mutex->unlock();
    assert_false(mutex->lock());
    mutex->unlock();
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(log_lines), cmocka_unit_test(errors), cmocka_unit_test(copies),
                              cmocka_unit_test(buffers), cmocka_unit_test(the_lock_outlives_its_holder)};
  return cmocka_run_group_tests_name("port", tests, nullptr, nullptr);
}
