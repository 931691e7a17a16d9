// SPDX-License-Identifier: Apache-2.0
#include "jobs/request_key.h"

#include <doctest/doctest.h>

namespace jobmill::jobs {

using namespace std::chrono_literals;

namespace {

JobSpec mail() {
  JobSpec job;
  job.kind = "mail";
  job.args = R"({"to":"bob","copies":[1,2]})";
  job.meta = R"({"tenant":"a","x":1})";
  return job;
}

std::string print_of(const JobSpec& job) { return fingerprint(std::span(&job, 1)); }

}  // namespace

TEST_CASE("request key: the order of members and who asks make no difference") {
  JobSpec same = mail();
  same.args = R"({"copies": [1, 2], "to": "bob"})";
  same.meta = R"({"x":1,"tenant":"a"})";
  same.created_by = "eve";
  same.extra.trace.parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  CHECK(print_of(same) == print_of(mail()));
}

TEST_CASE("request key: whatever is asked for makes one") {
  const auto changed = [](auto change) {
    JobSpec job = mail();
    change(job);
    return print_of(job);
  };
  const std::string usual = print_of(mail());
  CHECK(changed([](JobSpec& job) { job.args = R"({"to":"bob","copies":[2,1]})"; }) != usual);
  CHECK(changed([](JobSpec& job) { job.delay = 1s; }) != usual);
  CHECK(changed([](JobSpec& job) { job.run_at = TimePoint(1s); }) != usual);
  CHECK(changed([](JobSpec& job) { job.id = "x"; }) != usual);
  CHECK(changed([](JobSpec& job) { job.count = 1; }) != usual);
  CHECK(changed([](JobSpec& job) { job.retries = 1; }) != usual);
  CHECK(changed([](JobSpec& job) { job.extra.timeout = 1s; }) != usual);
  const JobSpec job = mail();
  CHECK(fingerprint(std::vector{job, job}) != usual);
}

TEST_CASE("request key: a kept answer says that nothing was created") {
  const InsertResult first{
      .jobs = {{"a", JobState::Enqueued, true}, {"b", JobState::Scheduled, true}},
      .created = 40,
      .total = 40};
  const auto again = repeated_answer(answer_text(first));
  REQUIRE(again);
  CHECK(again->created == 0);
  CHECK(again->total == 40);
  REQUIRE(again->jobs.size() == 2);
  CHECK(again->jobs[1].id == "b");
  CHECK(again->jobs[1].state == JobState::Scheduled);
  CHECK_FALSE(again->jobs[1].created);
  CHECK_FALSE(repeated_answer("{}"));
  CHECK_FALSE(repeated_answer("no JSON"));
}

}  // namespace jobmill::jobs
