// SPDX-License-Identifier: Apache-2.0
#include <string>

#include <doctest/doctest.h>

#include "scale/activate.h"
#include "vectors.h"

namespace jobmill::scale {
namespace {

using testing::flag;
using testing::has;
using testing::member;
using testing::number;
using testing::text;

constexpr TimePoint kNow{std::chrono::seconds(1'704'067'200)};

std::chrono::seconds seconds(const Node& node, std::string_view key, int fallback) {
  return std::chrono::seconds(has(node, key) ? static_cast<int>(number(node, key)) : fallback);
}

std::optional<int> replicas(const Node& node, std::string_view key) {
  if (!has(node, key)) return std::nullopt;
  return static_cast<int>(number(node, key));
}

ActivateInput input(const Node& in) {
  ActivateInput out;
  out.now = kNow;
  out.current = static_cast<int>(number(in, "currentReplicas"));
  out.min = replicas(in, "min");
  out.idle = replicas(in, "idle");
  out.fallback = replicas(in, "fallbackReplicas");
  out.active = flag(in, "active");
  out.error = flag(in, "error");
  out.paused = flag(in, "paused");
  out.paused_scale_in = flag(in, "pauseScaleIn");
  out.paused_scale_out = flag(in, "pauseScaleOut");
  out.forced = flag(in, "forceActivation");
  out.cooldown = seconds(in, "cooldown", 300);
  out.initial_cooldown = seconds(in, "initialCooldown", 0);
  out.created = kNow - seconds(in, "objectAgeSeconds", 0);
  if (has(in, "secondsSinceLastActive"))
    out.last_active = kNow - seconds(in, "secondsSinceLastActive", 0);
  return out;
}

// Vectors name the reason only where it tells something.
void check_verdict(const Verdict& verdict, const std::string& expected) {
  const auto slash = expected.find('/');
  CHECK(to_string(verdict.status) == expected.substr(0, slash));
  if (slash != std::string::npos) CHECK(verdict.reason == expected.substr(slash + 1));
}

void check(const Activation& out, const Node& expect) {
  CHECK(out.replicas == replicas(expect, "setReplicas"));
  CHECK(out.touch_last_active == flag(expect, "lastActiveUpdated"));
  CHECK(out.paused == (testing::text_or(expect, "pausedCondition", "False") == "True"));
  check_verdict(out.ready, text(expect, "ready"));
  const std::string active = text(expect, "activeCondition");
  REQUIRE(out.active.has_value() == (active != "unchanged"));
  if (out.active) check_verdict(*out.active, active);
}

}  // namespace

TEST_CASE("activate: vectors of the decision table") {
  for (const Node& vector : testing::vectors("autoscaler/scale_decision.json")) {
    CAPTURE(text(vector, "id"));
    check(activate(input(member(vector, "in"))), member(vector, "expect"));
  }
}

}  // namespace jobmill::scale
