// The answer of Redis to an audit: read, and reckoned against the range that was asked for.
#include <charconv>

#include "shared/endpoint/audit.h"
#include "shared/http/escape.h"

namespace heartbeat {
namespace {

// A number at the start of `text` and the character behind it, both taken off.
bool take_number(std::string_view& text, char end, std::int64_t& number) {
  std::from_chars_result read = std::from_chars(text.data(), text.data() + text.size(), number);
  auto size = static_cast<std::size_t>(read.ptr - text.data());
  if (read.ec != std::errc() || number < 0 || size >= text.size() || text[size] != end) return false;
  text.remove_prefix(size + 1);
  return true;
}

// SIZE:NAME DAY,ACTIVE,OPEN; ... and a line end.
bool take_user(std::string_view& text, AuditUser& user) {
  std::string_view rest = text;
  std::int64_t size = 0;
  if (!take_number(rest, ':', size) || static_cast<std::uint64_t>(size) > rest.size()) return false;
  std::string_view name = rest.substr(0, static_cast<std::size_t>(size));
  rest.remove_prefix(name.size());
  std::size_t end = rest.find('\n');
  if (end == std::string_view::npos) return false;
  user = AuditUser(name, rest.substr(0, end));
  text = rest.substr(end + 1);
  return true;
}

Millis less(Millis a, Millis b) { return a < b ? a : b; }

}  // namespace

bool AuditUser::next_day() {
  return take_number(rest_, ',', day) && take_number(rest_, ',', time.active) && take_number(rest_, ';', time.open);
}

bool AuditReport::read(const RedisReply& reply) {
  if (reply.count != 6) return false;
  now = reply.integer(0);
  first = reply.integer(1);
  last = reply.integer(2);
  total = reply.integer(3);
  left = reply.integer(4);
  page_ = rest_ = reply.text(5);
  from = query.has_from ? query.from : first * kDay;
  to = query.has_to ? query.to : (last + 1) * kDay;
  bool whole = true;
  for (AuditUser user; next(user);) {
    while (user.next_day()) continue;
    whole = whole && user.ended();
  }
  whole = whole && rest_.empty();
  rewind();
  return whole && last >= first && left >= 0 && (left <= total || too_much());
}

bool AuditReport::next(AuditUser& user) { return take_user(rest_, user); }

Millis AuditReport::overlap(Millis start, Millis end) const {
  start = start > from ? start : from;
  end = less(end, less(to, now));
  return end > start ? end - start : 0;
}

AuditTime AuditReport::sum(AuditUser user) {
  AuditTime sum;
  while (user.next_day()) {
    sum.active += user.time.active;
    sum.open += user.time.open;
  }
  return sum;
}

AuditTime AuditReport::sum_in_range(AuditUser user) const {
  AuditTime sum;
  while (user.next_day()) {
    sum.active += less(user.time.active, length_of(user.day));
    sum.open += less(user.time.open, length_of(user.day));
  }
  return sum;
}

std::int64_t hundredths(Millis part, Millis whole) {
  return whole <= 0 ? -1 : less(part, whole) * 10000 / whole;
}

void add_query(Text& out, const AuditReport& report, AuditFormat format, std::string_view after,
               std::string_view joint) {
  static constexpr std::string_view kFormats[] = {"json", "csv", "html"};
  const AuditQuery& query = report.query;
  out.add("?from=");
  query.instants ? add_instant(out, report.from) : add_day(out, report.first);
  out.add(joint).add("to=");
  query.instants ? add_instant(out, report.to) : add_day(out, report.last);
  out.add(joint).add("format=").add(kFormats[static_cast<int>(format)]);
  if (!query.user.empty()) add_percent(out.add(joint).add("user="), query.user);
  if (query.limit != AuditQuery::kUsers) out.add(joint).add("limit=").add(query.limit);
  if (!after.empty()) add_percent(out.add(joint).add("after="), after);
}

}  // namespace heartbeat
