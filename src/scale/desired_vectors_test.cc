// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include <doctest/doctest.h>

#include "scale/desired.h"
#include "vectors.h"

namespace jobmill::scale {
namespace {

using testing::has;
using testing::member;
using testing::number;
using testing::text;

std::int64_t milli(const Node& node, std::string_view key) {
  return std::llround(number(node, key) * 1000);
}

int integer(const Node& node, std::string_view key) { return static_cast<int>(number(node, key)); }

// Nothing is remembered yet, and steps are limited as Kubernetes limits them.
DesiredInput input(const Node& in) {
  DesiredInput out;
  out.current = integer(in, "currentReplicas");
  out.status = out.current;
  out.ready = integer(in, "readyReplicas");
  out.min = integer(in, "min");
  out.max = integer(in, "max");
  out.tolerance = number(in, "tolerance");
  out.step_limit = true;
  Reading reading;
  reading.type = text(in, "metricType") == "Value" ? MetricType::Value : MetricType::AverageValue;
  reading.value_milli = milli(in, "metric");
  reading.target_milli = milli(in, "target");
  out.readings.push_back(reading);
  return out;
}

void check(const DesiredInput& in, const Node& expect) {
  const Desired out = desired(in);
  if (has(expect, "raw")) {
    const auto proposal = propose(in.readings.front(), in);
    REQUIRE(proposal);
    CHECK(proposal->replicas == integer(expect, "raw"));
  } else {
    CHECK((out.disabled || out.out_of_bounds));  // the metrics are not looked at
  }
  CHECK(out.disabled == !has(expect, "desiredFirstStep"));
  if (has(expect, "desiredFirstStep")) CHECK(out.replicas == integer(expect, "desiredFirstStep"));
  if (text(expect, "note") == "ScalingDisabled") CHECK(out.disabled);
}

}  // namespace

TEST_CASE("desired: vectors of one external metric") {
  for (const Node& vector : testing::vectors("autoscaler/hpa_external.json")) {
    CAPTURE(text(vector, "id"));
    check(input(member(vector, "in")), member(vector, "expect"));
  }
}

}  // namespace jobmill::scale
