// The audit: what is asked of Redis, and what becomes of the answer.
#include "t/unit/support/test.h"

#include "audit_lua.h"
#include "shared/endpoint/audit.h"
#include "shared/endpoint/deferred.h"
#include "shared/endpoint/endpoint.h"
#include "t/unit/support/fake_request.h"
#include "t/unit/support/fake_settings.h"
#include "t/unit/support/zone.h"

namespace {
using namespace heartbeat;

constexpr Millis kHour = 3600000;
constexpr Day kLeapDay = 19782;  // 2024-02-29

struct User {
  std::string name;
  std::vector<std::array<long long, 3>> days;  // since the first; active, open
};

std::string bulk(std::string_view text) { return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n"; }
std::string number(long long value) { return ":" + std::to_string(value) + "\r\n"; }

std::string page_of(const std::vector<User>& users) {
  std::string text;
  for (const User& user : users) {
    text += std::to_string(user.name.size()) + ":" + user.name;
    for (const auto& day : user.days) text += std::to_string(day[0]) + "," + std::to_string(day[1]) + "," + std::to_string(day[2]) + ";";
    text += "\n";
  }
  return text;
}

struct World {
  World() {
    set_defaults(context, settings);
    assert_true(table.create(zone.memory, zone.size));
    assert_true(table.add_site("one.test", table.add_store("x"), {}, site));
    store.prefix = "hb";
    request.method = Method::get;
  }
  std::string asked(std::string_view query) {
    ask(query);
    if (deferred == nullptr) return std::to_string(reply.status) + " " + std::string(reply.body);
    Buffer out;
    CommandWriter writer(out);
    deferred->write(writer);
    std::string words;
    std::string_view rest = out.view();
    for (std::size_t i = 0; i < deferred->arguments(); ++i) {
      std::size_t size = std::strtoul(std::string(rest.substr(1)).c_str(), nullptr, 10);
      rest.remove_prefix(rest.find('\n') + 1);
      words += (i == 0 ? "" : "|") + std::string(rest.substr(0, size));
      rest.remove_prefix(size + 2);
    }
    assert_true(rest.empty());
    return words;
  }
  void ask(std::string_view query) {
    request.query = query;
    Place place;
    Exchange exchange{request, settings, site, place, table, arena, 0};
    exchange.store = has_store ? &store : nullptr;
    reply = audit(exchange);
    deferred = reply.deferred;
    if (deferred != nullptr) deferred->arena = &arena;
  }
  const Reply& answered(std::string_view query, const std::string& bytes) {
    ask(query);
    assert_non_null(deferred);
    assert_true(reader.reset() && reader.feed(bytes));
    assert_true(reader.next() == ReplyReader::Next::reply);
    deferred->take(reader.reply());
    return deferred->reply;
  }
  const Reply& answered(std::string_view query, Millis now, Day first, Day last, const std::vector<User>& users, long long left = 0) {
    return answered(query, "*6\r\n" + number(now) + number(first) + number(last) + number(static_cast<long long>(users.size()) + left) +
                               number(left) + bulk(page_of(users)));
  }
  std::string header(const Reply& its, std::string_view name) {
    for (unsigned i = 0; i < its.header_count; ++i) {
      if (its.headers[i].name == name) return std::string(its.headers[i].value);
    }
    return "";
  }

  FakeArena arena;
  FakeContext context{arena};
  Settings settings;
  FakeRequest request;
  Zone zone;
  Table table;
  Site site;
  Store store;
  bool has_store = true;
  Reply reply;
  Deferred* deferred = nullptr;
  ReplyReader reader;
};

void questions(void**) {
  World world;
  assert_text_equal(world.asked(""), "hb|one.test|1||||" "|1000|524288|100000|366");
  assert_text_equal(world.asked("from=2024-02-28&to=2024-02-29"), "hb|one.test|1|19781|19782|||1000|524288|100000|366");
  assert_text_equal(world.asked("from=2024-02-28T23:59:59Z"), "hb|one.test|1|19781||||1000|524288|100000|366");
  assert_text_equal(world.asked("to=2024-02-29T00:00Z"), "hb|one.test|1||19781|||1000|524288|100000|366");
  assert_text_equal(world.asked("to=2024-02-29T00:01Z"), "hb|one.test|1||19782|||1000|524288|100000|366");
  assert_text_equal(world.asked("user=a%20b%2B+%ff&after=%7C&limit=10000"), "hb|one.test|1|||a b++\xff|||10000|524288|100000|366");
  assert_text_equal(world.asked("from=2023-03-01&to=2024-02-29"), "hb|one.test|1|19417|19782|||1000|524288|100000|366");
  world.settings.shards.value = 7;
  assert_text_equal(world.asked("to="), "hb|one.test|7||||" "|1000|524288|100000|366");
  assert_true(world.deferred->script().text == kAuditLua && world.deferred->script().sha1 == kAuditLuaSha1);
}

void mistakes(void**) {
  World world;
  for (std::string_view query : {"from=x", "to=x", "from=2023-02-29", "to=2024-02-29T24:00Z", "from=2024-03-01&to=2024-02-29",
                                 "from=2024-03-01T08:00Z&to=2024-03-01T08:00Z", "from=2024-03-01&to=2024-03-01T00:00Z", "from=2023-02-28&to=2024-02-29",
                                 "limit=0", "limit=-1", "limit=10001", "limit=99999999999999999999", "limit=1.5", "limit=%20", "format=xml", "format=JSON"}) {
    world.ask(query);
    if (world.deferred != nullptr || world.reply.status != 400) fail_msg("%s", std::string(query).c_str());
    assert_true(world.reply.content_type.starts_with("text/plain"));
    assert_text_equal(world.header(world.reply, "Cache-Control"), "no-store");
  }
  world.ask("from=x&format=json");
  assert_text_equal(world.reply.body, "{\"error\":\"from: expected a day such as 2024-02-29, or an instant such as 2024-02-29T08:00Z, in UTC\"}\n");
  world.request.headers = {{"Accept", "application/json"}};
  world.ask("limit=0&format=csv");
  assert_text_equal(world.reply.content_type, "application/json");
}

void no_redis(void**) {
  World world;
  world.has_store = false;
  world.ask("");
  assert_int_equal(world.reply.status, 503);
  assert_text_equal(world.header(world.reply, "Retry-After"), "2");
  world.has_store = true;
  world.ask("");
  world.deferred->no_answer("Redis does not answer");
  assert_int_equal(world.deferred->reply.status, 503);
  assert_text_equal(world.deferred->reply.body, "Redis does not answer\n");
}

void share_of_the_range(void**) {
  assert_int_equal(hundredths(1, 2), 5000);
  assert_int_equal(hundredths(49999, 100000), 4999);  // not half
  assert_int_equal(hundredths(2, 3), 6666);
  assert_int_equal(hundredths(3, 2), 10000);
  assert_int_equal(hundredths(0, 5), 0);
  assert_int_equal(hundredths(0, 0), -1);
  assert_int_equal(hundredths(5, -1), -1);
  assert_int_equal(hundredths(INT64_C(1000000000000000), INT64_C(366) * kDay), 10000);
}

// A report of `query` and its one user's sum in the range, as hours.
void range_arithmetic(void**) {
  struct Case {
    const char* from;
    const char* to;
    Millis now;
    long long length, active;  // hours
  };
  Millis leap = kLeapDay * kDay;
  for (const Case& each : {
           Case{"2024-02-28", "2024-02-29", leap + 10 * kDay, 48, 12},
           Case{"2024-02-29", "2024-02-29", leap + 12 * kHour, 12, 10},  // today, at noon
           Case{"2024-02-29T08:00Z", "2024-02-29T16:00Z", leap + 10 * kDay, 8, 8},  // more than the shift, so the shift
           Case{"2024-02-28T22:00Z", "2024-02-29T06:00Z", leap + 10 * kDay, 8, 8},  // 2 of the 28th, and 6 of the 29th
           Case{"2024-02-28T22:00Z", "2024-02-29T06:00Z", leap + 2 * kHour, 4, 4},  // two hours into the second day
           Case{"2024-02-29", "2024-03-05", leap - 1, 0, 0},                        // all to come
       }) {
    AuditQuery query;
    Day day = 0;
    query.has_from = query.has_to = true;
    if (parse_day(each.from, day)) query.from = day * kDay;
    else assert_true(parse_instant(each.from, query.from));
    if (parse_day(each.to, day)) query.to = (day + 1) * kDay;
    else assert_true(parse_instant(each.to, query.to));
    AuditReport report(query, "site");
    ReplyReader reader;
    Day first = day_of(query.from);
    std::vector<User> users = {{"u", {{kLeapDay - 1 - first, 2 * kHour, 0}, {kLeapDay - first, 10 * kHour, 0}}}};
    if (first == kLeapDay) users[0].days.erase(users[0].days.begin());
    assert_true(reader.feed("*6\r\n" + number(each.now) + number(first) + number(day_of(query.to - 1)) + number(1) + number(0) + bulk(page_of(users))));
    assert_true(reader.next() == ReplyReader::Next::reply);
    assert_true(report.read(reader.reply()));
    AuditUser user;
    assert_true(report.next(user));
    assert_int_equal(report.length(), each.length * kHour);
    assert_int_equal(report.sum_in_range(user).active, each.active * kHour);
    assert_false(report.next(user));
  }
}

void json(void**) {
  World world;
  const Reply& reply = world.answered("from=2024-02-29&to=2024-02-29", (kLeapDay + 1) * kDay, kLeapDay, kLeapDay, {{"\"a\"\n<\xff", {{0, 12 * kHour, 24 * kHour}}}, {"b", {{0, 0, 1}}}});
  assert_int_equal(reply.status, 200);
  assert_text_equal(reply.body,
                    "{\"site\":\"one.test\",\"now\":\"2024-03-01T00:00:00Z\",\"from\":\"2024-02-29T00:00:00Z\",\"to\":\"2024-03-01T00:00:00Z\","
                    "\"range_ms\":86400000,\"whole_days\":true,\"total\":2,\"next\":null,\"users\":[\n"
                    "{\"user\":\"\\\"a\\\"\\n\\u003c\xef\xbf\xbd\",\"active_ms\":43200000,\"open_ms\":86400000,\"active_percent\":50.00,\"open_percent\":100.00,"
                    "\"days\":[{\"day\":\"2024-02-29\",\"active_ms\":43200000,\"open_ms\":86400000,\"active_percent\":50.00,\"open_percent\":100.00}]},\n"
                    "{\"user\":\"b\",\"active_ms\":0,\"open_ms\":1,\"active_percent\":0.00,\"open_percent\":0.00,"
                    "\"days\":[{\"day\":\"2024-02-29\",\"active_ms\":0,\"open_ms\":1,\"active_percent\":0.00,\"open_percent\":0.00}]}]}\n");
  assert_text_equal(world.header(reply, "X-Content-Type-Options"), "nosniff");
  const Reply& nobody = world.answered("from=2090-01-01&to=2090-01-01", 0, 43829, 43829, {});
  assert_holds(nobody.body, "\"range_ms\":0,\"whole_days\":true,\"total\":0,\"next\":null,\"users\":[]}\n");
  assert_holds(world.answered("from=2090-01-01&to=2090-01-01", 0, 43829, 43829, {{"x", {{0, 1, 1}}}}).body, "\"active_percent\":null,\"open_percent\":null");
}

void csv(void**) {
  World world;
  const Reply& reply = world.answered("from=2024-02-28&to=2024-02-29&format=csv", (kLeapDay + 1) * kDay, kLeapDay - 1, kLeapDay,
                                      {{"=1+1", {{0, kHour, 2 * kHour}, {1, 0, 3 * kHour}}}, {"a,\"b\"", {{1, 1, 2}}}});
  assert_text_equal(reply.body,
                    "user,day,active_ms,open_ms,active_percent,open_percent\r\n"
                    "\"'=1+1\",total,3600000,18000000,2.08,10.41\r\n"
                    "\"'=1+1\",2024-02-28,3600000,7200000,4.16,8.33\r\n"
                    "\"'=1+1\",2024-02-29,0,10800000,0.00,12.50\r\n"
                    "\"a,\"\"b\"\"\",total,1,2,0.00,0.00\r\n"
                    "\"a,\"\"b\"\"\",2024-02-29,1,2,0.00,0.00\r\n");
  assert_text_equal(world.header(reply, "Content-Disposition"), "attachment; filename=\"audit-2024-02-28-to-2024-02-29.csv\"");
  assert_text_equal(world.answered("format=csv", kDay, 0, 0, {}).body, "user,day,active_ms,open_ms,active_percent,open_percent\r\n");
}

void html(void**) {
  World world;
  const Reply& reply = world.answered("from=2024-02-29&to=2024-02-29&format=html", (kLeapDay + 1) * kDay, kLeapDay, kLeapDay,
                                      {{"<script>alert(1)</script>", {{0, kHour + 61999, 100 * kHour}}}});
  assert_lacks(reply.body, "<script");
  assert_lacks(reply.body, "@");
  assert_holds(reply.body, "<bdi>&lt;script&gt;alert(1)&lt;/script&gt;</bdi>");
  assert_holds(reply.body, "<td>1:01:01<td>4.23<td>100:00:00<td>100.00\n");
  assert_holds(world.header(reply, "Content-Security-Policy"), "default-src 'none'; style-src 'sha256-");
}

void pages(void**) {
  World world;
  const char* query = "from=2024-02-29T08:00Z&to=2024-02-29T16:00Z&limit=2&user=";
  const Reply& reply = world.answered(query, (kLeapDay + 1) * kDay, kLeapDay, kLeapDay, {{"a", {{0, 1, 1}}}, {"b&\"<\xff", {{0, 1, 1}}}}, 3);
  std::string next = "?from=2024-02-29T08:00:00Z&to=2024-02-29T16:00:00Z&format=json&limit=2&after=b%26%22%3C%FF";
  assert_text_equal(world.header(reply, "Link"), "<" + next + ">; rel=\"next\"");
  assert_holds(reply.body, "\"total\":5,\"next\":\"" + next + "\"");
  // Today is asked for by its date on the next page, so that midnight does not come in between.
  const Reply& today = world.answered("limit=1", kLeapDay * kDay + 5, kLeapDay, kLeapDay, {{"a", {{0, 1, 1}}}}, 1);
  assert_text_equal(world.header(today, "Link"), "<?from=2024-02-29&to=2024-02-29&format=json&limit=1&after=a>; rel=\"next\"");
}

void too_much(void**) {
  World world;
  auto refused = [&](Day first, Day last, long long total) {
    const Reply& reply = world.answered("", "*6\r\n" + number(kLeapDay * kDay) + number(first) + number(last) + number(total) + number(0) + bulk(""));
    return std::to_string(reply.status) + " " + std::string(reply.body);
  };
  assert_text_equal(refused(kLeapDay - 366, kLeapDay, 0), "400 from: expected at most 366 days until today\n");
  assert_text_equal(refused(kLeapDay, kLeapDay, -1), "400 too many users and days: ask for fewer days or for one user\n");
}

void answers_that_cannot_be_read(void**) {
  World world;
  std::string head = number(kLeapDay * kDay) + number(kLeapDay) + number(kLeapDay) + number(1) + number(0);
  for (const std::string& bytes :
       {std::string("+OK\r\n"), std::string("*0\r\n"), std::string("$-1\r\n"), "*5\r\n" + head, "*6\r\n" + head + bulk("x"), "*6\r\n" + head + bulk("5:a\n"),
        "*6\r\n" + head + bulk("1:a"), "*6\r\n" + head + bulk(":a\n"), "*6\r\n" + head + bulk("-1:a\n"), "*6\r\n" + head + bulk("99999999999999999999:a\n"),
        "*6\r\n" + head + bulk("1:a\nrest"), "*6\r\n" + head + bulk("1:a0,1\n"), "*6\r\n" + head + bulk("1:a0,1,2;x\n"),
        "*6\r\n" + head + bulk("1:a0,-1,2;\n"), "*6\r\n" + number(0) + number(5) + number(4) + number(0) + number(0) + bulk(""),
        "*6\r\n" + number(0) + number(5) + number(5) + number(1) + number(2) + bulk("")}) {
    const Reply& reply = world.answered("", bytes);
    if (reply.status != 503) fail_msg("%s", bytes.c_str());
    assert_text_equal(reply.body, "Redis' answer cannot be read\n");
  }
}

void memory_runs_out(void**) {
  World world;
  std::vector<User> users;
  for (int i = 0; i < 100; ++i) users.push_back({"user" + std::to_string(i), {{0, 1, 1}, {1, 2, 2}}});
  for (std::size_t left = 0; left < 12; ++left) {
    world.arena.left = SIZE_MAX;
    world.ask("format=html");
    assert_non_null(world.deferred);
    assert_true(world.reader.reset() && world.reader.feed("*6\r\n" + number(2 * kDay) + number(0) + number(1) + number(100) + number(0) + bulk(page_of(users))));
    assert_true(world.reader.next() == ReplyReader::Next::reply);
    world.arena.left = left;
    world.deferred->take(world.reader.reply());
    assert_true(world.deferred->reply.status == 503 || world.deferred->reply.status == 200);
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(questions), cmocka_unit_test(mistakes), cmocka_unit_test(no_redis),
                              cmocka_unit_test(share_of_the_range), cmocka_unit_test(range_arithmetic), cmocka_unit_test(json),
                              cmocka_unit_test(csv), cmocka_unit_test(html), cmocka_unit_test(pages), cmocka_unit_test(too_much),
                              cmocka_unit_test(answers_that_cannot_be_read), cmocka_unit_test(memory_runs_out)};
  return cmocka_run_group_tests_name("audit", tests, nullptr, nullptr);
}
