// SPDX-License-Identifier: Apache-2.0
#include "api/queue_text.h"

#include <array>

#include <doctest/doctest.h>

namespace jobmill::api {
namespace {

using namespace std::chrono_literals;

TEST_CASE("queue texts: never is written in full and read rounded") {
  CHECK(limit_text(std::nullopt) == "P10675199DT2H48M5.4775807S");
  CHECK(limit_text(90s) == "PT1M30S");
  for (const char* never :
       {"P10675199DT2H48M5.4775807S", "P10675199DT2H48M5.477539S", "P10675199D", "P20000000D"}) {
    const auto limit = parse_limit(never);
    REQUIRE_MESSAGE(limit, never);
    CHECK_FALSE(limit->has_value());
    CHECK_FALSE(parse_finite(never));
  }
  CHECK((*parse_limit("P10675198D")).has_value());
  CHECK(*parse_finite("PT5M") == 5min);
  for (const char* wrong : {"", "5m", "-PT1M", "P1Y"}) CHECK_FALSE(parse_limit(wrong));
}

TEST_CASE("queue texts: words read back what they write") {
  for (const auto status :
       {broker::EntityStatus::Active, broker::EntityStatus::Disabled,
        broker::EntityStatus::SendDisabled, broker::EntityStatus::ReceiveDisabled})
    CHECK(*parse_status(status_text(status)) == status);
  for (const auto right : {broker::Right::Send, broker::Right::Listen, broker::Right::Manage})
    CHECK(*parse_right(right_text(right)) == right);
  CHECK(parse_status("active").error().message ==
        "'active' is not Active, Disabled, SendDisabled or ReceiveDisabled");
  CHECK(parse_right("Read").error().message == "'Read' is not Send, Listen or Manage");
}

TEST_CASE("queue texts: a UUID in its five groups") {
  std::array<std::uint8_t, 16> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes.at(i) = static_cast<std::uint8_t>(i * 17);
  CHECK(uuid_text(bytes) == "00112233-4455-6677-8899-aabbccddeeff");
}

}  // namespace
}  // namespace jobmill::api
