// Signs of life in one line, for tests that do not care at which place they were given.
#pragma once

#include <cstdint>
#include <string_view>

#include "shared/session/table.h"

namespace heartbeat {

inline bool add_site(Table& table, std::string_view name, std::uint16_t store, bool plain, Millis retention, Site& site) {
  return table.add_site(name, store, {plain, retention}, site);
}

/// A place of `site` with a timeout of 90 s and a gap of 45 s, as the defaults of the settings give it.
inline Place default_place(Table& table, const Site& site) {
  Place place;
  table.add_place(site, {}, place);
  return place;
}

inline Sign sign_of(std::string_view user, std::string_view page = {}, bool active = false) {
  Sign sign;
  sign.user = user;
  sign.page = page;
  sign.active = active;
  return sign;
}

inline Marked mark(Table& table, const Site& site, std::string_view id, LifeSign source, bool active, Millis now,
                   Recent* recent = nullptr) {
  Sign sign;
  sign.source = source;
  sign.active = active;
  return table.mark(site, default_place(table, site), id, sign, now, recent);
}

/// Where the n-th part of a table lies in the memory it was made in.
template <class T>
T* part_of(Table& table, Part part) {
  return reinterpret_cast<T*>(reinterpret_cast<char*>(&table.header()) + table.header().offsets[part]);
}

}  // namespace heartbeat
