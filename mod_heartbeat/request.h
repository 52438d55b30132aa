// One request of httpd as the core sees it.
#pragma once

#include "mod_heartbeat/module.h"
#include "shared/http/request.h"

namespace heartbeat {

class ApacheRequest final : public Request {
 public:
  explicit ApacheRequest(request_rec* r);

  std::string_view cookies(unsigned i) const override;
  std::string_view header(std::string_view name) const override;
  std::string_view evaluate(void* expression) const override;
  bool https() const override;

 private:
  request_rec* r_;
  mutable std::string_view cookies_;  // what is left behind the Cookie line that was asked for last
};

}  // namespace heartbeat
