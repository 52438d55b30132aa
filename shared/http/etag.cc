// Conditional requests.
#include "shared/http/etag.h"

namespace heartbeat {
namespace {

std::string_view opaque(std::string_view tag) { return tag.starts_with("W/") ? tag.substr(2) : tag; }

// The tag without its last quote, so that what a compressing filter adds in front of that may follow.
bool same(std::string_view given, std::string_view own) {
  own.remove_suffix(1);
  if (!given.starts_with(own)) return false;
  std::string_view rest = given.substr(own.size());
  return rest == "\"" || rest == "-gzip\"" || rest == "-br\"" || rest == "-deflate\"" || rest == ";gzip\"" ||
         rest == ";br\"";
}

}  // namespace

bool has_tag(std::string_view header, std::string_view tag) {
  tag = opaque(tag);
  if (tag.size() < 2) return false;
  for (;;) {
    std::size_t start = header.find_first_not_of(" \t,");
    if (start == std::string_view::npos) return false;
    header.remove_prefix(start);
    if (header[0] == '*') return true;
    header = opaque(header);
    std::size_t end = header.empty() || header[0] != '"' ? std::string_view::npos : header.find('"', 1);
    if (end == std::string_view::npos) return false;  // no list of tags from here on
    if (same(header.substr(0, end + 1), tag)) return true;
    header.remove_prefix(end + 1);
  }
}

}  // namespace heartbeat
