// One request of httpd as the core sees it.
#include "mod_heartbeat/request.h"

#include <ap_expr.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>

namespace heartbeat {
namespace {

std::string_view view(const char* text) { return text == nullptr ? std::string_view() : std::string_view(text); }

constexpr std::string_view kJoint = ", ";

// httpd joins lines of one name (RFC 9110, section 5.3). Cookies may not hold commas, but some do: only where a name
// and an equals sign follow does another line begin.
std::size_t end_of_line(std::string_view cookies) {
  std::size_t joint = cookies.find(kJoint);
  while (joint != std::string_view::npos) {
    std::size_t name = joint + kJoint.size();
    std::size_t end = cookies.find_first_of("=;, \"", name);
    if (end != std::string_view::npos && end != name && cookies[end] == '=') break;
    joint = cookies.find(kJoint, name);
  }
  return joint;
}

Method method_of(const request_rec* r) {
  if (r->method_number == M_GET) return r->header_only ? Method::head : Method::get;
  if (r->method_number == M_POST) return Method::post;
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

// The core asks for one line after the other.
std::string_view ApacheRequest::cookies(unsigned i) const {
  if (i == 0) cookies_ = view(apr_table_get(r_->headers_in, "Cookie"));
  std::size_t end = end_of_line(cookies_);
  std::string_view line = cookies_.substr(0, end);
  cookies_ = end == std::string_view::npos ? std::string_view() : cookies_.substr(end + kJoint.size());
  return line;
}

std::string_view ApacheRequest::header(std::string_view name) const {
  return view(apr_table_get(r_->headers_in, apr_pstrmemdup(r_->pool, name.data(), name.size())));
}

bool ApacheRequest::https() const { return std::string_view(ap_http_scheme(r_)) == "https"; }

std::string_view ApacheRequest::evaluate(void* expression) const {
  const char* fault = nullptr;
  const char* value = ap_expr_str_exec(r_, static_cast<ap_expr_info_t*>(expression), &fault);
  return fault == nullptr ? view(value) : std::string_view();
}

}  // namespace heartbeat
