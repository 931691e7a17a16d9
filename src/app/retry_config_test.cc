// SPDX-License-Identifier: Apache-2.0
#include "app/retry_config.h"

#include <chrono>

#include <doctest/doctest.h>

namespace jobmill::app {
namespace {

using namespace std::chrono_literals;

Result<std::vector<ServerOptions::Retry>> read(std::string_view yaml) {
  const auto documents = parse_yaml(yaml);
  REQUIRE(documents);
  REQUIRE(documents->size() == 1);
  return read_retry_rules(documents->front(), "jobmill.yaml");
}

jobs::RetryRules rules(std::string_view yaml) {
  const auto entries = read(yaml);
  REQUIRE_MESSAGE(entries, (entries ? "" : entries.error().message));
  return retry_rules(*entries, 10);
}

std::string refused(std::string_view yaml) {
  const auto entries = read(yaml);
  return entries ? "accepted" : entries.error().message;
}

}  // namespace

TEST_CASE("retry config: nothing said is 3, 9, 27 … seconds, ten times") {
  const auto usual = retry_rules({}, 10);
  CHECK(usual.list.empty());
  CHECK(usual.policy == jobs::RetryPolicy{});
  CHECK(usual.retries == 10);
}

TEST_CASE("retry config: a base alone changes the seed") {
  const auto seeded = rules("base: 2");
  CHECK(seeded.policy == jobs::RetryPolicy::powers_of(2));
  CHECK(seeded.list.empty());
  const auto grown = rules("{base: 500ms, factor: 4, cap: 1h, jitter: 0.1}");
  CHECK(grown.policy == jobs::RetryPolicy{.base = 500ms, .factor = 4, .cap = 1h, .jitter = 0.1});
}

TEST_CASE("retry config: entries in their order, the one for everything is the default") {
  const auto all = rules(R"(
- {kind: mail.send, if_error: smtp.Refused, do_not_retry: true}
- {kind: mail.send, delays: "5,5,60,120"}
- {if_error: net.Timeout, delays: [1, 1.5, 2m]}
- {delays: [7]}
- {kind: never.reached, base: 2}
)");
  REQUIRE(all.list.size() == 3);
  CHECK(all.list[0].never);
  CHECK(all.list[0].kind == "mail.send");
  CHECK(all.list[0].error == "smtp.Refused");
  CHECK(all.list[1].policy->delays == std::vector<Duration>{5s, 5s, 60s, 120s});
  CHECK(all.list[2].kind.empty());
  CHECK(all.list[2].policy->delays == std::vector<Duration>{1s, 1500ms, 2min});
  CHECK(all.policy.delays == std::vector<Duration>{7s});
  CHECK(choose_retry(all, {}, "mail.send", "any").max_retries == 4);
  CHECK(choose_retry(all, {}, "other", "any").max_retries == 1);
}

TEST_CASE("retry config: what cannot be meant is refused with its place") {
  CHECK(refused("- {kind: k, delay: 5}").starts_with("jobmill.yaml:1: unknown key 'retry.delay'"));
  CHECK(refused("- kind: k").ends_with("the entry says nothing; add delays, base or do_not_retry"));
  CHECK(refused("- {delays: [1], base: 2}").ends_with("delays exclude base, factor and cap"));
  CHECK(refused("- {do_not_retry: true, base: 2}")
            .ends_with("do_not_retry excludes delays, base, factor, cap and jitter"));
  CHECK(refused("base: 0.5").ends_with("a base without a factor must be whole seconds"));
  CHECK(refused("{base: 2, factor: 0}").ends_with("expected a whole number from 1 on"));
  CHECK(refused("delays: []").ends_with("expected 1 to 1000 delays"));
  CHECK(refused("delays: soon").starts_with("jobmill.yaml:1: "));
  CHECK(refused("jitter: 2").ends_with("expected 0 to 1"));
  CHECK(refused("do_not_retry: perhaps").ends_with("expected true or false"));
  CHECK(refused("fast").starts_with("jobmill.yaml:1: expected an entry with kind"));
}

}  // namespace jobmill::app
