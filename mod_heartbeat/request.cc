// One request of httpd as the core sees it.
#include "mod_heartbeat/request.h"

#include <ap_expr.h>
#include <apr_strings.h>
#include <http_protocol.h>

namespace heartbeat {
namespace {

std::string_view view(const char* text) { return text == nullptr ? std::string_view() : std::string_view(text); }

Method method_of(const request_rec* r) {
  if (r->method_number == M_GET) return r->header_only ? Method::head : Method::get;
  return r->method_number == M_OPTIONS ? Method::options : Method::other;
}

}  // namespace

// The answer to a part of a page, or to what another request was sent on to, is not the whole answer on the wire:
// those get the headers that a server sends.
ApacheRequest::ApacheRequest(request_rec* r) : r_(r) {
  method = method_of(r);
  http_1_1 = r->proto_num == HTTP_VERSION(1, 1) && r->connection->master == nullptr && r->main == nullptr &&
             r->prev == nullptr;
  query = view(r->args);
}

std::string_view ApacheRequest::cookies(unsigned i) const {
  if (i == 0) return view(apr_table_get(r_->headers_in, "Cookie"));
  const apr_array_header_t* headers = apr_table_elts(r_->headers_in);
  auto* header = reinterpret_cast<const apr_table_entry_t*>(headers->elts);
  for (const apr_table_entry_t* end = header + headers->nelts; header != end; ++header) {
    if (ap_cstr_casecmp(header->key, "Cookie") == 0 && i-- == 0) return view(header->val);
  }
  return {};
}

std::string_view ApacheRequest::header(std::string_view name) const {
  return view(apr_table_get(r_->headers_in, apr_pstrmemdup(r_->pool, name.data(), name.size())));
}

std::string_view ApacheRequest::evaluate(void* expression) const {
  const char* fault = nullptr;
  const char* value = ap_expr_str_exec(r_, static_cast<ap_expr_info_t*>(expression), &fault);
  return fault == nullptr ? view(value) : std::string_view();
}

}  // namespace heartbeat
