// SPDX-License-Identifier: Apache-2.0
#include "api/metrics_text.h"

#include <doctest/doctest.h>

namespace jobmill::api {
namespace {

using namespace std::chrono_literals;

bool has(const std::string& text, std::string_view line) {
  return ("\n" + text).find("\n" + std::string(line) + "\n") != std::string::npos;
}

MetricsFacts facts() {
  MetricsFacts facts;
  facts.now = TimePoint(100s);
  facts.version = "1.2.3";
  jobs::QueueStats queue;
  queue.queue = "mail";
  queue.enqueued = 3;
  queue.failed = 2;
  queue.oldest = TimePoint(97500ms);
  facts.queues = {queue};
  return facts;
}

}  // namespace

TEST_CASE("metrics text: what labels hold is escaped") {
  MetricsText text;
  text.gauge("m", "two\nlines, a \\ and a \"quote\"");
  text.sample({{"queue", "a\"b\\c\nd"}, {"kind", "ü"}}, std::int64_t{-1});
  text.sample({}, 0.25);
  CHECK(std::move(text).text() ==
        "# HELP m two\\nlines, a \\\\ and a \"quote\"\n"
        "# TYPE m gauge\n"
        "m{queue=\"a\\\"b\\\\c\\nd\",kind=\"ü\"} -1\n"
        "m 0.25\n");
}

TEST_CASE("metrics text: buckets of a histogram hold all that is not above their bound") {
  jobs::Histogram histogram;
  histogram.add(1ms);
  histogram.add(2ms);
  histogram.add(7200s);
  MetricsText text;
  text.histogram("h", "how long");
  text.sample({{"op", "claim"}}, histogram);
  const std::string lines = std::move(text).text();
  CHECK(has(lines, "# TYPE h histogram"));
  CHECK(has(lines, R"(h_bucket{op="claim",le="0.001"} 1)"));
  CHECK(has(lines, R"(h_bucket{op="claim",le="0.0025"} 2)"));
  CHECK(has(lines, R"(h_bucket{op="claim",le="3600"} 2)"));
  CHECK(has(lines, R"(h_bucket{op="claim",le="+Inf"} 3)"));
  CHECK(has(lines, R"(h_sum{op="claim"} 7200.003)"));
  CHECK(has(lines, R"(h_count{op="claim"} 3)"));
}

TEST_CASE("metrics text: queues by state, and what could be taken from them") {
  MetricsFacts told = facts();
  std::string text = metrics_text(told, false);
  CHECK(has(text, R"(jobmill_jobs{state="ENQUEUED",queue="mail"} 3)"));
  CHECK(has(text, R"(jobmill_jobs{state="FAILED",queue="mail"} 2)"));
  CHECK(has(text, R"(jobmill_queue_oldest_seconds{queue="mail"} 2.5)"));
  CHECK(has(text, R"(jobmill_queue_consumable{queue="mail"} 3)"));
  CHECK(has(text, R"(jobmill_build_info{version="1.2.3"} 1)"));
  told.queues[0].paused = true;
  told.queues[0].oldest.reset();
  text = metrics_text(told, false);
  CHECK(has(text, R"(jobmill_queue_paused{queue="mail"} 1)"));
  CHECK(has(text, R"(jobmill_queue_consumable{queue="mail"} 0)"));
  CHECK(has(text, R"(jobmill_queue_oldest_seconds{queue="mail"} 0)"));
}

TEST_CASE("metrics text: a worker counts for each of its tags") {
  MetricsFacts told = facts();
  jobs::Worker worker;
  worker.spec.concurrency = 4;
  worker.occupied = 6;  // two of them for later
  told.workers.push_back(worker);
  worker.spec.tags = {"gpu", "DEFAULT"};
  worker.occupied = 1;
  worker.state = jobs::WorkerState::Quiet;
  told.workers.push_back(worker);
  told.storage.workers_lost = 7;
  const std::string text = metrics_text(told, false);
  CHECK(has(text, R"(jobmill_workers{tag="DEFAULT"} 2)"));
  CHECK(has(text, R"(jobmill_workers_occupied{tag="DEFAULT"} 5)"));
  CHECK(has(text, R"(jobmill_workers_draining{tag="DEFAULT"} 1)"));
  CHECK(has(text, R"(jobmill_workers_occupied{tag="gpu"} 1)"));
  CHECK(has(text, "jobmill_worker_lost_total 7"));
}

TEST_CASE("metrics text: tallies, also under the names of JobRunr when they are wanted") {
  MetricsFacts told = facts();
  jobs::Tally tally;
  tally.queue = "mail";
  tally.kind = "send";
  tally.runs = 5;
  tally.quarantined = 1;
  tally.in_progress = -1;
  tally.wait.add(3s);
  told.tallies = {tally};
  const std::string plain = metrics_text(told, false);
  CHECK(has(plain, R"(jobmill_jobs_runs_total{queue="mail",kind="send"} 5)"));
  CHECK(has(plain, R"(jobmill_jobs_quarantined_total{queue="mail",kind="send"} 1)"));
  CHECK(has(plain, R"(jobmill_jobs_in_progress{queue="mail",kind="send"} 0)"));
  CHECK(has(plain, R"(jobmill_job_wait_seconds_bucket{queue="mail",kind="send",le="5"} 1)"));
  CHECK(plain.find("jobrunr") == std::string::npos);
  CHECK(has(metrics_text(told, true), R"(jobrunr_jobs_runs_total{queue="mail",kind="send"} 5)"));
}

TEST_CASE("metrics text: recurring jobs and the storage") {
  MetricsFacts told = facts();
  jobs::RecurringJob recurring;
  recurring.spec.id = "nightly";
  recurring.runs = 4;
  recurring.missed_runs = 3;
  recurring.skipped_runs = 2;
  told.recurring = {recurring};
  told.storage.operations["claim"].errors = 9;
  told.healthy = false;
  told.leads = false;
  const std::string text = metrics_text(told, false);
  CHECK(has(text, R"(jobmill_recurring_runs_total{recurring="nightly"} 4)"));
  CHECK(has(text, R"(jobmill_recurring_missed_total{recurring="nightly"} 3)"));
  CHECK(has(text, R"(jobmill_recurring_skipped_total{recurring="nightly"} 2)"));
  CHECK(has(text, R"(jobmill_storage_errors_total{op="claim"} 9)"));
  CHECK(has(text, "jobmill_storage_healthy 0"));
  CHECK(has(text, "jobmill_leader 0"));
}

}  // namespace jobmill::api
