// What the table of settings asks of a server, and an easy way to set one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "shared/settings/table.h"
#include "t/unit/support/fake_arena.h"

namespace heartbeat {

class FakeContext final : public SettingsContext {
 public:
  explicit FakeContext(Arena& arena) : SettingsContext(arena) {}
  std::string_view full_path(std::string_view path) override { return arena.copy(path); }
  bool is_expression(std::string_view text) override { return text.starts_with('$'); }
  void* compile(std::string_view text, Error& error) override {
    if (text == "$bad") {
      error.set("unknown variable \"bad\", expected a variable");
      return nullptr;
    }
    return &value;
  }
  std::string value = "expression";
};

inline const Setting* setting_named(std::string_view name) {
  for (const Setting& setting : kSettingTable) {
    if (name == setting.name) return &setting;
  }
  return nullptr;
}

/// The error's text; "" where the words were good.
inline std::string apply(SettingsContext& context, Settings& settings, std::string_view name,
                         std::vector<std::string_view> words) {
  Error error;
  apply_setting(*setting_named(name), setting_named(name)->name, context, words, settings, error);
  return error.text();
}

}  // namespace heartbeat
