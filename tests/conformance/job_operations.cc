// SPDX-License-Identifier: Apache-2.0
#include "conformance/job_operations.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "base/id.h"
#include "conformance/job_bench.h"

namespace jobmill::jobs {
namespace {

constexpr auto kTraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
constexpr Duration kStopGrace = 25s;
constexpr Duration kKeyLife = 24h;

Settlement snooze(const ClaimedJob& claimed, Duration after) {
  Settlement settlement = complete(claimed);
  settlement.kind = Settlement::Kind::Snooze;
  settlement.after = after;
  return settlement;
}

Settlement with_result(const ClaimedJob& claimed, std::string json) {
  Settlement settlement = complete(claimed);
  settlement.result = std::move(json);
  return settlement;
}

// Keeps the worker alive while time passes, and tells what its beat said last.
BeatAnswer live(Bench& bench, const std::string& worker, const Report& report, Duration time) {
  BeatAnswer answer;
  for (Duration passed{}; passed < time;) {
    const Duration step = std::min<Duration>(10s, time - passed);
    bench.clock.advance(step);
    passed += step;
    answer = need(bench.store.beat(worker, std::span(&report, 1), bench.now()));
  }
  return answer;
}

// --- extra fields --------------------------------------------------------------------------------

void exercise_extra(const MakeJobStore& make) {
  SUBCASE("extra: what a job says of itself is kept, and handed to its worker") {
    Bench bench(make);
    JobSpec job = spec("k");
    job.extra.retry = RetryPolicy{.delays = {5s, 1500ms}, .jitter = 0.25};
    job.extra.timeout = 90s;
    job.extra.progress_timeout = 30s;
    job.extra.trace = {kTraceParent, "vendor=1"};
    job.extra.result_ttl = 2h;
    const auto id = bench.enqueue(job);
    CHECK(bench.job(id).extra == job.extra);
    CHECK(bench.job(id).max_attempts == 3);
    CHECK_FALSE(bench.job(id).deadline);

    const auto claimed = bench.claim_one(bench.worker());
    CHECK(claimed.job.extra == job.extra);
    CHECK(claimed.job.deadline == bench.now() + 90s);
    CHECK(bench.job(id).deadline == bench.now() + 90s);
    CHECK(bench.job(bench.enqueue(spec("k"))).extra == Extra{});
  }

  SUBCASE("extra: what makes no sense is refused with its field") {
    Bench bench(make);
    const auto refused = [&](const JobSpec& bad, std::string_view field) {
      const auto result = bench.store.insert(std::span(&bad, 1), bench.now());
      REQUIRE(code(result) == Code::InvalidArgument);
      CHECK(result.error().message.find(field) != std::string::npos);
    };
    JobSpec both = spec("k");
    both.retries = 3;
    both.extra.retry = RetryPolicy{.delays = {5s}};
    refused(both, "retry: excludes retries");
    JobSpec trace = spec("k");
    trace.extra.trace.parent = "00-0-0-00";
    refused(trace, "trace.traceparent");
    CHECK(bench.queue("default").enqueued == 0);
  }

  SUBCASE("extra: a recurring job gives it to its runs") {
    Bench bench(make);
    RecurringSpec recurring;
    recurring.id = "r";
    recurring.schedule = "* * * * *";
    recurring.zone = "UTC";
    recurring.job = spec("k");
    recurring.job.extra.timeout = 5min;
    recurring.job.extra.retry = RetryPolicy::powers_of(2);
    need(bench.store.put_recurring(recurring, bench.now()));
    const auto id = need(bench.store.trigger_recurring("r", bench.now()));
    CHECK(bench.job(id).extra == recurring.job.extra);
    CHECK(need(bench.store.recurring()).front().spec.job.extra == recurring.job.extra);
  }
}

// --- retries and snoozing ------------------------------------------------------------------------

void exercise_retries(const MakeJobStore& make) {
  SUBCASE("retries: a list of delays is their number and their times") {
    Bench bench(make);
    JobSpec job = spec("k");
    job.extra.retry = RetryPolicy{.delays = {5s, 5s, 60s}};
    const auto id = bench.enqueue(job);
    const auto worker = bench.worker();
    for (const Duration delay : {5s, 5s, 60s}) {
      const auto settled = bench.settle(fail_with(bench.claim_one(worker)));
      REQUIRE(settled.run_at == bench.now() + delay);
      need(bench.store.beat(worker, {}, bench.now()));
      bench.clock.advance(delay / 2);
      need(bench.store.beat(worker, {}, bench.now()));
      bench.clock.advance(delay - delay / 2);
      need(bench.store.beat(worker, {}, bench.now()));
      need(bench.owner.promote_due(bench.now()));
    }
    CHECK(bench.settle(fail_with(bench.claim_one(worker))).state == JobState::Failed);
    CHECK(bench.event_text(id, 3, "reason") == "Retry 1 of 3");
    CHECK(bench.job(id).failures == 4);
  }

  SUBCASE("retries: another base and factor change the seed") {
    Bench bench(make);
    JobSpec job = spec("k");
    job.extra.retry = RetryPolicy{.base = 2s, .factor = 10, .cap = 15s};
    bench.enqueue(job);
    const auto worker = bench.worker();
    for (const Duration delay : {2s, 15s}) {
      CHECK(bench.settle(fail_with(bench.claim_one(worker))).run_at == bench.now() + delay);
      bench.clock.advance(delay);
      need(bench.store.beat(worker, {}, bench.now()));
      need(bench.owner.promote_due(bench.now()));
    }
  }

  SUBCASE("retries: jitter moves a delay by its share at most") {
    Bench bench(make);
    JobSpec job = spec("k");
    job.extra.retry = RetryPolicy{.delays = {100s}, .jitter = 0.1};
    bench.insert(std::vector<JobSpec>(8, job));
    std::vector<Duration> delays;
    for (const ClaimedJob& claimed : bench.claim(bench.worker()).jobs) {
      const auto settled = bench.settle(fail_with(claimed));
      REQUIRE(settled.run_at);
      delays.push_back(*settled.run_at - bench.now());
      CHECK(delays.back() >= 90s);
      CHECK(delays.back() <= 110s);
    }
    CHECK(std::ranges::adjacent_find(delays, std::not_equal_to<>()) != delays.end());
  }

  SUBCASE("snooze: the job rests for a time and no attempt is consumed") {
    Bench bench(make);
    const auto worker = bench.worker();
    const auto id = bench.enqueue(spec("k"));
    const auto first = bench.claim_one(worker);
    const auto settled = bench.settle(snooze(first, 20s));
    CHECK(settled.status);
    CHECK(settled.state == JobState::Scheduled);
    CHECK(settled.run_at == bench.now() + 20s);
    CHECK(bench.states(id) == std::vector<std::string>{"ENQUEUED", "PROCESSING", "SCHEDULED"});
    CHECK(bench.job(id).attempt == 0);
    CHECK(code(bench.settle(complete(first)).status) == Code::Conflict);

    bench.clock.advance(20s);
    need(bench.store.beat(worker, {}, bench.now()));
    need(bench.owner.promote_due(bench.now()));
    const auto again = bench.claim_one(worker);
    CHECK(again.job.attempt == 1);
    CHECK(again.job.failures == 0);
    CHECK(again.job.crashes == 0);
  }

  SUBCASE("snooze: with others in one call, and for no time at all") {
    Bench bench(make);
    const auto worker = bench.worker();
    bench.insert({spec("k"), spec("k"), spec("k")});
    const auto claimed = bench.claim(worker);
    const std::vector<Settlement> all{snooze(claimed.jobs[0], 5s), complete(claimed.jobs[1]),
                                      snooze(claimed.jobs[2], Duration::zero())};
    const auto settled = need(bench.store.settle(worker, all, bench.now()));
    REQUIRE(settled.size() == 3);
    CHECK(settled[0].state == JobState::Scheduled);
    CHECK(settled[0].run_at == bench.now() + 5s);
    CHECK(settled[1].state == JobState::Succeeded);
    CHECK(settled[2].state == JobState::Enqueued);
    CHECK(bench.claim_one(worker).job.id == claimed.jobs[2].job.id);
  }
}

// --- limits of time ------------------------------------------------------------------------------

void exercise_timeouts(const MakeJobStore& make) {
  SUBCASE("timeout: the worker is told, and after the stop grace the attempt has failed") {
    Bench bench(make);
    const auto worker = bench.worker();
    JobSpec job = spec("k");
    job.extra.timeout = 60s;
    const auto id = bench.enqueue(job);
    const auto claimed = bench.claim_one(worker);
    const Report running = lease_of(claimed);
    CHECK(need(bench.owner.next_chore(bench.now())).has_value());
    CHECK(live(bench, worker, running, 59s).cancel.empty());
    const auto told = live(bench, worker, running, 1s);
    REQUIRE(told.cancel.size() == 1);
    CHECK(told.cancel[0].job_id == id);
    CHECK(told.cancel[0].reason == "timeout");
    CHECK(bench.state(id) == JobState::Processing);

    CHECK(live(bench, worker, running, kStopGrace - 1s).cancel.size() == 1);
    CHECK(need(bench.owner.time_out(bench.now())) == 0);
    live(bench, worker, running, 1s);
    const auto chore = need(bench.owner.next_chore(bench.now()));
    REQUIRE(chore);
    CHECK(*chore <= bench.now());
    CHECK(need(bench.owner.time_out(bench.now())) == 1);
    CHECK(need(bench.owner.time_out(bench.now())) == 0);

    CHECK(bench.states(id) ==
          std::vector<std::string>{"ENQUEUED", "PROCESSING", "FAILED", "SCHEDULED"});
    CHECK(bench.event_text(id, 2, "exceptionType") == "jobmill.Timeout");
    CHECK(bench.event_text(id, 3, "reason") == "Retry 1 of 10");
    CHECK(bench.job(id).failures == 1);
    CHECK(code(bench.settle(complete(claimed)).status) == Code::Conflict);
    const auto after = need(bench.store.beat(worker, std::span(&running, 1), bench.now()));
    REQUIRE(after.cancel.size() == 1);
    CHECK(after.cancel[0].reason == "timeout");
  }

  SUBCASE("timeout: who ends in its grace has not failed") {
    Bench bench(make);
    const auto worker = bench.worker();
    JobSpec job = spec("k");
    job.extra.timeout = 5s;
    const auto id = bench.enqueue(job);
    const auto claimed = bench.claim_one(worker);
    live(bench, worker, lease_of(claimed), 20s);
    CHECK(bench.settle(complete(claimed)).status);
    bench.clock.advance(kStopGrace);
    CHECK(need(bench.owner.time_out(bench.now())) == 0);
    CHECK(bench.state(id) == JobState::Succeeded);
  }

  SUBCASE("timeout: a job that stops telling its progress") {
    Bench bench(make);
    const auto worker = bench.worker();
    JobSpec job = spec("k");
    job.extra.progress_timeout = 30s;
    job.extra.retry = RetryPolicy{.delays = {}, .base = 1s, .factor = 1};
    const auto id = bench.enqueue(job);
    const auto claimed = bench.claim_one(worker);
    Report report = lease_of(claimed);
    CHECK(live(bench, worker, report, 20s).cancel.empty());
    report.progress = Progress{1, 10, 0};
    need(bench.store.report(report, bench.now()));
    CHECK(live(bench, worker, lease_of(claimed), 20s).cancel.empty());
    report.progress->done = 2;
    CHECK(live(bench, worker, report, 10s).cancel.empty());
    CHECK(live(bench, worker, lease_of(claimed), 20s).cancel.empty());
    const auto told = live(bench, worker, lease_of(claimed), 10s);
    REQUIRE(told.cancel.size() == 1);
    CHECK(told.cancel[0].reason == "timeout");
    live(bench, worker, lease_of(claimed), kStopGrace);
    CHECK(need(bench.owner.time_out(bench.now())) == 1);
    CHECK(bench.event_text(id, 2, "exceptionType") == "jobmill.Timeout");
  }
}

// --- progress and lines --------------------------------------------------------------------------

void exercise_reports(const MakeJobStore& make) {
  SUBCASE("reports: progress is shown with the job") {
    Bench bench(make);
    const auto worker = bench.worker();
    const auto id = bench.enqueue(spec("k"));
    CHECK_FALSE(bench.job(id).progress);
    const auto claimed = bench.claim_one(worker);
    Report report = lease_of(claimed);
    report.progress = Progress{.done = 3, .total = 10, .failed = 1};
    need(bench.store.beat(worker, std::span(&report, 1), bench.now()));
    CHECK(bench.job(id).progress == report.progress);
    report.progress->done = 4;
    need(bench.store.report(report, bench.now()));
    CHECK(bench.job(id).progress->done == 4);
    need(bench.store.report(lease_of(claimed), bench.now()));  // nothing new
    CHECK(bench.job(id).progress->done == 4);
    CHECK(need(bench.store.list({})).items.front().progress == report.progress);
    REQUIRE(bench.settle(complete(claimed)).status);
    CHECK(bench.job(id).progress->done == 4);
  }

  SUBCASE("reports: lines are kept per attempt, in their order") {
    Bench bench(make);
    const auto worker = bench.worker();
    const auto id = bench.enqueue(spec("k"));
    CHECK(need(bench.store.log(id, 0, 0)).lines.empty());
    const auto first = bench.claim_one(worker);
    Report report = lease_of(first);
    const std::vector<LogLine> lines{{LineLevel::Info, bench.now(), "start"},
                                     {LineLevel::Warn, bench.now() + 1ms, "\"slow\"\n"},
                                     {LineLevel::Error, bench.now() + 2ms, "ünusual"}};
    report.logs = {lines[0], lines[1]};
    need(bench.store.beat(worker, std::span(&report, 1), bench.now()));
    report.logs = {lines[2]};
    need(bench.store.report(report, bench.now()));
    const auto log = need(bench.store.log(id, 0, 0));
    CHECK(log.attempt == 1);
    CHECK(log.lines == lines);
    CHECK(log.dropped == 0);
    CHECK(log.next == 3);
    CHECK(need(bench.store.log(id, 1, 2)).lines == std::vector{lines[2]});
    CHECK(need(bench.store.log(id, 1, log.next)).lines.empty());

    bench.settle(fail_with(first, RetryRule::After, 1s));
    bench.clock.advance(1s);
    need(bench.owner.promote_due(bench.now()));
    report = lease_of(bench.claim_one(worker));
    report.logs = {{LineLevel::Info, bench.now(), "again"}};
    need(bench.store.report(report, bench.now()));
    CHECK(need(bench.store.log(id, 0, 0)).attempt == 2);
    CHECK(need(bench.store.log(id, 0, 0)).lines.size() == 1);
    CHECK(need(bench.store.log(id, 1, 0)).lines.size() == 3);
    CHECK(need(bench.store.log(id, 7, 0)).lines.empty());
    CHECK(code(bench.store.log(new_id(bench.now()), 0, 0)) == Code::NotFound);
  }

  SUBCASE("reports: of too many lines the oldest are dropped and counted") {
    Bench bench(make);
    const auto worker = bench.worker();
    const auto id = bench.enqueue(spec("k"));
    Report report = lease_of(bench.claim_one(worker));
    for (int i = 0; i < 10'000; ++i)
      report.logs.push_back({LineLevel::Info, bench.now(), std::to_string(i)});
    need(bench.store.report(report, bench.now()));
    CHECK(need(bench.store.log(id, 0, 0)).dropped == 0);
    report.logs.resize(3);
    need(bench.store.report(report, bench.now()));
    const auto log = need(bench.store.log(id, 0, 0));
    CHECK(log.lines.size() == 10'000);
    CHECK(log.lines.front().text == "3");
    CHECK(log.lines.back().text == "2");
    CHECK(log.dropped == 3);
    CHECK(log.next == 10'003);
    CHECK(need(bench.store.log(id, 0, 10'002)).lines.size() == 1);
  }

  SUBCASE("reports: a long line is cut, and so many bytes are kept") {
    Bench bench(make);
    const auto worker = bench.worker();
    const auto id = bench.enqueue(spec("k"));
    Report report = lease_of(bench.claim_one(worker));
    report.logs = {{LineLevel::Info, bench.now(), std::string(100'000, 'x')}};
    for (int i = 0; i < 17; ++i) need(bench.store.report(report, bench.now()));
    const auto log = need(bench.store.log(id, 0, 0));
    CHECK(log.lines.front().text.size() == kMaxLineBytes);
    CHECK(log.lines.size() == 16);
    CHECK(log.dropped == 1);
  }

  SUBCASE("reports: who does not hold the job tells nothing") {
    Bench bench(make);
    const auto worker = bench.worker();
    const auto id = bench.enqueue(spec("k"));
    const auto claimed = bench.claim_one(worker);
    REQUIRE(bench.settle(release(claimed, "")).status);
    Report report = lease_of(claimed);
    report.progress = Progress{1, 2, 0};
    report.logs = {{LineLevel::Info, bench.now(), "late"}};
    CHECK(code(bench.store.report(report, bench.now())) == Code::Conflict);
    const auto beat = need(bench.store.beat(worker, std::span(&report, 1), bench.now()));
    CHECK(beat.cancel.size() == 1);
    CHECK_FALSE(bench.job(id).progress);
    CHECK(need(bench.store.log(id, 0, 0)).lines.empty());
    report.job_id = new_id(bench.now());
    CHECK(code(bench.store.report(report, bench.now())) == Code::NotFound);
  }
}

// --- results -------------------------------------------------------------------------------------

void exercise_results(const MakeJobStore& make) {
  SUBCASE("results: what a job returned can be asked for") {
    Bench bench(make);
    const auto worker = bench.worker();
    const auto id = bench.enqueue(spec("k"));
    auto outcome = need(bench.store.result(id, bench.now()));
    CHECK_FALSE(outcome.available);
    CHECK(outcome.state == JobState::Enqueued);
    CHECK(outcome.retry_after > Duration::zero());

    const auto claimed = bench.claim_one(worker);
    CHECK(need(bench.store.result(id, bench.now())).state == JobState::Processing);
    REQUIRE(bench.settle(with_result(claimed, R"({"sum":[1,2.5,"x"]})")).status);
    outcome = need(bench.store.result(id, bench.now()));
    CHECK(outcome.available);
    CHECK(outcome.state == JobState::Succeeded);
    CHECK(outcome.json == R"({"sum":[1,2.5,"x"]})");
    CHECK(outcome.retry_after == Duration::zero());
    CHECK(code(bench.store.result(new_id(bench.now()), bench.now())) == Code::NotFound);
  }

  SUBCASE("results: a job that returned nothing has ended without one") {
    Bench bench(make);
    const auto id = bench.enqueue(spec("k"));
    REQUIRE(bench.settle(complete(bench.claim_one(bench.worker()))).status);
    const auto outcome = need(bench.store.result(id, bench.now()));
    CHECK_FALSE(outcome.available);
    CHECK(outcome.state == JobState::Succeeded);
    CHECK(outcome.retry_after == Duration::zero());
  }

  SUBCASE("results: one that is too large is refused, and the job stays held") {
    Bench bench(make);
    const auto worker = bench.worker();
    const auto id = bench.enqueue(spec("k"));
    const auto claimed = bench.claim_one(worker);
    const std::string large = '"' + std::string(kMaxResultBytes, 'x') + '"';
    CHECK(code(bench.settle(with_result(claimed, large)).status) == Code::Exhausted);
    CHECK(bench.state(id) == JobState::Processing);
    const std::string largest = '"' + std::string(kMaxResultBytes - 2, 'x') + '"';
    const Settlement fits = with_result(claimed, largest);
    const auto settled = need(bench.store.settle(worker, std::span(&fits, 1), bench.now()));
    CHECK(settled.front().status);
    CHECK(need(bench.store.result(id, bench.now())).json == largest);
  }

  SUBCASE("results: the last one wins, and one may have a life of its own") {
    Bench bench(make);
    const auto worker = bench.worker();
    JobSpec job = spec("k");
    job.extra.result_ttl = 1h;
    const auto id = bench.enqueue(job);
    REQUIRE(bench.settle(with_result(bench.claim_one(worker), "1")).status);
    need(bench.store.requeue(id, bench.now()));
    REQUIRE(bench.settle(with_result(bench.claim_one(worker), "2")).status);
    CHECK(need(bench.store.result(id, bench.now())).json == "2");

    need(bench.store.leave(worker, bench.now()));
    const auto chore = need(bench.owner.next_chore(bench.now()));
    REQUIRE(chore);
    CHECK(*chore <= bench.now() + 1h + 1min);
    bench.clock.advance(1h - 1s);
    need(bench.owner.expire(bench.now()));
    CHECK(need(bench.store.result(id, bench.now())).available);
    bench.clock.advance(1s);
    need(bench.owner.expire(bench.now()));
    CHECK_FALSE(need(bench.store.result(id, bench.now())).available);
    CHECK(bench.state(id) == JobState::Succeeded);
  }

  SUBCASE("results: the job takes with it what it left") {
    Bench bench(make);
    const auto worker = bench.worker();
    JobSpec job = spec("k");
    job.id = "once";
    const auto id = bench.enqueue(job);
    const auto claimed = bench.claim_one(worker);
    Report report = lease_of(claimed);
    report.progress = Progress{1, 2, 0};
    report.logs = {{LineLevel::Info, bench.now(), "line"}};
    need(bench.store.report(report, bench.now()));
    REQUIRE(bench.settle(with_result(claimed, "1")).status);
    bench.clock.advance(36h);
    need(bench.owner.expire(bench.now()));
    CHECK(need(bench.store.result(id, bench.now())).state == JobState::Deleted);
    bench.clock.advance(72h);
    need(bench.owner.expire(bench.now()));
    CHECK(code(bench.store.result(id, bench.now())) == Code::NotFound);
    CHECK(bench.enqueue(job) == id);
    CHECK_FALSE(bench.job(id).progress);
    CHECK(need(bench.store.log(id, 0, 0)).lines.empty());
    CHECK_FALSE(need(bench.store.result(id, bench.now())).available);
  }
}

// --- keys of requests ----------------------------------------------------------------------------

void exercise_keys(const MakeJobStore& make) {
  SUBCASE("keys: a repeated request has the first answer and makes nothing") {
    Bench bench(make);
    JobSpec counted = spec("k");
    counted.count = 12;
    const std::vector<JobSpec> specs{spec("a"), counted};
    const auto first = need(bench.store.insert(specs, bench.now(), "key 1"));
    CHECK(first.created == 13);
    CHECK(first.total == 13);
    bench.clock.advance(1s);
    const auto second = need(bench.store.insert(specs, bench.now(), "key 1"));
    CHECK(second.created == 0);
    CHECK(second.total == 13);
    REQUIRE(second.jobs.size() == first.jobs.size());
    for (std::size_t i = 0; i < first.jobs.size(); ++i) {
      CHECK(second.jobs[i].id == first.jobs[i].id);
      CHECK_FALSE(second.jobs[i].created);
    }
    CHECK(bench.queue("default").enqueued == 13);
    CHECK(need(bench.store.insert(specs, bench.now(), "key 2")).created == 13);
    CHECK(need(bench.store.insert(specs, bench.now())).created == 13);
  }

  SUBCASE("keys: the payload is compared as values") {
    Bench bench(make);
    JobSpec job = spec("k");
    job.args = R"({"a":1,"b":[2]})";
    job.extra.trace.parent = kTraceParent;
    need(bench.store.insert(std::span(&job, 1), bench.now(), "key"));
    job.args = R"({ "b": [2], "a": 1 })";
    job.extra.trace = {};
    CHECK(need(bench.store.insert(std::span(&job, 1), bench.now(), "key")).created == 0);

    JobSpec other = job;
    other.args = R"({"a":1,"b":[3]})";
    CHECK(code(bench.store.insert(std::span(&other, 1), bench.now(), "key")) ==
          Code::AlreadyExists);
    other = job;
    other.delay = 5s;
    CHECK(code(bench.store.insert(std::span(&other, 1), bench.now(), "key")) ==
          Code::AlreadyExists);
    CHECK(bench.queue("default").enqueued == 1);
    CHECK(code(bench.store.insert(std::span(&job, 1), bench.now(), std::string(256, 'k'))) ==
          Code::InvalidArgument);
  }

  SUBCASE("keys: a refused request leaves none") {
    Bench bench(make);
    JobSpec job = spec("k");
    job.labels = {"a", "a"};
    CHECK(code(bench.store.insert(std::span(&job, 1), bench.now(), "key")) ==
          Code::InvalidArgument);
    job.labels = {"a"};
    CHECK(need(bench.store.insert(std::span(&job, 1), bench.now(), "key")).created == 1);
  }

  SUBCASE("keys: one lives a day after the first job of its request has ended") {
    Bench bench(make);
    const std::vector specs{spec("k")};
    need(bench.store.insert(specs, bench.now(), "key"));
    const auto repeated = [&] {
      need(bench.owner.expire(bench.now()));
      return need(bench.store.insert(specs, bench.now(), "key")).created == 0;
    };
    bench.clock.advance(kKeyLife + 1h);
    CHECK(repeated());  // the job has not ended
    const auto worker = bench.worker();
    REQUIRE(bench.settle(complete(bench.claim_one(worker))).status);
    need(bench.store.leave(worker, bench.now()));
    bench.clock.advance(kKeyLife - 1s);
    CHECK(repeated());
    // It is looked at once in a day, so it may live a little longer, but not for ever.
    for (int i = 0; i < 3; ++i) {
      bench.clock.advance(kKeyLife);
      need(bench.owner.expire(bench.now()));
    }
    CHECK_FALSE(repeated());
  }
}

// --- tallies -------------------------------------------------------------------------------------

Tally tally_of(Bench& bench, std::string_view queue, std::string_view kind) {
  for (const Tally& tally : need(bench.owner.tallies()))
    if (tally.queue == queue && tally.kind == kind) return tally;
  return {};
}

void exercise_tallies(const MakeJobStore& make) {
  SUBCASE("tallies: what happened, by queue and kind") {
    Bench bench(make);
    const auto worker = bench.worker();
    bench.insert({spec("a", "q"), spec("a", "q"), spec("b", "q")});
    bench.clock.advance(2s);
    const auto claimed = bench.claim(worker, 100, {"q"}, {"a"});
    REQUIRE(claimed.jobs.size() == 2);
    Tally tally = tally_of(bench, "q", "a");
    CHECK(tally.enqueued == 2);
    CHECK(tally.runs == 2);
    CHECK(tally.in_progress == 2);
    CHECK(tally.wait.count() == 2);
    CHECK(tally.wait.sum == doctest::Approx(4));
    CHECK(tally_of(bench, "q", "b").runs == 0);

    bench.clock.advance(500ms);
    REQUIRE(bench.settle(complete(claimed.jobs[0])).status);
    bench.settle(fail_with(claimed.jobs[1]));
    tally = tally_of(bench, "q", "a");
    CHECK(tally.succeeded == 1);
    CHECK(tally.failed == 1);
    CHECK(tally.retried == 1);
    CHECK(tally.in_progress == 0);
    CHECK(tally.run.count() == 2);
    CHECK(tally.run.sum == doctest::Approx(1));

    bench.clock.advance(4s);  // one second too late
    need(bench.owner.promote_due(bench.now()));
    tally = tally_of(bench, "q", "a");
    CHECK(tally.enqueued == 3);
    CHECK(tally.lateness.count() == 1);
    CHECK(tally.lateness.sum == doctest::Approx(1));
  }

  SUBCASE("tallies: crashes, quarantine and deletion") {
    Bench bench(make);
    JobSpec job = spec("k");
    job.max_crashes = 2;
    const auto id = bench.enqueue(job);
    for (int i = 0; i < 2; ++i) {
      const auto worker = bench.worker();
      bench.claim_one(worker);
      need(bench.owner.worker_died(worker, {.signal = 9, .exit_code = 0, .detail = {}},
                                   bench.now()));
    }
    need(bench.store.remove(id, "", bench.now()));
    const Tally tally = tally_of(bench, "default", "k");
    CHECK(tally.crashed == 2);
    CHECK(tally.quarantined == 1);
    CHECK(tally.failed == 0);
    CHECK(tally.deleted == 1);
    CHECK(tally.in_progress == 0);
    CHECK(tally.runs == 2);
  }
}

}  // namespace

void exercise_operations(const MakeJobStore& make) {
  exercise_extra(make);
  exercise_retries(make);
  exercise_timeouts(make);
  exercise_reports(make);
  exercise_results(make);
  exercise_keys(make);
  exercise_tallies(make);
}

}  // namespace jobmill::jobs
