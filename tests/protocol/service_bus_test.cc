// SPDX-License-Identifier: Apache-2.0
#include "api/service_bus_api.h"

#include <doctest/doctest.h>

#include <fmt/core.h>

#include "api/waiters.h"
#include "base/document.h"
#include "base/log.h"
#include "base/thread_pool.h"
#include "service_bus_rig.h"
#include "store/sqlite/sqlite_file.h"
#include "store/sqlite/sqlite_job_store.h"

// Management by the paths of Azure Resource Manager, and /v1/messages.
namespace jobmill {
namespace {

using namespace std::chrono_literals;

constexpr char kNamespaces[] =
    "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ServiceBus/namespaces";

template <class T>
T must(Result<T> result) {
  REQUIRE_MESSAGE(result, (result ? "" : result.error().message));
  return *std::move(result);
}

struct Rig : testing::ServiceBusRig {
  using ServiceBusRig::ServiceBusRig;

  struct Answer {
    int status = 0;
    Node body{};
  };

  Answer call(const char* method, const std::string& target, std::string body = "") {
    const auto response = ask([&](const http::Responder& responder) {
      auto request = testing::http_request(
          clock, {.method = method, .target = target, .body = std::move(body)});
      request.headers.add("Content-Type", "application/json");
      for (const auto routes : {api::arm_routes(), api::message_routes()}) {
        const auto match = api::match(routes, method, target);
        if (match.route == nullptr) continue;
        return match.route->handler(
            context, {.request = std::move(request),
                      .responder = responder,
                      .identity = {.name = {}, .scopes = static_cast<unsigned>(api::Scope::Admin)},
                      .path = match.path});
      }
      FAIL("no route for " << method << " " << target);
    });
    return {response.status, response.body.empty() ? Node() : must(parse_json(response.body))};
  }

  Answer arm(const char* method, const std::string& below, std::string body = "") {
    return call(method, kNamespaces + below, std::move(body));
  }

