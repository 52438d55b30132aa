// Bodies of answers that many ask for.
#include "shared/endpoint/bodies.h"

#include <cstdlib>
#include <cstring>

#include "shared/http/etag.h"

namespace heartbeat {
namespace {

class Guard {
 public:
  explicit Guard(pthread_mutex_t& mutex) : mutex_(mutex) { pthread_mutex_lock(&mutex_); }
  ~Guard() { pthread_mutex_unlock(&mutex_); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  pthread_mutex_t& mutex_;
};

}  // namespace

Bodies::Found Bodies::find(const BodyKey& key, std::string_view if_none_match, Arena& arena, Tag& tag,
                           std::string_view& body) {
  Guard guard(mutex_);
  for (Kept& kept : kept_) {
    if (kept.bytes == nullptr || kept.key != key) continue;
    kept.used = ++uses_;
    tag = kept.tag;
    if (has_tag(if_none_match, tag)) return Found::same;
    body = arena.copy({kept.bytes, kept.size});
    return body.size() == kept.size ? Found::body : Found::none;
  }
  return Found::none;
}

void Bodies::drop(Kept& kept) {
  std::free(kept.bytes);
  kept.bytes = nullptr;
  bytes_ -= kept.size;
}

void Bodies::forget() {
  if (pthread_mutex_trylock(&mutex_) != 0) return;
  for (Kept& kept : kept_) {
    if (kept.bytes != nullptr) drop(kept);
  }
  pthread_mutex_unlock(&mutex_);
}

// The body that was not asked for for longest; null: there is none.
Bodies::Kept* Bodies::oldest() {
  Kept* oldest = nullptr;
  for (Kept& kept : kept_) {
    if (kept.bytes != nullptr && (oldest == nullptr || kept.used < oldest->used)) oldest = &kept;
  }
  return oldest;
}

Bodies::Kept* Bodies::free_place() {
  for (Kept& kept : kept_) {
    if (kept.bytes == nullptr) return &kept;
  }
  return nullptr;
}

void Bodies::keep(const BodyKey& key, const Tag& tag, std::string_view body) {
  char* bytes = body.size() > kBytes / 4 ? nullptr : static_cast<char*>(std::malloc(body.size() + 1));
  if (bytes == nullptr) return;
  std::memcpy(bytes, body.data(), body.size());
  Guard guard(mutex_);
  for (Kept& kept : kept_) {  // of the same list before, or made by another thread meanwhile
    BodyKey same = kept.key;
    same.number = key.number;
    if (kept.bytes != nullptr && same == key) drop(kept);
  }
  while (free_place() == nullptr || bytes_ + body.size() > kBytes) drop(*oldest());
  *free_place() = {key, tag, bytes, body.size(), ++uses_};
  bytes_ += body.size();
}

}  // namespace heartbeat
