// SPDX-License-Identifier: Apache-2.0
#include "scale/metric_name.h"

#include <doctest/doctest.h>

#include "vectors.h"

namespace jobmill::scale {
namespace {

using testing::member;
using testing::text;

int trigger_index(const Node& in) { return static_cast<int>(testing::number(in, "triggerIndex")); }

void check_name(const Node& in, const Node& expect) {
  CHECK(metric_name(text(in, "text"), trigger_index(in)) == text(expect, "metricName"));
}

void check_strip(const Node& in, const Node& expect) {
  const auto name = strip_trigger_index(text(in, "metricName"), trigger_index(in));
  REQUIRE(bool(name) == testing::flag(expect, "ok"));
  if (name) CHECK(*name == text(expect, "name"));
}

}  // namespace

TEST_CASE("metric names: the vectors of names and their index") {
  for (const Node& vector : testing::vectors("autoscaler/normalize.json")) {
    CAPTURE(text(vector, "id"));
    const bool strips = text(vector, "kind") == "metric_name_strip_index";
    (strips ? check_strip : check_name)(member(vector, "in"), member(vector, "expect"));
  }
}

}  // namespace jobmill::scale
