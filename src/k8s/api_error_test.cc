// SPDX-License-Identifier: Apache-2.0
#include "k8s/api_error.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

namespace jobmill::k8s {
namespace {

std::string status_object(const std::string& reason, const std::string& message) {
  return fmt::format(R"({{"kind":"Status","status":"Failure","reason":"{}","message":"{}"}})",
                     reason, message);
}

const Asked kAsked{.verb = "patch",
                   .resource = resources::kDeployments,
                   .ns = "shop",
                   .name = "web",
                   .subresource = "scale"};

}  // namespace

TEST_CASE("api error: what was asked, in words") {
  CHECK(to_string(kAsked) == R"(patch deployments/scale "web" in namespace "shop")");
  CHECK(to_string(Asked{.verb = "list", .resource = resources::kPods}) ==
        "list pods in all namespaces");
  CHECK(to_string(Asked{.verb = "list", .resource = resources::kNamespaces}) == "list namespaces");
  CHECK(to_string(Asked{.verb = "get", .path = "/version"}) == "get /version");
}

TEST_CASE("api error: each status is about what the caller can do") {
  const struct {
    int status;
    std::string reason;
    Code code;
  } cases[] = {{400, "BadRequest", Code::InvalidArgument},
               {401, "Unauthorized", Code::PermissionDenied},
               {403, "Forbidden", Code::PermissionDenied},
               {404, "NotFound", Code::NotFound},
               {405, "MethodNotAllowed", Code::Unsupported},
               {409, "AlreadyExists", Code::AlreadyExists},
               {409, "Conflict", Code::Conflict},
               {410, "Expired", Code::Conflict},
               {413, "RequestEntityTooLarge", Code::Exhausted},
               {415, "UnsupportedMediaType", Code::Unsupported},
               {422, "Invalid", Code::InvalidArgument},
               {429, "TooManyRequests", Code::Exhausted},
               {500, "InternalError", Code::Unavailable},
               {504, "Timeout", Code::Unavailable},
               {302, "", Code::Internal}};
  for (const auto& [status, reason, code] : cases) {
    CAPTURE(status);
    CAPTURE(reason);
    CHECK(fault_of(kAsked, status, status_object(reason, "why")).code == code);
  }
}

TEST_CASE("api error: a 403 names the rule and whose role lacks it") {
  const auto refused = [](const std::string& user) {
    return status_object("Forbidden", "deployments.apps \\\"web\\\" is forbidden: User \\\"" +
                                          user +
                                          "\\\" cannot patch resource \\\"deployments/scale\\\"");
  };
  const std::string rule =
      R"( needs the rule {apiGroups: ["apps"], resources: ["deployments/scale"], verbs: ["patch"]})";
  const std::string what =
      R"(cannot patch deployments/scale "web" in namespace "shop": a role of )";
  CHECK(fault_of(kAsked, 403, refused("system:serviceaccount:jobs:jobmill")).message ==
        what + R"(service account "jobmill" of namespace "jobs")" + rule);
  CHECK(fault_of(kAsked, 403, refused("jane")).message == what + R"(user "jane")" + rule);
  CHECK(fault_of(kAsked, 403, refused("system:anonymous")).message ==
        what + "the anonymous user: no credentials were sent" + rule);
}

TEST_CASE("api error: a 403 of admission says what the server says") {
  const auto fault =
      fault_of(kAsked, 403, status_object("Forbidden", "exceeded quota: small, requested: pods=1"));
  CHECK(fault.message == R"(cannot patch deployments/scale "web" in namespace "shop": )"
                         "exceeded quota: small, requested: pods=1 (403)");
}

TEST_CASE("api error: an answer that is no Status object") {
  CHECK(fault_of(kAsked, 404, "404 page not found\n").message ==
        R"(cannot patch deployments/scale "web" in namespace "shop": 404 page not found (404))");
  CHECK(fault_of(kAsked, 502, "").message ==
        R"(cannot patch deployments/scale "web" in namespace "shop": status 502)");
  CHECK(fault_of(kAsked, 502, std::string(1u << 20, 'x')).message.size() < 1200);
}

}  // namespace jobmill::k8s
