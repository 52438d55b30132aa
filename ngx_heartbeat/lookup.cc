// A request whose answer waits for Redis: the worker goes on meanwhile. It ends with the answer, at the deadline, or
// when the client has gone; whatever comes first.
#include "ngx_heartbeat/module.h"
#include "ngx_heartbeat/reactor.h"
#include "shared/endpoint/deferred.h"

namespace heartbeat {
namespace {

/// In the memory of the request, until that is cleaned up.
class Waiting final : public Lookup::Waiter {
 public:
  Waiting(ngx_http_request_t* r, Deferred& deferred)
      : r_(r),
        deferred_(deferred),
        arena_(r->pool),
        reactor_(r->pool, r->connection->log, NginxReactor::Duty::request),
        log_(r->connection->log),
        lookup_(reactor_, log_, deferred.store, deferred, *this) {
    deferred.arena = &arena_;
  }

  /// False: out of memory, and no end would ever come.
  bool start() {
    lookup_.start();
    return lookup_.reactor_data != nullptr;
  }

  // Called by an event of ours, so what nginx does after its own events is to be done here. The request may be gone
  // after the first call, its connection's structure never is.
  void on_end() override {
    ngx_connection_t* c = r_->connection;
    ngx_http_finalize_request(r_, send_reply(r_, deferred_.reply));
    ngx_http_run_posted_requests(c);
  }

 private:
  ngx_http_request_t* r_;
  Deferred& deferred_;
  PoolArena arena_;
  NginxReactor reactor_;
  NginxLog log_;
  Lookup lookup_;
};

void clean_up(void* waiting) { static_cast<Waiting*>(waiting)->~Waiting(); }

}  // namespace

ngx_int_t await_reply(ngx_http_request_t* r, Deferred& deferred) {
  // Also run when a request is ended early, before its memory goes.
  ngx_http_cleanup_t* cleanup = ngx_http_cleanup_add(r, sizeof(Waiting));
  if (cleanup == nullptr) return NGX_HTTP_INTERNAL_SERVER_ERROR;
  auto* waiting = ::new (cleanup->data) Waiting(r, deferred);
  cleanup->handler = clean_up;
  if (!waiting->start()) {
    cleanup->handler = nullptr;
    clean_up(waiting);
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
  }
  if (r == r->main && !r->discard_body) r->read_event_handler = ngx_http_test_reading;
  ++r->main->count;
  return NGX_DONE;
}

}  // namespace heartbeat
