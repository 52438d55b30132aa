// Who is online: the list of the site in shared memory, in the format that was asked for. Nobody else is asked, and
// what many ask for is written once.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <sodium.h>

#include "online_html.h"
#include "shared/endpoint/bodies.h"
#include "shared/endpoint/endpoint.h"
#include "shared/http/escape.h"
#include "shared/http/etag.h"
#include "shared/http/negotiate.h"
#include "shared/http/origin.h"
#include "shared/http/query.h"
#include "shared/session/snapshot.h"
#include "shared/settings/parse.h"

namespace heartbeat {
namespace {

enum Format : std::uint8_t { json, xml, html, text, unknown };

constexpr std::string_view kWords[] = {"json", "xml", "html", "text"};
constexpr std::string_view kTypes[] = {"application/json", "application/xml", "text/html", "text/plain"};
constexpr std::string_view kContentTypes[] = {"application/json", "application/xml; charset=utf-8",
                                              "text/html; charset=utf-8", "text/plain; charset=utf-8"};
constexpr std::uint64_t kUsualLimit = 100;
constexpr std::uint64_t kLongest = std::uint64_t{10} * 365 * 24 * 3600;  // seconds

// It outlives the configuration, but not the module: a server that unloads that leaves nothing behind.
constinit Bodies bodies;
__attribute__((destructor)) void forget_bodies() { bodies.forget(); }

struct Wish {
  Format format = json;
  std::uint64_t within = 0;  // seconds; 0: all
  std::uint64_t limit = kUsualLimit;
  const char* wrong = nullptr;
};

// The list as this answer shows it.
struct Shown {
  Millis at;
  Millis gap;
  std::uint64_t count, users;
  std::span<OnlineSession> sessions;
  bool active(const OnlineSession& session) const { return session.active != 0 && at - session.active <= gap; }
};

// --- what is asked for ---

Format format_of(const Request& request) {
  std::string_view word = query_value(request.query, "format");
  if (word.empty()) {
    int best = negotiate(request.header("Accept"), kTypes);
    return best < 0 ? json : static_cast<Format>(best);
  }
  for (int i = 0; i < unknown; ++i) {
    if (word == kWords[i]) return static_cast<Format>(i);
  }
  return unknown;
}

Wish wish_of(const Request& request) {
  Wish wish;
  wish.format = format_of(request);
  if (wish.format == unknown) wish.wrong = "format: expected json, xml, html or text";
  std::string_view within = query_value(request.query, "within");
  if (!within.empty() && (!parse_number(within, kLongest, wish.within) || wish.within == 0)) {
    wish.wrong = "within: expected a number of seconds, at least 1";
  }
  std::string_view limit = query_value(request.query, "limit");
  if (!limit.empty() && !parse_number(limit, UINT64_MAX, wish.limit)) {
    wish.wrong = "limit: expected how many sessions to list";
  }
  if (wish.limit > kListed) wish.limit = kListed;
  return wish;
}

bool asks_for_json(const Request& request) {
  return query_value(request.query, "format") == "json" || wants_json(request);
}

Reply refused(const Exchange& exchange, unsigned status, std::string_view sentence) {
  Reply reply = plain_error(exchange.arena, asks_for_json(exchange.request), status, sentence);
  add_cors(exchange.request, *exchange.settings.origin, reply);
  return reply;
}

Reply not_yet(const Exchange& exchange, std::string_view sentence) {
  Reply reply = refused(exchange, 503, sentence);
  add_retry_after(1000, exchange.arena, reply);
  return reply;
}

// --- what is shown ---

std::uint64_t different_users(std::span<const OnlineSession> sessions, Arena& arena) {
  auto* names = arena.make<std::string_view>(sessions.size() + 1);
  if (names == nullptr) return 0;
  std::string_view* end = names;
  for (const OnlineSession& session : sessions) {
    if (!session.user.empty()) *end++ = session.user;
  }
  std::sort(names, end);
  return static_cast<std::uint64_t>(std::unique(names, end) - names);
}

// How many were seen within the time that was asked for, `found` of them in the list. Where the list does not hold
// all, it ends with those that were seen longest ago; so if it holds any that is too old, it holds all that are not.
std::uint64_t count_of(const SnapshotHead& head, std::uint64_t within, std::uint64_t found) {
  if (within == 0) return head.online;
  if (found < head.listed || head.listed == head.online) return found;
  return within <= kWithin ? std::max<std::uint64_t>(head.within[within - 1], found) : head.online;
}

// The newest that are asked for, in the order of their ids.
Shown shown_of(const Snapshot& snapshot, const Wish& wish, Millis gap, Arena& arena) {
  const SnapshotHead& head = snapshot.head();
  Shown shown{head.at, gap, 0, 0, {}};
  auto* sessions = arena.make<OnlineSession>(head.listed + 1);
  std::size_t found = 0;
  OnlineSession session;
  for (std::size_t at = 0; sessions != nullptr && found < head.listed && snapshot.next(at, session);) {
    if (wish.within == 0 || head.at - session.last <= static_cast<Millis>(wish.within) * 1000) sessions[found++] = session;
  }
  shown.count = count_of(head, wish.within, found);
  shown.users = found == shown.count ? different_users({sessions, found}, arena) : head.users;
  std::size_t listed = found < wish.limit ? found : static_cast<std::size_t>(wish.limit);
  std::sort(sessions, sessions + listed, [](const OnlineSession& a, const OnlineSession& b) { return a.id < b.id; });
  shown.sessions = {sessions, listed};
  return shown;
}

// The latest arrival first: those who only stay do not change places.
void arrange(Shown& shown) {
  std::sort(shown.sessions.begin(), shown.sessions.end(), [](const OnlineSession& a, const OnlineSession& b) {
    return a.since != b.since ? a.since > b.since : a.id < b.id;
  });
}

// The same on every host that shows the same. Last-seen times do not count: they change with every ping. Nor does the
// order of arrival, which may differ by a millisecond between what Redis says and what this host knows itself.
Tag tag_of(const Shown& shown, Format format) {
  crypto_generichash_state state;
  unsigned char hash[16];
  crypto_generichash_init(&state, nullptr, 0, sizeof hash);
  auto add = [&](std::string_view bytes) {
    crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  };
  auto add_number = [&](std::uint64_t number) { add({reinterpret_cast<const char*>(&number), sizeof number}); };
  for (std::uint64_t number : {std::uint64_t{format}, shown.count, shown.users}) add_number(number);
  for (const OnlineSession& session : shown.sessions) {
    add_number(session.id.size());
    add(session.id);
    add_number(session.user.size());
    add(session.user);
    add_number(shown.active(session));
  }
  crypto_generichash_final(&state, hash, sizeof hash);
  Tag tag;
  tag.size = 36;
  std::memcpy(tag.text, "W/\"", 3);
  sodium_bin2hex(tag.text + 3, 33, hash, sizeof hash);
  tag.text[35] = '"';
  return tag;
}

// --- the formats: all say the same ---

std::string_view name_of(const OnlineSession& session) { return session.user.empty() ? session.id : session.user; }

// ISO 8601, to the millisecond.
void add_time(Text& out, Millis time) {
  char digits[40];
  std::time_t seconds = time / 1000;
  std::tm date{};
  gmtime_r(&seconds, &date);
  std::size_t size = std::strftime(digits, sizeof digits, "%Y-%m-%dT%H:%M:%S", &date);
  std::snprintf(digits + size, sizeof digits - size, ".%03dZ", static_cast<int>(time % 1000));
  out.add(digits);
}

void write_json(Text& out, const Shown& shown) {
  out.add("{\"at\":").add(shown.at).add(",\"count\":").add(static_cast<std::int64_t>(shown.count));
  out.add(",\"users\":").add(static_cast<std::int64_t>(shown.users));
  out.add(",\"listed\":").add(static_cast<std::int64_t>(shown.sessions.size())).add(",\"online\":[");
  std::string_view separator = "\n";
  for (const OnlineSession& session : shown.sessions) {
    out.add(separator).add("{\"name\":");
    add_json(out, name_of(session));
    out.add(",\"id\":");
    add_json(out, session.id);
    out.add(",\"user\":");
    if (session.user.empty()) out.add("null");
    else add_json(out, session.user);
    out.add(",\"since\":").add(session.since).add(",\"last\":").add(session.last);
    out.add(shown.active(session) ? ",\"active\":true}" : ",\"active\":false}");
    separator = ",\n";
  }
  out.add("]}\n");
}

void write_xml(Text& out, const Shown& shown) {
  out.add("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<online at=\"").add(shown.at);
  out.add("\" count=\"").add(static_cast<std::int64_t>(shown.count));
  out.add("\" users=\"").add(static_cast<std::int64_t>(shown.users));
  out.add("\" listed=\"").add(static_cast<std::int64_t>(shown.sessions.size())).add("\">\n");
  for (const OnlineSession& session : shown.sessions) {
    out.add("<session name=\"");
    add_xml(out, name_of(session));
    out.add("\" id=\"");
    add_xml(out, session.id);
    if (!session.user.empty()) {
      out.add("\" user=\"");
      add_xml(out, session.user);
    }
    out.add("\" since=\"").add(session.since).add("\" last=\"").add(session.last);
    out.add(shown.active(session) ? "\" active=\"true\"/>\n" : "\" active=\"false\"/>\n");
  }
  out.add("</online>\n");
}

// What one name does with the direction of its letters ends with it.
void write_rows(Text& out, const Shown& shown) {
  for (const OnlineSession& session : shown.sessions) {
    out.add("<tr><th scope=\"row\"><bdi>");
    add_html(out, name_of(session));
    out.add("</bdi></th><td><bdi>");
    add_html(out, session.id);
    out.add("</bdi></td><td><bdi>");
    add_html(out, session.user);
    out.add("</bdi></td><td><time>");
    add_time(out, session.since);
    out.add("</time></td><td><time>");
    add_time(out, session.last);
    out.add(shown.active(session) ? "</time></td><td>yes</td></tr>\n" : "</time></td><td>no</td></tr>\n");
  }
}

void write_html(Text& out, const Shown& shown) {
  std::string_view rest = kOnlineHtml;
  for (;;) {
    std::size_t open = rest.find('@');
    out.add(rest.substr(0, open));
    if (open == std::string_view::npos) return;
    std::size_t close = rest.find('@', open + 1);
    std::string_view word = rest.substr(open + 1, close - open - 1);
    if (word == "COUNT") out.add(static_cast<std::int64_t>(shown.count));
    if (word == "USERS") out.add(static_cast<std::int64_t>(shown.users));
    if (word == "LISTED") out.add(static_cast<std::int64_t>(shown.sessions.size()));
    if (word == "AT") add_time(out, shown.at);
    if (word == "ROWS") write_rows(out, shown);
    rest = rest.substr(close + 1);
  }
}

void write_text(Text& out, const Shown& shown) {
  out.add("# count ").add(static_cast<std::int64_t>(shown.count));
  out.add(", users ").add(static_cast<std::int64_t>(shown.users));
  out.add(", listed ").add(static_cast<std::int64_t>(shown.sessions.size())).add(", at ");
  add_time(out, shown.at);
  out.add("\n");
  for (const OnlineSession& session : shown.sessions) {
    for (std::string_view word : {name_of(session), session.id, session.user}) {
      add_plain(out, word);
      out.add("\t");
    }
    add_time(out, session.since);
    out.add("\t");
    add_time(out, session.last);
    out.add(shown.active(session) ? "\tactive\n" : "\tidle\n");
  }
}

std::string_view write(const Shown& shown, Format format, Arena& arena) {
  static constexpr void (*kWriters[])(Text&, const Shown&) = {write_json, write_xml, write_html, write_text};
  Text out(arena, 1024 + shown.sessions.size() * 320);
  kWriters[format](out, shown);
  return out.failed() ? std::string_view() : out.view();
}

// --- the answer ---

// The body and its tag, unless the client has them. False: there is no list yet.
bool find_body(const Exchange& exchange, const SnapshotArea& area, const Wish& wish, Tag& tag, std::string_view& body) {
  const std::uint16_t site = exchange.site.index;
  std::string_view known = exchange.request.header("If-None-Match");
  BodyKey key{exchange.table.header().incarnation, area.number(site), wish.within,
              static_cast<std::uint32_t>(wish.limit), exchange.place.gap, site, wish.format};
  if (key.number == 0) return false;
  Bodies::Found found = bodies.find(key, known, exchange.arena, tag, body);
  if (found != Bodies::Found::none) return true;
  Snapshot snapshot(area.room());
  if (!snapshot.usable() || !area.read(site, snapshot)) return false;
  Shown shown = shown_of(snapshot, wish, exchange.place.gap, exchange.arena);
  tag = tag_of(shown, wish.format);
  arrange(shown);
  std::string_view written = write(shown, wish.format, exchange.arena);
  if (written.empty()) return false;
  key.number = snapshot.head().number;
  bodies.keep(key, tag, written);
  if (!has_tag(known, tag)) body = written;
  return true;
}

}  // namespace

Reply online(const Exchange& exchange) {
  Wish wish = wish_of(exchange.request);
  if (wish.wrong != nullptr) return refused(exchange, 400, wish.wrong);
  if (!exchange.table.attached() || exchange.site.index == kNone) {
    return not_yet(exchange, "nothing is recorded here");
  }
  Tag tag;
  std::string_view body;
  SnapshotArea area(exchange.table.snapshots().memory, exchange.table.snapshots().size);
  if (!area.want(exchange.site.index, exchange.now) || !find_body(exchange, area, wish, tag, body)) {
    return not_yet(exchange, "not counted yet");
  }
  Reply reply;
  reply.status = body.empty() ? 304 : 200;
  reply.add("Cache-Control", "no-cache");
  reply.add("ETag", exchange.arena.copy(tag));
  reply.add("Vary", "Accept");
  add_cors(exchange.request, *exchange.settings.origin, reply);
  if (body.empty()) return reply;
  reply.add("X-Content-Type-Options", "nosniff");
  if (wish.format == html) reply.add("Content-Security-Policy", "default-src 'none'; frame-ancestors 'self'");
  reply.content_type = kContentTypes[wish.format];
  reply.body = body;
  return reply;
}

}  // namespace heartbeat
