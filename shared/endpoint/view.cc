// One page view as it is merged so far: its batches in order, what is missing, and the three flags. For the operator.
#include <sodium.h>

#include "shared/endpoint/deferred.h"
#include "shared/endpoint/endpoint.h"
#include "shared/http/escape.h"
#include "shared/http/query.h"
#include "shared/identity/view.h"
#include "shared/redis/keys.h"
#include "view_lua.h"

namespace heartbeat {
namespace {

constexpr std::int64_t kMostBytes = 768 * 1024;  // of payload that is shown
constexpr std::int64_t kMostBatches = 1000;      // of one view

// --- the answer of Redis: the number of words of fields, then these in pairs, then each batch ----------

class ViewReport {
 public:
  /// False: it is not what the script answers.
  bool read(const RedisReply& reply) {
    reply_ = &reply;
    std::int64_t words = reply.integer(0);
    if (reply.count < 1 || words < 0 || words % 2 != 0 || words >= reply.count || reply.count % 2 != 1) return false;
    first_ = static_cast<int>(words) + 1;
    return true;
  }
  bool empty() const { return first_ == 1; }
  /// Empty where there is none.
  std::string_view field(std::string_view name) const {
    for (int i = 1; i < first_; i += 2) {
      if (reply_->text(i) == name) return reply_->text(i + 1);
    }
    return {};
  }
  /// -1 where there is none, or something else.
  std::int64_t number(std::string_view name) const { return number_of(field(name)); }

  int batches() const { return (reply_->count - first_) / 2; }
  std::int64_t batch(int i) const { return number_of(reply_->text(first_ + 2 * i)); }
  std::string_view payload(int i) const { return reply_->text(first_ + 2 * i + 1); }
  /// False: the view has more bytes than are shown.
  bool shown(int i) const { return reply_->type_of(first_ + 2 * i + 1) != RedisReply::Type::nil; }

 private:
  static std::int64_t number_of(std::string_view text) {
    std::int64_t number = -1;
    std::from_chars_result read = std::from_chars(text.data(), text.data() + text.size(), number);
    return read.ec == std::errc() && read.ptr == text.data() + text.size() && number >= 0 ? number : -1;
  }

  const RedisReply* reply_ = nullptr;
  int first_ = 1;
};

// --- JSON -------------------------------------------------------------------------------------------

bool is_utf8(std::string_view text) {
  for (bool good = true; !text.empty();) {
    std::size_t size = character(text, good);
    if (!good) return false;
    text.remove_prefix(size);
  }
  return true;
}

// RFC 4648, section 4: with padding.
void add_base64(Text& out, std::string_view bytes) {
  constexpr std::size_t kPiece = 3000;  // without padding in between
  char encoded[sodium_base64_ENCODED_LEN(kPiece, sodium_base64_VARIANT_ORIGINAL)];
  for (; !bytes.empty(); bytes.remove_prefix(bytes.size() < kPiece ? bytes.size() : kPiece)) {
    std::string_view piece = bytes.substr(0, kPiece);
    sodium_bin2base64(encoded, sizeof encoded, reinterpret_cast<const unsigned char*>(piece.data()), piece.size(),
                      sodium_base64_VARIANT_ORIGINAL);
    out.add(encoded);
  }
}

void add_text(Text& out, const ViewReport& report, std::string_view name) {
  std::string_view value = report.field(name);
  out.add(",\"").add(name).add("\":");
  if (value.data() == nullptr || value.empty()) out.add("null");
  else add_json(out, value);
}

void add_number(Text& out, const ViewReport& report, std::string_view name, std::string_view none = "null") {
  std::int64_t value = report.number(name);
  out.add(",\"").add(name).add("\":");
  if (value < 0) out.add(none);
  else out.add(value);
}

void add_batches(Text& out, const ViewReport& report) {
  out.add(",\"batches\":[");
  for (int i = 0; i < report.batches(); ++i) {
    out.add(i == 0 ? "\n{\"n\":" : ",\n{\"n\":").add(report.batch(i));
    std::string_view payload = report.payload(i);
    if (!report.shown(i)) {
      out.add(",\"payload\":null}");
    } else if (is_utf8(payload)) {
      add_json(out.add(",\"payload\":"), payload);
      out.add("}");
    } else {
      add_base64(out.add(",\"base64\":\""), payload);
      out.add("\"}");
    }
  }
  out.add("]");
}

// The numbers below the highest that are not there.
void add_missing(Text& out, const ViewReport& report) {
  out.add(",\"missing\":[");
  std::int64_t high = report.number("last") > report.number("final") ? report.number("last") : report.number("final");
  if (high >= kMostBatches) high = kMostBatches - 1;
  bool more = false;
  int i = 0;
  for (std::int64_t number = 0; number <= high; ++number) {
    while (i < report.batches() && report.batch(i) < number) ++i;
    if (i < report.batches() && report.batch(i) == number) continue;
    out.add(more ? "," : "").add(number);
    more = true;
  }
  out.add("]");
}

void add_view(Text& out, const ViewReport& report, std::string_view name) {
  add_json(out.add("{\"view\":"), name);
  for (std::string_view field : {"session", "family", "state"}) add_text(out, report, field);
  for (std::string_view field : {"script", "load", "leave", "first", "seen"}) add_number(out, report, field);
  add_number(out, report, "parts", "1");
  for (std::string_view field : {"choice", "transport"}) add_text(out, report, field);
  for (std::string_view field : {"duplicates", "bytes"}) add_number(out, report, field, "0");
  add_batches(out, report);
  add_missing(out, report);
  add_number(out, report, "final");
  out.add("}\n");
}

// --- the question -----------------------------------------------------------------------------------

class View final : public Deferred {
 public:
  View(const Store& store, const RedisKey& tag, std::string_view name, bool json)
      : Deferred(store), tag_(tag), name_(name), json_(json) {}

