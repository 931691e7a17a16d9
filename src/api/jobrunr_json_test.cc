// SPDX-License-Identifier: Apache-2.0
#include "api/jobrunr_json.h"

#include <doctest/doctest.h>

#include "base/document.h"
#include "vectors.h"

namespace jobmill::api {
namespace {

using jobs::JobState;

Node parsed(JsonWriter json) {
  auto node = parse_json(std::move(json).text());
  REQUIRE(node);
  return *std::move(node);
}

jobs::Job sample() {
  jobs::Job job;
  job.id = "00000000-0000-7000-8000-000000000001";
  job.kind = "mail.report.send";
  job.args = R"(["bob",3,{"a":1},null])";
  job.labels = {"tenant:a"};
  job.meta = R"({"customer":7})";
  return job;
}

Node shown(const jobs::Job& job, const std::vector<jobs::JobEvent>& history = {},
           const std::vector<EventLog>& logs = {}) {
  JsonWriter json;
  write_jobrunr_job(json, job, history, logs);
  return parsed(std::move(json));
}

}  // namespace

TEST_CASE("jobrunr: a job is a call of a method of a class") {
  const Node job = shown(sample());
  CHECK(testing::text(job, "jobSignature") == "mail.report.send(string,integer,object,null)");
  CHECK(testing::text(job, "jobName") == "mail.report.send");
  CHECK(testing::member(job, "amountOfRetries").is_null());
  CHECK(testing::member(job, "recurringJobId").is_null());
  const Node& details = testing::member(job, "jobDetails");
  CHECK(testing::text(details, "className") == "mail.report");
  CHECK(testing::text(details, "methodName") == "send");
  CHECK(testing::flag(details, "cacheable"));
  const auto& parameters = testing::member(details, "jobParameters").items;
  REQUIRE(parameters.size() == 4);
  CHECK(testing::text(parameters[0], "className") == "string");
  CHECK(testing::text(parameters[0], "object") == "bob");
  CHECK(to_json(testing::member(parameters[2], "object")) == R"({"a":1})");
  CHECK(signature_of("k", R"({"to":"bob"})") == "k(object)");
  CHECK(signature_of("k", "[]") == "k()");
}

TEST_CASE("jobrunr: lines and progress are metadata of the state that they belong to") {
  jobs::Job job = sample();
  job.state = JobState::Processing;
  job.progress = jobs::Progress{.done = 3, .total = 4, .failed = 1};
  const std::vector<jobs::JobEvent> history{{JobState::Enqueued, {}, "{}"},
                                            {JobState::Processing, {}, R"({"attempt":1})"}};
  const TimePoint at = ManualClock().now();
  const Node node = shown(job, history, {{2, {{jobs::LineLevel::Warn, at, "careful"}}}});
  const Node& metadata = testing::member(node, "metadata");
  CHECK(testing::number(metadata, "customer") == 7);
  const auto& lines =
      testing::member(testing::member(metadata, "jobRunrDashboardLog-2"), "logLines").items;
  REQUIRE(lines.size() == 1);
  CHECK(testing::text(lines[0], "level") == "WARN");
  CHECK(testing::text(lines[0], "logInstant") == "2024-01-01T00:00:00Z");
  CHECK(testing::text(lines[0], "logMessage") == "careful");
  const Node& bar = testing::member(metadata, "jobRunrDashboardProgressBar-2");
  CHECK(testing::number(bar, "totalAmount") == 4);
  CHECK(testing::number(bar, "succeededAmount") == 3);
  CHECK(testing::number(bar, "progress") == job.progress->percent());
}

TEST_CASE("jobrunr: with the end of a job goes what its user noted") {
  jobs::Job job = sample();
  job.state = JobState::Succeeded;
  const Node node = shown(job);
  CHECK(testing::member(node, "metadata").members.empty());
}

TEST_CASE("jobrunr: a failure says what it has in common with others") {
  jobs::Job job = sample();
  job.state = JobState::Failed;
  const Node node = shown(
      job, {{JobState::Failed, {}, R"({"exceptionType":"t","stackTrace":"at f:1\nat g:2"})"}});
  const auto& history = testing::member(node, "jobHistory").items;
  REQUIRE(history.size() == 1);
  CHECK(testing::text(history[0], "state") == "FAILED");
  CHECK(testing::text(history[0], "fingerprint").size() == 16);
}

TEST_CASE("jobrunr: pages tell where they stand, and how to go on") {
  JsonWriter json;
  json.object();
  write_page_facts(json, {.total = 45,
                          .offset = 20,
                          .limit = 20,
                          .order = "updatedAt:ASC",
                          .has_previous = true,
                          .has_next = true,
                          .previous = "cp",
                          .next = "cn"});
  const Node page = parsed(std::move(json.end()));
  CHECK(testing::number(page, "currentPage") == 1);
  CHECK(testing::number(page, "totalPages") == 3);
  CHECK(testing::text(page, "previousPageRequest") ==
        "order=updatedAt:ASC&offset=0&limit=20&before=cp");
  CHECK(testing::text(page, "nextPageRequest") ==
        "order=updatedAt:ASC&offset=40&limit=20&after=cn");

  JsonWriter empty;
  empty.object();
  write_page_facts(empty, {});
  const Node none = parsed(std::move(empty.end()));
  CHECK(testing::number(none, "totalPages") == 0);
  CHECK(testing::member(none, "nextPageRequest").is_null());
}

TEST_CASE("jobrunr: a server tells what it is, and what nobody knows is null") {
  jobs::Worker worker;
  worker.id = "w";
  worker.spec.name = "hand";
  worker.spec.concurrency = 4;
  worker.spec.queues = {"a", "b"};
  worker.occupied = 3;
  worker.state = jobs::WorkerState::Quiet;
  JsonWriter json;
  json.object();
  write_jobrunr_server(json, worker,
                       {.succeeded = std::chrono::hours(36), .deleted = std::chrono::hours(72)});
  const Node server = parsed(std::move(json.end()));
  CHECK(testing::number(server, "workerPoolSize") == 4);
  CHECK(testing::number(server, "occupiedWorkers") == 3);
  CHECK_FALSE(testing::flag(server, "running"));
  CHECK(testing::text(server, "state") == "quiet");
  CHECK(testing::text(server, "deleteSucceededJobsAfter") == "PT36H");
  CHECK(testing::member(server, "systemCpuLoad").is_null());
}

TEST_CASE("jobrunr: a recurring job, with its schedule in words") {
  jobs::RecurringJob recurring;
  recurring.spec.id = "nightly";
  recurring.spec.schedule = "0 2 * * *";
  recurring.spec.job.kind = "mail.report";
  recurring.spec.job.args = "[1]";
  recurring.spec.paused = true;
  JsonWriter json;
  json.object();
  write_jobrunr_recurring(json, recurring);
  const Node node = parsed(std::move(json.end()));
  CHECK(testing::text(node, "jobSignature") == "mail.report(integer)");
  CHECK(testing::text(node, "human") == "every day at 02:00");
  CHECK(testing::flag(node, "paused"));
  CHECK(testing::text(node, "missed") == "once");
  CHECK_FALSE(testing::has(node, "nextRun"));

  recurring.spec.missed = jobs::Missed::Within;
  recurring.spec.missed_within = std::chrono::minutes(15);
  JsonWriter other;
  other.object();
  write_jobrunr_recurring(other, recurring);
  const Node late = parsed(std::move(other.end()));
  CHECK(testing::text(late, "missed") == "within");
  CHECK(testing::text(late, "missedWithin") == "PT15M");
}

}  // namespace jobmill::api
