// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "base/cron.h"
#include "base/duration.h"
#include "vectors.h"

namespace jobmill {
namespace {

using testing::text;

TimePoint instant(const Node& vector, std::string_view key) {
  const auto at = parse_instant(text(vector, key));
  REQUIRE(at);
  return *at;
}

void check_next(const Node& vector, const Cron& cron, DstPolicy policy) {
  const auto zone = TimeZone::find(text(vector, "tz"));
  REQUIRE(zone);
  const auto next = cron.next(instant(vector, "after"), *zone, policy);
  REQUIRE(next);
  CHECK(format_instant(*next) == format_instant(instant(vector, "next")));
}

std::vector<DstPolicy> policies(const std::string& name) {
  if (name == "any") return {DstPolicy::RealTime, DstPolicy::JavaShift};
  const auto policy = dst_policy(name);
  REQUIRE(policy);
  return {*policy};
}

TEST_CASE("cron: the next run is the one of the vectors") {
  for (const Node& vector : testing::vectors("jobs/cron_next.json")) {
    CAPTURE(to_json(vector));
    const auto cron = Cron::parse(text(vector, "expr"));
    REQUIRE(cron);
    for (const DstPolicy policy : policies(text(vector, "dst_policy")))
      check_next(vector, *cron, policy);
  }
}

TEST_CASE("cron: the trigger's policy gives the runs of the vectors, in both dialects") {
  for (const Node& vector : testing::vectors("jobs/cron_next_robfig.json")) {
    CAPTURE(to_json(vector));
    for (const auto& cron :
         {Cron::parse(text(vector, "expr")), Cron::parse_robfig(text(vector, "expr"))}) {
      REQUIRE(cron);
      check_next(vector, *cron, DstPolicy::Robfig);
    }
  }
}

TEST_CASE("cron: texts are accepted and refused as in the vectors") {
  for (const Node& vector : testing::vectors("jobs/cron_validity.json")) {
    CAPTURE(to_json(vector));
    const bool accepted = static_cast<bool>(Cron::parse(text(vector, "expr")));
    CHECK((accepted ? "accept" : "reject") == text(vector, "expect"));
  }
}

}  // namespace
}  // namespace jobmill
