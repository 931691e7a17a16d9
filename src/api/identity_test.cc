// SPDX-License-Identifier: Apache-2.0
#include "api/identity.h"

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "base/document.h"
#include "broker/address.h"

namespace jobmill::api {
namespace {

using namespace std::chrono_literals;
using broker::Right;
using executions::Identity;
using executions::Resource;

constexpr std::string_view kServiceBus = "https://servicebus.azure.net";
const std::string kGroup = "/subscriptions/s-1/resourceGroups/shop";
const std::string kNamespace = kGroup + "/providers/Microsoft.ServiceBus/namespaces/shop";
const Identity kMail{kGroup + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/mail",
                     "11111111-0000-0000-0000-000000000001",
                     "11111111-0000-0000-0000-000000000002"};
const Identity kBills{kGroup + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/bills",
                      "22222222-0000-0000-0000-000000000001",
                      "22222222-0000-0000-0000-000000000002"};

// Keeps nothing.
class NoStore final : public executions::ResourceStore {
 public:
  Status save(const Resource&) override { return {}; }
  Status remove(std::string_view) override { return {}; }
  Result<std::vector<Resource>> load() override { return std::vector<Resource>(); }
};

struct Machine {
  Machine() {
    clock.advance(1'800'000'000s - clock.now().time_since_epoch() + 500ms);
    identities.admit("secret-1", {"mail-1", "mail-run", {kMail}});
    identities.admit("secret-2", {"both-1", "both-run", {kMail, kBills}});
    identities.admit("secret-3", {"none-1", "none-run", {}});
  }

  void assign(const Identity& identity, std::string role, std::string scope, bool by_id = false) {
    Node properties = Node::object();
    properties.set("principalId", Node::string(identity.principal_id));
    properties.set(by_id ? "roleDefinitionId" : "roleDefinitionName", Node::string(role));
    properties.set("scope", Node::string(scope));
    Resource assignment{.id = scope + "/providers/Microsoft.Authorization/roleAssignments/" +
                              std::to_string(++assigned),
                        .type = std::string(executions::kRoleAssignments),
                        .name = std::to_string(assigned)};
    assignment.document.set("properties", std::move(properties));
    REQUIRE(resources->put(std::move(assignment)));
  }

  http::Response ask(std::string_view query, std::string_view header = "secret-1") const {
    http::Request request{.method = "GET", .target = "/identity/token?" + std::string(query)};
    REQUIRE(http::parse_target(request));
    if (!header.empty()) request.headers.add("x-identity-header", std::string(header));
    return identities.serve(request);
  }
  static std::string member(const http::Response& response, std::string_view name) {
    const auto body = parse_json(response.body);
    REQUIRE(body);
    const Node* node = body->find(name);
    return node == nullptr ? "" : node->text;
  }
  std::string token(std::string_view resource = kServiceBus) const {
    return member(ask("api-version=2019-08-01&resource=" + std::string(resource)), "access_token");
  }

  // Nothing when the token is refused.
  std::string rights(std::string_view entity) const {
    const auto claim = identities.verify(token(), entity, clock.now());
    if (!claim) {
      CHECK(claim.error().code == Code::PermissionDenied);
      return "";
    }
    std::string text;
    if (claim->rights.has(Right::Send)) text += "S";
    if (claim->rights.has(Right::Listen)) text += "L";
    if (claim->rights.has(Right::Manage)) text += "M";
    return text;
  }
  std::string refusal(std::string_view jwt) const {
    const auto claim = identities.verify(jwt, "orders", clock.now());
    REQUIRE_FALSE(claim);
    CHECK(claim.error().code == Code::PermissionDenied);
    return claim.error().message;
  }

  NoStore store{};
  std::unique_ptr<executions::Resources> resources = *executions::Resources::open(store);
  JwtKey key = JwtKey::random();
  ManualClock clock{};
  Identities identities{*resources, key, clock};
  int assigned = 0;
};

}  // namespace

TEST_CASE("identity: a replica gets a token of its job's identity") {
  const Machine machine;
  const auto response =
      machine.ask("api-version=2019-08-01&resource=https%3A%2F%2Fservicebus.azure.net%2F");
  CHECK(response.status == 200);
  CHECK(response.headers.get("Content-Type") == "application/json");
  CHECK(response.headers.get("Cache-Control") == "no-store");
  CHECK(Machine::member(response, "expires_on") == "1800003600");
  CHECK(parse_json(response.body)->find("expires_on")->is_string());  // clients want a text
  CHECK(Machine::member(response, "resource") == "https://servicebus.azure.net/");
  CHECK(Machine::member(response, "token_type") == "Bearer");
  CHECK(Machine::member(response, "client_id") == kMail.client_id);
  const auto claims = machine.key.verify(Machine::member(response, "access_token"));
  REQUIRE(claims);
  CHECK(to_json(*claims) == R"({"iss":"jobmill","aud":"https://servicebus.azure.net/",)"
                            R"("sub":"11111111-0000-0000-0000-000000000002",)"
                            R"("oid":"11111111-0000-0000-0000-000000000002",)"
                            R"("appid":"11111111-0000-0000-0000-000000000001",)"
                            R"("iat":1800000000,"nbf":1800000000,"exp":1800003600,)"
                            R"("jobmill_execution":"mail-run","jobmill_replica":"mail-1"})");
}

TEST_CASE("identity: the answers of the endpoint") {
  const Machine machine;
  const std::string good = "api-version=2019-08-01&resource=r";
  struct Case {
    std::string query;
    std::string header;
    int status;
    std::string client;  // of the token
  };
  const std::vector<Case> cases{
      {good, "secret-1", 200, kMail.client_id},
      {good, "", 401, ""},
      {good, "secret", 401, ""},
      {good, "secret-11", 401, ""},
      {"", "wrong", 401, ""},
      {"resource=r", "secret-1", 400, ""},
      {"api-version=2017-09-01&resource=r", "secret-1", 400, ""},
      {"api-version=2019-08-01", "secret-1", 400, ""},
      {"api-version=2019-08-01&resource=", "secret-1", 400, ""},
      {good + "&client_id=" + kMail.client_id, "secret-1", 200, kMail.client_id},
      {good + "&client_id=" + kBills.client_id, "secret-1", 400, ""},
      {good + "&client_id=unknown", "secret-1", 400, ""},
      {good, "secret-2", 400, ""},  // which one?
      {good + "&client_id=" + kBills.client_id, "secret-2", 200, kBills.client_id},
      {good + "&mi_res_id=" + kBills.id, "secret-2", 200, kBills.client_id},
      {good + "&mi_res_id=" + broker::lower(kBills.id), "secret-2", 200, kBills.client_id},
      {good + "&principal_id=" + kMail.principal_id, "secret-2", 200, kMail.client_id},
      {good + "&principal_id=" + kMail.client_id, "secret-2", 400, ""},
      {good + "&client_id=" + kMail.client_id + "&principal_id=" + kBills.principal_id, "secret-2",
       400, ""},
      {good, "secret-3", 400, ""},
  };
  for (const Case& one : cases) {
    CAPTURE(one.query);
    CAPTURE(one.header);
    const auto response = machine.ask(one.query, one.header);
    CHECK(response.status == one.status);
    CHECK(Machine::member(response, "client_id") == one.client);
    if (one.status == 200) continue;
    CHECK(Machine::member(response, "statusCode") == std::to_string(one.status));
    CHECK_FALSE(Machine::member(response, "message").empty());
  }
}

TEST_CASE("identity: the secret is worth nothing when its replica has ended") {
  Machine machine;
  machine.identities.dismiss("both-1");
  machine.identities.dismiss("unknown");
  CHECK(machine.ask("api-version=2019-08-01&resource=r", "secret-2").status == 401);
  CHECK(machine.ask("api-version=2019-08-01&resource=r", "secret-1").status == 200);
}

TEST_CASE("identity: tokens are only given, not taken") {
  const Machine machine;
  http::Request request{.method = "POST", .target = "/"};
  request.headers.add("X-IDENTITY-HEADER", "secret-1");
  CHECK(machine.identities.serve(request).status == 405);
}

TEST_CASE("identity: roles give rights, where they were assigned and below") {
  struct Case {
    std::string scope;
    bool orders;
    bool others;
  };
  const std::vector<Case> cases{
      {"/", true, true},
      {"/subscriptions/s-1", true, true},
      {kGroup, true, true},
      {broker::lower(kGroup), true, true},
      {kNamespace, true, true},
      {kNamespace + "/queues/Orders", true, false},
      {kNamespace + "/queues/orders/", true, false},
      {kNamespace + "/queues/order", false, false},
      {kNamespace + "/queues/orders/more", false, false},
      {kNamespace + "/queues", false, false},
      {kNamespace + "/topics/orders", false, false},
      {kGroup + "/providers/Microsoft.ContainerRegistry/registries/images", false, false},
      {kGroup + "/providers", false, false},
      {"", false, false},
      {"orders", false, false},
  };
  for (const Case& one : cases) {
    CAPTURE(one.scope);
    Machine machine;
    machine.assign(kMail, "Azure Service Bus Data Receiver", one.scope);
    CHECK(machine.rights("orders") == (one.orders ? "L" : ""));
    CHECK(machine.rights("bills") == (one.others ? "L" : ""));
    CHECK(machine.rights("") == (one.others ? "L" : ""));  // the namespace
  }
  Machine machine;
  machine.assign(kMail, "Azure Service Bus Data Receiver", kNamespace + "/queues/a~b");
  CHECK(machine.rights("a/b") == "L");
}

TEST_CASE("identity: the rights of several roles add up") {
  Machine machine;
  CHECK(machine.rights("orders").empty());
  machine.assign(kBills, "Azure Service Bus Data Owner", "/");  // somebody else's
  machine.assign(kMail, "Reader", "/");
  CHECK(machine.rights("orders").empty());
  machine.assign(kMail, "azure service bus data sender", kNamespace);
  CHECK(machine.rights("orders") == "S");
  machine.assign(kMail, "Azure Service Bus Data Receiver", kNamespace + "/queues/orders");
  CHECK(machine.rights("orders") == "SL");
  CHECK(machine.rights("bills") == "S");
  machine.assign(kMail,
                 "/subscriptions/s-1/providers/Microsoft.Authorization/roleDefinitions/"
                 "090c5cfd-751d-490a-894a-3ce6f1109419",
                 kGroup, true);
  CHECK(machine.rights("bills") == "SLM");
}

TEST_CASE("identity: roles by the ids of their definitions") {
  const std::vector<std::pair<std::string, std::string>> roles{
      {"69a216fc-b8fb-44d8-bc22-1f3c2cd27a39", "S"},
      {"4F6D3B9B-027B-4F4C-9142-0E5A2A2247E0", "L"},
      {"/providers/Microsoft.Authorization/roleDefinitions/090c5cfd-751d-490a-894a-3ce6f1109419",
       "SLM"},
      {"7f951dda-4ed3-4680-a7ca-43fe172d538d", ""}};
  for (const auto& [id, rights] : roles) {
    CAPTURE(id);
    Machine machine;
    machine.assign(kMail, id, kNamespace, true);
    CHECK(machine.rights("orders") == rights);
  }
}

TEST_CASE("identity: a claim says who holds what is received with it, and until when") {
  Machine machine;
  machine.assign(kMail, "Azure Service Bus Data Receiver", kNamespace);
  const std::string jwt = machine.token();
  const auto claim = machine.identities.verify(jwt, "orders", machine.clock.now());
  REQUIRE(claim);
  CHECK(claim->holder == "mail-1");
  CHECK(claim->principal == kMail.principal_id);
  CHECK(claim->path == "orders");
  CHECK(claim->expires_at == TimePoint(1'800'003'600s));

  machine.clock.advance(59min + 59s);
  CHECK(machine.identities.verify(jwt, "orders", machine.clock.now()));
  machine.clock.advance(1s);
  CHECK(machine.refusal(jwt) == "the token has expired");
  machine.clock.advance(-2h);
  CHECK(machine.refusal(jwt) == "the token is not valid yet");
}

TEST_CASE("identity: tokens for others, from others or without times are refused") {
  Machine machine;
  machine.assign(kMail, "Azure Service Bus Data Receiver", kNamespace);
  for (const char* slashes : {"", "/", "//"})
    CHECK(machine.identities.verify(machine.token(std::string(kServiceBus) + slashes), "orders",
                                    machine.clock.now()));
  CHECK(machine.refusal(machine.token("https://vault.azure.net")).find("vault") !=
        std::string::npos);

  Node claims = Node::object();
  claims.set("aud", Node::string(kServiceBus));
  claims.set("oid", Node::string(kMail.principal_id));
  CHECK(machine.refusal(machine.key.sign(claims)) == "the token has no 'exp'");
  claims.set("exp", Node::integer(1'800'000'600));
  CHECK(machine.refusal(machine.key.sign(claims)) == "the token has no 'nbf'");
  claims.set("nbf", Node::integer(1'800'000'000));
  CHECK(machine.identities.verify(machine.key.sign(claims), "orders", machine.clock.now()));
  CHECK(machine.refusal(JwtKey::random().sign(claims)) == "the signature of the token is not ours");
  CHECK_FALSE(machine.refusal("no.token.atall").empty());
}

}  // namespace jobmill::api
