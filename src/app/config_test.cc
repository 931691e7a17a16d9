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

}  // namespace
}  // namespace jobmill::app
