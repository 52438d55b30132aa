// Appending to the spool: what it says yes to is there, and what it cannot keep leaves nothing behind. The system calls
// that may fail are caught here, and fail when a test wants them to.
#include "t/unit/support/test.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <csignal>

#include "t/unit/support/spool.h"

namespace {
// What the next calls do: `error` instead of writing, or only `part` bytes (and then death, if `dies`).
struct Trouble {
  int write_error, truncate_error, sync_error;
  long part = -1;
  bool dies;
  int syncs, directory_syncs;
  const char* unlinked;  // just before it is locked
} trouble;
}  // namespace

extern "C" {
ssize_t writev(int file, const iovec* parts, int count) {
  if (trouble.write_error != 0) {
    errno = trouble.write_error;
    return -1;
  }
  if (trouble.part < 0) return syscall(SYS_writev, file, parts, count);
  std::string all;
  for (int i = 0; i < count; ++i) all.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
  long written = syscall(SYS_write, file, all.data(), std::min(all.size(), static_cast<std::size_t>(trouble.part)));
  if (trouble.dies) raise(SIGKILL);
  return written;
}
int ftruncate(int file, off_t size) noexcept {
  if (trouble.truncate_error == 0) return static_cast<int>(syscall(SYS_ftruncate, file, size));
  errno = trouble.truncate_error;
  return -1;
}
int flock(int file, int operation) noexcept {
  if (trouble.unlinked != nullptr) unlink(std::exchange(trouble.unlinked, nullptr));
  return static_cast<int>(syscall(SYS_flock, file, operation));
}
int fdatasync(int) {
  ++trouble.syncs;
  errno = trouble.sync_error;
  return trouble.sync_error == 0 ? 0 : -1;
}
int fsync(int) {
  ++trouble.directory_syncs;
  return 0;
}
}

namespace {
using namespace heartbeat;
using Kept = Spool::Kept;
using Strings = std::vector<std::string>;

struct World {
  explicit World(std::uint64_t max = 1 << 30, bool sync = false) {
    trouble = {};
    settings = {folder.path, max, sync};
    open();
  }
  void open() {
    assert_true(spool.open(settings, shared, why));
    reader.open(folder.path, shared);
  }
  Kept append(std::string_view record, Spool::Care care = Spool::Care::promised) {
    why = Error();
    return spool.append(record, why, care);
  }
  void keep(std::string_view record) {
    if (append(record) != Kept::yes) fail_msg("not kept: %s", why.text());
  }
  // Appends in another process, which dies in the middle of it.
  void append_half(std::string_view record, long part) {
    pid_t child = fork();
    if (child == 0) {
      trouble.part = part;
      trouble.dies = true;
      Spool own;
      if (own.open(settings, shared, why)) own.append(record, why);
      _exit(1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status));
  }
  std::size_t segments() const { return folder.files(".spool").size(); }

