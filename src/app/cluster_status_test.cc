// SPDX-License-Identifier: Apache-2.0
#include "app/cluster_status.h"

#include <doctest/doctest.h>

namespace jobmill::app {
namespace {

Node parsed(std::string_view text) { return *parse_json(text); }

std::string patched(std::string_view present, std::string_view wanted) {
  const Node known = parsed(present);
  const StatusPatch patch = status_patch(&known, parsed(wanted));
  return patch.patch ? to_json(*patch.patch) : std::string();
}

}  // namespace

TEST_CASE("cluster status: what is as it should be is not written") {
  constexpr char kStatus[] =
      R"({"conditions":[{"type":"Ready","status":"True","reason":"R","message":"m","lastTransitionTime":"2026-01-01T00:00:00Z"}],"triggersTypes":"cron"})";
  CHECK(patched(kStatus, kStatus).empty());
  // Its time alone is no difference, and what others wrote is theirs.
  CHECK(
      patched(
          kStatus,
          R"({"conditions":[{"type":"Ready","status":"True","reason":"R","message":"m","lastTransitionTime":"2026-02-01T00:00:00Z"}],"triggersTypes":"cron"})")
          .empty());
  CHECK(patched(R"({"hpaName":"x"})", "{}").empty());
}

TEST_CASE("cluster status: only what differs is written, and what is gone is removed") {
  CHECK(patched(R"({"triggersTypes":"cron","pausedReplicaCount":3})",
                R"({"triggersTypes":"jobs"})") ==
        R"({"pausedReplicaCount":null,"triggersTypes":"jobs"})");
  CHECK(patched(R"({"triggersActivity":{"a":{"isActive":true}}})",
                R"({"triggersActivity":{"b":{"isActive":true}}})") ==
        R"({"triggersActivity":{"b":{"isActive":true},"a":null}})");
  CHECK(to_json(*status_patch(nullptr, parsed(R"({"triggersTypes":"cron"})")).patch) ==
        R"({"triggersTypes":"cron"})");
}

TEST_CASE("cluster status: the last activity alone is written every 30 seconds") {
  const Node known = parsed(R"({"lastActiveTime":"2026-01-01T00:00:00Z"})");
  const StatusPatch young =
      status_patch(&known, parsed(R"({"lastActiveTime":"2026-01-01T00:00:10Z"})"));
  CHECK(!young.patch);
  CHECK(young.later == std::chrono::seconds(20));
  CHECK(patched(R"({"lastActiveTime":"2026-01-01T00:00:00Z"})",
                R"({"lastActiveTime":"2026-01-01T00:00:30Z"})") ==
        R"({"lastActiveTime":"2026-01-01T00:00:30Z"})");
  CHECK(patched(R"({"lastActiveTime":"2026-01-01T00:00:00Z"})",
                R"({"lastActiveTime":"2026-01-01T00:00:01Z","triggersTypes":"cron"})") ==
        R"({"lastActiveTime":"2026-01-01T00:00:01Z","triggersTypes":"cron"})");
}

TEST_CASE("cluster status: of an object that cannot be used") {
  const Node status = refused_status("ScaledObject", "no triggers", TimePoint{});
  CHECK(condition_of(&status, "Ready")->find("reason")->text == "ScaledObjectCheckFailed");
  CHECK(condition_of(&status, "Ready")->find("message")->text == "no triggers");
  CHECK(condition_of(&status, "Active")->find("status")->text == "Unknown");
  CHECK(condition_of(&status, "Paused") == nullptr);
}

}  // namespace jobmill::app
