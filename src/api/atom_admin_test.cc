// SPDX-License-Identifier: Apache-2.0
#include "api/atom_admin.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "service_bus_rig.h"

namespace jobmill::api {
namespace {

using testing::AskedRequest;
using testing::http_request;

struct Rig : testing::ServiceBusRig {
  explicit Rig(bool anonymous = false, broker::Limits limits = {})
      : ServiceBusRig(limits),
        access(broker(), clock, anonymous,
               [](std::string_view jwt, std::string_view, TimePoint) -> Result<broker::Claim> {
                 if (jwt != "a.b.c") return fail(Code::PermissionDenied, "unknown token");
                 return broker::Claim{.rights = {4}};
               }),
        admin(broker(), access, clock, "sbemulatorns", "http") {}

  http::Response call(AskedRequest asked) {
    return ask([&](const http::Responder& responder) {
      admin.serve(http_request(clock, std::move(asked)), responder);
    });
  }

  http::Response put(const std::string& name, const std::string& elements, bool update = false) {
    AskedRequest asked{.method = "PUT",
                       .target = "/" + name + "?api-version=2021-05",
                       .body = R"(<entry xmlns="http://www.w3.org/2005/Atom"><content>)"
                               "<QueueDescription>" +
                               elements + "</QueueDescription></content></entry>"};
    if (update) asked.headers.emplace_back("If-Match", "*");
    return call(std::move(asked));
  }

  int get_status(std::optional<std::string> token,
                 const std::string& target = "/$Resources/queues") {
    return call({.target = target, .token = std::move(token)}).status;
  }

