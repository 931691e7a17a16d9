// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <map>
#include <string>

#include <doctest/doctest.h>

#include "base/duration.h"
#include "scale/metric_value.h"
#include "scalers/cron.h"
#include "scalers/metrics_api.h"
#include "vectors.h"

namespace jobmill::scalers {
namespace {

using testing::flag;
using testing::has;
using testing::member;
using testing::number;
using testing::text;

Result<double> extract(const Node& in) {
  const std::map<std::string, ValueFormat> kFormats{{"json", ValueFormat::Json},
                                                    {"xml", ValueFormat::Xml},
                                                    {"yaml", ValueFormat::Yaml},
                                                    {"prometheus", ValueFormat::Prometheus}};
  const auto format = kFormats.find(text(in, "format"));
  if (format == kFormats.end()) return fail(Code::Unsupported, "unknown format");
  return extract_value(format->second, text(in, "valueLocation"), text(in, "body"));
}

void check_value(double value, const Node& expect) {
  CHECK(scale::to_quantity(value) == text(expect, "metricQuantity"));
  if (has(expect, "valueText")) {
    REQUIRE(text(expect, "valueText") == "NaN");
    CHECK(std::isnan(value));
    return;
  }
  const double wanted = number(expect, "value");
  CHECK(std::abs(value - wanted) <= 1e-9 * std::abs(wanted));
}

void check_instant(const std::optional<TimePoint>& at, const Node& expect, std::string_view key) {
  CAPTURE(key);
  REQUIRE(at.has_value() == has(expect, key));
  if (at) CHECK(*at == *parse_instant(text(expect, key)));
}

scale::TriggerSpec cron_spec(const Node& in) {
  scale::TriggerSpec spec;
  spec.type = "cron";
  for (const std::string_view key : {"start", "end", "timezone"})
    spec.metadata.emplace(key, text(in, key));
  spec.metadata["desiredReplicas"] = member(in, "desiredReplicas").text;
  return spec;
}

void check_activity(const Node& in, const Node& expect) {
  const auto trigger = parse_cron(cron_spec(in));
  REQUIRE_MESSAGE(trigger, (trigger ? "" : trigger.error().message));
  const auto activity = cron_activity(*trigger, *parse_instant(text(in, "now")));
  REQUIRE(bool(activity) == flag(expect, "ok"));
  if (!activity) return;
  CHECK(activity->active == flag(expect, "active"));
  CHECK((activity->active ? trigger->desired_replicas : 0) == number(expect, "value"));
  check_instant(activity->next_start, expect, "nextStart");
  check_instant(activity->next_end, expect, "nextEnd");
}

}  // namespace

TEST_CASE("metrics-api: the vectors of numbers in answers") {
  for (const Node& vector : testing::vectors("autoscaler/metrics_api_extract.json")) {
    CAPTURE(text(vector, "id"));
    const Node& expect = member(vector, "expect");
    const auto value = extract(member(vector, "in"));
    CAPTURE((value ? std::to_string(*value) : value.error().message));
    REQUIRE(bool(value) == flag(expect, "ok"));
    if (value) check_value(*value, expect);
  }
}

TEST_CASE("cron: the vectors of activity") {
  for (const Node& vector : testing::vectors("autoscaler/cron_activity.json")) {
    CAPTURE(text(vector, "id"));
    check_activity(member(vector, "in"), member(vector, "expect"));
  }
}

}  // namespace jobmill::scalers
