// SPDX-License-Identifier: Apache-2.0
#include "k8s/exec_plugin.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <chrono>

#include "base/duration.h"

using namespace std::chrono_literals;

namespace jobmill::k8s {
namespace {

constexpr std::string_view kVersion = "client.authentication.k8s.io/v1";

std::string credential(const std::string& status) {
  return fmt::format(R"({{"apiVersion":"{}","kind":"ExecCredential","status":{}}})", kVersion,
                     status);
}

Config plugin(const std::string& script) {
  Config config;
  config.server = "https://k";
  config.ca = "pem";
  config.exec = {
      .api_version = std::string(kVersion), .command = "sh", .args = {"-c", script, "login"}};
  return config;
}

}  // namespace

TEST_CASE("exec plugin: what it may print") {
  const auto token = parse_exec_credential(
      credential(R"({"token":"abc","expirationTimestamp":"2030-01-01T00:00:00Z"})"), kVersion);
  REQUIRE(token);
  CHECK(token->token.reveal() == "abc");
  CHECK(token->expires == *parse_instant("2030-01-01T00:00:00Z"));
  const auto pair = parse_exec_credential(
      credential(R"({"clientCertificateData":"c","clientKeyData":"k"})"), kVersion);
  REQUIRE(pair);
  CHECK(pair->client_cert == "c");
  CHECK(pair->client_key.reveal() == "k");
  CHECK_FALSE(pair->expires);
}

TEST_CASE("exec plugin: what it may not print") {
  for (const std::string& text :
       {std::string(), std::string("S3CR3T"), std::string("{}"), credential("{}"),
        credential("null"), credential(R"({"clientKeyData":"S3CR3T"})"),
        credential(R"({"token":"S3CR3T","expirationTimestamp":"S3CR3T"})"),
        std::string(R"({"apiVersion":"client.authentication.k8s.io/v1beta1",)"
                    R"("kind":"ExecCredential","status":{"token":"S3CR3T"}})")}) {
    CAPTURE(text);
    const auto result = parse_exec_credential(text, kVersion);
    REQUIRE_FALSE(result);
    CHECK(result.error().message.find("S3CR3T") == std::string::npos);
  }
}

TEST_CASE("exec plugin: it is told what it needs to know") {
  Config config = plugin(R"(
    token=$(printf '%s|%s|%s' "$0" "$GREETING" "$KUBERNETES_EXEC_INFO" | sed 's/"/\\"/g')
    printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",
             "status":{"token":"%s"}}' "$token")");
  config.exec.env["GREETING"] = "hello";
  auto result = run_exec_plugin(config, 60s);
  REQUIRE(result);
  CHECK(result->token.reveal() ==
        R"(login|hello|{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",)"
        R"("spec":{"interactive":false}})");
  config.exec.cluster_info = true;
  result = run_exec_plugin(config, 60s);
  REQUIRE(result);
  CHECK(result->token.reveal().ends_with(
      R"("spec":{"interactive":false,"cluster":{"server":"https://k",)"
      R"("certificate-authority-data":"cGVt"}}})"));
}

TEST_CASE("exec plugin: its failures say why") {
  const auto message = [](const Config& config) {
    const auto result = run_exec_plugin(config, 60s);
    REQUIRE_FALSE(result);
    CHECK(result.error().code == Code::PermissionDenied);
    return result.error().message;
  };
  CHECK(message(plugin("echo one >&2; echo two >&2; exit 3")) ==
        "the credential plugin 'sh' failed: one\ntwo");
  CHECK(message(plugin("kill -9 $$")) == "the credential plugin 'sh' failed");
  CHECK(message(plugin("echo nonsense"))
            .starts_with("the credential plugin 'sh' printed what cannot be used: "));
  Config absent = plugin("");
  absent.exec.command = "no-such-plugin";
  absent.exec.install_hint = "install it";
  CHECK(message(absent) ==
        "the credential plugin 'no-such-plugin' cannot be started (No such file or directory): "
        "install it");
}

TEST_CASE("exec plugin: one that does not end is killed, with what it started") {
  const auto begun = std::chrono::steady_clock::now();
  const auto result = run_exec_plugin(plugin("sleep 60 & wait"), 100ms);
  REQUIRE_FALSE(result);
  CHECK(result.error().message == "the credential plugin 'sh' did not end within 1 s");
  CHECK(std::chrono::steady_clock::now() - begun < 30s);
}

TEST_CASE("exec plugin: who holds its pipes open beyond its end is not waited for") {
  const auto begun = std::chrono::steady_clock::now();
  const auto result = run_exec_plugin(
      plugin("echo '" + credential(R"({"token":"abc"})") + "'; sleep 60 & exit 0"), 50s);
  REQUIRE(result);
  CHECK(result->token.reveal() == "abc");
  CHECK(std::chrono::steady_clock::now() - begun < 30s);
}

}  // namespace jobmill::k8s
