// SPDX-License-Identifier: Apache-2.0
#include "api/message_rest.h"

#include <doctest/doctest.h>

#include "amqp/message.h"
#include "base/document.h"
#include "service_bus_rig.h"

namespace jobmill::api {
namespace {

using namespace std::chrono_literals;
using testing::AskedRequest;

struct Rig : testing::ServiceBusRig {
  Rig() : access(broker(), clock, false), rest(broker(), access, loop, clock) {
    make({.name = "orders", .max_delivery_count = 2});
  }

  http::Response call(AskedRequest asked) {
    return ask([&](const http::Responder& responder) {
      rest.serve(testing::http_request(clock, std::move(asked)), responder);
    });
  }
  int send(std::string body, std::vector<std::pair<std::string, std::string>> headers = {}) {
    return call({.method = "POST",
                 .target = "/orders/messages",
                 .body = std::move(body),
                 .headers = std::move(headers)})
        .status;
  }
  http::Response receive(const char* method, const std::string& queue = "orders") {
    return call({.method = method, .target = "/" + queue + "/messages/head?timeout=0"});
  }
  int settle_at(const http::Response& locked, const char* method) {
    const std::string place(locked.headers.get("Location").value_or(""));
    REQUIRE(place.starts_with("http://localhost:5300/orders/messages/"));
    return call({.method = method,
                 .target = place.substr(std::string("http://localhost:5300").size())})
        .status;
  }

  ServiceBusAccess access;
  MessageRest rest;
};

Node properties_of(const http::Response& response) {
  return *parse_json(response.headers.get("BrokerProperties").value_or("{}"));
}

std::string text(const Node& node, std::string_view name) {
  const Node* found = node.find(name);
  return found == nullptr ? "(none)" : found->text;
}

TEST_CASE("message REST: paths with /messages are its own") {
  const auto serves = [](const char* path) {
    http::Request request;
    request.path = path;
    return MessageRest::serves(request);
  };
  CHECK(serves("/orders/messages"));
  CHECK(serves("/orders/messages/head"));
  CHECK(serves("/a/b/messages/1/token"));
  CHECK_FALSE(serves("/messages"));
  CHECK_FALSE(serves("/orders"));
  CHECK_FALSE(serves("/messagesx/y"));
  CHECK_FALSE(serves("/orders/messagesx"));
}

TEST_CASE("message REST: a message that is larger than the queue allows is forbidden") {
  Rig rig;
  CHECK(rig.send(std::string(1000 << 10, 'x')) == 201);
  CHECK(rig.send(std::string(1024 << 10, 'x')) == 403);
}

TEST_CASE("message REST: broker properties and user headers come back") {
  Rig rig;
  CHECK(rig.send("hello",
                 {{"Content-Type", "text/plain"},
                  {"BrokerProperties",
                   R"({"MessageId": "m", "Label": "news", "CorrelationId": "c", "To": "there",
                       "ReplyTo": "here", "TimeToLive": 60})"},
                  {"Priority", R"("High")"},
                  {"Customer", "12"}}) == 201);
  const auto got = rig.receive("DELETE");
  CHECK(got.status == 200);
  CHECK(got.body == "hello");
  CHECK(got.headers.get("Content-Type") == "text/plain");
  CHECK(got.headers.get("Priority") == R"("High")");
  CHECK(got.headers.get("Customer") == "12");
  const Node properties = properties_of(got);
  CHECK(text(properties, "MessageId") == "m");
  CHECK(text(properties, "Label") == "news");
  CHECK(text(properties, "CorrelationId") == "c");
  CHECK(text(properties, "To") == "there");
  CHECK(text(properties, "ReplyTo") == "here");
  CHECK(text(properties, "DeliveryCount") == "1");
  CHECK(text(properties, "SequenceNumber") == "1");
  CHECK(text(properties, "EnqueuedTimeUtc") == "Mon, 01 Jan 2024 00:00:00 GMT");
  CHECK(text(properties, "LockToken") == "(none)");
  CHECK(rig.receive("DELETE").status == 204);
}

TEST_CASE("message REST: a batch is a JSON array") {
  Rig rig;
  CHECK(rig.send(R"([{"Body": "one", "BrokerProperties": {"Label": "a"}},
                     {"Body": "two", "UserProperties": {"Alert": "red"}}])",
                 {{"Content-Type", "application/vnd.microsoft.servicebus.json"}}) == 201);
  const auto first = rig.receive("DELETE");
  CHECK(first.body == "one");
  CHECK(text(properties_of(first), "Label") == "a");
  const auto second = rig.receive("DELETE");
  CHECK(second.body == "two");
  CHECK(second.headers.get("Alert") == R"("red")");
  for (const char* bad : {"[]", "{}", "["})
    CHECK(rig.send(bad, {{"Content-Type", "application/vnd.microsoft.servicebus.json"}}) == 400);
}

