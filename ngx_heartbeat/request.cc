// A request of nginx as the core sees it, and the two places where the core gets one: endpoint and log phase.
#include <strings.h>

#include "ngx_heartbeat/module.h"
#include "shared/endpoint/endpoint.h"

namespace heartbeat {
namespace {

class NginxRequest final : public Request {
 public:
  explicit NginxRequest(ngx_http_request_t* r) : r_(r) {
    if (r->method == NGX_HTTP_HEAD) method = Method::head;
    else if (r->method == NGX_HTTP_GET) method = Method::get;
    else if (r->method == NGX_HTTP_POST) method = Method::post;
    else if (r->method == NGX_HTTP_OPTIONS) method = Method::options;
    // What another request is made of or sent on to is not the whole answer on the wire.
    http_1_1 = r->http_version == NGX_HTTP_VERSION_11 && r == r->main && !r->header_sent && !r->post_action;
    query = view(r->args);
  }

  std::string_view cookies(unsigned i) const override {
#if (nginx_version >= 1023000)
    const ngx_table_elt_t* cookie = r_->headers_in.cookie;
    for (; cookie != nullptr && i != 0; --i) cookie = cookie->next;
    return cookie == nullptr ? std::string_view() : view(cookie->value);
#else
    if (i >= r_->headers_in.cookies.nelts) return {};
    return view(static_cast<ngx_table_elt_t**>(r_->headers_in.cookies.elts)[i]->value);
#endif
  }

  // Most names of the same length are told apart by their first letter.
  std::string_view header(std::string_view name) const override {
    for (ngx_list_part_t* part = &r_->headers_in.headers.part; part != nullptr; part = part->next) {
      auto* headers = static_cast<ngx_table_elt_t*>(part->elts);
      for (ngx_uint_t i = 0; i < part->nelts; ++i) {
        if (headers[i].key.len != name.size() || ((headers[i].key.data[0] ^ name[0]) & 0x5f) != 0) continue;
        if (strncasecmp(view(headers[i].key).data(), name.data(), name.size()) == 0) return view(headers[i].value);
      }
    }
    return {};
  }

  std::string_view content_type() const override {
    const ngx_table_elt_t* type = r_->headers_in.content_type;
    return type == nullptr ? std::string_view() : view(type->value);
  }

  std::string_view evaluate(void* expression) const override {
    ngx_str_t value;
    if (ngx_http_complex_value(r_, static_cast<ngx_http_complex_value_t*>(expression), &value) != NGX_OK) return {};
    return view(value);
  }

  bool https() const override {
#if (NGX_HTTP_SSL)
    return r_->connection->ssl != nullptr;
#else
    return false;
#endif
  }

 private:
  ngx_http_request_t* r_;
};

// What a connection remembers of its visitor. It lives in the connection's pool, found again through that pool's list of
// clean-up handlers.
struct Pinger {
  ngx_uint_t requests;  // other requests of the connection before its last ping
  std::uint32_t pings;  // without another request between them
  Recent recent;
};

void forget_pinger(void*) {}

Pinger* pinger_of(ngx_connection_t* c) {
  ngx_pool_cleanup_t* found = c->pool->cleanup;
  while (found != nullptr && found->handler != forget_pinger) found = found->next;
  if (found != nullptr) return static_cast<Pinger*>(found->data);
  found = ngx_pool_cleanup_add(c->pool, sizeof(Pinger));
  if (found == nullptr) return nullptr;
  found->handler = forget_pinger;
  return ::new (found->data) Pinger{c->requests, 0, {}};
}

std::uint32_t count_ping(Pinger& pinger, ngx_uint_t requests) {
  pinger.pings = pinger.requests == requests ? pinger.pings + 1 : 1;
  pinger.requests = requests;
  return pinger.pings;
}

bool over_http2(const ngx_http_request_t* r) { return r->http_version >= NGX_HTTP_VERSION_20; }

template <class Use>
auto with_exchange(ngx_http_request_t* r, LocationConfig& config, Use use, const ReceivedBody& body = {}) {
  auto& main = *static_cast<MainConfig*>(ngx_http_get_module_main_conf(r, ngx_http_heartbeat_module));
  NginxRequest request(r);
  request.body = body.bytes;
  request.body_too_large = body.too_large;
  PoolArena arena(r->pool);
  Exchange exchange{request, config.settings, config.site, config.place, main.table, arena, static_cast<Millis>(ngx_current_msec)};
  exchange.verified = &main.verified;
  exchange.store = config.store;
  exchange.beacons = main.beacons.wanted ? &main.beacons : nullptr;
  auto* core = static_cast<ngx_http_core_loc_conf_t*>(ngx_http_get_module_loc_conf(r, ngx_http_core_module));
  exchange.keepalive = static_cast<Millis>(core->keepalive_timeout);
  Pinger* pinger = over_http2(r) ? nullptr : pinger_of(r->connection);
  if (pinger != nullptr) exchange.recent = &pinger->recent;
  return use(exchange, pinger);
}

LocationConfig& config_of(ngx_http_request_t* r) {
  return *static_cast<LocationConfig*>(ngx_http_get_module_loc_conf(r, ngx_http_heartbeat_module));
}

// A client that goes on sending what nobody reads is not worth the connection.
ngx_int_t answer_with_body(ngx_http_request_t* r, const ReceivedBody& body) {
  LocationConfig& config = config_of(r);
  if (body.too_large) r->keepalive = 0;
  return with_exchange(r, config, [&](Exchange& exchange, Pinger*) { return send_reply(r, answer(config.endpoint, exchange)); }, body);
}

}  // namespace

ngx_int_t endpoint_handler(ngx_http_request_t* r) {
  LocationConfig& config = config_of(r);
  if (r->headers_in.content_length_n > 0 || r->headers_in.chunked) {
    if (r->method == NGX_HTTP_POST && reads_body(config.endpoint)) {
      return read_body(r, *config.settings.body, answer_with_body);
    }
    ngx_int_t rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) return rc;
  }
  return with_exchange(r, config, [&](Exchange& exchange, Pinger* pinger) {
    if (config.endpoint == Endpoint::ping && !over_http2(r) && r == r->main) {
      --r->connection->requests;  // pings use up nothing of keepalive_requests
      if (pinger != nullptr) exchange.pings = count_ping(*pinger, r->connection->requests);
    }
    Reply reply = answer(config.endpoint, exchange);
    return reply.deferred == nullptr ? send_reply(r, reply) : await_reply(r, *reply.deferred);
  });
}

ngx_int_t log_handler(ngx_http_request_t* r) {
  LocationConfig& config = config_of(r);
  if (*config.settings.track && config.endpoint == Endpoint::none) {
    with_exchange(r, config, [](Exchange& exchange, Pinger*) { return track(exchange), 0; });
  }
  return NGX_OK;
}

}  // namespace heartbeat
