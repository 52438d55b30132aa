// An answer of the core, sent by nginx.
#include "ngx_heartbeat/module.h"

namespace heartbeat {
namespace {

ngx_buf_t* new_buffer(ngx_http_request_t* r, std::string_view bytes) {
  auto* buffer = static_cast<ngx_buf_t*>(ngx_calloc_buf(r->pool));
  if (buffer == nullptr) return nullptr;
  buffer->pos = buffer->start = reinterpret_cast<u_char*>(const_cast<char*>(bytes.data()));
  buffer->last = buffer->end = buffer->pos + bytes.size();
  buffer->memory = bytes.empty() ? 0 : 1;
  buffer->last_buf = r == r->main ? 1 : 0;  // what is part of another answer does not end that
  buffer->last_in_chain = 1;
  return buffer;
}

std::string_view bare_bytes(ngx_http_request_t* r, const Reply& reply) {
  static constexpr std::string_view kStatus = "HTTP/1.1 204 No Content\r\n";
  static constexpr std::string_view kClose = "Connection: close\r\n";
  static constexpr std::string_view kWhole = "HTTP/1.1 204 No Content\r\n\r\n";
  if (r->keepalive && reply.header_count == 0) return kWhole;
  std::size_t size = kStatus.size() + kClose.size() + 2;
  for (unsigned i = 0; i < reply.header_count; ++i) size += reply.headers[i].name.size() + reply.headers[i].value.size() + 4;
  auto* start = static_cast<u_char*>(ngx_pnalloc(r->pool, size));
  if (start == nullptr) return {};
  u_char* end = ngx_cpymem(start, kStatus.data(), kStatus.size());
  for (unsigned i = 0; i < reply.header_count; ++i) {
    const HeaderLine& line = reply.headers[i];
    end = ngx_cpymem(end, line.name.data(), line.name.size());
    end = ngx_cpymem(end, ": ", 2);
    end = ngx_cpymem(end, line.value.data(), line.value.size());
    end = ngx_cpymem(end, "\r\n", 2);
  }
  if (!r->keepalive) end = ngx_cpymem(end, kClose.data(), kClose.size());
  end = ngx_cpymem(end, "\r\n", 2);
  return {reinterpret_cast<char*>(start), static_cast<std::size_t>(end - start)};
}

// The whole answer at once, past nginx's header filters: they would add Server, Date and Connection. What the socket
// does not take, and what stands behind an answer that still waits, goes through nginx's queue.
ngx_int_t send_bare(ngx_http_request_t* r, const Reply& reply) {
  std::string_view bytes = bare_bytes(r, reply);
  if (bytes.empty()) return NGX_HTTP_INTERNAL_SERVER_ERROR;
  ngx_connection_t* c = r->connection;
  r->headers_out.status = reply.status;
  r->header_sent = 1;
  r->header_only = 1;
  r->header_size = bytes.size();
  if (!c->buffered && c->write->ready) {
    ssize_t sent = c->send(c, reinterpret_cast<u_char*>(const_cast<char*>(bytes.data())), bytes.size());
    if (sent == static_cast<ssize_t>(bytes.size())) return NGX_OK;
    if (sent < 0 && sent != NGX_AGAIN) return NGX_ERROR;
    if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  ngx_buf_t* buffer = new_buffer(r, bytes);
  if (buffer == nullptr) return NGX_ERROR;
  ngx_chain_t out = {buffer, nullptr};
  return ngx_http_write_filter(r, &out);
}

// What nginx's own would send by writev(), sent by send(): for one short answer that takes the kernel a fortieth less time.
ngx_chain_t* send_one(ngx_connection_t* c, ngx_chain_t* in, off_t limit) {
  ngx_buf_t* buffer = in->buf;
  off_t size = ngx_buf_size(buffer);
  bool one = in->next == nullptr && ngx_buf_in_memory_only(buffer) && size > 0 && (limit == 0 || size <= limit);
  if (!one || !c->write->ready) return ngx_send_chain(c, in, limit);
  ssize_t sent = c->send(c, buffer->pos, static_cast<std::size_t>(size));
  if (sent == NGX_AGAIN) return in;
  return sent < 0 ? NGX_CHAIN_ERROR : ngx_chain_update_sent(in, sent);
}

// While it lives. TLS, HTTP/2 and other modules have ways of their own, which stay.
class OneByOne {
 public:
  explicit OneByOne(ngx_connection_t* c) : c_(c->send_chain == ngx_send_chain ? c : nullptr) {
    if (c_ != nullptr) c_->send_chain = send_one;
  }
  ~OneByOne() {
    if (c_ != nullptr) c_->send_chain = ngx_send_chain;
  }
  OneByOne(const OneByOne&) = delete;
  OneByOne& operator=(const OneByOne&) = delete;

 private:
  ngx_connection_t* c_;
};

bool add_header(ngx_http_request_t* r, const HeaderLine& line) {
  auto* header = static_cast<ngx_table_elt_t*>(ngx_list_push(&r->headers_out.headers));
  if (header == nullptr) return false;
  ngx_memzero(header, sizeof *header);
  header->hash = 1;
  header->key = ngx_text(line.name);
  header->value = ngx_text(line.value);
  if (line.name == "Content-Encoding") r->headers_out.content_encoding = header;  // or gzip would compress it again
  return true;  // without lowcase_key, as nginx's own add_header leaves it: nothing reads it in an answer
}

}  // namespace

ngx_int_t send_reply(ngx_http_request_t* r, const Reply& reply) {
  if (reply.close) r->keepalive = 0;
  if (reply.bare) return send_bare(r, reply);
  r->headers_out.status = reply.status;
  for (unsigned i = 0; i < reply.header_count; ++i) {
    if (!add_header(r, reply.headers[i])) return NGX_HTTP_INTERNAL_SERVER_ERROR;
  }
  if (reply.content_type.empty()) {
    r->header_only = 1;
    OneByOne way(r->connection);
    return ngx_http_send_header(r);
  }
  r->headers_out.content_type = ngx_text(reply.content_type);
  r->headers_out.content_type_len = reply.content_type.substr(0, reply.content_type.find(';')).size();
  r->headers_out.content_length_n = static_cast<off_t>(reply.body.size());
  ngx_int_t rc = ngx_http_send_header(r);
  if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) return rc;
  ngx_buf_t* buffer = new_buffer(r, reply.body);
  if (buffer == nullptr) return NGX_ERROR;
  ngx_chain_t out = {buffer, nullptr};
  return ngx_http_output_filter(r, &out);
}

}  // namespace heartbeat