  std::shared_ptr<sqlite::SqliteFile> file = must(sqlite::SqliteFile::open(":memory:"));
  std::shared_ptr<jobs::JobStoreOwner> jobs =
      must(sqlite::open_job_store(*file, clock.now(), sqlite::JobStoreOptions{}));
  ThreadPool pool{1};
  Log log{clock, {.level = LogLevel::Error}};
  api::Waiters waiters{loop};
  std::vector<std::string> added;
  api::ServiceBusApi bus{
      broker(),
      [](std::string_view, std::string_view rule, const Secret& key, std::string_view entity) {
        return fmt::format("{}:{}@{}", rule, key.reveal(), entity);
      },
      [this](std::string_view name) { added.emplace_back(name); }};
  api::ApiContext context{.store = *jobs,
                          .pool = pool,
                          .loop = loop,
                          .clock = clock,
                          .log = log,
                          .waiters = waiters,
                          .token_key = "",
                          .bus = &bus};
};

const Node& at(const Node& node, std::initializer_list<const char*> path) {
  static const Node kNone;
  const Node* found = &node;
  for (const char* name : path) {
    found = found->find(name);
    if (found == nullptr) return kNone;
  }
  return *found;
}

std::string text(const Node& node, std::initializer_list<const char*> path) {
  return at(node, path).text;
}

TEST_CASE("ARM: a namespace keeps what was said of it, and is in the certificate") {
  Rig rig;
  const auto made = rig.arm("PUT", "/my-bus", R"({"location": "here", "tags": {"a": "b"}})");
  CHECK(made.status == 200);
  CHECK(text(made.body, {"id"}) == std::string(kNamespaces) + "/my-bus");
  CHECK(text(made.body, {"location"}) == "here");
  CHECK(text(made.body, {"tags", "a"}) == "b");
  CHECK(text(made.body, {"properties", "serviceBusEndpoint"}) ==
        "https://my-bus.servicebus.windows.net:443/");
  CHECK(rig.added == std::vector<std::string>{"my-bus"});
  CHECK(rig.arm("PUT", "/MY-BUS", R"({"location": "here", "tags": {"a": "b"}})").status == 200);
  CHECK(rig.added.size() == 1);                                     // an equal one changes nothing
  CHECK(at(rig.arm("GET", "").body, {"value"}).items.size() == 1);  // of this group
  CHECK(at(rig.call("GET", "/subscriptions/s/providers/Microsoft.ServiceBus/namespaces").body,
           {"value"})
            .items.size() == 2);
  CHECK(rig.arm("PUT", "/a.b", "{}").status == 400);
  CHECK(rig.arm("DELETE", "/my-bus").status == 204);
  CHECK(rig.arm("GET", "/my-bus").status == 404);
}

TEST_CASE("ARM: a queue is made, changed by what a second PUT says, and kept by an equal one") {
  Rig rig;
  const auto made = rig.arm("PUT", "/sbemulatorns/queues/Orders",
                            R"({"properties": {"lockDuration": "PT5M", "maxDeliveryCount": 1}})");
  CHECK(made.status == 200);
  CHECK(text(made.body, {"name"}) == "Orders");
  rig.clock.advance(1h);
  const auto equal =
      rig.arm("PUT", "/sbemulatorns/queues/orders",
              R"({"properties": {"lockDuration": "PT300S", "maxDeliveryCount": 1}})");
  CHECK(text(equal.body, {"properties", "updatedAt"}) ==
        text(made.body, {"properties", "updatedAt"}));
  const auto other =
      rig.arm("PUT", "/sbemulatorns/queues/orders", R"({"properties": {"maxDeliveryCount": 4}})");
  CHECK(text(other.body, {"properties", "lockDuration"}) == "PT1M");
  CHECK(text(other.body, {"name"}) == "Orders");
  CHECK(
      rig.arm("PUT", "/sbemulatorns/queues/orders", R"({"properties": {"requiresSession": true}})")
          .status == 400);
  CHECK(rig.arm("DELETE", "/sbemulatorns/queues/orders").status == 204);
  CHECK(rig.arm("GET", "/sbemulatorns/queues/orders").status == 404);
}

TEST_CASE("ARM: a queue is found under its own namespace, and its path is taken for all") {
  Rig rig;
  rig.make({.name = "orders"});
  rig.arm("PUT", "/other", "{}");
  CHECK(rig.arm("GET", "/other/queues/orders").status == 404);
  const auto taken = rig.arm("PUT", "/other/queues/orders", "{}");
  CHECK(taken.status == 409);
  CHECK(text(taken.body, {"detail"}).find("sbemulatorns") != std::string::npos);
  CHECK(at(rig.arm("GET", "/other/queues").body, {"value"}).items.empty());
  CHECK(rig.arm("PUT", "/missing/queues/orders", "{}").status == 404);
}

TEST_CASE("ARM: rules have keys, and can get others") {
  Rig rig;
  rig.make({.name = "orders"});
  const std::string rule = "/sbemulatorns/queues/orders/authorizationRules/sender";
  const auto made = rig.arm("PUT", rule, R"({"properties": {"rights": ["Send"]}})");
  CHECK(made.status == 200);
  CHECK(at(made.body, {"properties", "rights"}).items.size() == 1);
  const auto keys = rig.arm("POST", rule + "/listKeys");
  const std::string key = text(keys.body, {"primaryKey"});
  CHECK(key.size() == 44);
  CHECK(text(keys.body, {"primaryConnectionString"}) == "sender:" + key + "@orders");
  rig.arm("PUT", rule, R"({"properties": {"rights": ["Listen", "Send"]}})");
  CHECK(text(rig.arm("POST", rule + "/listKeys").body, {"primaryKey"}) == key);
  const auto renewed = rig.arm("POST", rule + "/regenerateKeys", R"({"keyType": "PrimaryKey"})");
  CHECK(text(renewed.body, {"primaryKey"}) != key);
  CHECK(text(renewed.body, {"secondaryKey"}) == text(keys.body, {"secondaryKey"}));
  CHECK(text(rig.arm("POST", rule + "/regenerateKeys", R"({"keyType": "SecondaryKey", "key": "k"})")
                 .body,
             {"secondaryKey"}) == "k");
  CHECK(rig.arm("POST", rule + "/regenerateKeys", R"({"keyType": "Third"})").status == 400);
  CHECK(rig.arm("PUT", rule, R"({"properties": {"rights": ["Read"]}})").status == 400);
  CHECK(rig.arm("PUT", rule, "{}").status == 400);
  CHECK(rig.arm("DELETE", rule).status == 204);
  CHECK(rig.arm("GET", rule).status == 404);
  CHECK(rig.arm("POST", rule + "/listKeys").status == 404);
}

TEST_CASE("ARM: the server's own rule is shown and stays, beside those of a namespace") {
  Rig rig;
  const std::string rules = "/sbemulatorns/authorizationRules";
  rig.arm("PUT", rules + "/all", R"({"properties": {"rights": ["Manage"]}})");
  CHECK(at(rig.arm("GET", rules).body, {"value"}).items.size() == 2);
  const std::string root = rules + "/" + testing::kRootRule;
  const auto keys = rig.arm("POST", root + "/listKeys");
  CHECK(text(keys.body, {"primaryKey"}) == testing::kRootKey);
  CHECK(text(keys.body, {"secondaryKey"}) == testing::kRootKey);
  CHECK(rig.arm("DELETE", root).status == 400);
  CHECK(rig.arm("PUT", root, R"({"properties": {"rights": ["Send"]}})").status == 400);
  CHECK(rig.arm("POST", root + "/regenerateKeys", R"({"keyType": "PrimaryKey"})").status == 400);
}

TEST_CASE(
    "ARM: what the limits of the cloud have no room for is forbidden, what is too much wrong") {
  Rig rig({.entities = 1, .rules = 2, .message_kb = 256, .queue_mb = 5120});
  const std::string queues = "/sbemulatorns/queues", rules = "/sbemulatorns/authorizationRules";
  const auto made = rig.arm("PUT", queues + "/orders", "{}");
  CHECK(text(made.body, {"properties", "maxMessageSizeInKilobytes"}) == "256");
  CHECK(rig.arm("PUT", queues + "/orders", R"({"properties": {"maxSizeInMegabytes": 5121}})")
            .status == 400);
  CHECK(rig.arm("PUT", queues + "/bills", "{}").status == 403);
  const char* all = R"({"properties": {"rights": ["Manage"]}})";
  CHECK(rig.arm("PUT", rules + "/one", all).status == 200);
  CHECK(rig.arm("PUT", rules + "/two", all).status == 403);
  CHECK(rig.arm("PUT", rules + "/one", R"({"properties": {"rights": ["Send"]}})").status == 200);
}

TEST_CASE("limits: what the cloud would refuse is told") {
  Rig rig;
  rig.make({.name = "orders"});
  const auto before = rig.call("GET", "/v1/servicebus/limits");
  CHECK(text(before.body, {"limits"}) == "open");
  CHECK(at(before.body, {"beyond"}).items.empty());
  rig.make({.name = "wide", .max_size_mb = 10 * 1024, .max_message_kb = 2048});
  const auto after = rig.call("GET", "/v1/servicebus/limits");
  const auto& beyond = at(after.body, {"beyond"}).items;
  REQUIRE(beyond.size() == 2);
  CHECK(beyond[0].text == "queue wide: MaxMessageSizeInKilobytes must be from 1 to 256");
  CHECK(beyond[1].text == "queue wide: MaxSizeInMegabytes must be from 1024 to 5120");
  Rig cloud(broker::kCloudLimits);
  CHECK(text(cloud.call("GET", "/v1/servicebus/limits").body, {"limits"}) == "cloud");
}

TEST_CASE("connection strings: by rule and queue, for either listener") {
  Rig rig;
  rig.make({.name = "orders"});
  const std::string path = "/v1/servicebus/sbemulatorns/connection-string";
  CHECK(text(rig.call("GET", path).body, {"connectionString"}) ==
        "RootManageSharedAccessKey:SAS_KEY_VALUE@");
  CHECK(text(rig.call("GET", path + "?entity=orders").body, {"connectionString"}) ==
        "RootManageSharedAccessKey:SAS_KEY_VALUE@orders");
  CHECK(rig.call("GET", path + "?tls=true").status == 404);
  rig.bus.tls_connection_string = [](auto&&...) { return std::string("with TLS"); };
  CHECK(text(rig.call("GET", path + "?tls=true").body, {"connectionString"}) == "with TLS");
  CHECK(rig.call("GET", path + "?entity=missing").status == 404);
  CHECK(rig.call("GET", path + "?rule=missing").status == 404);
}

// --- messages ----------------------------------------------------------------------------------

const std::string kOrders = "/v1/messages/sbemulatorns/orders";

// Dead letters 1 to `count`, every second one for the reason "Odd".
void make_dead_letters(Rig& rig, int count) {
  for (int i = 0; i < count; ++i) {
    rig.call("POST", kOrders + "/send", fmt::format(R"({{"body": "{}"}})", i));
    struct Taker final : broker::Receiver {
      void deliver(broker::Delivery delivery) override { lock = delivery.lock; }
      void drained() override {}
      void ended(const Fault&) override {}
      broker::LockId lock = 0;
    } taker;
    const auto receiver =
        must(rig.broker().open_receiver({.address = {.path = "orders"}}, taker, rig.clock.now()));
    rig.broker().grant(receiver, 1, false, rig.clock.now());
    rig.settle();
    REQUIRE(taker.lock != 0);
    rig.broker().settle(
        taker.lock,
        {.action = broker::Settlement::Action::DeadLetter, .reason = i % 2 == 0 ? "Odd" : "Even"},
        rig.clock.now(), [](const Status& status) { CHECK(status); });
    rig.broker().close(receiver, rig.clock.now());
    rig.settle();
  }
}

TEST_CASE("messages: sent one by one or together, peeked and received") {
  Rig rig;
  rig.make({.name = "orders"});
  CHECK(rig.call("POST", kOrders + "/send", R"({"body": "one"})").status == 201);
  const auto sent =
      rig.call("POST", kOrders + "/send", R"({"messages": [{"body": "two"}, {"body": "three"}]})");
  CHECK(text(sent.body, {"count"}) == "2");
  const auto seen = rig.call("GET", kOrders + "/peek?from=2&count=9");
  REQUIRE(seen.body.items.size() == 2);
  CHECK(text(seen.body.items[0], {"body"}) == "two");
  const auto got = rig.call("POST", kOrders + "/receive", R"({"max": 2})");
  CHECK(got.body.items.size() == 2);
  CHECK(rig.call("GET", kOrders + "/peek?count=9").body.items.size() == 1);
}

TEST_CASE("messages: what is wrong is said") {
  Rig rig;
  rig.make({.name = "orders"});
  CHECK(rig.call("POST", kOrders + "/send", R"({"boddy": "x"})").status == 400);
  CHECK(rig.call("POST", kOrders + "/send", R"({"messages": []})").status == 400);
  CHECK(rig.call("GET", kOrders + "/peek?count=-1").status == 400);
  CHECK(rig.call("GET", kOrders + "/peek?count=1001").status == 400);
  CHECK(rig.call("POST", kOrders + "/receive", R"({"max": 0})").status == 400);
  CHECK(rig.call("POST", kOrders + "/purge", R"({"sequenceNumbers": ["x"]})").status == 400);
  CHECK(rig.call("GET", "/v1/messages/sbemulatorns/missing/peek").status == 404);
  CHECK(rig.call("POST", "/v1/messages/sbemulatorns/missing/redrive", "{}").status == 404);
}

TEST_CASE("messages: dead letters by reason and number") {
  Rig rig;
  rig.make({.name = "orders"});
  rig.make({.name = "other"});
  make_dead_letters(rig, 6);
  const std::string dead = kOrders + "/peek?sub=deadletter&count=100";
  CHECK(rig.call("GET", dead).body.items.size() == 6);
  const auto odd = rig.call("GET", dead + "&reason=Odd");
  REQUIRE(odd.body.items.size() == 3);
  CHECK(text(odd.body.items[1], {"sequenceNumber"}) == "3");
  CHECK(text(odd.body.items[1], {"deadLetterReason"}) == "Odd");
  CHECK(rig.call("GET", kOrders + "/peek?sub=deadletter&count=1&from=2&reason=Odd")
            .body.items.size() == 1);

  const auto count = [&](const char* verb, const char* body) {
    return text(rig.call("POST", kOrders + "/" + verb, body).body, {"count"});
  };
  CHECK(count("purge", R"({"reason": "Nobody's"})") == "0");
  CHECK(count("purge", R"({"reason": "Odd", "max": 2})") == "2");
  CHECK(count("redrive", R"({"sequenceNumbers": [2, 99], "to": "other"})") == "1");
  CHECK(count("redrive", R"({"reason": "Even", "sequenceNumbers": [5, 4], "to": "other"})") == "1");
  CHECK(count("redrive", R"({"sequenceNumbers": [1], "to": "other"})") == "0");
  CHECK(rig.call("GET", dead).body.items.size() == 2);
  CHECK(count("redrive", R"({"max": 1})") == "1");
  CHECK(count("purge", "{}") == "1");
  CHECK(rig.broker().queue("other")->counts.active == 2);
  CHECK(rig.broker().queue("orders")->counts.active == 1);
}

}  // namespace
}  // namespace jobmill
