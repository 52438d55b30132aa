// Reads the body of a request. The filters are asked directly: ap_get_client_block() forgets what went wrong and answers
// by itself, and ap_setup_client_block() checks the headers as the filters do once more.
#include "mod_heartbeat/body.h"

#include <cstdlib>
#include <cstring>

#include <apr_lib.h>
#include <http_core.h>
#include <http_protocol.h>
#include <util_filter.h>

namespace heartbeat {
namespace {

constexpr std::size_t kPiece = 8192;

class Collected {
 public:
  Collected(apr_pool_t* pool, std::size_t limit) : pool_(pool), limit_(limit) {}

  // False: that is too much.
  bool add(std::string_view piece) {
    if (piece.size() > limit_ - size_) return false;
    if (piece.size() > capacity_ - size_) grow(size_ + piece.size());
    if (!piece.empty()) std::memcpy(bytes_ + size_, piece.data(), piece.size());
    size_ += piece.size();
    return true;
  }
  std::string_view view() const { return {bytes_, size_}; }

 private:
  void grow(std::size_t least) {
    capacity_ = 2 * capacity_ < least ? least : 2 * capacity_;
    auto* bytes = static_cast<char*>(apr_palloc(pool_, capacity_));
    if (size_ != 0) std::memcpy(bytes, bytes_, size_);
    bytes_ = bytes;
  }

  apr_pool_t* pool_;
  std::size_t limit_;
  char* bytes_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

// Takes what is in the brigade; `end` is set when that was all.
int take(apr_bucket_brigade* brigade, Collected& body, bool& end) {
  for (apr_bucket* bucket = APR_BRIGADE_FIRST(brigade); bucket != APR_BRIGADE_SENTINEL(brigade);
       bucket = APR_BUCKET_NEXT(bucket)) {
    if (APR_BUCKET_IS_EOS(bucket)) {
      end = true;
      return OK;
    }
    if (APR_BUCKET_IS_METADATA(bucket)) continue;
    const char* bytes = nullptr;
    apr_size_t size = 0;
    apr_status_t status = apr_bucket_read(bucket, &bytes, &size, APR_BLOCK_READ);
    if (status != APR_SUCCESS) return ap_map_http_request_error(status, HTTP_BAD_REQUEST);
    if (!body.add({bytes, size})) return HTTP_REQUEST_ENTITY_TOO_LARGE;
  }
  return OK;
}

int read_all(request_rec* r, apr_bucket_brigade* brigade, Collected& body) {
  for (bool end = false; !end;) {
    apr_status_t status = ap_get_brigade(r->input_filters, brigade, AP_MODE_READBYTES, APR_BLOCK_READ, kPiece);
    if (status != APR_SUCCESS) return ap_map_http_request_error(status, HTTP_BAD_REQUEST);
    int result = take(brigade, body, end);
    if (result != OK) return result;
    apr_brigade_cleanup(brigade);
  }
  return OK;
}

// Then nothing is read, and who waits for "100 Continue" (RFC 9110, section 10.1.1) is not asked to send it.
bool is_too_large(const request_rec* r, const char* length, std::size_t limit) {
  if (length == nullptr || !apr_isdigit(*length)) return false;
  const unsigned long long size = std::strtoull(length, nullptr, 10);
  const apr_off_t of_httpd = ap_get_limit_req_body(r);
  return size > limit || (of_httpd > 0 && size > static_cast<unsigned long long>(of_httpd));
}

}  // namespace

int read_body(request_rec* r, const char* length, std::size_t limit, std::string_view& body) {
  if (is_too_large(r, length, limit)) return HTTP_REQUEST_ENTITY_TOO_LARGE;
  Collected collected(r->pool, limit);
  apr_bucket_brigade* brigade = apr_brigade_create(r->pool, r->connection->bucket_alloc);
  int status = read_all(r, brigade, collected);
  apr_brigade_destroy(brigade);
  body = collected.view();
  return status;
}

}  // namespace heartbeat
