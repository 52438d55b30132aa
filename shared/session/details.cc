// Who is behind a session: the user's name and the page, kept apart from the slots because not every session says them.
#include <algorithm>
#include <cstring>
#include <sodium.h>

#include "shared/session/guard.h"

namespace heartbeat {
namespace {

// Cut where a character of UTF-8 begins (RFC 3629, section 3).
std::string_view cut(std::string_view text, std::size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80) --most;
  return text.substr(0, most);
}

std::uint64_t hash_of(std::string_view text, const unsigned char (&key)[16]) {
  std::uint64_t print = 0;
  crypto_shorthash(reinterpret_cast<unsigned char*>(&print), reinterpret_cast<const unsigned char*>(text.data()),
                   text.size(), key);
  return print == 0 ? 1 : print;
}

// No hash stands beside a text that is being written: whoever finds it so under the lock knows that its writer died.
void write(std::string_view text, std::size_t most, const unsigned char (&key)[16], std::atomic<std::uint64_t>& print,
           std::uint8_t& size, char* bytes) {
  std::string_view kept = cut(text, most);
  print.store(0, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  size = static_cast<std::uint8_t>(kept.copy(bytes, most));
  print.store(hash_of(kept, key), std::memory_order_release);
}

// Without the lock, while it may be written: then it differs. What is not said does not.
bool differs(const std::atomic<std::uint64_t>& print, std::string_view text, std::size_t most, const unsigned char (&key)[16]) {
  return !text.empty() && print.load(std::memory_order_acquire) != hash_of(cut(text, most), key);
}

}  // namespace

Detail* Table::detail(std::uint32_t index) const {
  std::uint32_t number = detail_of_[index].load(std::memory_order_relaxed);
  return number == 0 ? nullptr : &details_[number - 1];
}

// Low half of the hash of the user's name; 0: none is known.
std::uint32_t Table::user_print(std::uint32_t index) const {
  std::uint32_t number = detail_of_[index].load(std::memory_order_relaxed);
  return number == 0 ? 0 : static_cast<std::uint32_t>(prints_[number - 1].user.load(std::memory_order_relaxed));
}

std::string_view Table::user(std::uint32_t index) const {
  const Detail* own = detail(index);
  return own == nullptr ? std::string_view() : std::string_view(own->user, std::min<std::size_t>(own->user_size, kUserBytes));
}

std::string_view Table::page(std::uint32_t index) const {
  const Detail* own = detail(index);
  return own == nullptr ? std::string_view() : std::string_view(own->page, std::min<std::size_t>(own->page_size, kPageBytes));
}

// Called without the lock, while the visitor may say something else: the version changes before the bytes do.
void Table::said(const BatchEntry& entry, Said& out) const {
  const Detail* own = (entry.flags & BatchEntry::kDetail) != 0 ? detail(entry.slot) : nullptr;
  if (own == nullptr) return;
  std::size_t user_size = user(entry.slot).copy(out.bytes, kUserBytes);
  std::size_t page_size = page(entry.slot).copy(out.bytes + user_size, kPageBytes);
  std::atomic_thread_fence(std::memory_order_acquire);
  if (own->version.load(std::memory_order_relaxed) != entry.version) return;
  out.user = {out.bytes, user_size};
  out.page = {out.bytes + user_size, page_size};
}

bool Table::other_user(const DetailPrints& prints, const Sign& sign) const {
  return differs(prints.user, sign.user, kUserBytes, header_->key);
}
bool Table::other_page(const DetailPrints& prints, const Sign& sign) const {
  return differs(prints.page, sign.page, kPageBytes, header_->key);
}

// Where there is no room for another detail, what a session says is not news: it would ask for the lock each time.
bool Table::says_something_new(std::uint32_t index, const Sign& sign) const {
  std::uint32_t number = detail_of_[index].load(std::memory_order_relaxed);
  if (number == 0) return header_->free_detail.load(std::memory_order_relaxed) != 0;
  return other_user(prints_[number - 1], sign) || other_page(prints_[number - 1], sign);
}

// Under the lock. True: the session is another user's from now on.
bool Table::set_detail(std::uint32_t index, const Sign& sign) {
  if (sign.user.empty() && sign.page.empty()) return false;
  Detail* own = detail(index);
  if (own == nullptr) own = give_detail(index);
  if (own == nullptr) {  // counted where the session begins: it will say so again and again
    if (slots_[index].beats.load(std::memory_order_relaxed) == 0) header_->unnamed.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  DetailPrints& prints = prints_[own - details_];
  bool of_another = other_user(prints, sign);
  bool elsewhere = other_page(prints, sign);
  if (of_another || elsewhere) ++own->version;
  std::atomic_thread_fence(std::memory_order_release);  // see said()
  if (of_another) write(sign.user, kUserBytes, header_->key, prints.user, own->user_size, own->user);
  if (elsewhere) write(sign.page, kPageBytes, header_->key, prints.page, own->page_size, own->page);
  return of_another;
}

// The sessions of a site lie under other keys from now on, where their next signs of life bring along who they are.
void Table::say_again(std::uint16_t site) {
  for (std::uint32_t index = 0; index < slots(); ++index) {
    Detail* own = detail(index);
    if (own != nullptr && places_[slots_[index].place.load(std::memory_order_relaxed)].site == site) ++own->version;
  }
}

Detail* Table::give_detail(std::uint32_t index) {
  std::uint32_t number = header_->free_detail.load(std::memory_order_relaxed);
  if (number == 0) return nullptr;
  Detail& own = details_[number - 1];
  header_->free_detail.store(own.next, std::memory_order_relaxed);
  own.owner = index + 1;
  own.version = own.stored_version = 0;
  own.user_size = own.page_size = 0;
  prints_[number - 1].user.store(0, std::memory_order_relaxed);
  prints_[number - 1].page.store(0, std::memory_order_relaxed);
  detail_of_[index].store(number, std::memory_order_release);
  return &own;
}

void Table::free_detail(std::uint32_t index) {
  std::uint32_t number = detail_of_[index].load(std::memory_order_relaxed);
  if (number == 0) return;
  detail_of_[index].store(0, std::memory_order_relaxed);
  details_[number - 1].owner = 0;
  details_[number - 1].next = header_->free_detail.load(std::memory_order_relaxed);
  header_->free_detail.store(number, std::memory_order_relaxed);
}

// When the session is back, it says its name again.
void Table::free_silent_details(std::uint32_t& cursor, Millis now) {
  constexpr std::uint32_t kOfTurn = 1024;
  Guard guard(*this);
  for (std::uint32_t i = 0; i < kOfTurn && i < header_->max_details; ++i, ++cursor) {
    if (cursor >= header_->max_details) cursor = 0;
    std::uint32_t owner = details_[cursor].owner;
    if (owner == 0 || owner > slots()) continue;
    const Slot& slot = slots_[owner - 1];
    const PlaceRecord& place = places_[slot.place.load(std::memory_order_relaxed)];
    bool silent = now - slot.seen.load(std::memory_order_relaxed) > place.timeout;
    if (silent && slot.pinned.load(std::memory_order_relaxed) == 0 && !changed(slot)) free_detail(owner - 1);
  }
}

// A detail belongs to a slot if both say so; all others are free. A text that was being written is forgotten, until its
// visitor says it again. Written backwards, so that the first ones are taken first and the rest of the memory stays
// untouched.
void Table::recount_details() {
  std::uint32_t first = 0;
  for (std::uint32_t number = header_->max_details; number > 0; --number) {
    Detail& each = details_[number - 1];
    if (each.owner != 0 && each.owner <= slots() && tag(each.owner - 1) != 0 &&
        detail_of_[each.owner - 1].load(std::memory_order_relaxed) == number) {
      if (prints_[number - 1].user.load(std::memory_order_acquire) == 0) each.user_size = 0;
      if (prints_[number - 1].page.load(std::memory_order_acquire) == 0) each.page_size = 0;
      continue;
    }
    if (each.owner != 0) each.owner = 0;
    if (each.next != first) each.next = first;
    first = number;
  }
  header_->free_detail.store(first, std::memory_order_relaxed);
  for (std::uint32_t index = 0; index < slots(); ++index) {
    std::uint32_t number = detail_of_[index].load(std::memory_order_relaxed);
    if (number != 0 && details_[number - 1].owner != index + 1) detail_of_[index].store(0, std::memory_order_relaxed);
  }
}

bool Table::details_good(Error& error) const {
  std::uint32_t owned = 0;
  std::uint32_t free = 0;
  for (std::uint32_t index = 0; index < slots(); ++index) {
    const Detail* own = detail(index);
    if (own == nullptr) continue;
    ++owned;
    if (own->owner != index + 1) error.set("slot %u: its detail belongs to slot %u", index, own->owner - 1);
    if (own->user_size > kUserBytes || own->page_size > kPageBytes) error.set("slot %u: a detail that is too long", index);
  }
  std::uint32_t number = header_->free_detail.load();
  for (; number != 0 && free <= header_->max_details; number = details_[number - 1].next) ++free;
  if (owned + free != header_->max_details) error.set("%u details owned and %u free of %u", owned, free, header_->max_details);
  return !error;
}

}  // namespace heartbeat