  ServiceBusAccess access;
  AtomAdmin admin;
};

bool has(const http::Response& response, std::string_view part) {
  return response.body.find(part) != std::string::npos;
}

TEST_CASE("atom admin: a queue is made, shown, changed and deleted") {
  Rig rig;
  const auto made = rig.put("Orders", "<MaxDeliveryCount>4</MaxDeliveryCount>");
  CHECK(made.status == 201);
  CHECK(made.headers.get("Content-Type") == "application/atom+xml;type=entry;charset=utf-8");
  CHECK(has(made, "<MaxDeliveryCount>4<"));
  CHECK(has(made, "href=\"http://localhost:5300/Orders\""));

  const auto shown = rig.call({.target = "/orders?api-version=2017-04&enrich=false"});
  CHECK(shown.status == 200);
  CHECK(has(shown, "<title type=\"text\">Orders<"));

  const auto changed = rig.put("orders", "<LockDuration>PT30S</LockDuration>", true);
  CHECK(changed.status == 200);
  CHECK(has(changed, "<LockDuration>PT30S<"));
  CHECK(has(changed, "<MaxDeliveryCount>4<"));

  CHECK(rig.call({.method = "DELETE", .target = "/ORDERS"}).status == 200);
  CHECK(rig.call({.method = "DELETE", .target = "/orders"}).status == 404);
}

TEST_CASE("atom admin: within the limits of the cloud, as it says them") {
  Rig rig(false, {.entities = 1, .message_kb = 256, .least_queue_mb = 1024, .queue_mb = 5120});
  CHECK(has(rig.put("orders", ""), "<MaxMessageSizeInKilobytes>256<"));
  const auto many = rig.put("bills", "");
  CHECK(many.status == 403);
  CHECK(has(many, "SubCode=40300. a namespace has at most 1 entities"));
  for (const char* wrong : {"<MaxSizeInMegabytes>512</MaxSizeInMegabytes>",
                            "<MaxMessageSizeInKilobytes>2048</MaxMessageSizeInKilobytes>"}) {
    CAPTURE(wrong);
    CHECK(rig.put("orders", wrong, true).status == 400);
  }
  CHECK(rig.put("orders", "<MaxSizeInMegabytes>5120</MaxSizeInMegabytes>", true).status == 200);
}

TEST_CASE("atom admin: what is there already, or is not, is refused with the cloud's texts") {
  Rig rig;
  rig.put("orders", "");
  const auto again = rig.put("ORDERS", "");
  CHECK(again.status == 409);
  CHECK(has(again, "<Code>409</Code><Detail>SubCode=40900. "));
  CHECK(rig.put("missing", "", true).status == 404);
  CHECK(rig.put("fixed", "<RequiresSession>maybe</RequiresSession>").status == 400);
  CHECK(rig.put("orders", "<RequiresSession>true</RequiresSession>", true).status == 400);
  CHECK(rig.put("-bad-", "").status == 400);
  CHECK(rig.call({.method = "POST", .target = "/orders"}).status == 405);
  CHECK(rig.call({.method = "PUT", .target = "/x", .body = "nothing"}).status == 400);
}

TEST_CASE("atom admin: a queue that is not there is an empty feed") {
  Rig rig;
  const auto answer = rig.call({.target = "/missing"});
  CHECK(answer.status == 200);
  CHECK(answer.headers.get("Content-Type") == "application/atom+xml;type=feed;charset=utf-8");
  CHECK(has(answer, "Publicly Listed Services"));
  CHECK_FALSE(has(answer, "<entry"));
}

TEST_CASE("atom admin: topics are refused in words") {
  Rig rig;
  const auto answer = rig.call({.method = "PUT",
                                .target = "/news",
                                .body = "<entry><content><TopicDescription/></content></entry>"});
  CHECK(answer.status == 501);
  CHECK(has(answer, "TopicDescription: this version has queues only"));
  const auto none = rig.call({.target = "/$Resources/Topics"});
  CHECK(none.status == 200);
  CHECK_FALSE(has(none, "<entry"));
}

std::ptrdiff_t entries(const http::Response& response) {
  std::ptrdiff_t count = 0;
  for (auto at = response.body.find("<entry"); at != std::string::npos;
       at = response.body.find("<entry", at + 1))
    ++count;
  return count;
}

TEST_CASE("atom admin: pages of a list end with one that has no entries") {
  Rig rig;
  for (int i = 0; i < 7; ++i) rig.put("q" + std::to_string(i), "");
  CHECK(entries(rig.call({.target = "/$Resources/queues?api-version=2024-05"})) == 7);
  CHECK(entries(rig.call({.target = "/$resources/Queues?$skip=0&$top=3"})) == 3);
  const auto page = rig.call({.target = "/$Resources/Queues/?$skip=5&$top=3&?=stray"});
  CHECK(entries(page) == 2);
  CHECK(has(page, ">q5<"));
  CHECK_FALSE(has(page, "rel=\"next\""));
  CHECK(has(rig.call({.target = "/$Resources/Queues?$skip=2&$top=3"}),
            R"(rel="next" href="http://localhost:5300/$Resources/queues?$skip=5&amp;$top=3")"));
  CHECK_FALSE(has(rig.call({.target = "/$Resources/Queues?$top=0"}), "rel=\"next\""));
  CHECK(entries(rig.call({.target = "/$Resources/Queues?$skip=7"})) == 0);
  CHECK(entries(rig.call({.target = "/$Resources/Queues?$skip=99&$top=100"})) == 0);
}

TEST_CASE("atom admin: the namespace tells what it is") {
  Rig rig;
  const auto answer = rig.call({.target = "/$namespaceinfo?api-version=2021-05"});
  CHECK(answer.status == 200);
  CHECK(has(answer, "<Name>sbemulatorns<"));
}

TEST_CASE("atom admin: every form of token is checked") {
  Rig rig;
  rig.put(
      "orders",
      "<AuthorizationRules><AuthorizationRule><KeyName>send</KeyName><PrimaryKey>k1</PrimaryKey>"
      "<Rights><AccessRights>Send</AccessRights></Rights></AuthorizationRule>"
      "<AuthorizationRule><KeyName>all</KeyName><PrimaryKey>k2</PrimaryKey>"
      "<Rights><AccessRights>Manage</AccessRights></Rights></AuthorizationRule>"
      "</AuthorizationRules>");
  const TimePoint later = rig.clock.now() + std::chrono::minutes(5);
  const auto sas = [&](const char* resource, const char* rule, const char* key) {
    return broker::make_sas(resource, rule, Secret(key), later);
  };
  const char* root = testing::kRootRule;
  CHECK(rig.get_status(sas("https://localhost:5300", root, testing::kRootKey)) == 200);
  CHECK(rig.get_status(sas("https://localhost:5300/$resources/queues?api-version=2021-05", root,
                           testing::kRootKey)) == 200);
  CHECK(rig.get_status("Bearer a.b.c") == 200);
  CHECK(rig.get_status("a.b.c") == 200);
  CHECK(rig.get_status("") == 401);
  CHECK(rig.get_status("Bearer x.y.z") == 401);
  CHECK(rig.get_status(sas("sb://localhost/", root, "wrong")) == 401);
  CHECK(rig.get_status(sas("sb://localhost/", "nobody", "k1")) == 401);
  CHECK(rig.get_status(broker::make_sas("sb://localhost/", root, Secret(testing::kRootKey),
                                        rig.clock.now() - std::chrono::seconds(1))) == 401);
  CHECK(rig.get_status(sas("sb://localhost/orders", "all", "k2"), "/orders") == 200);
  CHECK(rig.get_status(sas("sb://localhost/orders", "send", "k1"), "/orders") == 401);
  CHECK(rig.get_status(sas("sb://localhost/orders", "all", "k2"), "/other") == 401);
  CHECK(rig.get_status(sas("sb://localhost/orders", "all", "k2")) == 401);
}

TEST_CASE("atom admin: without authentication everyone may do everything") {
  Rig rig(true);
  CHECK(rig.get_status("") == 200);
}

TEST_CASE("atom admin: a rule without keys is given some") {
  Rig rig;
  const auto made = rig.put(
      "orders",
      "<AuthorizationRules><AuthorizationRule><KeyName>send</KeyName><Rights><AccessRights>Send"
      "</AccessRights></Rights></AuthorizationRule></AuthorizationRules>");
  CHECK(made.status == 201);
  const auto rules = rig.broker().queue("orders")->description.rules;
  REQUIRE(rules.size() == 1);
  CHECK(rules[0].primary_key.reveal().size() == 44);
  CHECK(rules[0].primary_key.reveal() != rules[0].secondary_key.reveal());
}

}  // namespace
}  // namespace jobmill::api
