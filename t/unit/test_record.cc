// Records of the spool: what is written is read, and what is no record is not.
#include <string>

#include "t/unit/support/test.h"

#include "shared/beacon/record.h"
#include "shared/http/text.h"
#include "t/unit/support/fake_arena.h"

namespace {
using namespace heartbeat;

std::string written(const BeaconRecord& record) {
  FakeArena arena;
  Text text(arena);
  write_record(record, text);
  return std::string(text.view());
}

BeaconRecord sample() {
  BeaconRecord record;
  record.at = 1700000000123;
  record.site = "one.test";
  record.view = "AAAAAAAAAAAAAAAAAAAAAA";
  record.session = "0123456789abcdef";
  record.type = "text/plain;charset=UTF-8";
  record.payload = std::string_view("[{\"a\":1}]\0\xff", 11);
  record.number = 999;
  record.event = BeaconEvent::resume;
  record.transport = Transport::image;
  record.browser = Browser::firefox;
  record.flags = BeaconRecord::kFinal | BeaconRecord::kContinues;
  return record;
}

void round_trip(void**) {
  const BeaconRecord record = sample();
  const std::string bytes = written(record);
  BeaconRecord read;
  assert_true(read_record(bytes, read));
  assert_true(read.kind == BeaconRecord::Kind::batch && read.at == record.at && read.number == record.number);
  assert_true(read.site == record.site && read.view == record.view && read.session == record.session);
  assert_true(read.type == record.type && read.payload == record.payload && read.flags == record.flags);
  assert_true(read.event == record.event && read.transport == record.transport && read.browser == record.browser);
}

void nothing_said(void**) {
  BeaconRecord record;
  record.kind = BeaconRecord::Kind::script;
  const std::string bytes = written(record);
  BeaconRecord read = sample();
  assert_true(read_record(bytes, read));
  assert_true(read.kind == BeaconRecord::Kind::script && read.site.empty() && read.session.empty() && read.payload.empty());
}

void long_texts_are_cut(void**) {
  BeaconRecord record = sample();
  const std::string name(300, 'x');
  record.type = name;
  const std::string bytes = written(record);
  BeaconRecord read;
  assert_true(read_record(bytes, read));
  assert_int_equal(read.type.size(), 255);
  assert_true(read.payload == record.payload);
}

// Every cut before the payload, and every value of each byte of the head.
void no_records(void**) {
  const std::string bytes = written(sample());
  const std::size_t head = bytes.size() - sample().payload.size();
  BeaconRecord read;
  for (std::size_t size = 0; size < head; ++size) assert_false(read_record(std::string_view(bytes).substr(0, size), read));
  for (std::size_t at = 0; at < 24; ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(value);
      if (!read_record(damaged, read)) continue;
      assert_true(read.event <= BeaconEvent::resume && static_cast<unsigned>(read.transport) < kTransports);
    }
  }
}

void families(void**) {
  assert_true(browser_of("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36") == Browser::chromium);
  assert_true(browser_of("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0") == Browser::chromium);
  assert_true(browser_of("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0") == Browser::firefox);
  assert_true(browser_of("Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Safari/605.1.15") == Browser::safari);
  assert_true(browser_of("Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile Safari/604.1") == Browser::safari);
  assert_true(browser_of("curl/8.0") == Browser::other && browser_of("") == Browser::other);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(round_trip), cmocka_unit_test(nothing_said), cmocka_unit_test(long_texts_are_cut),
                              cmocka_unit_test(no_records), cmocka_unit_test(families)};
  return cmocka_run_group_tests_name("record", tests, nullptr, nullptr);
}
