// Replies of Redis. The first byte says how the rest is cut into pieces; whole and in pieces, the replies are the same.
#include <vector>

#include "shared/redis/reply.h"
#include "t/fuzz/check.h"

using namespace heartbeat;

namespace {

struct Read {
  std::string replies;
  bool broken = false;
};

void write_down(const RedisReply& reply, std::string& out) {
  CHECK(reply.count >= 0 && reply.count <= RedisReply::kElements);
  CHECK(reply.type == RedisReply::Type::array || reply.count == 1);
  std::size_t text = 0;
  out += std::to_string(static_cast<int>(reply.type)) + "/" + std::to_string(reply.count);
  for (int i = 0; i < reply.count; ++i) {
    text += reply.text(i).size();
    out += "|" + std::to_string(static_cast<int>(reply.type_of(i))) + ":" + std::to_string(reply.integer(i)) + ":" +
           std::string(reply.text(i));
  }
  CHECK(text <= RedisReply::kText);
  CHECK(reply.text(reply.count).empty() && reply.integer(reply.count) == 0);
  out += "\n";
}

Read read(std::string_view bytes, const std::vector<std::size_t>& sizes) {
  ReplyReader reader;
  Read result;
  CHECK(reader.reset());
  for (std::size_t turn = 0; !bytes.empty() && !result.broken; ++turn) {
    Exact piece(bytes.substr(0, sizes[turn % sizes.size()]));
    bytes.remove_prefix(piece.view().size());
    CHECK(reader.feed(piece));
    for (;;) {
      ReplyReader::Next next = reader.next();
      if (next == ReplyReader::Next::more) break;
      result.broken = next != ReplyReader::Next::reply;
      if (result.broken) break;
      write_down(reader.reply(), result.replies);
    }
  }
  if (result.broken) CHECK(reader.next() == ReplyReader::Next::broken || reader.next() == ReplyReader::Next::refused);
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 60000) return 0;  // beyond that, too much that is pending breaks off
  std::string_view bytes = INPUT.substr(1);
  std::size_t unit = data[0] % 16 + std::size_t{1};
  Read whole = read(bytes, {bytes.size()});
  for (const std::vector<std::size_t>& sizes : {std::vector<std::size_t>{1}, {unit}, {unit, 1, 3 * unit + 1}}) {
    Read pieces = read(bytes, sizes);
    CHECK(pieces.replies == whole.replies);
    CHECK(pieces.broken == whole.broken);
  }
  return 0;
}
