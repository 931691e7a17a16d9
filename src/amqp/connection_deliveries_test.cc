// SPDX-License-Identifier: Apache-2.0
#include "amqp/connection_deliveries.h"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <map>
#include <vector>

using namespace jobmill::amqp;

TEST_CASE("deliveries: in order and over the end of the numbers without growing") {
  Deliveries deliveries;
  DeliveryId id = 0xffffff00;
  for (int i = 0; i < 1000; ++i, ++id) {
    deliveries.insert(id, {.link = 1, .cookie = id});
    if (i >= 5) CHECK(deliveries.erase(id - 5));
  }
  CHECK(deliveries.size() == 5);
  CHECK(deliveries.capacity() == 16);
  REQUIRE(deliveries.find(id - 1) != nullptr);
  CHECK(deliveries.find(id - 1)->cookie == id - 1);
  CHECK(deliveries.find(id) == nullptr);
  CHECK_FALSE(deliveries.erase(id - 6));
}

TEST_CASE("deliveries: one that stays behind does not hold the memory of the others") {
  Deliveries deliveries;
  deliveries.insert(0, {.link = 7});
  for (DeliveryId id = 1; id < 1'000'000; ++id) {
    deliveries.insert(id, {.link = 1});
    deliveries.erase(id);
  }
  CHECK(deliveries.capacity() <= 64);
  REQUIRE(deliveries.find(0) != nullptr);
  CHECK(deliveries.find(0)->link == 7);
}

TEST_CASE("deliveries: any order is as good as a map") {
  CHECK(rc::check("deliveries are a map", [] {
    Deliveries deliveries;
    std::map<DeliveryId, std::uint64_t> model;
    DeliveryId next = *rc::gen::arbitrary<DeliveryId>();
    const int steps = *rc::gen::inRange(0, 300);
    for (int step = 0; step < steps; ++step) {
      switch (*rc::gen::inRange(0, 8)) {
        case 0:  // some miles away
          next += *rc::gen::element<DeliveryId>(100, 5000, 0x80000000, 0xfffffff0);
          break;
        case 1:
        case 2:
          if (!model.empty()) {
            const auto it = std::next(
                model.begin(),
                *rc::gen::inRange<std::ptrdiff_t>(0, static_cast<std::ptrdiff_t>(model.size())));
            RC_ASSERT(deliveries.erase(it->first));
            model.erase(it);
          }
          break;
        case 3: {
          const LinkId link = *rc::gen::inRange<LinkId>(1, 4);
          if (step % 10 != 0) break;
          deliveries.erase_link(link);
          std::erase_if(model, [&](const auto& item) { return item.second % 3 + 1 == link; });
          break;
        }
        default: {
          const auto cookie = static_cast<std::uint64_t>(step);
          deliveries.insert(next, {.link = static_cast<LinkId>(cookie % 3 + 1), .cookie = cookie});
          model[next++] = cookie;
        }
      }
      RC_ASSERT(deliveries.size() == model.size());
    }
    for (const auto& [id, cookie] : model) {
      RC_ASSERT(deliveries.find(id) != nullptr);
      RC_ASSERT(deliveries.find(id)->cookie == cookie);
    }
    std::vector<DeliveryId> ids;
    deliveries.list(0, 0xffffffff, ids);
    std::vector<DeliveryId> expected;
    for (const auto& [id, cookie] : model) expected.push_back(id);
    RC_ASSERT(ids == expected);
  }));
}
