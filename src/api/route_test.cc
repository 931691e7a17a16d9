// SPDX-License-Identifier: Apache-2.0
#include "api/route.h"

#include <doctest/doctest.h>

#include <array>

#include "api/worker_token.h"

namespace jobmill::api {
namespace {

void first(ApiContext&, Call) {}

constexpr std::array kRoutes{
    Route{"GET", "/v1/jobs", Scope::Read, first},
    Route{"POST", "/v1/jobs", Scope::Produce, first},
    Route{"GET", "/v1/jobs/{id}", Scope::Read, first},
    Route{"GET", "/v1/jobs/search", Scope::Read, first},
    Route{"POST", "/v1/jobs/{id}/labels/{label}", Scope::Operate, first},
    Route{"GET", "/subscriptions/{s}/resourceGroups/{g}", Scope::Read, first},
    Route{"PUT", "/subscriptions/{scope…}/roles/{name}", Scope::Admin, first},
};

const Route* found(std::string_view method, std::string_view target) {
  return match(kRoutes, method, target).route;
}

}  // namespace

TEST_CASE("route: method and path decide, the query does not") {
  CHECK(found("GET", "/v1/jobs") == &kRoutes[0]);
  CHECK(found("POST", "/v1/jobs?x=/y") == &kRoutes[1]);
  CHECK(found("HEAD", "/v1/jobs") == &kRoutes[0]);
  CHECK(found("GET", "/v1/jobs/") == nullptr);
  CHECK(found("GET", "/v1//jobs") == nullptr);
  CHECK(found("GET", "/") == nullptr);
  CHECK(found("GET", "*") == nullptr);
  CHECK(found("GET", "/v1/jobs/%zz") == nullptr);
}

TEST_CASE("route: values are decoded, and may hold a slash") {
  const Match match = api::match(kRoutes, "POST", "/v1/jobs/a%2Fb%20c/labels/x%7By");
  REQUIRE(match.route == &kRoutes[4]);
  CHECK(match.path == Parameters{{"id", "a/b c"}, {"label", "x{y"}});
}

TEST_CASE("route: a literal wins over a name, however it is encoded") {
  CHECK(found("GET", "/v1/jobs/search") == &kRoutes[3]);
  CHECK(found("GET", "/v1/jobs/se%61rch") == &kRoutes[3]);
  CHECK(found("GET", "/v1/jobs/other") == &kRoutes[2]);
}

TEST_CASE("route: words of Azure Resource Manager's paths come in any case, others do not") {
  CHECK(found("GET", "/subscriptions/S/resourcegroups/G") == &kRoutes[5]);
  CHECK(found("GET", "/Subscriptions/S/RESOURCEGROUPS/G") == &kRoutes[5]);
  CHECK(api::match(kRoutes, "GET", "/subscriptions/S/resourcegroups/G").path ==
        Parameters{{"s", "S"}, {"g", "G"}});
  CHECK(found("GET", "/v1/Jobs") == nullptr);
}

TEST_CASE("route: a name may stand for several segments") {
  const Match match = api::match(kRoutes, "PUT", "/subscriptions/s/resourceGroups/g/Roles/r");
  REQUIRE(match.route == &kRoutes[6]);
  CHECK(match.path == Parameters{{"scope", "s/resourceGroups/g"}, {"name", "r"}});
  CHECK(api::match(kRoutes, "PUT", "/subscriptions/s/roles/r").path ==
        Parameters{{"scope", "s"}, {"name", "r"}});
  CHECK(found("PUT", "/subscriptions/roles/r") == nullptr);
  CHECK(found("PUT", "/subscriptions/s/t/r") == nullptr);
}

TEST_CASE("route: what a path knows is told to who asks for something else") {
  const Match match = api::match(kRoutes, "PUT", "/v1/jobs");
  CHECK(match.route == nullptr);
  CHECK(match.allowed == std::vector<std::string_view>{"GET", "POST"});
  CHECK(no_route(match, {.method = "PUT",
                         .target = "/v1/jobs",
                         .path = "/v1/jobs",
                         .query = {},
                         .headers = {},
                         .body = {},
                         .peer = {}})
            .headers.get("Allow") == "GET, POST");
}

TEST_CASE("worker token: speaks for the worker that it was made for, under the same key") {
  const std::string token = worker_token("key", "worker.1");
  CHECK(verify_worker_token("key", token) == "worker.1");
  CHECK_FALSE(verify_worker_token("another key", token));
  CHECK_FALSE(verify_worker_token("key", token + "0"));
  CHECK_FALSE(verify_worker_token("key", "jmw."));
  CHECK_FALSE(verify_worker_token("key", ""));
  std::string forged = token;
  forged.replace(forged.find("worker.1"), 8, "worker.2");
  CHECK_FALSE(verify_worker_token("key", forged));
}

}  // namespace jobmill::api
