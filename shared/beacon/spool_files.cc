// The files of the spool: names, the lock of an instance, and the directory before there is any file in it.
#include "shared/beacon/spool_files.h"

#include <cerrno>
#include <cinttypes>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace heartbeat {
namespace {

constexpr std::size_t kDigits = 16;
constexpr std::size_t kLongestName = 64;  // with room to spare

bool parse_hex(std::string_view text, std::uint64_t& value) {
  value = 0;
  for (char c : text) {
    bool digit = c >= '0' && c <= '9';
    if (!digit && (c < 'a' || c > 'f')) return false;
    value = value * 16 + static_cast<std::uint64_t>(digit ? c - '0' : c - 'a' + 10);
  }
  return text.size() == kDigits;
}

bool is_empty(const char* directory) {
  DIR* open = ::opendir(directory);
  if (open == nullptr) return false;
  int entries = 0;  // "." and ".." are always there
  while (entries < 3 && ::readdir(open) != nullptr) ++entries;
  ::closedir(open);
  return entries < 3;
}

// What is there, if it can be the directory of a spool of `uid`; else `error`. Another user could put records of his own
// into a directory in which he may write.
bool check_existing(const char* directory, uid_t uid, Error& error) {
  struct stat status {};
  if (::stat(directory, &status) != 0) {
    error.set("\"%s\": %s, expected a directory for the spool", directory, std::strerror(errno));
  } else if (!S_ISDIR(status.st_mode)) {
    error.set("\"%s\" is no directory, expected one for the spool", directory);
  } else if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    error.set("\"%s\" can be written to by others (mode %04o), expected a directory of mode 0700", directory,
              static_cast<unsigned>(status.st_mode & 07777));
  } else if (::geteuid() != 0 && ::faccessat(AT_FDCWD, directory, R_OK | W_OK | X_OK, AT_EACCESS) != 0) {
    error.set("\"%s\": %s, expected a directory of user %u", directory, std::strerror(errno),
              static_cast<unsigned>(::geteuid()));
  } else if (::geteuid() == 0 && status.st_uid != uid && (status.st_uid != 0 || !is_empty(directory))) {
    error.set("\"%s\" belongs to user %u, expected a directory of user %u, or an empty one", directory,
              static_cast<unsigned>(status.st_uid), static_cast<unsigned>(uid));
  }
  return !error;
}

}  // namespace

// --- names -----------------------------------------------------------------------------------------

SpoolPath::SpoolPath(std::string_view directory, std::uint64_t instance) {
  int size = std::snprintf(text_, sizeof text_, "%.*s/%016" PRIx64 ".lock", HEARTBEAT_VIEW(directory), instance);
  if (size < 0 || static_cast<std::size_t>(size) >= sizeof text_) text_[0] = '\0';
}

SpoolPath::SpoolPath(std::string_view directory, std::uint64_t instance, std::uint64_t start) {
  int size = std::snprintf(text_, sizeof text_, "%.*s/%016" PRIx64 "-%016" PRIx64 ".spool", HEARTBEAT_VIEW(directory),
                           instance, start);
  if (size < 0 || static_cast<std::size_t>(size) >= sizeof text_) text_[0] = '\0';
}

bool parse_spool_name(std::string_view text, SpoolName& name) {
  if (text.size() < kDigits || !parse_hex(text.substr(0, kDigits), name.instance)) return false;
  text.remove_prefix(kDigits);
  name.start = 0;
  name.lock = text == ".lock";
  if (name.lock) return true;
  return text.size() > kDigits && text[0] == '-' && parse_hex(text.substr(1, kDigits), name.start) &&
         text.substr(1 + kDigits) == ".spool";
}

SpoolListing::SpoolListing(std::string_view directory, Error& error) {
  char path[4096];
  int size = std::snprintf(path, sizeof path, "%.*s", HEARTBEAT_VIEW(directory));
  if (size >= 0 && static_cast<std::size_t>(size) < sizeof path) directory_.reset(::opendir(path));
  if (!directory_) error.set("\"%.*s\": %s", HEARTBEAT_VIEW(directory), std::strerror(errno));
}

bool SpoolListing::next(SpoolName& name) {
  if (!directory_) return false;
  while (const dirent* entry = ::readdir(directory_.get())) {
    last_ = entry->d_name;
    if (parse_spool_name(last_, name)) return true;
  }
  return false;
}

std::uint64_t SpoolListing::size() const {
  struct stat status {};
  bool seen = ::fstatat(::dirfd(directory_.get()), last_, &status, AT_SYMLINK_NOFOLLOW) == 0;
  return seen ? static_cast<std::uint64_t>(status.st_size) : 0;
}

// --- the lock --------------------------------------------------------------------------------------

// Whoever takes over a dead instance deletes its lock file in the end: a lock on a file without a name is worth nothing.
SpoolLock::Taken SpoolLock::lock(const char* path, int operation, Error& why) {
  for (int tries = 0; tries < 20; ++tries) {
    release();
    file_ = ::open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file_ < 0) break;
    struct stat status {};
    if (::flock(file_, operation | LOCK_NB) == 0) {
      if (::fstat(file_, &status) == 0 && status.st_nlink != 0) return Taken::yes;
    } else if (errno != EWOULDBLOCK) {
      break;
    } else if (operation == LOCK_EX) {
      release();
      return Taken::alive;
    } else {
      timespec moment{0, 1000000};
      ::nanosleep(&moment, nullptr);
      errno = EWOULDBLOCK;
    }
  }
  why.set("\"%s\": %s", path, std::strerror(errno));
  release();
  return Taken::failed;
}

bool SpoolLock::share(std::string_view directory, std::uint64_t instance, Error& why) {
  struct stat status {};
  if (file_ >= 0 && ::fstat(file_, &status) == 0 && status.st_nlink != 0) return true;
  return lock(SpoolPath(directory, instance).text(), LOCK_SH, why) == Taken::yes;
}

SpoolLock::Taken SpoolLock::take(std::string_view directory, std::uint64_t instance, Error& why) {
  return lock(SpoolPath(directory, instance).text(), LOCK_EX, why);
}

void SpoolLock::release() {
  if (file_ >= 0) ::close(file_);
  file_ = -1;
}

// --- the directory ---------------------------------------------------------------------------------

// Only an empty directory is given away: that of another service, named by mistake, must not change hands.
bool prepare_spool(const char* directory, uid_t uid, gid_t gid, Error& error) {
  if (directory[0] != '/' || std::strlen(directory) + kLongestName > sizeof(SpoolPath)) {
    error.set("\"%.300s\": expected the absolute path of a directory for the spool", directory);
    return false;
  }
  if (::mkdir(directory, 0700) != 0 && errno != EEXIST) {
    error.set("\"%s\": %s, expected a directory for the spool, or one that it can be made in", directory,
              std::strerror(errno));
    return false;
  }
  if (!check_existing(directory, uid, error)) return false;
  struct stat status {};
  if (::geteuid() != 0 || (::stat(directory, &status) == 0 && status.st_uid == uid)) return true;
  if (::chown(directory, uid, gid) == 0) return true;
  error.set("\"%s\": %s, expected a directory that can be given to user %u", directory, std::strerror(errno),
            static_cast<unsigned>(uid));
  return false;
}

}  // namespace heartbeat
