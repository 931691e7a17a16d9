// SPDX-License-Identifier: Apache-2.0
#include "app/config.h"

#include <fstream>
#include <string>

#include <doctest/doctest.h>

#include "temporary_folder.h"

namespace jobmill::app {
namespace {

Result<ServerOptions> options_of(const std::string& file) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/config.yaml";
  std::ofstream(path) << file;
  Arguments arguments;
  arguments.flags["config"] = {path};
  return server_options(arguments, [](const char*) { return std::string(); });
}

TEST_CASE("config: the body cache is a number of bytes, with or without a unit") {
  const auto cache = [](const std::string& value) -> std::size_t {
    const auto options = options_of("servicebus:\n  body_cache: " + value + "\n");
    return options ? options->service_bus.body_cache : 1;
  };
  CHECK(cache("33554432") == 32u << 20);
  CHECK(cache("32 MiB") == 32u << 20);
  CHECK(cache("64KiB") == 64u << 10);
  CHECK(cache("0") == 0);
  for (const char* bad : {"much", "-1", "32 MB", "MiB", "9999999 GiB"}) {
    CAPTURE(bad);
    const auto refused = options_of(std::string("servicebus:\n  body_cache: ") + bad + "\n");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("config.yaml:2") != std::string::npos);
  }
}

TEST_CASE("config: the limits of the broker are open, or those of the cloud") {
  const auto cloud = [](const std::string& value) {
    const auto options = options_of("servicebus: {limits: " + value + "}\n");
    REQUIRE(options);
    return options->service_bus.cloud_limits;
  };
  CHECK(cloud("cloud"));
  CHECK_FALSE(cloud("open"));
  CHECK_FALSE(options_of("\n")->service_bus.cloud_limits);
  const auto refused = options_of("servicebus:\n  limits: premium\n");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.ends_with("config.yaml:2: limits is open or cloud"));
}

TEST_CASE("config: policies of retries, and how long keys of requests live") {
  const auto options = options_of(
      "retry:\n  - {kind: mail.send, delays: \"5,5\"}\n  - {base: 2}\nidempotency: {ttl: 90m}\n");
  REQUIRE(options);
  REQUIRE(options->retry.size() == 2);
  CHECK(options->retry[0].kind == "mail.send");
  CHECK(options->retry[1].factor == 2);
  CHECK(options->idempotency_ttl == std::chrono::minutes(90));
  for (const char* bad :
       {"retry:\n  bases: 2\n", "idempotency:\n  tll: 1h\n", "idempotency:\n  ttl: soon\n"}) {
    CAPTURE(bad);
    const auto refused = options_of(bad);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("config.yaml:2: ") != std::string::npos);
  }
}

TEST_CASE("config: users have hashes of passwords, or files with them") {
  const auto options = options_of(
      "users:\n"
      "- {name: ann, password_hash: $2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW}\n"
      "- {name: bob, password: plain, role: viewer}\n"
      "anonymous: viewer\n");
  REQUIRE_MESSAGE(options, (options ? "" : options.error().message));
  CHECK(options->users[0].password_hash.starts_with("$2b$05$"));
  CHECK(options->users[0].password.empty());
  CHECK(options->users[1].in_plain_text);
  CHECK(options->anonymous == "viewer");
  CHECK(options->sources.at("users").find("config.yaml:2") != std::string::npos);
  for (const char* bad :
       {"users:\n- {name: ann, password_hash: secret}\n", "users:\n- {name: ann}\n",
        "users:\n- {name: ann, password: a, role: king}\n", "# who\nanonymous: admin\n"}) {
    CAPTURE(bad);
    const auto refused = options_of(bad);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("config.yaml:2: ") != std::string::npos);
  }
}

TEST_CASE("config: a login server needs a name, and somebody whom it lets in") {
  const auto options = options_of(
      "oidc:\n  issuer: https://login.example/\n  client_id: jobmill\n  roles: {staff: viewer}\n"
      "http: 0.0.0.0:8000\n");
  REQUIRE_MESSAGE(options, (options ? "" : options.error().message));
  CHECK(options->oidc->issuer == "https://login.example");
  CHECK(options->oidc->roles.at("staff") == "viewer");
  for (const char* bad : {"oidc:\n  client_id: a\n  default_role: viewer\n",
                          "oidc:\n  issuer: https://a\n  client_id: a\n",
                          "oidc:\n  {issuer: https://a, client_id: a, default_role: king}\n"}) {
    CAPTURE(bad);
    CHECK_FALSE(options_of(bad));
  }
}

TEST_CASE("config: a context path is a path") {
  CHECK(options_of("dashboard: {context_path: /mill/}\n")->context_path == "/mill");
  CHECK(options_of("dashboard: {context_path: /}\n")->context_path.empty());
  for (const char* bad : {"mill", "//mill", "/a b", "/<x>"})
    CHECK_FALSE(options_of(std::string("dashboard: {context_path: '") + bad + "'}\n"));
}

}  // namespace
}  // namespace jobmill::app