TEST_CASE("message REST: a lock is renewed, given back and completed by its place") {
  Rig rig;
  rig.send("x");
  const auto locked = rig.receive("POST");
  CHECK(locked.status == 201);
  CHECK(text(properties_of(locked), "LockedUntilUtc") == "Mon, 01 Jan 2024 00:01:00 GMT");
  CHECK(rig.receive("POST").status == 204);  // nobody else gets it
  CHECK(rig.settle_at(locked, "POST") == 200);
  CHECK(rig.settle_at(locked, "PUT") == 200);
  CHECK(rig.settle_at(locked, "PUT") == 410);
  const auto again = rig.receive("POST");
  CHECK(text(properties_of(again), "DeliveryCount") == "2");
  CHECK(rig.settle_at(again, "DELETE") == 200);
  CHECK(rig.settle_at(again, "DELETE") == 410);
  CHECK(rig.receive("POST").status == 204);
}

TEST_CASE("message REST: a lock that ran out is gone") {
  Rig rig;
  rig.send("x");
  const auto locked = rig.receive("POST");
  rig.clock.advance(61s);
  rig.settle();
  CHECK(rig.settle_at(locked, "DELETE") == 410);
  CHECK(rig.settle_at(locked, "POST") == 410);
}

TEST_CASE("message REST: what is scheduled comes at its time") {
  Rig rig;
  CHECK(rig.send("later", {{"BrokerProperties", R"({"ScheduledEnqueueTimeUtc":
                             "Mon, 01 Jan 2024 00:10:00 GMT"})"}}) == 201);
  CHECK(rig.receive("DELETE").status == 204);
  rig.clock.advance(10min);
  rig.settle();
  CHECK(rig.receive("DELETE").body == "later");
}

TEST_CASE("message REST: what cannot be is refused") {
  Rig rig;
  CHECK(rig.receive("DELETE", "missing").status == 404);
  CHECK(rig.call({.method = "POST", .target = "/missing/messages", .body = "x"}).status == 404);
  CHECK(rig.send("x", {{"BrokerProperties", "{"}}) == 400);
  CHECK(rig.send("x", {{"BrokerProperties", R"({"TimeToLive": -1})"}}) == 400);
  CHECK(rig.send("x", {{"BrokerProperties", R"({"ScheduledEnqueueTimeUtc": "soon"})"}}) == 400);
  CHECK(rig.call({.target = "/orders/messages"}).status == 405);
  CHECK(rig.call({.method = "DELETE", .target = "/orders/messages/1/not-a-token"}).status == 410);
  CHECK(rig.call({.method = "POST", .target = "/orders/messages", .token = ""}).status == 401);
}

TEST_CASE("message REST: rights for sending and for receiving") {
  Rig rig;
  broker::QueueDescription queue = rig.broker().queue("orders")->description;
  queue.rules = {{.name = "send", .rights = {1}, .primary_key = Secret("k1")},
                 {.name = "listen", .rights = {2}, .primary_key = Secret("k2")}};
  rig.broker().update(queue, rig.clock.now(), [](const Status& status) { CHECK(status); });
  rig.settle();
  const auto token = [&](const char* rule, const char* key) {
    return broker::make_sas("http://localhost:5300/orders", rule, Secret(key),
                            rig.clock.now() + 1min);
  };
  const auto call = [&](const char* method, const char* target, std::string with) {
    return rig.call({.method = method, .target = target, .token = std::move(with)}).status;
  };
  CHECK(call("POST", "/orders/messages", token("send", "k1")) == 201);
  CHECK(call("POST", "/orders/messages", token("listen", "k2")) == 401);
  CHECK(call("DELETE", "/orders/messages/head?timeout=0", token("send", "k1")) == 401);
  CHECK(call("DELETE", "/orders/messages/head?timeout=0", token("listen", "k2")) == 200);

  const auto url_token = [&](const char* url) {  // for the very URL
    return broker::make_sas(url, "send", Secret("k1"), rig.clock.now() + 1min);
  };
  const char* url = "http://localhost:5300/orders/messages";
  CHECK(call("POST", "/orders/messages", url_token(url)) == 201);
  CHECK(call("POST", "/Orders/messages", url_token("http://localhost/Orders/messages/")) == 201);
  CHECK(call("POST", "/orders/messages", url_token("http://localhost/orders/messages/head")) ==
        401);
  CHECK(call("POST", "/other/messages", url_token(url)) == 401);
}

TEST_CASE("message REST: dead letters have a path of their own") {
  Rig rig;
  rig.send("x");
  for (int i = 0; i < 2; ++i) rig.settle_at(rig.receive("POST"), "PUT");
  const auto dead = rig.receive("DELETE", "orders/$DeadLetterQueue");
  CHECK(dead.status == 200);
  CHECK(dead.headers.get("DeadLetterReason") == R"("MaxDeliveryCountExceeded")");
}

TEST_CASE("message REST: members that are null are absent, those of another type are refused") {
  Rig rig;
  CHECK(rig.send("x", {{"BrokerProperties",
                        R"({"SessionId": null, "Label": null, "TimeToLive": null})"}}) == 201);
  const auto got = rig.receive("DELETE");
  CHECK(text(properties_of(got), "SessionId") == "(none)");
  CHECK(text(properties_of(got), "Label") == "(none)");
  for (const char* bad : {"[]", "1", R"("text")", R"({"MessageId": 1})", R"({"Label": {}})",
                          R"({"ScheduledEnqueueTimeUtc": 5})", R"({"TimeToLive": "60"})"}) {
    CAPTURE(bad);
    CHECK(rig.send("x", {{"BrokerProperties", bad}}) == 400);
  }
  for (const char* bad :
       {"[1]", R"([{"Body": 1}])", R"([{"BrokerProperties": []}])", R"([{"UserProperties": 3}])"}) {
    CAPTURE(bad);
    CHECK(rig.send(bad, {{"Content-Type", "application/vnd.microsoft.servicebus.json"}}) == 400);
  }
}

TEST_CASE("message REST: application properties do not replace headers of the answer") {
  Rig rig;
  amqp::Map application;
  for (const char* name : {"Location", "Content-Type", "BrokerProperties", "content-length",
                           "Transfer-Encoding", "Date"})
    amqp::set_string(application, name, "mine");
  amqp::set_string(application, "Ratio", 2.5);
  amqp::set_string(application, "At", amqp::Timestamp{1'704'067'200'000});
  amqp::set_string(application, "Id", amqp::Uuid{});
  std::string message;
  amqp::encode_properties(message, {.content_type = "text/plain"});
  amqp::encode_map_section(message, amqp::kApplicationProperties, application);
  amqp::encode_data_section(message, "x");
  const std::string_view view = message;
  rig.broker().send(*broker::parse_address("orders"), std::span(&view, 1), rig.clock.now(),
                    [](const Status& status) { CHECK(status); });
  rig.settle();
  const auto got = rig.receive("POST");
  CHECK(got.headers.get("Content-Type") == "text/plain");
  CHECK(text(properties_of(got), "SequenceNumber") == "1");
  CHECK_FALSE(got.headers.get("Transfer-Encoding"));
  CHECK(got.headers.get("Ratio") == "2.5");
  CHECK(got.headers.get("At").value_or("").starts_with("\"2024-01-01T00:00:00"));
  CHECK(got.headers.get("Id") == R"("00000000-0000-0000-0000-000000000000")");
  CHECK(rig.settle_at(got, "DELETE") == 200);
}

TEST_CASE("message REST: what was sent as broker properties comes back") {
  Rig rig;
  CHECK(rig.send("x", {{"BrokerProperties",
                        R"({"TimeToLive": 600, "PartitionKey": "p", "ReplyToSessionId": "s",
                            "ScheduledEnqueueTimeUtc": "Mon, 01 Jan 2024 00:01:00 GMT"})"}}) ==
        201);
  rig.clock.advance(1min);
  rig.settle();
  const Node properties = properties_of(rig.receive("DELETE"));
  CHECK(text(properties, "TimeToLive") == "600");
  CHECK(text(properties, "PartitionKey") == "p");
  CHECK(text(properties, "ReplyToSessionId") == "s");
  CHECK(text(properties, "ScheduledEnqueueTimeUtc") == "Mon, 01 Jan 2024 00:01:00 GMT");
  rig.send("y");
  for (int i = 0; i < 2; ++i) rig.settle_at(rig.receive("POST"), "PUT");
  const auto dead = rig.receive("DELETE", "orders/$DeadLetterQueue");
  CHECK(text(properties_of(dead), "DeadLetterSource") == "orders");
}

TEST_CASE("message REST: a lock is settled under its queue and number only") {
  Rig rig;
  rig.make({.name = "other"});
  rig.send("x");
  const auto locked = rig.receive("POST");
  const std::string place(locked.headers.get("Location").value_or(""));
  const std::string token = place.substr(place.rfind('/'));
  for (const std::string wrong :
       {"/other/messages/1", "/orders/messages/2", "/orders/$DeadLetterQueue/messages/1"}) {
    CAPTURE(wrong);
    CHECK(rig.call({.method = "DELETE", .target = wrong + token}).status == 410);
  }
  CHECK(rig.settle_at(locked, "DELETE") == 200);
}

TEST_CASE("message REST: a disabled queue forbids, it does not ask for another token") {
  Rig rig;
  broker::QueueDescription queue = rig.broker().queue("orders")->description;
  queue.status = broker::EntityStatus::Disabled;
  rig.broker().update(queue, rig.clock.now(), [](const Status& status) { CHECK(status); });
  rig.settle();
  CHECK(rig.send("x") == 403);
  const auto refused = rig.receive("DELETE");
  CHECK(refused.status == 403);
  CHECK(refused.body == "orders is disabled for receiving");
}

}  // namespace
}  // namespace jobmill::api
