// SPDX-License-Identifier: Apache-2.0
#include "api/queue_json.h"

#include <doctest/doctest.h>

namespace jobmill::api {
namespace {

using namespace std::chrono_literals;
using broker::QueueDescription;

std::vector<FieldError> errors_of(std::string_view json, QueueDescription& queue) {
  std::vector<FieldError> errors;
  read_queue_properties(*parse_json(json), queue, errors);
  return errors;
}

TEST_CASE("queue JSON: properties are read, and what only the server says is skipped") {
  QueueDescription queue;
  const auto errors = errors_of(
      R"({"lockDuration": "PT5M", "maxDeliveryCount": 1, "requiresSession": true,
          "defaultMessageTimeToLive": "P10675199DT2H48M5.4775807S", "status": "Disabled",
          "forwardTo": "next", "autoDeleteOnIdle": "PT1H", "userMetadata": null,
          "messageCount": 7, "countDetails": {"activeMessageCount": 7}, "createdAt": "x"})",
      queue);
  CHECK(errors.empty());
  CHECK(queue.lock_duration == 5min);
  CHECK(queue.max_delivery_count == 1);
  CHECK(queue.requires_session);
  CHECK_FALSE(queue.default_ttl);
  CHECK(queue.status == broker::EntityStatus::Disabled);
  CHECK(queue.forward_to == "next");
  CHECK(queue.auto_delete_on_idle == 1h);
}

TEST_CASE("queue JSON: all that is wrong is said at once, with the nearest name") {
  QueueDescription queue;
  const auto errors = errors_of(
      R"({"lockDurration": "PT5M", "maxDeliveryCount": "3", "requiresSession": 1,
          "status": "Off", "duplicateDetectionHistoryTimeWindow": "P10675199D", "colour": "red"})",
      queue);
  REQUIRE(errors.size() == 6);
  CHECK(errors[0].field == "properties.lockDurration");
  CHECK(errors[0].reason == "is unknown; did you mean lockDuration?");
  CHECK(errors[1].reason == "expected a whole number");
  CHECK(errors[2].reason == "expected true or false");
  CHECK(errors[3].reason.find("'Off' is not Active") == 0);
  CHECK(errors[4].reason == "'P10675199D' is not a finite duration");
  CHECK(errors[5].reason == "is no property of a queue");
}

TEST_CASE("queue JSON: what is written is read back") {
  broker::QueueInfo info;
  info.description = {.name = "q",
                      .lock_duration = 30s,
                      .requires_duplicate_detection = true,
                      .default_ttl = 1h,
                      .max_delivery_count = 3,
                      .forward_to = "next"};
  info.counts = {.active = 2, .dead_letter = 1};
  JsonWriter json;
  write_queue_properties(json, info);
  const std::string text = std::move(json).text();
  CHECK(text.find(R"("activeMessageCount":2)") != std::string::npos);
  CHECK(text.find(R"("messageCount":3)") != std::string::npos);
  CHECK(text.find("userMetadata") == std::string::npos);  // what is empty is left out
  QueueDescription read;
  CHECK(errors_of(text, read).empty());
  CHECK(same_settings(read, info.description));
  read.lock_duration = 31s;
  CHECK_FALSE(same_settings(read, info.description));
}

}  // namespace
}  // namespace jobmill::api
