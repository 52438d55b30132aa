// The formats of an audit. Each is written while walking through what Redis answered.
#include "audit_css.h"
#include "audit_html.h"
#include "shared/endpoint/audit.h"
#include "shared/http/escape.h"

namespace heartbeat {
namespace {

// 5000 hundredths are 50.00; nothing where there is no whole.
void add_percent_of(Text& out, Millis part, Millis whole, std::string_view nothing) {
  std::int64_t value = hundredths(part, whole);
  if (value < 0) {
    out.add(nothing);
    return;
  }
  char cents[3] = {'.', static_cast<char>('0' + value / 10 % 10), static_cast<char>('0' + value % 10)};
  out.add(value / 100).add({cents, sizeof cents});
}

// --- JSON ------------------------------------------------------------------------------------------

void add_json_time(Text& out, AuditTime time, AuditTime in_range, Millis whole) {
  out.add("\"active_ms\":").add(time.active).add(",\"open_ms\":").add(time.open);
  add_percent_of(out.add(",\"active_percent\":"), in_range.active, whole, "null");
  add_percent_of(out.add(",\"open_percent\":"), in_range.open, whole, "null");
}

void add_json_user(Text& out, const AuditReport& report, AuditUser user) {
  add_json(out.add("{\"user\":"), user.name);
  add_json_time(out.add(","), AuditReport::sum(user), report.sum_in_range(user), report.length());
  out.add(",\"days\":[");
  for (bool more = false; user.next_day(); more = true) {
    if (more) out.add(",");
    add_day(out.add("{\"day\":\""), report.first + user.day);
    add_json_time(out.add("\","), user.time, user.time, report.length_of(user.day));
    out.add("}");
  }
  out.add("]}");
}

// --- CSV -------------------------------------------------------------------------------------------

void add_csv_line(Text& out, AuditTime time, AuditTime in_range, Millis whole) {
  out.add(",").add(time.active).add(",").add(time.open).add(",");
  add_percent_of(out, in_range.active, whole, "");
  out.add(",");
  add_percent_of(out, in_range.open, whole, "");
  out.add("\r\n");
}

// --- HTML ------------------------------------------------------------------------------------------

constexpr std::string_view kWholeDays =
    "<p>Times are those of whole days in UTC. The share counts at most as much of a day as lies in the range: it is "
    "the most that can have been, not what was.</p>\n";

// H:MM:SS, cut to whole seconds.
void add_duration(Text& out, Millis time) {
  std::int64_t seconds = time / 1000;
  char rest[6] = {':', static_cast<char>('0' + seconds / 600 % 6), static_cast<char>('0' + seconds / 60 % 10),
                  ':', static_cast<char>('0' + seconds / 10 % 6),  static_cast<char>('0' + seconds % 10)};
  out.add(seconds / 3600).add({rest, sizeof rest});
}

void add_html_cells(Text& out, AuditTime time, AuditTime in_range, Millis whole) {
  add_duration(out.add("<td>"), time.active);
  add_percent_of(out.add("<td>"), in_range.active, whole, "\xe2\x80\x93");
  add_duration(out.add("<td>"), time.open);
  add_percent_of(out.add("<td>"), in_range.open, whole, "\xe2\x80\x93");
  out.add("\n");
}

void add_html_user(Text& out, const AuditReport& report, AuditUser user) {
  std::int64_t days = 0;
  for (AuditUser each = user; each.next_day();) ++days;
  out.add("<tbody>\n<tr class=\"all\"><th scope=\"rowgroup\" rowspan=\"").add(days + 1).add("\"><bdi>");
  add_html(out, user.name);
  out.add("</bdi><th scope=\"row\">All days");
  add_html_cells(out, AuditReport::sum(user), report.sum_in_range(user), report.length());
  while (user.next_day()) {
    add_day(out.add("<tr><th scope=\"row\">"), report.first + user.day);
    add_html_cells(out, user.time, user.time, report.length_of(user.day));
  }
}

void add_html_table(Text& out, AuditReport& report) {
  AuditUser user;
  if (!report.next(user)) {
    out.add("<p>Nobody was active or had a page open.</p>\n");
    return;
  }
  out.add("<table>\n<caption>Time of each user, in hours, minutes and seconds, and its share of the range or day in "
          "percent</caption>\n<thead>\n<tr><th scope=\"col\">User<th scope=\"col\">Day<th scope=\"col\">Active"
          "<th scope=\"col\">Active, %<th scope=\"col\">Open<th scope=\"col\">Open, %\n");
  do add_html_user(out, report, user);
  while (report.next(user));
  out.add("</table>\n");
}

void add_html_links(Text& out, const AuditReport& report, std::string_view next) {
  if (!next.empty()) {
    add_html(out.add("<a rel=\"next\" href=\""), next);
    out.add("\">Next page</a> (").add(report.left).add(" users more)\n");
  }
  add_query(out.add("<a href=\""), report, AuditFormat::csv, report.query.after, "&amp;");
  add_query(out.add("\">CSV</a>\n<a href=\""), report, AuditFormat::json, report.query.after, "&amp;");
  out.add("\">JSON</a>\n");
}

}  // namespace

void write_json(Text& out, AuditReport& report, std::string_view next) {
  add_json(out.add("{\"site\":"), report.site);
  add_instant(out.add(",\"now\":\""), report.now);
  add_instant(out.add("\",\"from\":\""), report.from);
  add_instant(out.add("\",\"to\":\""), report.to);
  out.add("\",\"range_ms\":").add(report.length());
  out.add(",\"whole_days\":").add(report.query.instants ? "false" : "true");
  out.add(",\"total\":").add(report.total).add(",\"next\":");
  if (next.empty()) out.add("null");
  else add_json(out, next);
  out.add(",\"users\":[");
  AuditUser user;
  for (bool more = false; report.next(user); more = true) {
    out.add(more ? ",\n" : "\n");
    add_json_user(out, report, user);
  }
  out.add("]}\n");
}

void write_csv(Text& out, AuditReport& report) {
  out.add("user,day,active_ms,open_ms,active_percent,open_percent\r\n");
  AuditUser user;
  while (report.next(user)) {
    add_csv(out, user.name);
    add_csv_line(out.add(",total"), AuditReport::sum(user), report.sum_in_range(user), report.length());
    while (user.next_day()) {
      add_csv(out, user.name);
      add_day(out.add(","), report.first + user.day);
      add_csv_line(out, user.time, user.time, report.length_of(user.day));
    }
  }
}

void write_html(Text& out, AuditReport& report, std::string_view next) {
  fill(out, kAuditHtml, [&](std::string_view name) {
    if (name == "SITE") add_html(out, report.site);
    else if (name == "FROM") add_instant(out, report.from);
    else if (name == "TO") add_instant(out, report.to);
    else if (name == "NOW") add_instant(out, report.now);
    else if (name == "STYLE") out.add(kAuditCss);
    else if (name == "TOTAL") out.add(report.total);
    else if (name == "NOTE") out.add(report.query.instants ? kWholeDays : std::string_view());
    else if (name == "LINKS") add_html_links(out, report, next);
    else if (name == "TABLE") add_html_table(out, report);
  });
}

}  // namespace heartbeat
