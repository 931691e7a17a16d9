// SPDX-License-Identifier: Apache-2.0
#include "app/containerapp_identity.h"

#include <doctest/doctest.h>

#include "app/containerapp_values.h"

namespace jobmill::app {
namespace {

using Texts = std::vector<std::string>;

Node job_with(std::string_view configuration, std::string_view identity = "{}") {
  auto job =
      parse_json(std::string(R"({"name": "job", "identity": )") + std::string(identity) +
                 R"(, "properties": {"configuration": )" + std::string(configuration) + "}}");
  REQUIRE(job);
  return *std::move(job);
}

std::string part(const Node& job, const char* member) {
  const Node* found = find_at(job, {"properties", "configuration", member});
  return found == nullptr ? "-" : to_json(*found);
}

TEST_CASE("containerapp identity: a name stands for a resource of the job's group") {
  const Place place{"sub", "rg"};
  CHECK(identity_id(place, "me") ==
        "/subscriptions/sub/resourceGroups/rg/providers/Microsoft.ManagedIdentity/"
        "userAssignedIdentities/me");
  CHECK(identity_id(place, "/Subscriptions/x/y") == "/Subscriptions/x/y");
}

TEST_CASE("containerapp identity: assigning adds, each identity once, in any case") {
  Node job = job_with("{}");
  Texts notes;
  CHECK(to_json(identity_in(*parse_json("{}"))) == R"({"type":"None"})");
  assign_identities(job, false, {"/s/a"}, notes);
  CHECK(to_json(identity_in(job)) ==
        R"({"type":"UserAssigned","userAssignedIdentities":{"/s/a":{}}})");
  assign_identities(job, true, {"/S/A", "/s/b"}, notes);
  CHECK(to_json(identity_in(job)) == R"({"type":"SystemAssigned, UserAssigned",)"
                                     R"("userAssignedIdentities":{"/s/a":{},"/s/b":{}}})");
  CHECK(notes.empty());
  assign_identities(job, false, {"/s/c", "/S/C"}, notes);
  CHECK(notes == Texts{"At least one identity was passed twice."});
}

TEST_CASE("containerapp identity: what is not assigned cannot be removed") {
  Node none = job_with("{}");
  CHECK(remove_identities(none, true, std::nullopt).error().message ==
        "The containerapp job job has no system or user assigned identities.");
  Node user = job_with("{}", R"({"type": "UserAssigned", "userAssignedIdentities": {"/s/a": {}}})");
  CHECK(remove_identities(user, true, std::nullopt).error().message ==
        "The containerapp job job has no system assigned identities.");
  CHECK(remove_identities(user, false, Texts{"/s/b"}).error().message ==
        "The containerapp job does not have specified user identity '/s/b' assigned, so it cannot "
        "be removed.");
}

TEST_CASE("containerapp identity: one, all, or the system's own are removed") {
  const auto both = [] {
    return job_with("{}", R"({"type": "SystemAssigned, UserAssigned",
                              "userAssignedIdentities": {"/s/a": {}, "/s/b": {}}})");
  };
  Node job = both();
  CHECK(remove_identities(job, false, Texts{"/S/A"}));
  CHECK(to_json(identity_in(job)) == R"({"type":"SystemAssigned, UserAssigned",)"
                                     R"("userAssignedIdentities":{"/s/b":{}}})");
  job = both();
  CHECK(remove_identities(job, false, Texts{}));
  CHECK(to_json(identity_in(job)) == R"({"type":"SystemAssigned"})");
  job = both();
  CHECK(remove_identities(job, true, Texts{}));
  CHECK(to_json(identity_in(job)) == R"({"type":"None"})");
}

TEST_CASE("containerapp registry: a login replaces the one that is there") {
  Node job = job_with("{}");
  Texts notes;
  REQUIRE(set_registry(
      job, {.server = "docker.io", .username = "me", .password = "pw", .identity = ""}, notes));
  CHECK(part(job, "registries") ==
        R"([{"server":"docker.io","username":"me","passwordSecretRef":"dockerio-me"}])");
  CHECK(part(job, "secrets") == R"([{"name":"dockerio-me","value":"pw"}])");
  CHECK(notes.empty());
  REQUIRE(set_registry(
      job, {.server = "Docker.io", .username = "", .password = "", .identity = "/subscriptions/a"},
      notes));
  CHECK(part(job, "registries") == R"([{"server":"Docker.io","identity":"/subscriptions/a"}])");
  CHECK(notes == Texts{"Updating existing registry."});
  CHECK(text_at(job, {"identity", "type"}) == "UserAssigned");
}

TEST_CASE("containerapp registry: shown and removed by server") {
  Node none = job_with("{}");
  CHECK(registry_in(none, "a").error().message ==
        "The containerapp job job has no assigned registries.");
  CHECK(remove_registry(none, "a").error().message ==
        "The containerapp job job has no assigned registries.");
  Node job = job_with(R"({"registries": [{"server": "a"}, {"server": "b"}]})");
  CHECK(to_json(*registry_in(job, "A")) == R"({"server":"a"})");
  CHECK(registry_in(job, "c").error().message ==
        "The containerapp job job does not have specified registry c assigned.");
  CHECK(remove_registry(job, "A"));
  CHECK(part(job, "registries") == R"([{"server":"b"}])");
}

TEST_CASE("containerapp registry: Azure's own are known by their names") {
  for (const char* server : {"a.azurecr.io", "A.AzureCR.cn", "a.azurecr.us"})
    CHECK(is_azure_registry(server));
  for (const char* server : {"docker.io", "azurecr.io", "a.azurecr.io.example"})
    CHECK_FALSE(is_azure_registry(server));
}

TEST_CASE("containerapp secrets: replaced in any case under the name that is referred to") {
  Node job = job_with(R"({"secrets": [{"name": "Old"}, {"name": "other"}]})");
  set_secrets(job,
              *parse_json(R"([{"name": "OLD", "value": "1"}, {"name": "new", "value": "2"}])"));
  CHECK(part(job, "secrets") == R"([{"name":"Old","value":"1"},{"name":"other"},)"
                                R"({"name":"new","value":"2"}])");
  CHECK(remove_secrets(job, {"NEW", "other"}));
  CHECK(part(job, "secrets") == R"([{"name":"Old","value":"1"}])");
  CHECK(remove_secrets(job, {"gone"}).error().message ==
        "The containerapp job job does not have a secret assigned with name gone.");
}

}  // namespace
}  // namespace jobmill::app
