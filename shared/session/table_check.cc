// Checks every invariant of the session table.
#include "shared/session/guard.h"

namespace heartbeat {
namespace {

// Whether an earlier entry is a past run of the same session.
bool named_before(const StoreRecord& store, std::uint32_t entry) {
  for (std::uint32_t i = 0; i < entry; ++i) {
    const BatchEntry& earlier = store.entries[i];
    if (earlier.slot == store.entries[entry].slot && (earlier.flags & BatchEntry::kPast) != 0) return true;
  }
  return false;
}

}  // namespace

bool Table::validate(Error& error) {
  Guard guard(*this);
  std::uint64_t sessions = 0;
  std::uint64_t pinned = 0;
  for (std::uint32_t index = 0; index < slots(); ++index) {
    const Slot& slot = slots_[index];
    if (slot.pinned.load() != 0) ++pinned;
    if (tag(index) == 0) continue;
    ++sessions;
    std::uint64_t low = slot.fingerprint[0].load();
    std::uint64_t high = slot.fingerprint[1].load();
    Print print = print_of(low, high);
    if (tag(index) != print.tag) error.set("slot %u: the tag is not its own", index);
    bool at_home = false;
    for (std::uint32_t bucket : print.bucket) {
      std::uint32_t found = find_in(print, bucket);
      at_home = at_home || bucket == index / kWays;
      if (found != UINT32_MAX && found != index) error.set("slot %u: its session stands twice", index);
    }
    if (!at_home) error.set("slot %u: in a foreign bucket", index);
    if (slot.place.load() >= header_->places.load()) error.set("slot %u: unknown place %u", index, slot.place.load());
    if (names_[index].size > kNameBytes && names_[index].size != Name::kDigest)
      error.set("slot %u: a name of %u bytes", index, names_[index].size);
    bool marked = (dirty_[index / kSlotsOfWord].load() >> index % kSlotsOfWord & 1) != 0;
    if (changed(slot) && !marked && slot.pinned.load() == 0) error.set("slot %u: changed, but nobody will know", index);
  }
  std::uint64_t batched = 0;
  for (std::uint32_t i = 0; i < header_->stores; ++i) {
    for (std::uint32_t e = 0; e < stores_[i].count; ++e) {
      std::uint32_t index = stores_[i].entries[e].slot;
      if (index >= slots()) error.set("store %u: entry %u names no slot", i, e);
      else if (slots_[index].pinned.load() == 0) error.set("slot %u: in a batch, but not pinned", index);
      if (!named_before(stores_[i], e)) ++batched;
    }
  }
  if (sessions != header_->sessions.load()) error.set("%lu sessions counted", static_cast<unsigned long>(sessions));
  if (pinned != batched) error.set("%lu pinned slots", static_cast<unsigned long>(pinned));
  return details_good(error) && !error;
}

}  // namespace heartbeat
