// The body of a request, taken as it comes and kept in the request's memory up to a limit. nginx would keep it for us,
// but would write a large one to a file and answer a too large one with a page of its own.
#include "ngx_heartbeat/module.h"

namespace heartbeat {
namespace {

struct Reading {
  BodyHandler done;
  std::size_t limit;
  char* bytes = nullptr;
  std::size_t size = 0;
  std::size_t capacity = 0;
  bool too_large = false;
  bool failed = false;  // out of memory, or a file that cannot be read
};

Reading& reading_of(ngx_http_request_t* r) {
  return *static_cast<Reading*>(ngx_http_get_module_ctx(r, ngx_http_heartbeat_module));
}

bool reserve(ngx_pool_t* pool, Reading& reading, std::size_t size) {
  if (size <= reading.capacity) return true;
  std::size_t capacity = 2 * reading.capacity < size ? size : 2 * reading.capacity;
  auto* bytes = static_cast<char*>(ngx_pnalloc(pool, capacity));
  if (bytes == nullptr) return false;
  if (reading.size != 0) ngx_memcpy(bytes, reading.bytes, reading.size);
  reading.bytes = bytes;
  reading.capacity = capacity;
  return true;
}

// Another module may have read the body before, into a file.
void add(ngx_pool_t* pool, Reading& reading, const ngx_buf_t& buffer) {
  auto size = static_cast<std::size_t>(ngx_buf_size(&buffer));
  if (size == 0 || reading.too_large || reading.failed) return;
  reading.too_large = size > reading.limit - reading.size;
  if (reading.too_large) return;
  reading.failed = !reserve(pool, reading, reading.size + size);
  if (reading.failed) return;
  auto* end = reinterpret_cast<u_char*>(reading.bytes) + reading.size;
  if (ngx_buf_in_memory(&buffer)) ngx_memcpy(end, buffer.pos, size);
  else reading.failed = ngx_read_file(buffer.file, end, size, buffer.file_pos) != static_cast<ssize_t>(size);
  reading.size += size;
}

// What was taken is given back to nginx, but for a body that it has read whole: others may look at that, too.
void take(ngx_http_request_t* r, Reading& reading) {
  ngx_chain_t* chain = r->request_body == nullptr ? nullptr : r->request_body->bufs;
  bool piecewise = r->request_body_no_buffering;
  if (piecewise && chain != nullptr) r->request_body->bufs = nullptr;
  while (chain != nullptr) {
    ngx_chain_t* link = chain;
    chain = chain->next;
    add(r->pool, reading, *link->buf);
    if (!piecewise) continue;
    link->buf->pos = link->buf->last;
    ngx_free_chain(r->pool, link);
  }
}

// NGX_AGAIN: there is more to come. NGX_OK: it is whole, or too large. Else what the request ends with.
ngx_int_t receive(ngx_http_request_t* r, Reading& reading) {
  for (;;) {
    take(r, reading);
    if (reading.failed) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    if (reading.too_large || !r->reading_body) return NGX_OK;
    ngx_int_t rc = ngx_http_read_unbuffered_request_body(r);
    if (rc != NGX_OK && rc != NGX_AGAIN) return rc;
    if (rc == NGX_AGAIN && r->request_body->bufs == nullptr) return NGX_AGAIN;
  }
}

void on_body(ngx_http_request_t* r) {
  Reading& reading = reading_of(r);
  ngx_int_t rc = receive(r, reading);
  if (rc == NGX_AGAIN) {
    r->read_event_handler = on_body;
    return;
  }
  r->read_event_handler = ngx_http_block_reading;
  if (rc == NGX_OK) rc = reading.done(r, {{reading.bytes, reading.too_large ? 0 : reading.size}, reading.too_large});
  ngx_http_finalize_request(r, rc);
}

// Most bodies of beats come along with the header, and lie behind it in nginx's buffer until the request ends.
bool is_here(const ngx_http_request_t* r) {
  bool as_it_is = r == r->main && r->http_version < NGX_HTTP_VERSION_20 && !r->headers_in.chunked && r->request_body == nullptr;
  return as_it_is && r->headers_in.content_length_n <= r->header_in->last - r->header_in->pos;
}

ngx_int_t use_here(ngx_http_request_t* r, BodyHandler done) {
  std::string_view body(reinterpret_cast<char*>(r->header_in->pos), static_cast<std::size_t>(r->headers_in.content_length_n));
  ngx_int_t rc = ngx_http_discard_request_body(r);  // the next request begins behind it
  return rc == NGX_OK ? done(r, {body, false}) : rc;
}

// As nginx does it: the client is not asked to go on, and what it sends nevertheless is thrown away.
ngx_int_t refuse(ngx_http_request_t* r, BodyHandler done) {
  r->expect_tested = 1;
  ngx_int_t rc = ngx_http_discard_request_body(r);
  return rc == NGX_OK ? done(r, {{}, true}) : rc;
}

}  // namespace

ngx_int_t read_body(ngx_http_request_t* r, std::size_t limit, BodyHandler done) {
  if (r->headers_in.content_length_n > static_cast<off_t>(limit)) return refuse(r, done);
  if (is_here(r)) return use_here(r, done);
  void* memory = ngx_palloc(r->pool, sizeof(Reading));
  if (memory == nullptr) return NGX_HTTP_INTERNAL_SERVER_ERROR;
  auto* reading = ::new (memory) Reading{done, limit};
  ngx_http_set_ctx(r, reading, ngx_http_heartbeat_module);
  if (r->headers_in.content_length_n > 0 &&
      !reserve(r->pool, *reading, static_cast<std::size_t>(r->headers_in.content_length_n))) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
  }
  r->request_body_no_buffering = 1;
  ngx_int_t rc = ngx_http_read_client_request_body(r, on_body);
  return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}

}  // namespace heartbeat
