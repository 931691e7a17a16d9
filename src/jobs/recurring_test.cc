// SPDX-License-Identifier: Apache-2.0
#include "jobs/recurring.h"

#include <doctest/doctest.h>

namespace jobmill::jobs {
namespace {

using namespace std::chrono_literals;
using Runs = std::vector<TimePoint>;

const TimePoint kCreated = ManualClock().now();

RecurringSpec hourly(Missed missed) {
  RecurringSpec spec;
  spec.id = "r";
  spec.schedule = "PT1H";
  spec.job.kind = "k";
  spec.missed = missed;
  return spec;
}

TimePoint run(int n) { return kCreated + n * 1h; }

// The first run was made ahead; now it is `now`.
RecurringPlan plan(const RecurringSpec& spec, TimePoint now, int active = 0, bool waits = true) {
  const auto times = Timetable::make(spec);
  REQUIRE(times);
  return plan_due(spec, *times,
                  {.created = kCreated, .ahead = run(1), .ahead_waits = waits, .active = active},
                  now);
}

}  // namespace

TEST_CASE("recurring: a run on time goes on, and the next one is made") {
  for (const Missed missed : {Missed::Skip, Missed::Once, Missed::All}) {
    const auto planned = plan(hourly(missed), run(1) + 10s);
    CHECK(planned.run_ahead);
    CHECK(planned.catch_up.empty());
    CHECK(planned.next == run(2));
    CHECK(planned.last_run == run(1));
    CHECK(planned.skipped == 0);
  }
}

TEST_CASE("recurring: more than ten seconds late is missed") {
  const auto planned = plan(hourly(Missed::Skip), run(1) + 10s + 1us);
  CHECK_FALSE(planned.run_ahead);
  CHECK(planned.skipped == 1);
  CHECK(planned.first_skipped == run(1));
  CHECK(planned.last_skipped == run(1));
  CHECK(planned.next == run(2));
  CHECK_FALSE(planned.last_run);
}

TEST_CASE("recurring: once makes one run of all that were missed") {
  const auto planned = plan(hourly(Missed::Once), run(5) + 20min);
  CHECK(planned.run_ahead);
  CHECK(planned.catch_up.empty());
  CHECK(planned.last_run == run(5));
  CHECK(planned.skipped == 4);
  CHECK(planned.first_skipped == run(1));
  CHECK(planned.last_skipped == run(4));
}

TEST_CASE("recurring: a run that is on time makes up for the missed ones before it") {
  const auto planned = plan(hourly(Missed::Once), run(3));
  CHECK(planned.run_ahead);
  CHECK(planned.last_run == run(3));
  CHECK(planned.skipped == 2);
}

TEST_CASE("recurring: all makes one run each, oldest first, up to a limit") {
  auto spec = hourly(Missed::All);
  auto planned = plan(spec, run(4) + 20min);
  CHECK(planned.run_ahead);  // as the first one
  CHECK(planned.catch_up == Runs{run(2), run(3), run(4)});
  CHECK(planned.next == run(5));
  CHECK(planned.skipped == 0);

  spec.missed_max = 2;
  planned = plan(spec, run(4) + 20min);
  CHECK(planned.catch_up == Runs{run(2)});
  CHECK(planned.skipped == 2);
  CHECK(planned.first_skipped == run(3));
}

TEST_CASE("recurring: within drops what is too old") {
  auto spec = hourly(Missed::Within);
  spec.missed_within = 2h;
  const auto planned = plan(spec, run(4) + 20min);
  CHECK(planned.skipped == 2);
  CHECK(planned.last_skipped == run(2));
  CHECK(planned.run_ahead);
  CHECK(planned.catch_up == Runs{run(4)});
  CHECK(planned.last_run == run(4));
}

TEST_CASE("recurring: what is already active counts against max_concurrent") {
  auto spec = hourly(Missed::Once);
  auto planned = plan(spec, run(1), 1);
  CHECK_FALSE(planned.run_ahead);
  CHECK(planned.skipped == 1);
  CHECK_FALSE(planned.reason.empty());
  spec.max_concurrent = 2;
  CHECK(plan(spec, run(1), 1).run_ahead);
  CHECK_FALSE(plan(spec, run(1), 2).run_ahead);
  CHECK_FALSE(plan(spec, run(3) + 20min, 2).run_ahead);
}

TEST_CASE("recurring: a run dealt with by hand is neither run again nor recorded") {
  const auto planned = plan(hourly(Missed::Once), run(1), 0, false);
  CHECK_FALSE(planned.run_ahead);
  CHECK(planned.catch_up.empty());
  CHECK(planned.skipped == 0);
  CHECK(planned.next == run(2));

  const auto later = plan(hourly(Missed::All), run(2) + 1min, 0, false);
  CHECK_FALSE(later.run_ahead);
  CHECK(later.catch_up == Runs{run(2)});
}

TEST_CASE("recurring: specs are checked") {
  const auto message = [](const RecurringSpec& spec) {
    const auto valid = validate(spec, 1s);
    REQUIRE_FALSE(valid);
    CHECK(valid.error().code == Code::InvalidArgument);
    return valid.error().message;
  };
  CHECK(validate(hourly(Missed::Once), 1s));
  auto spec = hourly(Missed::Once);
  spec.id = "no blanks";
  CHECK(message(spec).starts_with("id: "));
  spec.id = std::string(128, 'x');
  CHECK(message(spec).starts_with("id: "));
  spec = hourly(Missed::Within);
  CHECK(message(spec).starts_with("missed_within: "));
  spec = hourly(Missed::Once);
  spec.max_concurrent = 0;
  CHECK(message(spec).starts_with("max_concurrent: "));
  spec.max_concurrent = 2;
  CHECK(message(spec).starts_with("max_concurrent: "));
  spec = hourly(Missed::Once);
  spec.job.delay = 1s;
  CHECK(message(spec).starts_with("spec.delay: "));
  spec = hourly(Missed::Once);
  spec.job.priority = 11;
  CHECK(message(spec).starts_with("spec.priority: "));
  spec = hourly(Missed::Once);
  spec.dst = "robfig";
  CHECK(message(spec).starts_with("dst: "));
  spec = hourly(Missed::Once);
  spec.schedule = "PT0.9S";
  CHECK(message(spec).starts_with("schedule: "));
  CHECK(validate(spec, 100ms));
  spec.schedule = "P1D [PT0S/PT6H]";
  CHECK(message(spec).starts_with("schedule: "));
}

TEST_CASE("recurring: policies have texts") {
  CHECK(to_text(Missed::Once, {}) == "once");
  CHECK(to_text(Missed::Within, 15min) == "within=PT15M");
}

}  // namespace jobmill::jobs
