// Replies of Redis, in every cut.
#include "t/unit/support/test.h"

#include "shared/redis/reply.h"

namespace {
using namespace heartbeat;
using Next = ReplyReader::Next;
using Type = RedisReply::Type;

std::string written(const RedisReply& reply) {
  std::string text = std::to_string(static_cast<int>(reply.type)) + "(" + std::to_string(reply.count);
  for (int i = 0; i < reply.count; ++i) {
    text += "|" + std::to_string(static_cast<int>(reply.type_of(i))) + ":" + std::to_string(reply.integer(i)) + ":" + std::string(reply.text(i));
  }
  return text + ")";
}

// All replies in `bytes`, fed in pieces cut at `cuts`; "!" at the end where the reader gave up.
std::string read_all(std::string_view bytes, const std::vector<std::size_t>& cuts) {
  ReplyReader reader;
  assert_true(reader.reset());
  std::string result;
  std::size_t from = 0;
  for (std::size_t i = 0; i <= cuts.size(); ++i) {
    std::size_t to = i < cuts.size() ? cuts[i] : bytes.size();
    std::string piece(bytes.substr(from, to - from));  // gone when the next comes
    from = to;
    if (!reader.feed(piece)) return result + "?";
    for (;;) {
      Next next = reader.next();
      if (next == Next::broken) return result + "!";
      if (next == Next::refused) return result + "%";
      if (next == Next::more) break;
      result += written(reader.reply());
    }
  }
  return result;
}

std::string whole(std::string_view bytes) { return read_all(bytes, {}); }

const std::string kMany =
    "+OK\r\n-ERR wrong\r\n:42\r\n:-1\r\n$5\r\nhello\r\n$0\r\n\r\n$-1\r\n*0\r\n*-1\r\n*2\r\n$10\r\n1700000000\r\n$6\r\n123456\r\n"
    "*5\r\n:1\r\n:1700000000000\r\n$3\r\n1,2\r\n:0\r\n$0\r\n\r\n$4\r\n\r\n\r\n\r\n";

void kinds(void**) {
  assert_text_equal(whole("+OK\r\n"), "1(1|1:0:OK)");
  assert_text_equal(whole("-ERR x\r\n"), "2(1|2:0:ERR x)");
  assert_text_equal(whole(":-7\r\n"), "3(1|3:-7:)");
  assert_text_equal(whole("$3\r\na\nb\r\n"), "4(1|4:0:a\nb)");
  assert_text_equal(whole("$-1\r\n"), "0(1|0:0:)");
  assert_text_equal(whole("*0\r\n"), "5(0)");
  assert_text_equal(whole("*3\r\n:1\r\n$1\r\nx\r\n-no\r\n"), "5(3|3:1:|4:0:x|2:0:no)");
  RedisReply reply;
  assert_true(reply.text(3).empty());
  assert_int_equal(reply.integer(3), 0);
}

void split_at_every_byte(void**) {
  std::string expected = whole(kMany);
  assert_int_equal(std::count(expected.begin(), expected.end(), ')'), 12);
  for (std::size_t i = 0; i <= kMany.size(); ++i) {
    assert_text_equal(read_all(kMany, {i}), expected);
    for (std::size_t j = i; j <= kMany.size(); j += 7) assert_text_equal(read_all(kMany, {i, j}), expected);
  }
  std::vector<std::size_t> each;
  for (std::size_t i = 1; i < kMany.size(); ++i) each.push_back(i);
  assert_text_equal(read_all(kMany, each), expected);
}

void nothing_before_the_end(void**) {
  for (std::string_view reply : {"+OK\r\n", "$5\r\nhello\r\n", "*2\r\n:1\r\n$3\r\nabc\r\n", ":12\r\n"}) {
    for (std::size_t size = 0; size < reply.size(); ++size) assert_text_equal(whole(reply.substr(0, size)), "");
  }
}

void garbage(void**) {
  for (std::string_view bytes : {"HTTP/1.1 400 Bad Request\r\n", "x", "\r\n", "$x\r\n", "*x\r\n", ":x\r\n", "$-2\r\n", "*-2\r\n",
                                 "$99999999999999999999\r\n", "*99999999999999999999\r\n", ":99999999999999999999\r\n",
                                 "\x16\x03\x01\x02", "*4294967297\r\n"}) {
    std::string result = whole(bytes);
    if (result != "!") fail_msg("%s gave %s", std::string(bytes).c_str(), result.c_str());
  }
}

void nested(void**) {
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "*1\r\n";
  assert_text_equal(whole(deep + ":1\r\n"), "%");
  assert_text_equal(whole("*2\r\n:1\r\n*0\r\n"), "%");
  assert_text_equal(whole("*2\r\n*1\r\n:1\r\n:2\r\n"), "%");
}

std::string bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

void limits(void**) {
  std::string most(RedisReply::kText, 'x');
  assert_text_equal(whole(bulk(most)), "4(1|4:0:" + most + ")");
  assert_text_equal(whole(bulk(most + "x")), "%");
  assert_text_equal(whole("*2\r\n" + bulk(most) + bulk("x")), "%");
  assert_text_equal(whole("*2\r\n" + bulk(most.substr(1)) + bulk("x")).substr(0, 4), "5(2|");
  for (std::string_view count : {"4097", "1000000000", "2147483647"}) {
    assert_text_equal(whole("*" + std::string(count) + "\r\n"), "%");
  }
  // The words of an error are cut rather than refused.
  std::string line(RedisReply::kLine, 'e');
  assert_text_equal(whole("-" + line + "yyy\r\n"), "2(1|2:0:" + line + ")");
}

// As many elements as there may be, with as much text as there may be, in pieces as a socket gives them.
void the_largest_reply(void**) {
  std::size_t each = RedisReply::kText / RedisReply::kElements;
  std::string bytes = "*" + std::to_string(RedisReply::kElements) + "\r\n";
  for (int i = 0; i < RedisReply::kElements; ++i) {
    std::string text = std::to_string(i);
    bytes += bulk(text + std::string(each - text.size(), '.'));
  }
  ReplyReader reader;
  for (int round = 0; round < 2; ++round) {
    std::size_t at = 0;
    Next next = Next::more;
    for (; next == Next::more && at < bytes.size(); at += 16384) {
      assert_true(reader.feed(std::string_view(bytes).substr(at, 16384)));
      next = reader.next();
    }
    assert_true(next == Next::reply);
    const RedisReply& reply = reader.reply();
    assert_int_equal(reply.count, RedisReply::kElements);
    for (int i = 0; i < reply.count; ++i) {
      assert_int_equal(reply.text(i).size(), each);
      assert_int_equal(std::atoi(std::string(reply.text(i)).c_str()), i);
    }
    assert_true(reader.feed("*1\r\n+small\r\n"));
    assert_true(reader.next() == Next::reply);
    assert_int_equal(reader.reply().count, 1);
    assert_text_equal(reader.reply().text(), "small");
    assert_true(reader.reply().text(1).empty() && reader.reply().text(-1).empty());
  }
}

// A server that promises much and sends on and on is cut off before it costs memory.
void endless(void**) {
  for (std::string_view promise : {"$1000000000\r\n", "+", "-"}) {
    ReplyReader reader;
    assert_true(reader.feed(promise));
    std::string piece(16384, 'x');
    std::size_t fed = 0;
    Next next = reader.next();
    for (; next == Next::more && fed < 10000000; fed += piece.size()) {
      assert_true(reader.feed(piece));
      next = reader.next();
    }
    assert_int_equal(static_cast<int>(next), static_cast<int>(Next::refused));
    assert_true(fed <= 2 * RedisReply::kText);
  }
}

void every_byte_in_front(void**) {
  for (int byte = 0; byte < 256; ++byte) {
    for (std::string_view rest : {"", "1\r\n", "OK\r\n", "\r\n", "-1\r\n"}) whole(std::string(1, static_cast<char>(byte)) + std::string(rest));
  }
}

void reset(void**) {
  ReplyReader reader;
  assert_true(reader.reset());
  assert_true(reader.feed("$10\r\nhalf"));
  assert_true(reader.next() == Next::more);
  assert_true(reader.reset());
  assert_true(reader.feed("+OK\r\n"));
  assert_true(reader.next() == Next::reply);
  assert_text_equal(reader.reply().text(), "OK");
  assert_true(reader.feed("garbage\r\n"));
  assert_true(reader.next() == Next::broken);
  assert_true(reader.next() == Next::broken);
  assert_true(reader.reset());
  assert_true(reader.feed(":1\r\n"));
  assert_true(reader.next() == Next::reply);
}

// Each reply is looked at before the next is asked for.
void one_after_the_other(void**) {
  ReplyReader reader;
  assert_true(reader.feed("$5\r\nfirst\r\n$6\r\nsecond\r\n"));
  assert_true(reader.next() == Next::reply);
  assert_text_equal(reader.reply().text(), "first");
  assert_true(reader.next() == Next::reply);
  assert_text_equal(reader.reply().text(), "second");
  assert_true(reader.next() == Next::more);
  reader.release();
  assert_int_equal(reader.reply().count, 0);
  assert_true(reader.reply().text().empty());
  assert_true(reader.next() == Next::broken);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(kinds), cmocka_unit_test(split_at_every_byte),
                              cmocka_unit_test(nothing_before_the_end), cmocka_unit_test(garbage), cmocka_unit_test(nested),
                              cmocka_unit_test(limits), cmocka_unit_test(the_largest_reply),
                              cmocka_unit_test(endless), cmocka_unit_test(every_byte_in_front),
                              cmocka_unit_test(reset), cmocka_unit_test(one_after_the_other)};
  return cmocka_run_group_tests_name("reply", tests, nullptr, nullptr);
}
