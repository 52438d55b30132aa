// What the parts of the audit share: what was asked for, and what Redis answered.
#pragma once

#include "shared/http/date.h"
#include "shared/redis/reply.h"

namespace heartbeat {

enum class AuditFormat : std::uint8_t { json, csv, html };

/// What a request asks for.
struct AuditQuery {
  static constexpr Day kDays = 366;
  static constexpr std::int64_t kUsers = 1000;     // of a page, if the request does not say
  static constexpr std::int64_t kMostUsers = 10000;

  AuditFormat format = AuditFormat::json;
  std::string_view user;   // empty: all
  std::string_view after;  // the name after which the page begins
  std::int64_t limit = kUsers;
  bool has_from = false, has_to = false;
  bool instants = false;   // one of the two was given as an instant
  Millis from = 0, to = 0;  // `to` is the end: the first moment that does not count
};

/// Active and open time, in ms.
struct AuditTime {
  Millis active = 0, open = 0;
};

/// The times of one user: a walk through the days that have any.
class AuditUser {
 public:
  AuditUser() = default;
  AuditUser(std::string_view the_name, std::string_view days) : name(the_name), rest_(days) {}
  bool next_day();  // into `day` and `time`
  bool ended() const { return rest_.empty(); }

  std::string_view name;
  Day day = 0;  // since the first of the range
  AuditTime time;

 private:
  std::string_view rest_;
};

/// The answer of Redis to an audit.
class AuditReport {
 public:
  AuditReport(const AuditQuery& query, std::string_view site) : query(query), site(site) {}

  /// False: it is not what the script answers.
  bool read(const RedisReply& reply);

  /// Walks through the users of the page; false at its end. What read() took can be walked through whole.
  bool next(AuditUser& user);
  void rewind() { rest_ = page_; }

  bool too_many_days() const { return last - first >= AuditQuery::kDays; }
  bool too_much() const { return total < 0; }
  /// How much of the range is over, in ms.
  Millis length() const { return overlap(from, to); }
  /// How much of a day of the range (0: the first) lies in the range and is over.
  Millis length_of(Day day) const { return overlap((first + day) * kDay, (first + day + 1) * kDay); }
  /// The sum of a user's days.
  static AuditTime sum(AuditUser user);
  /// As much of it as may lie in the range: of each day at most what lies in the range itself.
  AuditTime sum_in_range(AuditUser user) const;

  const AuditQuery& query;
  std::string_view site;
  Millis now = 0, from = 0, to = 0;
  Day first = 0, last = 0;
  std::int64_t total = 0;  // users in all; -1: Redis would have to read too much
  std::int64_t left = 0;   // of them, behind this page

 private:
  Millis overlap(Millis start, Millis end) const;

  std::string_view page_, rest_;
};

/// Hundredths of a percent, cut and not rounded: 50.00 means at least half. -1: there is no whole.
std::int64_t hundredths(Millis part, Millis whole);

/// The query of a URL that asks for the same, in another format or from another page on. `joint` stands between its
/// parts: an ampersand, as the format around it writes one.
void add_query(Text& out, const AuditReport& report, AuditFormat format, std::string_view after,
               std::string_view joint = "&");

// Each format writes the whole answer's body.
void write_json(Text& out, AuditReport& report, std::string_view next);
void write_csv(Text& out, AuditReport& report);
void write_html(Text& out, AuditReport& report, std::string_view next);

}  // namespace heartbeat
