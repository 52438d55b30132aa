// Who was active and who had a page open, for how long and on which days: what Redis has kept of it, on request.
#include "shared/endpoint/audit.h"

#include <charconv>

#include "audit_css.h"
#include "audit_lua.h"
#include "shared/endpoint/deferred.h"
#include "shared/endpoint/endpoint.h"
#include "shared/http/escape.h"
#include "shared/http/query.h"
#include "shared/http/sha256.h"

namespace heartbeat {
namespace {

// What Redis reads for one audit and what it answers: a script of at most about 0.15 seconds.
constexpr std::int64_t kMostWork = 100000;
constexpr std::int64_t kMostText = 512 * 1024;

// --- the request -----------------------------------------------------------------------------------

std::string_view decoded(const Exchange& exchange, std::string_view name) {
  std::string_view raw = query_value(exchange.request.query, name);
  auto* bytes = static_cast<char*>(exchange.arena.allocate(raw.size() + 1, 1));
  if (bytes == nullptr) return {};
  return {bytes, percent_decode(raw, bytes, raw.size())};
}

bool read_format(std::string_view word, AuditFormat& format) {
  if (word == "csv") format = AuditFormat::csv;
  else if (word == "html") format = AuditFormat::html;
  else return word.empty() || word == "json";
  return true;
}

bool read_limit(std::string_view text, std::int64_t& limit) {
  if (text.empty()) return true;
  std::from_chars_result read = std::from_chars(text.data(), text.data() + text.size(), limit);
  bool number = read.ec == std::errc() && read.ptr == text.data() + text.size();
  return number && limit > 0 && limit <= AuditQuery::kMostUsers;
}

// One end of the range: a day counts whole, so as the end of a range it means its own end.
bool read_end(std::string_view text, bool end, AuditQuery& query, bool& given, Millis& at) {
  Day day = 0;
  given = !text.empty();
  if (!given) return true;
  if (parse_day(text, day)) at = (end ? day + 1 : day) * kDay;
  else if (parse_instant(text, at)) query.instants = true;
  else return false;
  return true;
}

Day first_day(const AuditQuery& query) { return day_of(query.from); }
Day last_day(const AuditQuery& query) { return day_of(query.to - 1); }

// "" where the request can be answered.
const char* read_query(const Exchange& exchange, AuditQuery& query) {
  if (!read_format(decoded(exchange, "format"), query.format)) return "format: expected json, csv or html";
  if (!read_end(decoded(exchange, "from"), false, query, query.has_from, query.from)) {
    return "from: expected a day such as 2024-02-29, or an instant such as 2024-02-29T08:00Z, in UTC";
  }
  if (!read_end(decoded(exchange, "to"), true, query, query.has_to, query.to)) {
    return "to: expected a day such as 2024-02-29, or an instant such as 2024-02-29T16:30Z, in UTC";
  }
  if (!read_limit(decoded(exchange, "limit"), query.limit)) return "limit: expected a number from 1 to 10000";
  query.user = decoded(exchange, "user");
  query.after = decoded(exchange, "after");
  if (!query.has_from || !query.has_to) return "";
  if (query.from >= query.to) return "from: expected a time before that of to";
  return last_day(query) - first_day(query) >= AuditQuery::kDays ? "to: expected at most 366 days after from" : "";
}

// --- the answer ------------------------------------------------------------------------------------

class Audit final : public Deferred {
 public:
  Audit(const Store& store, const AuditQuery& query, std::string_view site, std::uint32_t shards, bool json)
      : Deferred(store), query_(query), report_(query_, site), shards_(shards), json_(json) {}

  RedisScript script() const override { return {kAuditLua, kAuditLuaSha1}; }
  std::size_t arguments() const override { return 11; }
  void write(CommandWriter writer) const override;
  void take(const RedisReply& answer) override;
  void no_answer(std::string_view why) override { reply = unavailable(*arena, json_, why); }

 private:
  Reply answered();
  void add_headers(Reply& answer, std::string_view next);
  std::string_view next_page();

