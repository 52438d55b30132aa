// Which transport comes first by what was lost.
#include <algorithm>
#include <string>

#include "t/unit/support/test.h"

#include "shared/beacon/ranking.h"

namespace {
using namespace heartbeat;

std::string shown(PackedOrder bits) {
  if (bits == 0) return "";
  std::string text;
  for (Transport transport : unpacked(bits).list) text += std::string(text.empty() ? "" : " ") + std::string(name_of(transport));
  return text;
}

void each_order_has_a_byte(void**) {
  TransportOrder order;
  assert_true(packed(order) != 0);
  do {
    const TransportOrder again = unpacked(packed(order));
    assert_true(std::equal(order.list, order.list + kTransports, again.list));
  } while (std::next_permutation(order.list, order.list + kTransports));
}

void nothing_known(void**) {
  Ranking ranking;
  assert_string_equal(shown(ranking.order_for(Browser::chromium)).c_str(), "");
  ranking.add("chosen-leave:image:firefox", Ranking::kEnough - 1);
  assert_string_equal(shown(ranking.order_for(Browser::firefox)).c_str(), "");
}

void by_loss(void**) {
  Ranking ranking;
  ranking.add("chosen-leave:fetchLater:chromium", 900);
  ranking.add("chosen-lost:fetchLater:chromium", 100);
  ranking.add("chosen-leave:beacon:chromium", 990);
  ranking.add("chosen-lost:beacon:chromium", 10);
  ranking.add("chosen-leave:image:chromium", 600);
  ranking.add("chosen-leave:image:chromium", 360);  // of another day
  ranking.add("chosen-lost:image:chromium", 40);
  assert_string_equal(shown(ranking.order_for(Browser::chromium)).c_str(), "beacon image fetchLater fetch");
  assert_string_equal(shown(ranking.order_for(Browser::safari)).c_str(), "");
}

// Two of two that arrived are no proof against 4,990 of 5,000.
void few_are_no_proof(void**) {
  Ranking ranking;
  ranking.add("chosen-leave:image:firefox", 2);
  ranking.add("chosen-leave:beacon:firefox", 4990);
  ranking.add("chosen-lost:beacon:firefox", 10);
  assert_string_equal(shown(ranking.order_for(Browser::firefox)).c_str(), "beacon fetchLater fetch image");
}

void other_counters(void**) {
  Ranking ranking;
  for (const char* name : {"leave:image:firefox", "chosen-load:image:firefox", "chosen-leave:pigeon:firefox", "chosen-leave:image:lynx",
                           "chosen-leave:image", "chosen-leave:", "", "chosen-leave:image:firefox:x", "chosen-leave:fetchLater:firefox"}) {
    ranking.add(name, 1000);
  }
  ranking.add("chosen-leave:image:firefox", -5);
  assert_string_equal(shown(ranking.order_for(Browser::firefox)).c_str(), "");
}

// One in ten begins with another, each as often, and none with what the browser does not have.
void random_share(void**) {
  TransportOrder known = unpacked(packed(TransportOrder{{Transport::image, Transport::beacon, Transport::fetch_later, Transport::fetch}}));
  unsigned first[kTransports] = {};
  for (std::uint32_t random = 0; random < 12000; ++random) {
    TransportOrder order = order_of_view(known, Browser::firefox, random);
    ++first[static_cast<unsigned>(order.list[0])];
    std::sort(order.list, order.list + kTransports);
    assert_true(std::equal(order.list, order.list + kTransports, TransportOrder().list));
  }
  assert_int_equal(first[static_cast<unsigned>(Transport::fetch_later)], 0);
  assert_int_equal(first[static_cast<unsigned>(Transport::beacon)], 400);
  assert_int_equal(first[static_cast<unsigned>(Transport::fetch)], 400);
  assert_int_equal(first[static_cast<unsigned>(Transport::image)], 10800 + 400);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(each_order_has_a_byte), cmocka_unit_test(nothing_known), cmocka_unit_test(by_loss),
                              cmocka_unit_test(few_are_no_proof), cmocka_unit_test(other_counters), cmocka_unit_test(random_share)};
  return cmocka_run_group_tests_name("ranking", tests, nullptr, nullptr);
}
