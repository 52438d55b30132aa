// Sends a Reply through httpd: with the headers that httpd adds, or bare, past the filters that would add them.
#include "mod_heartbeat/reply.h"

#include <apr_strings.h>
#include <http_protocol.h>
#include <mod_core.h>
#include <util_filter.h>

namespace heartbeat {
namespace {

constexpr std::string_view kNoContent = "HTTP/1.1 204 No Content\r\n";
constexpr std::string_view kEnd = "\r\n";
constexpr std::string_view kClose = "Connection: close\r\n";

const char* terminated(request_rec* r, std::string_view text) {
  return apr_pstrmemdup(r->pool, text.data(), text.size());
}

apr_bucket* header_bytes(request_rec* r, const Reply& reply, bool close) {
  apr_bucket_alloc_t* buckets = r->connection->bucket_alloc;
  static constexpr char kShortest[] = "HTTP/1.1 204 No Content\r\n\r\n";
  if (reply.header_count == 0 && !close) return apr_bucket_immortal_create(kShortest, sizeof kShortest - 1, buckets);
  std::size_t size = kNoContent.size() + kClose.size() + kEnd.size();
  for (const HeaderLine& line : std::span(reply.headers, reply.header_count)) {
    size += line.name.size() + line.value.size() + 4;
  }
  char* bytes = static_cast<char*>(apr_palloc(r->pool, size));
  char* end = bytes;
  auto add = [&end](std::string_view text) { end += text.copy(end, text.size()); };
  add(kNoContent);
  if (close) add(kClose);
  for (const HeaderLine& line : std::span(reply.headers, reply.header_count)) {
    add(line.name);
    add(": ");
    add(line.value);
    add(kEnd);
  }
  add(kEnd);
  return apr_bucket_pool_create(bytes, static_cast<apr_size_t>(end - bytes), r->pool, buckets);
}

// What a CGI script called nph- does: the filters up to the connection's own are passed over, so nothing is added.
int send_bare(request_rec* r, const Reply& reply) {
  conn_rec* c = r->connection;
  ap_set_keepalive(r);
  ap_filter_t* filter = r->proto_output_filters;
  while (filter != nullptr && filter->frec->ftype < AP_FTYPE_CONNECTION) filter = filter->next;
  r->output_filters = r->proto_output_filters = filter;
  apr_bucket_brigade* answer = apr_brigade_create(r->pool, c->bucket_alloc);
  APR_BRIGADE_INSERT_TAIL(answer, header_bytes(r, reply, c->keepalive != AP_CONN_KEEPALIVE));
  APR_BRIGADE_INSERT_TAIL(answer, apr_bucket_eos_create(c->bucket_alloc));
  r->eos_sent = 1;
  ap_pass_brigade(filter, answer);
  return OK;
}

// Ranges and lengths have nothing to do with an answer that has no body. Filters that the configuration adds (Header,
// for instance) see it all the same.
void skip_body_filters(request_rec* r) {
  if (r->output_filters != r->proto_output_filters) return;
  for (ap_filter_t* filter = r->output_filters; filter != nullptr; filter = filter->next) {
    if (filter->frec == ap_http_header_filter_handle) {
      r->output_filters = r->proto_output_filters = filter;
      return;
    }
  }
}

int send_full(request_rec* r, const Reply& reply) {
  for (const HeaderLine& line : std::span(reply.headers, reply.header_count)) {
    apr_table_addn(r->headers_out, terminated(r, line.name), terminated(r, line.value));
  }
  if (reply.content_type.empty()) {
    skip_body_filters(r);
    return OK;
  }
  ap_set_content_type(r, terminated(r, reply.content_type));
  ap_set_content_length(r, static_cast<apr_off_t>(reply.body.size()));
  ap_rwrite(reply.body.data(), static_cast<int>(reply.body.size()), r);
  return OK;
}

}  // namespace

int send_reply(request_rec* r, const Reply& reply) {
  r->status = static_cast<int>(reply.status);
  if (reply.close && r->connection->master == nullptr) r->connection->keepalive = AP_CONN_CLOSE;
  return reply.bare && reply.status == 204 ? send_bare(r, reply) : send_full(r, reply);
}

Pinger& pinger_of(conn_rec* c) {
  auto* pinger = static_cast<Pinger*>(ap_get_module_config(c->conn_config, &http_heartbeat_module));
  if (pinger == nullptr) {
    pinger = static_cast<Pinger*>(apr_pcalloc(c->pool, sizeof(Pinger)));
    ap_set_module_config(c->conn_config, &http_heartbeat_module, pinger);
  }
  return *pinger;
}

std::uint32_t count_ping(Pinger& pinger, const conn_rec* c) {
  pinger.pings = pinger.keepalives == c->keepalives ? pinger.pings + 1 : 1;
  pinger.keepalives = c->keepalives;
  return pinger.pings;
}

void spare_connection(conn_rec* c) {
  if (c->master == nullptr) --c->keepalives;
}

}  // namespace heartbeat
