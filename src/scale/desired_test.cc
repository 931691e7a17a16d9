// SPDX-License-Identifier: Apache-2.0
#include "scale/desired.h"

#include <cmath>
#include <limits>

#include <doctest/doctest.h>

namespace jobmill::scale {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kNow{std::chrono::seconds(1'704'067'200)};

Reading average(double value, double target) {
  Reading out;
  out.name = out.metric = "s0-average";
  out.target_milli = std::llround(target * 1000);
  out.value = value;
  out.value_milli = std::llround(value * 1000);
  return out;
}

Reading total(double value, double target) {
  Reading out = average(value, target);
  out.type = MetricType::Value;
  return out;
}

Reading broken() {
  Reading out = average(0, 8);
  out.error = "connection refused";
  return out;
}

DesiredInput at(int current, std::vector<Reading> readings) {
  DesiredInput in;
  in.now = kNow;
  in.current = in.status = in.ready = current;
  in.max = 100;
  in.readings = std::move(readings);
  return in;
}

ScalingRules pods(int count, Duration period) {
  ScalingRules out;
  out.policies = {{PolicyType::Pods, count, period}};
  return out;
}

}  // namespace

TEST_CASE("desired: the highest proposal of several metrics wins") {
  const Desired out = desired(at(5, {total(1.0, 0.8), average(0, 8), total(0, 300'000)}));
  CHECK(out.replicas == 7);
  CHECK(out.rule == Rule::None);
  CHECK(out.recommendation == 7);
}

TEST_CASE("desired: only ready replicas are multiplied") {
  DesiredInput in = at(7, {total(1.0, 0.8)});
  in.ready = 5;
  CHECK(propose(in.readings[0], in)->replicas == 7);
}

TEST_CASE("desired: a difference within the tolerance changes nothing and is named") {
  const DesiredInput in = at(5, {total(0.85, 0.8)});
  CHECK(desired(in).replicas == 5);
  CHECK(desired(in).rule == Rule::Tolerance);
  CHECK(desired(in, Rule::Tolerance).replicas == 6);
}

TEST_CASE("desired: behavior may name another tolerance for one direction") {
  DesiredInput in = at(5, {total(0.85, 0.8)});
  in.up = up_with_defaults({});
  in.up->tolerance = 0.05;
  CHECK(desired(in).replicas == 6);
}

TEST_CASE("desired: the numbers are exact thousandths") {
  CHECK(desired(at(1, {average(0.3, 0.1)})).replicas == 3);  // 0.3 / 0.1 > 3 as doubles
  CHECK(desired(at(3, {average(24.001, 8)})).replicas == 3);
  CHECK(desired(at(1, {average(24.001, 8)})).replicas == 4);
}

TEST_CASE("desired: an endless backlog asks for the maximum") {
  Reading reading = average(1, 0.001);
  reading.value_milli = std::numeric_limits<std::int64_t>::max();
  const Desired out = desired(at(5, {reading}));
  CHECK(out.replicas == 100);
  CHECK(out.rule == Rule::Max);
}

TEST_CASE("desired: a failed metric does not vote, and forbids to go down") {
  CHECK(desired(at(5, {broken(), average(64, 8)})).replicas == 8);

  const Desired down = desired(at(5, {broken(), average(8, 8)}));
  CHECK(down.replicas == 5);
  CHECK(down.rule == Rule::TriggerFailed);
  CHECK_FALSE(down.recommendation);  // it would make the windows believe that 5 were needed
  CHECK(desired(at(5, {broken(), average(8, 8)}), Rule::TriggerFailed).replicas == 1);
}

TEST_CASE("desired: when no metric votes the size stays") {
  const Desired out = desired(at(5, {broken()}));
  CHECK(out.replicas == 5);
  CHECK(out.rule == Rule::TriggerFailed);
}

TEST_CASE("desired: a target that is not positive counts as failed") {
  CHECK(desired(at(5, {average(10, 0)})).rule == Rule::TriggerFailed);
  CHECK(desired(at(5, {total(10, -5)})).replicas == 5);
}

TEST_CASE("desired: a size outside the bounds is brought inside before metrics are asked") {
  DesiredInput in = at(12, {average(1000, 1)});
  in.max = 10;
  CHECK(desired(in).replicas == 10);
  CHECK(desired(in).out_of_bounds);
  in.current = 2;
  in.min = 3;
  CHECK(desired(in).replicas == 3);
  CHECK(desired(in).rule == Rule::Min);
}

TEST_CASE("desired: the way down waits until the highest proposal left the window") {
  DesiredInput in = at(10, {average(8, 8)});
  in.recommendations = {{kNow - 300s, 10}, {kNow - 100s, 4}};
  const Desired held = desired(in);
  CHECK(held.replicas == 10);  // its last instant is still inside
  CHECK(held.rule == Rule::ScaleDownWindow);
  CHECK(held.next_check == kNow + 1us);
  CHECK(desired(in, Rule::ScaleDownWindow).replicas == 1);

  in.now += 1us;
  CHECK(desired(in).replicas == 4);
  CHECK(desired(in).next_check == kNow + 200s + 1us);
}

TEST_CASE("desired: a window on the way down never makes it go up") {
  DesiredInput in = at(5, {average(8, 8)});
  in.recommendations = {{kNow - 10s, 20}};
  CHECK(desired(in).replicas == 5);
  in.window_raises = true;  // as the HPA without behavior does
  CHECK(desired(in).replicas == 20);
}

TEST_CASE("desired: the way up takes the lowest proposal of its window") {
  DesiredInput in = at(2, {average(80, 8)});
  in.up = up_with_defaults({});
  in.up->stabilization_window = 60s;
  in.recommendations = {{kNow - 61s, 1}, {kNow - 30s, 4}, {kNow - 10s, 6}};
  CHECK(desired(in).replicas == 4);
  CHECK(desired(in).rule == Rule::ScaleUpWindow);
  CHECK(desired(in).next_check == kNow + 30s + 1us);
}

TEST_CASE("desired: policies count what was added within their period") {
  DesiredInput in = at(6, {average(800, 8)});
  in.up = up_with_defaults(pods(4, 60s));
  CHECK(desired(in).replicas == 10);
  CHECK(desired(in).rule == Rule::ScaleUpPolicy);

  in.events = {{kNow - 20s, 3}, {kNow - 60s, 5}, {kNow - 10s, -1}};
  CHECK(desired(in).replicas == 7);  // 6 - 3 + 4
  CHECK(desired(in).next_check == kNow + 40s);
  in.events = {{kNow - 20s, 6}};
  CHECK(desired(in).replicas == 6);  // used up, but nothing is taken back
}

TEST_CASE("desired: percentages round up on the way up and down on the way down") {
  DesiredInput in = at(5, {average(800, 8)});
  in.up = ScalingRules{};
  in.up->policies = {{PolicyType::Percent, 50, 15s}};
  CHECK(desired(in).replicas == 8);  // 7.5

  in = at(5, {average(0, 8)});
  in.down = ScalingRules{};
  in.down->stabilization_window = 0s;
  in.down->policies = {{PolicyType::Percent, 30, 15s}};
  CHECK(desired(in).replicas == 3);  // 3.5
  CHECK(desired(in).rule == Rule::ScaleDownPolicy);
}

TEST_CASE("desired: of several policies the largest change holds, or the smallest, or none") {
  DesiredInput in = at(10, {average(800, 8)});
  in.up = ScalingRules{};
  in.up->policies = {{PolicyType::Pods, 4, 15s}, {PolicyType::Percent, 100, 15s}};
  CHECK(desired(in).replicas == 20);
  in.up->select = SelectPolicy::Min;
  CHECK(desired(in).replicas == 14);
  in.up->select = SelectPolicy::Disabled;
  CHECK(desired(in).replicas == 10);
}

TEST_CASE("desired: unwritten parts of behavior are the API's defaults") {
  DesiredInput in = at(1, {average(800, 8)});
  in.up = up_with_defaults({});
  CHECK(desired(in).replicas == 5);  // 4 pods are more than 100 %
  in = at(20, {average(800, 8)});
  in.up = up_with_defaults({});
  CHECK(desired(in).replicas == 40);
  CHECK(down_with_defaults({}, 300s).stabilization_window == Duration(300s));
  CHECK(down_with_defaults({}, 300s).policies.size() == 1);
}

TEST_CASE("desired: the step limit is double, and at least four") {
  DesiredInput in = at(1, {average(800, 8)});
  in.step_limit = true;
  CHECK(desired(in).replicas == 4);
  CHECK(desired(in).rule == Rule::StepLimit);
  in.current = in.status = in.ready = 7;
  CHECK(desired(in).replicas == 14);
}

TEST_CASE("desired: paused directions stand still") {
  DesiredInput in = at(5, {average(80, 8)});
  in.up_disabled = true;
  CHECK(desired(in).replicas == 5);
  CHECK(desired(in).rule == Rule::PausedScaleOut);
  in = at(5, {average(8, 8)});
  in.down_disabled = true;
  CHECK(desired(in).rule == Rule::PausedScaleIn);
}

TEST_CASE("desired: the last rule that changed the number is the one that is named") {
  DesiredInput in = at(6, {average(800, 8)});
  in.max = 8;
  in.up = up_with_defaults(pods(4, 60s));
  CHECK(desired(in).rule == Rule::Max);  // the policy would allow 10
  CHECK(desired(in, Rule::Max).replicas == 10);
  in.max = 50;
  CHECK(desired(in).rule == Rule::ScaleUpPolicy);
  CHECK(desired(in, Rule::ScaleUpPolicy).replicas == 50);
}

}  // namespace jobmill::scale
