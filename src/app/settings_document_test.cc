// SPDX-License-Identifier: Apache-2.0
#include "app/settings_document.h"

#include <doctest/doctest.h>

#include "base/document.h"

namespace jobmill::app {
namespace {

ServerOptions options() {
  ServerOptions options;
  options.users = {{.name = "ann", .password = "Pa55word"},
                   {.name = "bob", .role = "viewer", .password_hash = "$2b$05$hash"}};
  options.store = "postgres://jobs:d8-secret@db/jobs";
  options.service_bus.key = "bus-secret";
  options.oidc = ServerOptions::Oidc{
      .issuer = "https://login.example", .client_id = "jobmill", .client_secret = "oidc-secret"};
  options.sources = {{"http", "--http"}, {"jobs", "jobmill.yaml:3"}};
  return options;
}

std::string source(const Node& document, std::string_view name) {
  for (const Node& setting : document.find("settings")->items)
    if (setting.find("name")->text == name) return setting.find("source")->text;
  return "missing";
}

}  // namespace

TEST_CASE("settings: each value says where it comes from") {
  const auto document = parse_json(settings_document(options(), ""));
  REQUIRE(document);
  CHECK(source(*document, "http") == "--http");
  CHECK(source(*document, "jobs.retries") == "jobmill.yaml:3");
  CHECK(source(*document, "grace") == "default");
  CHECK(document->find("storage")->find("health")->text == "ok");
}

TEST_CASE("settings: no secret is told") {
  const std::string text = settings_document(options(), "");
  for (const char* secret : {"Pa55word", "$2b$05$hash", "d8-secret", "bus-secret", "oidc-secret"}) {
    CAPTURE(secret);
    CHECK(text.find(secret) == std::string::npos);
  }
  CHECK(text.find("bob (viewer, password hashed)") != std::string::npos);
}

}  // namespace jobmill::app
