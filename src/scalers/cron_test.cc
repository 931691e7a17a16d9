// SPDX-License-Identifier: Apache-2.0
#include "scalers/cron.h"

#include <doctest/doctest.h>

#include "base/duration.h"
#include "scalers/table.h"

namespace jobmill::scalers {
namespace {

scale::TriggerSpec spec(std::string start, std::string end,
                        std::string timezone = "America/New_York") {
  scale::TriggerSpec result;
  result.type = "cron";
  result.metadata = {{"start", std::move(start)},
                     {"end", std::move(end)},
                     {"timezone", std::move(timezone)},
                     {"desiredReplicas", "3"}};
  return result;
}

TimePoint instant(std::string_view text) { return *parse_instant(text); }

CronActivity activity(const scale::TriggerSpec& spec, std::string_view now) {
  const auto trigger = parse_cron(spec);
  REQUIRE_MESSAGE(trigger, (trigger ? "" : trigger.error().message));
  const auto result = cron_activity(*trigger, instant(now));
  REQUIRE(result);
  return *result;
}

}  // namespace

TEST_CASE("cron: a start that the spring change skips runs right after the gap") {
  const auto window = spec("30 2 * * *", "0 4 * * *");
  CHECK_FALSE(activity(window, "2026-03-08T06:59:59Z").active);
  CHECK(activity(window, "2026-03-08T07:00:00Z").active);
  CHECK(activity(window, "2026-03-08T07:59:59Z").active);
  CHECK_FALSE(activity(window, "2026-03-08T08:00:00Z").active);
}

TEST_CASE("cron: a window that lies in the gap is skipped, not stretched over the day before") {
  for (const char* end : {"45 2 * * *", "0 3 * * *"}) {
    CAPTURE(end);
    const auto window = spec("15 2 * * *", end);
    CHECK_FALSE(activity(window, "2026-03-07T12:00:00Z").active);
    CHECK_FALSE(activity(window, "2026-03-08T06:30:00Z").active);
    CHECK_FALSE(activity(window, "2026-03-08T07:30:00Z").active);
    CHECK(activity(window, "2026-03-09T06:20:00Z").active);
  }
}

TEST_CASE("cron: in the repeated hour of autumn a fixed time runs twice") {
  const auto window = spec("30 1 * * *", "45 1 * * *");
  CHECK(activity(window, "2026-11-01T05:30:00Z").active);
  CHECK_FALSE(activity(window, "2026-11-01T05:45:00Z").active);
  CHECK(activity(window, "2026-11-01T06:30:00Z").active);
  CHECK_FALSE(activity(window, "2026-11-01T06:45:00Z").active);
}

TEST_CASE("cron: hourly windows know no gap") {
  const auto window = spec("5 * * * *", "10 * * * *");
  CHECK_FALSE(activity(window, "2026-03-08T06:59:00Z").active);
  CHECK_FALSE(activity(window, "2026-03-08T07:04:59Z").active);
  CHECK(activity(window, "2026-03-08T07:05:00Z").active);
}

TEST_CASE("cron: a schedule may name its own zone") {
  const auto tokyo = spec("TZ=Asia/Tokyo 0 9 * * *", "CRON_TZ=Asia/Tokyo 0 10 * * *");
  const auto now = activity(tokyo, "2026-01-05T00:30:00Z");
  CHECK(now.active);
  CHECK(now.next_end == instant("2026-01-05T01:00:00Z"));
  CHECK_FALSE(activity(tokyo, "2026-01-05T09:30:00Z").active);
}

TEST_CASE("cron: what never starts or never ends is never active") {
  CHECK_FALSE(activity(spec("0 0 31 2 *", "0 0 1 3 *"), "2026-01-05T00:00:00Z").active);
  const auto endless = activity(spec("0 0 1 3 *", "0 0 31 2 *"), "2026-03-05T00:00:00Z");
  CHECK_FALSE(endless.active);
  CHECK_FALSE(endless.next_end);
}

TEST_CASE("cron: an unknown timezone is an error of the read, not of the trigger") {
  ManualClock clock;
  const ScalerContext context{.fetch = {}, .jobs = {}, .run_after = {}, .clock = clock};
  auto scaler = make_scaler(spec("0 9 * * *", "0 17 * * *", "Mars/Base"), context);
  REQUIRE(scaler);
  bool failed = false;
  (*scaler)->read([&](Result<scale::Sample> sample) {
    failed = !sample && sample.error().message.find("Mars/Base") != std::string::npos;
  });
  CHECK(failed);
}

TEST_CASE("cron: a read gives the wanted replicas, or none outside of the window") {
  ManualClock clock;  // 2024-01-01T00:00:00Z
  const ScalerContext context{.fetch = {}, .jobs = {}, .run_after = {}, .clock = clock};
  auto scaler = make_scaler(spec("0 9 * * *", "0 17 * * *", "UTC"), context);
  REQUIRE(scaler);
  CHECK((*scaler)->metric().name == "s0-cron-UTC-09xxx-017xxx");
  scale::Sample seen;
  const auto read = [&] { (*scaler)->read([&](auto sample) { seen = *sample; }); };
  read();
  CHECK((seen.value == 0 && !seen.active));
  clock.set(instant("2024-01-01T09:00:00Z"));
  read();
  CHECK((seen.value == 3 && seen.active));
}

TEST_CASE("cron: all that is wrong with a trigger is said") {
  auto trigger = spec("0 0 L * *", "61 * * * *");
  trigger.metadata["desiredReplicas"] = "0";
  Parameters parameters(trigger, cron_parameters());
  (void)decode_cron(parameters);
  CHECK(parameters.flaws() == std::set{Flaw::Missing, Flaw::Range, Flaw::Syntax});
  const std::string message = parameters.status().error().message;
  CHECK(message.find("start is not a schedule: ") != std::string::npos);
  CHECK(message.find("end is not a schedule: ") != std::string::npos);
  CHECK(message.find("range: ") == std::string::npos);
}

}  // namespace jobmill::scalers
