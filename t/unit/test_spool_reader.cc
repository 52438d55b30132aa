// Reading the spool: every record once and in order, whatever is damaged between them; what may be deleted, and when; whose
// segments may be adopted. And all of it while processes append that are killed at any moment.
#include "t/unit/support/test.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <csignal>

#include "shared/port/poll_reactor.h"
#include "t/unit/support/spool.h"

namespace {
using namespace heartbeat;
using Kept = Spool::Kept;
using Found = SpoolReader::Found;
using Left = SpoolReader::Left;
using Strings = std::vector<std::string>;

struct World {
  World() {
    settings = {folder.path, std::uint64_t{1} << 30, false};
    assert_true(spool.open(settings, shared, why));
    reader.open(folder.path, shared);
  }
  void keep(std::string_view record) {
    if (spool.append(record, why) != Kept::yes) fail_msg("not kept: %s", why.text());
  }
  std::size_t segments() const { return folder.files(".spool").size(); }
  std::uint64_t oldest(const SpoolReader& of) {
    std::uint64_t position = 12345;
    assert_true(of.oldest(position, why));
    return position;
  }

  SpoolFolder folder;
  SharedSpool memory;
  SpoolShared& shared = memory.shared;
  SpoolSettings settings;
  Spool spool;
  SpoolReader reader;
  Error why;
};

std::string sized(std::size_t size) { return std::string(size, static_cast<char>('a' + size % 26)); }

// The segment that a dead instance 7 has left, as it should be and as it is.
struct Ruin {
  void add(std::string_view record) {
    FrameHeader header = header_of(record, 7);
    header.check = check_of(header, 7, bytes.size());
    starts.push_back(bytes.size());
    bytes.append(reinterpret_cast<const char*>(&header), sizeof header).append(record);
    records.emplace_back(record);
  }
  // What is read where the file holds `damaged`.
  Strings read(std::string_view damaged, std::size_t most) {
    write_bytes(SpoolPath(folder.path, 7, 0).text(), damaged);
    reader.open_dead(folder.path, 7);
    return read_all(reader, position = 0, most);
  }
  // All records but those that bytes from `begin` to `end` belong to.
  Strings without(std::size_t begin, std::size_t end) const {
    Strings rest;
    for (std::size_t i = 0; i < records.size(); ++i) {
      std::size_t behind = starts[i] + sizeof(FrameHeader) + records[i].size();
      if (end <= starts[i] || begin >= behind) rest.push_back(records[i]);
    }
    return rest;
  }
  SpoolFolder folder;
  SpoolReader reader;
  std::uint64_t position = 0;
  std::string bytes;
  Strings records;
  std::vector<std::size_t> starts;
};

// --- reading ---------------------------------------------------------------------------------------

void windows(void**) {
  World world;
  Strings records;
  for (std::size_t i = 0; i < 3000; ++i) {
    records.push_back(sized(i % 7 == 0 ? 5000 : i % 50));
    world.keep(records.back());
  }
  for (std::size_t most : {std::size_t{0}, std::size_t{1}, std::size_t{100}, std::size_t{6000}, SIZE_MAX}) {
    std::uint64_t position = 0;
    assert_true(read_all(world.reader, position, most) == records);
    assert_int_equal(position, world.shared.end);
  }
  SpoolWindow window;
  std::uint64_t position = 0;
  assert_int_equal(world.reader.next(position, SIZE_MAX, window, world.why), Found::records);
  assert_int_equal(window.records().size(), SpoolWindow::kRecords);
  assert_int_equal(window.records().back().end, position);
  assert_int_equal(window.records()[0].end, sizeof(FrameHeader) + 5000);
  // From the end of any of them it goes on with the next.
  std::uint64_t end = window.records()[99].end;
  assert_int_equal(world.reader.next(end, 100000, window, world.why), Found::records);
  assert_text_equal(window.records()[0].bytes, records[100]);
  assert_int_equal(world.reader.damaged(), 0);
}

void waits(void**) {
  World world;
  SpoolWindow window;
  std::uint64_t position = 0;
  assert_int_equal(world.reader.next(position, 1000, window, world.why), Found::nothing);
  world.keep("one");
  assert_true(read_all(world.reader, position) == Strings{"one"});
  assert_true(read_all(world.reader, position).empty());
  world.keep("two");
  // What is behind the end is being written.
  std::string file = world.folder.files(".spool")[0];
  std::string whole = bytes_of(file);
  world.shared.end -= 27;
  for (std::size_t missing : {2u, 0u}) {
    write_bytes(file, whole.substr(0, whole.size() - missing));
    assert_true(read_all(world.reader, position).empty());
    assert_true(read_all(world.reader) == Strings{"one"});
  }
  world.shared.end += 27;
  assert_true(read_all(world.reader, position) == Strings{"two"});
  assert_int_equal(world.reader.damaged(), 0);
}

void many_segments(void**) {
  World world;
  Strings records;
  for (std::size_t i = 0; i < 12; ++i) {
    records.push_back(sized(1500000 + i));
    world.keep(records.back());
  }
  assert_int_equal(world.segments(), 6);
  assert_true(read_all(world.reader) == records);
  assert_int_equal(world.oldest(world.reader), 0);
  // Some are gone: on with the next, from wherever that is.
  unlink(world.folder.files(".spool")[0].c_str());
  unlink(world.folder.files(".spool")[1].c_str());  // was the third
  Strings rest = {records[2], records[3]};
  rest.insert(rest.end(), records.begin() + 6, records.end());
  assert_true(read_all(world.reader) == rest);
  assert_int_equal(world.oldest(world.reader), 2 * (1500000 + sizeof(FrameHeader)) + 1);
  for (const std::string& file : world.folder.files(".spool")) unlink(file.c_str());
  std::uint64_t position = 0;
  assert_true(read_all(world.reader, position).empty());
  assert_int_equal(position, world.shared.end);
  assert_int_equal(world.oldest(world.reader), world.shared.end);
}

void cannot_read(void**) {
  World world;
  world.keep("one");
  SpoolWindow window;
  std::uint64_t position = 0;
  std::string file = world.folder.files(".spool")[0];
  rename(file.c_str(), (file + ".away").c_str());
  assert_int_equal(symlink((file + ".away").c_str(), file.c_str()), 0);
  assert_int_equal(world.reader.next(position, 1000, window, world.why), Found::failed);
  assert_holds(world.why.text(), ".spool\": ");
  assert_int_equal(position, 0);
  rename((file + ".away").c_str(), file.c_str());
  assert_true(read_all(world.reader, position) == Strings{"one"});
}

// --- damage ----------------------------------------------------------------------------------------

Ruin& small_ruin() {
  static Ruin ruin;
  if (!ruin.records.empty()) return ruin;
  for (std::string_view record : {"first", "", "a longer one, with \xF5hb1 in it", "\xF5\xF5h", "the last one"}) {
    ruin.add(record);
  }
  // A whole frame as a record: where its header is damaged, what it holds must not come forth.
  ruin.add(ruin.bytes.substr(0, ruin.starts[1]));
  ruin.add("end");
  return ruin;
}

void any_byte(void**) {
  Ruin& ruin = small_ruin();
  assert_true(ruin.read(ruin.bytes, 65536) == ruin.records);
  for (std::size_t at = 0; at < ruin.bytes.size(); ++at) {
    for (int change : {0x01, 0xff}) {
      for (std::size_t most : {std::size_t{0}, std::size_t{65536}}) {
        std::string bytes = ruin.bytes;
        bytes[at] = static_cast<char>(bytes[at] ^ change);
        Strings read = ruin.read(bytes, most);
        if (read != ruin.without(at, at + 1)) fail_msg("byte %zu ^ %02x, windows of %zu", at, change, most);
        assert_int_equal(ruin.reader.damaged(), 1);
        assert_int_equal(ruin.position, bytes.size());
        read_all(ruin.reader);
        assert_int_equal(ruin.reader.damaged(), 1);  // read again, it is no more
      }
    }
  }
}

void any_length(void**) {
  Ruin& ruin = small_ruin();
  for (std::size_t size = 0; size < ruin.bytes.size(); ++size) {
    for (std::size_t most : {std::size_t{0}, std::size_t{65536}}) {
      bool whole = std::find(ruin.starts.begin(), ruin.starts.end(), size) != ruin.starts.end();
      assert_true(ruin.read(ruin.bytes.substr(0, size), most) == ruin.without(size, SIZE_MAX));
      assert_int_equal(ruin.reader.damaged(), whole ? 0 : 1);
    }
  }
}

// One died in the middle of a record, and the next went on behind: wherever that was.
void torn_inside(void**) {
  Ruin& ruin = small_ruin();
  std::size_t begin = ruin.starts[2], end = ruin.starts[3];
  for (std::size_t cut = begin + 1; cut < end; ++cut) {
    Ruin other;
    for (int i = 0; i < 2; ++i) other.add(ruin.records[static_cast<std::size_t>(i)]);
    other.bytes += ruin.bytes.substr(begin, cut - begin);
    for (std::size_t i = 3; i < ruin.records.size(); ++i) other.add(ruin.records[i]);
    for (std::size_t most : {std::size_t{0}, std::size_t{50}, std::size_t{65536}}) {
      assert_true(other.read(other.bytes, most) == other.records);
      assert_int_equal(other.reader.damaged(), 1);
    }
  }
}

void zeros_and_noise(void**) {
  Ruin& ruin = small_ruin();
  for (std::size_t at = 0; at < ruin.bytes.size(); at += 3) {
    std::string bytes = ruin.bytes;
    std::size_t end = std::min(bytes.size(), at + 60);
    for (std::size_t i = at; i < end; ++i) bytes[i] = '\0';
    assert_true(ruin.read(bytes, 65536) == ruin.without(at, end));
  }
  assert_true(ruin.read(std::string(300000, '\0') + ruin.bytes, 4096).empty());  // not where they were written
  assert_true(ruin.read(std::string(300000, '\xF5'), 4096).empty());
  std::string magics;
  while (magics.size() < (3 << 20)) magics += kFrameMagic;
  assert_true(ruin.read(magics, 65536).empty());
  assert_int_equal(ruin.reader.damaged(), 1);
}

// Who knows the format but not the instance sends a beacon that holds a frame for each place where it could lie.
void forged(void**) {
  Ruin ruin;
  ruin.add("before");
  std::string forged;
  for (std::uint64_t guess : {0u, 8u}) {
    FrameHeader header = header_of("forged", guess);
    header.check = check_of(header, guess, ruin.bytes.size() + sizeof(FrameHeader) + forged.size());
    forged.append(reinterpret_cast<const char*>(&header), sizeof header).append("forged");
  }
  ruin.add(forged);
  std::string bytes = ruin.bytes;
  bytes[ruin.starts[1]] = 'x';
  assert_true(ruin.read(bytes, 65536) == Strings{"before"});
}

// --- deleting --------------------------------------------------------------------------------------

void deletes(void**) {
  World world;
  for (std::size_t i = 0; i < 8; ++i) world.keep(sized(1500000));
  std::uint64_t of_one = 1500000 + sizeof(FrameHeader), end = world.shared.end;
  assert_int_equal(world.segments(), 4);
  auto clean = [&](std::uint64_t shipped, Millis now) {
    assert_int_equal(world.reader.clean(shipped, now, 1000, world.why), Left::some);
    return world.segments();
  };
  assert_int_equal(clean(0, 0), 4);
  assert_int_equal(world.shared.bytes, 8 * of_one);
  assert_int_equal(clean(4 * of_one, 999), 4);
  assert_int_equal(clean(4 * of_one, 1000), 4);  // shipped just now
  assert_int_equal(clean(end, 1999), 4);
  assert_int_equal(clean(end, 2000), 2);
  assert_int_equal(world.oldest(world.reader), 4 * of_one);
  assert_int_equal(world.shared.bytes, 4 * of_one);
  assert_int_equal(world.shared.shipped, end);
  // Redis came back, and is sent again what is still there.
  assert_int_equal(clean(4 * of_one, 2500), 2);
  assert_int_equal(clean(end, 2999), 2);
  assert_int_equal(clean(end, 3000), 2);
  assert_int_equal(clean(end - 1, 3500), 2);
  assert_int_equal(clean(end, 4000), 1);  // the last one was not wholly shipped for so long
  assert_int_equal(world.shared.segment, 6 * of_one + 1);
  assert_int_equal(clean(end, 5000), 0);
  assert_int_equal(world.shared.bytes, 0);
  world.keep("on");
  std::uint64_t position = end;
  assert_true(read_all(world.reader, position) == Strings{"on"});
  assert_int_equal(clean(0, 9000), 1);
  assert_int_equal(clean(0, 99000), 1);
}

// Who has not appended for long still has the file open: its blocks are given back all the same.
void gives_back_blocks(void**) {
  World world;
  world.keep(sized(100000));
  int file = ::open(world.folder.files(".spool")[0].c_str(), O_RDONLY);
  world.reader.clean(world.shared.end, 0, 0, world.why);
  world.reader.clean(world.shared.end, 0, 0, world.why);
  struct stat status {};
  fstat(file, &status);
  close(file);
  assert_int_equal(world.segments(), 0);
  assert_int_equal(status.st_blocks, 0);
}

void keeps_an_empty_segment(void**) {
  World world;
  write_bytes(SpoolPath(world.folder.path, world.shared.instance, 0).text(), "");
  world.shared.segment = 1;
  for (Millis now : {0, 1, 2}) world.reader.clean(0, now, 0, world.why);
  assert_int_equal(world.segments(), 1);
  assert_int_equal(world.shared.segment, 1);
}

void others_delete(void**) {
  World world;
  for (std::size_t i = 0; i < 4; ++i) world.keep(sized(1500000));
  std::uint64_t position = 0;
  SpoolWindow window;
  assert_int_equal(world.reader.next(position, 1000, window, world.why), Found::records);
  SpoolReader second;
  second.open(world.folder.path, world.shared);
  for (Millis now : {0, 1}) second.clean(world.shared.end, now, 0, world.why);
  assert_int_equal(world.reader.next(position, 1000, window, world.why), Found::nothing);
  assert_int_equal(position, world.shared.end);
  assert_text_equal(world.why.text(), "");
}

// --- dead instances --------------------------------------------------------------------------------

void adopts(void**) {
  World world;
  Strings records;
  {
    SharedSpool old;
    Spool spool;
    assert_true(spool.open(world.settings, old.shared, world.why));
    for (std::size_t i = 0; i < 6; ++i) {
      records.push_back(sized(1500000 + i));
      assert_int_equal(spool.append(records.back(), world.why), Kept::yes);
    }
    std::uint64_t dead[4];
    assert_int_equal(find_dead(world.folder.path, world.shared.instance, dead, world.why), 0);  // it lives
    SpoolReader early;
    SpoolWindow window;
    std::uint64_t position = 0;
    early.open_dead(world.folder.path, old.shared.instance);
    assert_int_equal(early.next(position, 1000, window, world.why), Found::alive);
    assert_int_equal(early.clean(UINT64_MAX, 0, 0, world.why), Left::alive);
    assert_int_equal(early.clean(UINT64_MAX, 1, 0, world.why), Left::alive);
  }
  world.keep("own");
  std::uint64_t dead[4] = {};
  assert_int_equal(find_dead(world.folder.path, world.shared.instance, dead, world.why), 1);
  SpoolReader heir;
  heir.open_dead(world.folder.path, dead[0]);
  std::uint64_t position = world.oldest(heir);
  assert_int_equal(position, 0);
  assert_true(read_all(heir, position) == records);
  assert_int_equal(heir.clean(position, 0, 1000, world.why), Left::some);
  assert_int_equal(heir.clean(position - 1, 500, 1000, world.why), Left::some);  // one Redis wants it again
  assert_int_equal(world.segments(), 4);
  assert_int_equal(heir.clean(position, 1000, 1000, world.why), Left::some);
  assert_int_equal(world.segments(), 2);
  assert_int_equal(heir.clean(position, 2000, 1000, world.why), Left::nothing);
  assert_int_equal(world.folder.files().size(), 2);
  assert_int_equal(find_dead(world.folder.path, world.shared.instance, dead, world.why), 0);
  assert_true(read_all(world.reader) == Strings{"own"});
  assert_text_equal(world.why.text(), "");
}

// The processes of a server were gone for a moment, and another one took its spool over. It goes on where it was.
void comes_to_life(void**) {
  World world;
  SharedSpool other;
  world.keep("one");
  world.spool.close();
  world.reader.close();
  SpoolReader heir;
  heir.open_dead(world.folder.path, world.shared.instance);
  std::uint64_t position = 0;
  assert_true(read_all(heir, position) == Strings{"one"});
  heir.clean(position, 0, 0, world.why);
  assert_int_equal(heir.clean(position, 0, 0, world.why), Left::nothing);
  assert_int_equal(world.folder.files().size(), 0);
  assert_true(world.spool.open(world.settings, world.shared, world.why));
  world.keep("two");
  assert_int_equal(world.shared.end, 54);
  assert_true(read_all(world.reader, position) == Strings{"two"});
}

// Whoever takes over never deletes what was written since.
void written_since(void**) {
  World world;
  world.keep("one");
  world.spool.close();
  SpoolReader heir;
  heir.open_dead(world.folder.path, world.shared.instance);
  std::uint64_t position = 0;
  assert_true(read_all(heir, position) == Strings{"one"});
  heir.clean(position, 0, 0, world.why);
  assert_true(world.spool.open(world.settings, world.shared, world.why));
  world.keep("two");
  world.spool.close();
  assert_int_equal(heir.clean(position, 0, 0, world.why), Left::some);
  assert_true(read_all(heir, position) == Strings{"two"});
}

void leftovers(void**) {
  World world;
  write_bytes(SpoolPath(world.folder.path, 5).text(), "");     // a lock alone
  write_bytes(SpoolPath(world.folder.path, 6, 0).text(), "");  // segments alone
  write_bytes(SpoolPath(world.folder.path, 6, 9).text(), "nothing good");
  write_bytes(world.folder.path + "/core", "what else lies there");
  std::uint64_t dead[4] = {};
  assert_int_equal(find_dead(world.folder.path, world.shared.instance, {dead, 1}, world.why), 1);
  assert_int_equal(find_dead(world.folder.path, world.shared.instance, dead, world.why), 2);
  for (std::uint64_t instance : {5u, 6u}) {
    assert_true(std::find(dead, dead + 2, instance) != dead + 2);
    SpoolReader heir;
    heir.open_dead(world.folder.path, instance);
    std::uint64_t position = world.oldest(heir);
    assert_true(read_all(heir, position).empty());
    heir.clean(position, 0, 0, world.why);
    assert_int_equal(heir.clean(position, 0, 0, world.why), Left::nothing);
    assert_int_equal(heir.damaged(), instance == 6);
  }
  assert_int_equal(world.folder.files().size(), 2);
  assert_int_equal(find_dead("/nowhere", 1, dead, world.why), 0);
  assert_holds(world.why.text(), "\"/nowhere\": No such file");
}

// --- killed at any moment --------------------------------------------------------------------------

constexpr int kWriters = 2;     // threads of a process
constexpr int kProcesses = 120;

struct Tallies {
  std::atomic<bool> stop;
  std::atomic<std::uint32_t> acknowledged[kProcesses * kWriters];
};

struct Writer {
  Spool* spool;
  Tallies* tallies;
  std::uint32_t id;
};

struct Entry {
  std::uint32_t writer, number, size;
};

// Mostly small records; now and then one whose writing takes a while, in which its process may be killed.
void* write_on(void* argument) {
  auto* own = static_cast<Writer*>(argument);
  static thread_local char bytes[400000];
  std::uint64_t random = own->id * 0x9e3779b97f4a7c15 + 1;
  for (std::uint32_t number = 1; !own->tallies->stop.load(); ++number) {
    random = random * 6364136223846793005 + 1442695040888963407;
    auto size = static_cast<std::uint32_t>(random >> 33) % (number % 8 == 0 ? 400000 : 3000);
    size = std::max<std::uint32_t>(size, sizeof(Entry));
    Entry entry{own->id, number, size};
    std::memset(bytes, static_cast<int>(number), size);
    std::memcpy(bytes, &entry, sizeof entry);
    Error why;
    if (own->spool->append({bytes, size}, why) != Kept::yes) break;
    own->tallies->acknowledged[own->id].store(number);
  }
  return nullptr;
}

pid_t start_process(World& world, Tallies& tallies, int number) {
  pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  static Spool spool;
  Error why;
  if (!spool.open(world.settings, world.shared, why)) _exit(1);
  pthread_t threads[kWriters];
  Writer writers[kWriters];
  for (int i = 0; i < kWriters; ++i) {
    writers[i] = {&spool, &tallies, static_cast<std::uint32_t>(number * kWriters + i)};
    pthread_create(&threads[i], nullptr, write_on, &writers[i]);
  }
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  _exit(0);
}

// Every number of every writer, once and in order.
struct Ledger {
  void take(std::string_view record) {
    Entry entry{};
    assert_true(record.size() >= sizeof entry);
    std::memcpy(&entry, record.data(), sizeof entry);
    assert_int_equal(entry.size, record.size());
    for (char c : record.substr(sizeof entry)) altered += c != static_cast<char>(entry.number);
    std::uint32_t& last = read[entry.writer];
    assert_int_equal(entry.number, last + 1);
    last = entry.number;
    ++records;
  }
  void ship(SpoolReader& reader, std::uint64_t& position) {
    Error why;
    while (reader.next(position, 1 << 20, window, why) == Found::records) {
      for (const SpoolRecord& record : window.records()) take(record.bytes);
    }
    assert_text_equal(why.text(), "");
  }
  SpoolWindow window;
  std::map<std::uint32_t, std::uint32_t> read;
  std::uint64_t records = 0, altered = 0;
};

// A process that only takes the lock in order to clean, and dies of it as well.
pid_t start_cleaner(World& world) {
  pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  SpoolReader reader;
  reader.open(world.folder.path, world.shared);
  for (Millis now = 0;; ++now) {
    Error why;
    reader.clean(world.shared.shipped.load(), now, 1, why);
  }
}

void kill_process(pid_t process) {
  kill(process, SIGKILL);
  waitpid(process, nullptr, 0);
}

void killed(void**) {
  World world;
  world.spool.close();
  void* side = mmap(nullptr, sizeof(Tallies), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* tallies = static_cast<Tallies*>(side);
  Ledger ledger;
  std::uint64_t position = 0, random = static_cast<std::uint64_t>(monotonic_now());
  pid_t steady = start_process(world, *tallies, 0);
  pid_t cleaner = start_cleaner(world);
  for (int number = 1; number < kProcesses; ++number) {
    pid_t victim = start_process(world, *tallies, number);
    random = random * 6364136223846793005 + 1442695040888963407;
    poll(nullptr, 0, static_cast<int>((random >> 33) % 12));
    if (number % 10 == 0) {
      kill_process(cleaner);
      cleaner = start_cleaner(world);
    }
    kill_process(victim);
    ledger.ship(world.reader, position);
    assert_int_not_equal(world.reader.clean(position, number, 1, world.why), Left::failed);
  }
  tallies->stop = true;
  int status = 1;
  waitpid(steady, &status, 0);
  assert_int_equal(status, 0);
  kill_process(cleaner);
  assert_true(world.spool.open(world.settings, world.shared, world.why));
  Entry last{kProcesses * kWriters, 1, sizeof last};  // who takes the lock finds what the dead have left
  world.keep({reinterpret_cast<char*>(&last), sizeof last});
  ledger.ship(world.reader, position);
  std::uint64_t acknowledged = 0, more = 0;
  for (std::uint32_t writer = 0; writer < kProcesses * kWriters; ++writer) {
    std::uint32_t kept = tallies->acknowledged[writer].load();
    acknowledged += kept;
    more += ledger.read[writer] - kept;
    assert_true(ledger.read[writer] == kept || ledger.read[writer] == kept + 1);
  }
  print_message("    %lu acknowledged, %lu more on disk, %lu torn\n", static_cast<unsigned long>(acknowledged),
                static_cast<unsigned long>(more), static_cast<unsigned long>(world.reader.damaged()));
  assert_int_equal(ledger.altered, 0);
  assert_true(acknowledged > 1000);
  assert_int_equal(ledger.records, acknowledged + more + 1);
  for (Millis now : {1000, 1001, 1002}) world.reader.clean(position, now, 0, world.why);
  assert_int_equal(world.segments(), 0);
  assert_int_equal(world.shared.bytes, 0);
  munmap(tallies, sizeof(Tallies));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(windows),       cmocka_unit_test(waits),
      cmocka_unit_test(many_segments), cmocka_unit_test(cannot_read),
      cmocka_unit_test(any_byte),      cmocka_unit_test(any_length),
      cmocka_unit_test(torn_inside),   cmocka_unit_test(zeros_and_noise),
      cmocka_unit_test(forged),        cmocka_unit_test(deletes),
      cmocka_unit_test(gives_back_blocks), cmocka_unit_test(keeps_an_empty_segment),
      cmocka_unit_test(others_delete), cmocka_unit_test(adopts),
      cmocka_unit_test(comes_to_life), cmocka_unit_test(written_since),
      cmocka_unit_test(leftovers),     cmocka_unit_test(killed),
  };
  return cmocka_run_group_tests_name("spool, reading", tests, nullptr, nullptr);
}
