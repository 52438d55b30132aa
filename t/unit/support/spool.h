// A spool in a folder of its own, what its processes share, and what can be read there.
#pragma once

#include <dirent.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "shared/beacon/spool.h"
#include "shared/beacon/spool_reader.h"

namespace heartbeat {

class SpoolFolder {
 public:
  SpoolFolder() { path = ::mkdtemp(name_); }
  SpoolFolder(const SpoolFolder&) = delete;
  SpoolFolder& operator=(const SpoolFolder&) = delete;
  ~SpoolFolder() { remove(); }

  std::vector<std::string> files(const std::string& ending = "") const {
    std::vector<std::string> names;
    DIR* directory = ::opendir(path.c_str());
    while (const dirent* entry = directory == nullptr ? nullptr : ::readdir(directory)) {
      std::string name = entry->d_name;
      if (name[0] != '.' && name.ends_with(ending)) names.push_back(path + "/" + name);
    }
    if (directory != nullptr) ::closedir(directory);
    std::sort(names.begin(), names.end());
    return names;
  }
  void remove() const {
    for (const std::string& file : files()) ::unlink(file.c_str());
    ::rmdir(path.c_str());
  }
  std::string path;

 private:
  char name_[32] = "/tmp/heartbeat-spool-XXXXXX";
};

/// SpoolShared in memory that child processes share.
class SharedSpool {
 public:
  SharedSpool()
      : memory_(::mmap(nullptr, sizeof(SpoolShared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)),
        shared(*static_cast<SpoolShared*>(memory_)) {
    shared.init();
  }
  SharedSpool(const SharedSpool&) = delete;
  SharedSpool& operator=(const SharedSpool&) = delete;
  ~SharedSpool() { ::munmap(memory_, sizeof(SpoolShared)); }

 private:
  void* const memory_;

 public:
  SpoolShared& shared;
};

inline std::string bytes_of(const std::string& path) {
  std::string bytes;
  std::FILE* file = std::fopen(path.c_str(), "r");
  char part[4096];
  for (std::size_t count = 1; file != nullptr && count != 0;) {
    count = std::fread(part, 1, sizeof part, file);
    bytes.append(part, count);
  }
  if (file != nullptr) std::fclose(file);
  return bytes;
}
inline void write_bytes(const std::string& path, std::string_view bytes) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  std::fwrite(bytes.data(), 1, bytes.size(), file);
  std::fclose(file);
}

/// Whatever can be read from `position` on, in windows of `most` bytes.
inline std::vector<std::string> read_all(SpoolReader& reader, std::uint64_t& position, std::size_t most = 65536) {
  std::vector<std::string> records;
  static SpoolWindow window;
  Error why;
  while (reader.next(position, most, window, why) == SpoolReader::Found::records) {
    for (const SpoolRecord& record : window.records()) records.emplace_back(record.bytes);
  }
  window.release();
  if (why) records.push_back(why.text());
  return records;
}
inline std::vector<std::string> read_all(SpoolReader& reader) {
  std::uint64_t position = 0;
  return read_all(reader, position);
}

}  // namespace heartbeat
