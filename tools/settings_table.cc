// Prints the manual's table of settings from the table that both servers register.
#include <cstdio>

#include "shared/settings/table.h"

int main() {
  std::puts(
      "# Settings\n\n"
      "Made from the table that both modules register; `make docs` makes it anew.\n\n"
      "*main* is nginx' `http` block and Apache's main server configuration, *vhost* a `server` block or a\n"
      "`<VirtualHost>`, *location* a `location` or a `<Location>`. What a vhost may set may also be set above all of\n"
      "them, as their default; each level inherits from the one above. Times are written `500ms`, `30s`, `1m30s`,\n"
      "`7d` (a bare number: seconds), sizes `64k`, `16m`, `1g`, in both servers.\n\n"
      "| nginx | Apache | values | where | default | meaning |\n|---|---|---|---|---|---|");
  for (const heartbeat::Setting& setting : heartbeat::kSettingTable) {
    const char* where = (setting.where & heartbeat::kMain) != 0
                            ? ((setting.where & heartbeat::kVhost) != 0 ? "main, vhost" : "main")
                        : (setting.where & heartbeat::kLocationNginx) != 0 ? "nginx: vhost, location; Apache: vhost"
                        : setting.where == heartbeat::kVhost               ? "vhost"
                        : setting.where == heartbeat::kLocation            ? "location"
                                                                           : "vhost, location";
    std::printf("| `%s` | `%s` | `", setting.name, heartbeat::apache_name(setting.name).text);
    for (const char* c = setting.arguments; *c != '\0'; ++c) std::printf(*c == '|' ? "\\|" : "%c", *c);
    std::printf("` | %s | %s%s%s | %s |\n", where, setting.default_text == nullptr ? "" : "`",
                setting.default_text == nullptr ? "none" : setting.default_text,
                setting.default_text == nullptr ? "" : "`", setting.help);
  }
  std::puts(
      "\n## Endpoints in a location\n\n"
      "| nginx | Apache |\n|---|---|\n"
      "| `heartbeat ping;` | `SetHandler heartbeat-ping` |\n"
      "| `heartbeat page;` | `SetHandler heartbeat-page` |\n"
      "| `heartbeat beat;` | `SetHandler heartbeat-beat` |\n"
      "| `heartbeat online;` | `SetHandler heartbeat-online` |\n"
      "| `heartbeat audit;` | `SetHandler heartbeat-audit` |");
}