  RedisScript script() const override { return {kViewLua, kViewLuaSha1}; }
  std::size_t keys() const override { return 1; }
  std::size_t arguments() const override { return 4; }
  void write(CommandWriter writer) const override {
    writer.word(RedisKey(tag_).add("view:").add(name_));
    writer.word(tag_);
    writer.word(name_);
    writer.number(kMostBytes);
  }
  void take(const RedisReply& answer) override;
  void no_answer(std::string_view why) override { reply = unavailable(*arena, json_, why); }

 private:
  const RedisKey tag_;
  const std::string_view name_;
  const bool json_;
};

// What is shown is personal, as that of an audit is.
void View::take(const RedisReply& answer) {
  ViewReport report;
  if (!report.read(answer)) return no_answer("Redis' answer cannot be read");
  if (report.empty()) {
    reply = plain_error(*arena, true, 404, "there is no such view");
    return;
  }
  Text text(*arena, 4096);
  add_view(text, report, name_);
  if (text.failed()) return no_answer("out of memory");
  reply = Reply();
  reply.status = 200;
  reply.content_type = "application/json";
  reply.body = text.view();
  reply.add("Cache-Control", "no-store");
  reply.add("X-Content-Type-Options", "nosniff");
  reply.add("Cross-Origin-Resource-Policy", "same-origin");
  reply.add("Referrer-Policy", "no-referrer");
}

// The question outlives the request's own memory of its query.
std::string_view kept_name(const Exchange& exchange) {
  std::string_view raw = query_value(exchange.request.query, "view");
  auto* bytes = static_cast<char*>(exchange.arena.allocate(raw.size() + 1, 1));
  if (bytes == nullptr) return {};
  return {bytes, percent_decode(raw, bytes, raw.size())};
}

}  // namespace

Reply view(const Exchange& exchange) {
  bool json = wants_json(exchange.request);
  std::string_view name = kept_name(exchange);
  if (!is_view_name(name)) {
    return plain_error(exchange.arena, json, 400, "view: expected the name of a page view, up to 64 letters, digits, - and _");
  }
  if (exchange.store == nullptr || !exchange.table.attached() || exchange.site.index == kNone) {
    return unavailable(exchange.arena, json, "there is no Redis to ask: expected heartbeat_redis");
  }
  const SiteRecord& site = exchange.table.site(exchange.site.index);
  RedisKey tag = tag_of(exchange.store->prefix, {site.name, site.size}, *exchange.settings.shards, name);
  void* memory = exchange.arena.allocate(sizeof(View), alignof(View));
  if (memory == nullptr) return unavailable(exchange.arena, json, "out of memory");
  Reply reply;
  reply.deferred = ::new (memory) View(*exchange.store, tag, name, json);
  return reply;
}

}  // namespace heartbeat