  SpoolFolder folder;
  SharedSpool memory;
  SpoolShared& shared = memory.shared;
  SpoolSettings settings;
  Spool spool;
  SpoolReader reader;
  Error why;
};

std::string sized(std::size_t size) { return std::string(size, static_cast<char>('a' + size % 26)); }

#define assert_read(world, ...)                               \
  do {                                                        \
    Strings expected_ = __VA_ARGS__, read_ = read_all((world).reader); \
    assert_int_equal(read_.size(), expected_.size());         \
    for (std::size_t i = 0; i < read_.size(); ++i) assert_true(read_[i] == expected_[i]); \
  } while (0)

void keeps(void**) {
  World world;
  Strings records = {"one", "", std::string("\0\xF5hb1\xff", 6), sized(2000), sized(kMostSpoolRecord)};
  for (const std::string& record : records) world.keep(record);
  assert_int_equal(world.append(sized(kMostSpoolRecord + 1)), Kept::failed);
  assert_holds(world.why.text(), "expected a record of at most");
  assert_read(world, records);
  std::uint64_t size = 0;
  for (const std::string& record : records) size += record.size() + sizeof(FrameHeader);
  assert_int_equal(world.shared.end, size);
  assert_int_equal(world.shared.bytes, size);
  assert_int_equal(world.shared.kept, 5);
  assert_int_equal(world.shared.failed, 1);
  Strings files = world.folder.files();
  assert_int_equal(files.size(), 2);  // and the lock
  struct stat status {};
  assert_int_equal(stat(files[0].c_str(), &status), 0);
  assert_int_equal(status.st_mode & 0777, 0600);
}

void rolls(void**) {
  World world;
  Strings records;
  for (int i = 0; i < 9; ++i) {
    records.push_back(sized((1 << 20) + static_cast<std::size_t>(i)));
    world.keep(records.back());
  }
  assert_read(world, records);
  Strings files = world.folder.files(".spool");
  assert_int_equal(files.size(), 3);  // of 3 each: the fourth would be beyond 4 MiB
  std::uint64_t start = 0;
  for (const std::string& file : files) {
    assert_text_equal(file, SpoolPath(world.folder.path, world.shared.instance, start).text());
    assert_true(bytes_of(file).size() <= kSegmentBytes);
    start += bytes_of(file).size();
  }
}

// Two that append take turns, and each begins a segment that the other has to find.
void several(void**) {
  World world;
  Spool second;
  assert_true(second.open(world.settings, world.shared, world.why));
  Strings records;
  for (int i = 0; i < 30; ++i) {
    records.push_back(sized(700000 + static_cast<std::size_t>(i)));
    assert_int_equal((i % 3 == 0 ? second : world.spool).append(records.back(), world.why), Kept::yes);
  }
  assert_read(world, records);
}

void max(void**) {
  std::string record = sized(1000 - sizeof(FrameHeader));
  World small(999);
  assert_int_equal(small.append(record), Kept::full);
  assert_int_equal(small.segments(), 0);
  World world(3000);
  for (int i = 0; i < 3; ++i) world.keep(record);
  assert_int_equal(world.append(""), Kept::full);
  assert_holds(world.why.text(), "holds all that it may");
  assert_int_equal(world.shared.full, 1);
  World noted(4000);
  for (int i = 0; i < 3; ++i) assert_int_equal(noted.append(record, Spool::Care::noted), Kept::yes);
  assert_int_equal(noted.append(record, Spool::Care::noted), Kept::full);
  assert_int_equal(noted.append(record), Kept::yes);
  // Others' segments count as well, once the directory was looked at.
  std::uint64_t end = world.shared.end;
  for (Millis now : {0, 10, 20}) world.reader.clean(end, now, 10, world.why);
  assert_int_equal(world.shared.bytes, 0);
  write_bytes(SpoolPath(world.folder.path, 1, 0).text(), sized(1500));
  world.reader.clean(end, 21, 10, world.why);
  assert_int_equal(world.shared.bytes, 1500);
  world.keep(record);
  assert_int_equal(world.append(record), Kept::full);
}

void syncs(void**) {
  World world(1 << 30, true);
  world.keep("one");
  world.keep("two");
  assert_int_equal(trouble.syncs, 2);
  assert_int_equal(trouble.directory_syncs, 1);
  trouble.sync_error = EIO;
  assert_int_equal(world.append("three"), Kept::failed);
  assert_holds(world.why.text(), "Input/output error");
  trouble.sync_error = 0;
  world.keep("four");
  assert_int_equal(world.segments(), 2);
  assert_int_equal(trouble.directory_syncs, 2);
  assert_int_equal(world.shared.kept, 3);
  assert_read(world, {"one", "two", "three", "four"});
  World lazy;
  lazy.keep("one");
  assert_int_equal(trouble.syncs + trouble.directory_syncs, 0);
}

// --- what cannot be kept ---------------------------------------------------------------------------

void full_disk(void**) {
  World world;
  world.keep("one");
  std::uint64_t size = world.shared.end;
  for (long part : {0L, 1L, 20L, 27L, 100L}) {
    trouble.part = part;
    assert_int_equal(world.append(sized(200)), Kept::full);
    assert_int_equal(bytes_of(world.folder.files(".spool")[0]).size(), size);
  }
  trouble.part = -1;
  for (int error : {ENOSPC, EDQUOT}) {
    trouble.write_error = error;
    assert_int_equal(world.append("no"), Kept::full);
  }
  trouble = {};
  world.keep("two");
  assert_int_equal(world.segments(), 1);
  assert_int_equal(world.shared.full, 7);
  assert_read(world, {"one", "two"});
  assert_int_equal(world.reader.damaged(), 0);
}

void cannot_take_back(void**) {
  World world;
  world.keep("one");
  trouble.part = 40;
  trouble.truncate_error = EIO;
  assert_int_equal(world.append(sized(200)), Kept::full);
  trouble = {};
  world.keep("two");
  assert_int_equal(world.segments(), 2);
  assert_read(world, {"one", "two"});
  assert_int_equal(world.reader.damaged(), 1);
}

void file_size_limit(void**) {
  World world;
  signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit limit{5000, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limit);
  Kept answers[6];
  std::size_t sizes[] = {3000, 3000, 2001, 100, 6000, 3000};
  for (int i = 0; i < 6; ++i) answers[i] = world.append(sized(sizes[i]));
  setrlimit(RLIMIT_FSIZE, &before);
  assert_int_equal(answers[0], Kept::yes);
  assert_int_equal(answers[1], Kept::full);  // taken back
  assert_int_equal(answers[2], Kept::full);
  assert_int_equal(answers[3], Kept::yes);
  assert_int_equal(answers[4], Kept::full);
  assert_int_equal(answers[5], Kept::full);
  world.keep("on");
  assert_read(world, {sized(3000), sized(100), "on"});
  assert_int_equal(world.reader.damaged(), 0);
}

// A file that takes no byte more is left: in another one there may be room.
void file_at_its_limit(void**) {
  World world;
  world.keep("one");
  for (int error : {EFBIG, EIO}) {
    trouble.write_error = error;
    assert_int_equal(world.append("no"), error == EIO ? Kept::failed : Kept::full);
    trouble = {};
    world.keep("more");
  }
  assert_int_equal(world.segments(), 3);
  assert_read(world, {"one", "more", "more"});
}

void folder_gone(void**) {
  World world;
  world.keep("one");
  world.folder.remove();
  assert_int_equal(world.append("two"), Kept::failed);
  assert_holds(world.why.text(), "No such file or directory");
  assert_int_equal(world.append("two"), Kept::failed);
  assert_int_equal(mkdir(world.folder.path.c_str(), 0700), 0);
  world.keep("two");
  assert_int_equal(world.folder.files().size(), 2);
  assert_read(world, {"two"});
}

void segment_gone(void**) {
  World world;
  world.keep("one");
  unlink(world.folder.files(".spool")[0].c_str());
  world.keep("two");
  assert_read(world, {"two"});
  unlink(world.folder.files(".spool")[0].c_str());
  Spool second;  // it has nothing open
  assert_true(second.open(world.settings, world.shared, world.why));
  assert_int_equal(second.append("three", world.why), Kept::yes);
  assert_read(world, {"three"});
}

void segment_altered(void**) {
  World world;
  world.keep("one");
  std::string file = world.folder.files(".spool")[0];
  write_bytes(file, bytes_of(file) + "something else");
  world.keep("two");
  assert_int_equal(truncate(world.folder.files(".spool")[1].c_str(), 3), 0);
  world.keep("three");
  assert_int_equal(world.segments(), 3);
  assert_read(world, {"one", "three"});
  assert_int_equal(world.shared.damaged, 1);  // one run of bytes, across two segments
}

void forbidden(void**) {
  if (geteuid() != 0) skip();
  World world;
  chmod(world.folder.path.c_str(), 0500);
  pid_t child = fork();
  if (child == 0) {
    if (setuid(65534) != 0) _exit(2);
    Spool spool;
    Error why;
    bool opened = spool.open(world.settings, world.shared, why);
    _exit(!opened && spool.append("no", why) == Kept::failed && std::strstr(why.text(), "Permission denied") ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  assert_int_equal(status, 0);
  world.keep("one");
}

// --- who dies --------------------------------------------------------------------------------------

void dies_while_writing(void**) {
  for (long part : {0L, 1L, 23L, 24L, 100L, 223L, 224L}) {
    World world;
    world.keep("one");
    world.append_half(sized(200), part);
    world.keep("two");
    assert_int_equal(world.segments(), 2);
    if (part == 224) {
      assert_read(world, {"one", sized(200), "two"});
    } else {
      assert_read(world, {"one", "two"});
      assert_int_equal(world.reader.damaged(), part != 0);
    }
  }
}

void dies_first(void**) {
  World world;
  world.append_half(sized(200), 0);
  world.keep("one");
  assert_int_equal(world.segments(), 1);  // its file was empty, and is used
  world.append_half(sized(200), 60);
  world.folder.remove();
  mkdir(world.folder.path.c_str(), 0700);
  world.keep("two");
  assert_true(world.shared.end > kSegmentBytes);  // nobody could see how far the dead had come
  assert_read(world, {"two"});
}

// A file of that name, by one who died before he said so.
void begins_where_a_file_is(void**) {
  World world;
  write_bytes(SpoolPath(world.folder.path, world.shared.instance, 0).text(), "half a frame");
  world.keep("one");
  assert_int_equal(world.segments(), 2);
  assert_read(world, {"one"});
}

// --- the lock of an instance -----------------------------------------------------------------------

void locks(void**) {
  World world;
  world.keep("one");
  SpoolLock other;
  assert_int_equal(other.take(world.folder.path, world.shared.instance, world.why), SpoolLock::Taken::alive);
  world.spool.close();
  assert_int_equal(other.take(world.folder.path, world.shared.instance, world.why), SpoolLock::Taken::yes);
  assert_false(world.spool.open(world.settings, world.shared, world.why));
  assert_int_equal(world.append("two"), Kept::failed);
  assert_holds(world.why.text(), ".lock");
  other.release();
  world.keep("two");
  assert_int_equal(other.take(world.folder.path, world.shared.instance, world.why), SpoolLock::Taken::alive);
}

// True: it was opened while somebody had its lock for a moment.
bool opened_meanwhile(World& world) {
  std::string path = SpoolPath(world.folder.path, world.shared.instance).text();
  int ready[2];
  assert_int_equal(pipe(ready), 0);
  pid_t child = fork();
  if (child == 0) {
    int file = ::open(path.c_str(), O_RDWR);
    flock(file, LOCK_EX);
    if (write(ready[1], "x", 1) != 1) _exit(1);
    usleep(4000);
    _exit(0);
  }
  char byte = 0;
  assert_int_equal(read(ready[0], &byte, 1), 1);
  bool opened = world.spool.open(world.settings, world.shared, world.why);
  waitpid(child, nullptr, 0);
  close(ready[0]);
  close(ready[1]);
  return opened;
}

// Who looks whether an instance is dead has its lock for a moment; on a busy machine also for longer than is waited for.
void lock_waited_for(void**) {
  World world;
  bool opened = false;
  for (int go = 0; go < 20 && !opened; ++go) {
    world.spool.close();
    opened = opened_meanwhile(world);
  }
  assert_true(opened);
}

// Whoever adopts deletes the lock file just when it was opened: a lock on that would be worth nothing.
void lock_taken_away(void**) {
  World world;
  world.spool.close();
  std::string path = SpoolPath(world.folder.path, world.shared.instance).text();
  trouble.unlinked = path.c_str();
  assert_true(world.spool.open(world.settings, world.shared, world.why));
  assert_null(trouble.unlinked);
  SpoolLock other;
  assert_int_equal(other.take(world.folder.path, world.shared.instance, world.why), SpoolLock::Taken::alive);
  assert_int_equal(world.folder.files(".lock").size(), 1);
}

void lock_deleted(void**) {
  World world;
  world.keep("one");
  for (const std::string& file : world.folder.files()) unlink(file.c_str());
  world.keep("two");
  assert_int_equal(world.folder.files(".lock").size(), 1);
  SpoolLock other;
  assert_int_equal(other.take(world.folder.path, world.shared.instance, world.why), SpoolLock::Taken::alive);
}

// --- names and the directory -----------------------------------------------------------------------

void names(void**) {
  SpoolName name;
  assert_text_equal(SpoolPath("/d", 0xabc).text(), "/d/0000000000000abc.lock");
  assert_text_equal(SpoolPath("/d", UINT64_MAX, 0x1f).text(), "/d/ffffffffffffffff-000000000000001f.spool");
  assert_text_equal(SpoolPath(sized(4090), 1).text(), "");
  assert_true(parse_spool_name("0000000000000abc.lock", name));
  assert_true(name.lock && name.instance == 0xabc);
  assert_true(parse_spool_name("ffffffffffffffff-000000000000001f.spool", name));
  assert_true(!name.lock && name.instance == UINT64_MAX && name.start == 0x1f);
  for (const char* wrong : {"", ".", "..", "0000000000000abc", "0000000000000abc.lock2", "0000000000000ABC.lock",
                            "000000000000abc.lock", "ffffffffffffffff-000000000000001f",
                            "ffffffffffffffff-000000000000001f.spoo",
                            "ffffffffffffffff_000000000000001f.spool", "ffffffffffffffff-00000000000001f.spool",
                            "ffffffffffffffff-000000000000001f.spool~", "ffffffffffffffff-"}) {
    assert_false(parse_spool_name(wrong, name));
  }
}

std::string refused(const std::string& path, uid_t uid = geteuid()) {
  Error error;
  return prepare_spool(path.c_str(), uid, getegid(), error) ? "" : error.text();
}

void prepares(void**) {
  SpoolFolder folder;
  std::string path = folder.path + "/spool";
  assert_text_equal(refused(path), "");
  struct stat status {};
  stat(path.c_str(), &status);
  assert_int_equal(status.st_mode & 07777, 0700);
  assert_text_equal(refused(path), "");  // again
  assert_holds(refused("spool"), "expected the absolute path");
  assert_holds(refused("/" + sized(5000)), "expected the absolute path");
  assert_holds(refused(folder.path + "/none/spool"), "No such file or directory, expected a directory");
  write_bytes(path + "/file", "x");
  assert_holds(refused(path + "/file"), "is no directory");
  assert_holds(refused(path + "/file/spool"), "Not a directory");
  chmod(path.c_str(), 0777);
  assert_holds(refused(path), "can be written to by others (mode 0777)");
  chmod(path.c_str(), 0700);
  unlink((path + "/file").c_str());
  rmdir(path.c_str());
}

void prepares_for_another(void**) {
  if (geteuid() != 0) skip();
  SpoolFolder folder;
  std::string path = folder.path + "/spool";
  struct stat status {};
  assert_text_equal(refused(path, 65534), "");  // made and given away
  stat(path.c_str(), &status);
  assert_int_equal(status.st_uid, 65534);
  assert_text_equal(refused(path, 65534), "");
  assert_holds(refused(path, 65533), "belongs to user 65534, expected a directory of user 65533");
  assert_int_equal(chown(path.c_str(), 0, 0), 0);
  assert_text_equal(refused(path, 65534), "");  // the operator made it, and nothing is in it
  assert_int_equal(chown(path.c_str(), 0, 0), 0);
  write_bytes(path + "/file", "x");
  assert_holds(refused(path, 65534), "belongs to user 0");
  pid_t child = fork();
  if (child == 0) {
    chmod(folder.path.c_str(), 0755);
    if (setuid(65534) != 0) _exit(2);
    _exit(refused(path).find("Permission denied") != std::string::npos ? 0 : 1);
  }
  int result = 0;
  waitpid(child, &result, 0);
  assert_int_equal(result, 0);
  unlink((path + "/file").c_str());
  rmdir(path.c_str());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(keeps),           cmocka_unit_test(rolls),
      cmocka_unit_test(several),         cmocka_unit_test(max),
      cmocka_unit_test(syncs),           cmocka_unit_test(full_disk),
      cmocka_unit_test(cannot_take_back), cmocka_unit_test(file_size_limit),
      cmocka_unit_test(file_at_its_limit), cmocka_unit_test(folder_gone),
      cmocka_unit_test(segment_gone),    cmocka_unit_test(segment_altered),
      cmocka_unit_test(forbidden),       cmocka_unit_test(dies_while_writing),
      cmocka_unit_test(dies_first),      cmocka_unit_test(begins_where_a_file_is),
      cmocka_unit_test(locks),           cmocka_unit_test(lock_taken_away),
      cmocka_unit_test(lock_waited_for),
      cmocka_unit_test(lock_deleted),    cmocka_unit_test(names),
      cmocka_unit_test(prepares),        cmocka_unit_test(prepares_for_another),
  };
  return cmocka_run_group_tests_name("spool", tests, nullptr, nullptr);
}
