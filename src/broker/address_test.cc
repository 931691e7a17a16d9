// SPDX-License-Identifier: Apache-2.0
#include "broker/address.h"

#include <doctest/doctest.h>

namespace jobmill::broker {
namespace {

Address parsed(std::string_view text) {
  const auto address = parse_address(text);
  REQUIRE(address);
  return *address;
}

TEST_CASE("address: scheme, host, case and slashes do not matter") {
  for (const char* text : {"queue1", "Queue1", "/queue1/", "amqps://localhost:5672/QUEUE1",
                           "sb://myns.servicebus.windows.net/queue1/"}) {
    CAPTURE(text);
    const Address address = parsed(text);
    CHECK(address.path == "queue1");
    CHECK(address.sub_queue == SubQueue::Main);
    CHECK_FALSE(address.management);
    CHECK_FALSE(address.cbs);
  }
}

TEST_CASE("address: suffixes name sub-queues and the management node, also together") {
  CHECK(parsed("a/b/$DeadLetterQueue").sub_queue == SubQueue::DeadLetter);
  CHECK(parsed("a/b/$DeadLetterQueue").path == "a/b");
  CHECK(parsed("q/$Transfer/$DeadLetterQueue").sub_queue == SubQueue::TransferDeadLetter);
  CHECK(parsed("q/$Transfer/$DeadLetterQueue").path == "q");
  const Address both = parsed("amqp://h/q/$deadletterqueue/$management");
  CHECK(both.management);
  CHECK(both.sub_queue == SubQueue::DeadLetter);
  CHECK(both.path == "q");
  CHECK(parsed("news/Subscriptions/EU").path == "news/subscriptions/eu");
  CHECK(parsed("amqps://host/$cbs").cbs);
  CHECK(parsed("$cbs").cbs);
}

TEST_CASE("address: what no entity can be called is refused") {
  for (const char* text :
       {"", "/", "amqp://host", "$management", "-a", "a-", "a b", "a$b", "q\xc3"})
    CHECK_FALSE(parse_address(text));
  CHECK_FALSE(check_entity_name(std::string(261, 'a')));
  CHECK(check_entity_name(std::string(260, 'a')));
  CHECK(check_entity_name("a.b-c_d/e"));
}

TEST_CASE("address: a resource names a path or the whole namespace") {
  CHECK(resource_path("sb://localhost:5672/Queue1") == "queue1");
  CHECK(resource_path("amqps://host/queue1/$management") == "queue1");
  CHECK(resource_path("amqp://host/queue1/$DeadLetterQueue/$management") == "queue1");
  CHECK(resource_path("sb://localhost/").empty());
  CHECK(resource_path("sb://localhost").empty());
  CHECK(resource_path("https://localhost:5443/queue1?api-version=2021-05") == "queue1");
  CHECK(resource_path("myns.servicebus.windows.net/queue1") == "queue1");
  CHECK(resource_path("localhost:5671").empty());
  CHECK(resource_path("queue1") == "queue1");
}

}  // namespace
}  // namespace jobmill::broker
