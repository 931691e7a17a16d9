// SPDX-License-Identifier: Apache-2.0
#include "broker/entity.h"

#include <functional>
#include <string>

#include <doctest/doctest.h>

namespace jobmill::broker {
namespace {

using namespace std::chrono_literals;

std::string complaint(const std::function<void(QueueDescription&)>& change) {
  QueueDescription queue{.name = "orders"};
  change(queue);
  const Status status = check(queue);
  if (status) return "";
  CHECK(status.error().code == Code::InvalidArgument);
  return status.error().message;
}

bool complains_of(const std::string& property,
                  const std::function<void(QueueDescription&)>& change) {
  return complaint(change).find(property) != std::string::npos;
}

}  // namespace

TEST_CASE("entity: a queue with nothing but a name is good") {
  CHECK(complaint([](QueueDescription&) {}).empty());
}

TEST_CASE("entity: values at the ends of their ranges are good") {
  CHECK(complaint([](QueueDescription& queue) {
          queue.lock_duration = 5s;
          queue.max_delivery_count = 2000;
          queue.duplicate_window = 24h * 7;
          queue.auto_delete_on_idle = 5min;
          queue.user_metadata = std::string(1024, 'x');
          queue.forward_to = "sb://localhost/archive";
        }).empty());
}

TEST_CASE("entity: a complaint names the property") {
  using Queue = QueueDescription;
  CHECK(complains_of("LockDuration", [](Queue& q) { q.lock_duration = 5min + 1us; }));
  CHECK(complains_of("LockDuration", [](Queue& q) { q.lock_duration = 4s; }));
  CHECK(complains_of("DefaultMessageTimeToLive", [](Queue& q) { q.default_ttl = 0s; }));
  CHECK(complains_of("DuplicateDetection", [](Queue& q) { q.duplicate_window = 4s; }));
  CHECK(complains_of("AutoDeleteOnIdle", [](Queue& q) { q.auto_delete_on_idle = 299s; }));
  CHECK(complains_of("MaxDeliveryCount", [](Queue& q) { q.max_delivery_count = 0; }));
  CHECK(complains_of("MaxSizeInMegabytes", [](Queue& q) { q.max_size_mb = 0; }));
  CHECK(complains_of("MaxMessageSize", [](Queue& q) { q.max_message_kb = 102401; }));
  CHECK(complains_of("UserMetadata", [](Queue& q) { q.user_metadata = std::string(1025, 'x'); }));
  CHECK(complains_of("ForwardTo", [](Queue& q) { q.forward_to = "ORDERS"; }));
  CHECK(complains_of("ForwardDeadLettered", [](Queue& q) { q.forward_dead_letters_to = "a b"; }));
  CHECK(complains_of("RequiresSession", [](Queue& q) {
    q.requires_session = true;
    q.forward_to = "archive";
  }));
}

TEST_CASE("entity: at most twelve rules, each with a name of its own and a right") {
  CHECK(complains_of("at most 12", [](QueueDescription& queue) {
    for (int i = 0; i < 13; ++i)
      queue.rules.push_back({.name = "rule" + std::to_string(i), .rights = {1}});
  }));
  CHECK(complains_of("twice", [](QueueDescription& queue) {
    queue.rules = {{.name = "a", .rights = {1}}, {.name = "a", .rights = {2}}};
  }));
  CHECK(complains_of("no rights", [](QueueDescription& queue) { queue.rules = {{.name = "a"}}; }));
}

TEST_CASE("entity: names that HTTP has another meaning for are refused") {
  for (const char* name : {"health", "Health", "a/messages", "a/Messages/b", "a//b"}) {
    CAPTURE(name);
    const Status checked = check({.name = name});
    REQUIRE_FALSE(checked);
    CHECK(checked.error().code == Code::InvalidArgument);
  }
  for (const char* name : {"healthy", "a/health", "messages", "a/messages-b"})
    CHECK(check({.name = name}));
}

}  // namespace jobmill::broker