  const AuditQuery query_;
  AuditReport report_;
  const std::uint32_t shards_;
  const bool json_;
};

void Audit::write(CommandWriter writer) const {
  writer.word(store.prefix);
  writer.word(report_.site);
  writer.number(shards_);
  if (query_.has_from) writer.number(first_day(query_));
  else writer.word("");
  if (query_.has_to) writer.number(last_day(query_));
  else writer.word("");
  writer.word(query_.user);
  writer.word(query_.after);
  writer.number(query_.limit);
  writer.number(kMostText);
  writer.number(kMostWork);
  writer.number(AuditQuery::kDays);
}

void Audit::take(const RedisReply& answer) {
  if (!report_.read(answer)) return no_answer("Redis' answer cannot be read");
  const char* wrong = report_.too_many_days() ? "from: expected at most 366 days until today"
                      : report_.too_much()    ? "too many users and days: ask for fewer days or for one user"
                                              : nullptr;
  reply = wrong == nullptr ? answered() : plain_error(*arena, json_, 400, wrong);
}

// The query of the next page; empty if this is the last.
std::string_view Audit::next_page() {
  if (report_.left == 0) return {};
  AuditUser user;
  while (report_.next(user)) continue;
  report_.rewind();
  Text text(*arena, 256);
  add_query(text, report_, query_.format, user.name);
  return text.view();
}

Reply Audit::answered() {
  static constexpr std::string_view kTypes[] = {"application/json", "text/csv; charset=utf-8; header=present",
                                                "text/html; charset=utf-8"};
  std::string_view next = next_page();
  Text text(*arena, 4096);
  if (query_.format == AuditFormat::json) write_json(text, report_, next);
  else if (query_.format == AuditFormat::csv) write_csv(text, report_);
  else write_html(text, report_, next);
  if (text.failed()) return unavailable(*arena, json_, "out of memory");
  Reply answer;
  answer.status = 200;
  answer.content_type = kTypes[static_cast<int>(query_.format)];
  answer.body = text.view();
  add_headers(answer, next);
  return answer;
}

// What is shown is personal: kept by no cache, and read by no page of another origin, whatever heartbeat_origin allows
// to ping.
void Audit::add_headers(Reply& answer, std::string_view next) {
  answer.add("Cache-Control", "no-store");
  answer.add("X-Content-Type-Options", "nosniff");
  answer.add("Cross-Origin-Resource-Policy", "same-origin");
  answer.add("Referrer-Policy", "no-referrer");
  if (query_.format == AuditFormat::html) {
    Text policy(*arena, 128);
    policy.add("default-src 'none'; style-src 'sha256-");
    add_sha256(policy, kAuditCss);
    answer.add("Content-Security-Policy", policy.add("'; base-uri 'none'; frame-ancestors 'self'").view());
  } else if (query_.format == AuditFormat::csv) {
    Text name(*arena, 128);
    add_day(name.add("attachment; filename=\"audit-"), report_.first);
    add_day(name.add("-to-"), report_.last);
    answer.add("Content-Disposition", name.add(".csv\"").view());
  }
  if (next.empty()) return;
  Text link(*arena, next.size() + 32);
  answer.add("Link", link.add("<").add(next).add(">; rel=\"next\"").view());  // RFC 8288
}

}  // namespace

Reply audit(const Exchange& exchange) {
  AuditQuery query;
  const char* wrong = read_query(exchange, query);
  bool json = query_value(exchange.request.query, "format") == "json" || wants_json(exchange.request);
  if (*wrong != '\0') return plain_error(exchange.arena, json, 400, wrong);
  if (exchange.store == nullptr || !exchange.table.attached() || exchange.site.index == kNone) {
    return unavailable(exchange.arena, json, "there is no Redis to ask: expected heartbeat_redis");
  }
  const SiteRecord& site = exchange.table.site(exchange.site.index);
  void* memory = exchange.arena.allocate(sizeof(Audit), alignof(Audit));
  if (memory == nullptr) return unavailable(exchange.arena, json, "out of memory");
  Reply reply;
  reply.deferred = ::new (memory) Audit(*exchange.store, query, {site.name, site.size},
                                        *exchange.settings.shards, json);
  return reply;
}

}  // namespace heartbeat
