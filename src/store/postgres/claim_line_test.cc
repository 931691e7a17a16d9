// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/claim_line.h"

#include <chrono>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace jobmill::postgres {
namespace {

using namespace std::chrono_literals;
using Names = std::vector<std::string>;

constexpr std::int32_t kMail = 1, kReport = 2, kOther = 3;

std::chrono::steady_clock::time_point in(std::chrono::milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

Claim claim_of(std::string worker, int limit = 1, std::vector<std::int32_t> lanes = {kMail}) {
  Claim claim;
  claim.worker_id = std::move(worker);
  claim.limit = limit;
  for (const std::int32_t lane : lanes) claim.lanes.push_back({.lane = lane});
  return claim;
}

ClaimAnswer answer_with(std::size_t jobs) {
  ClaimAnswer answer;
  answer.known = true;
  answer.jobs.resize(jobs);
  return answer;
}

// One claim that waits on a thread of its own; it has its place in line when this is made.
class Waiter {
 public:
  Waiter(ClaimLine& line, Claim claim)
      : place_(
            line, [claim = std::move(claim)] { return claim; }, stop_.get_token()),
        news_(std::async(std::launch::async, [this] { return place_.wait(in(1min)); })) {}

  std::optional<ClaimLine::Place::News> news() { return news_.get(); }
  bool waits() { return news_.wait_for(0s) != std::future_status::ready; }
  void stop() { stop_.request_stop(); }

 private:
  std::stop_source stop_;
  ClaimLine::Place place_;
  std::future<std::optional<ClaimLine::Place::News>> news_;
};

std::vector<NewJob> new_jobs(const std::vector<std::int32_t>& lanes) {
  std::vector<NewJob> jobs(lanes.size());
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    jobs[i].id = "job " + std::to_string(i);
    jobs[i].lane = lanes[i];
  }
  return jobs;
}

// Whom the jobs are for, as soon as so many claims wait for them.
ClaimLine::Served serve(ClaimLine& line, std::vector<NewJob>& jobs, std::size_t claims = 1) {
  for (;;) {
    auto served = line.serve(jobs);
    if (served.size() == claims) return served;
    line.end(served, false);
    for (NewJob& job : jobs) job.handed_out = false;
    std::this_thread::yield();
  }
}

Names workers(const ClaimLine::Served& served) {
  Names all;
  for (const auto& one : served) all.push_back(ClaimLine::hand_out(one).claim.worker_id);
  return all;
}

Names jobs_of(ClaimLine::Served::value_type served) {
  Names ids;
  for (const NewJob* job : ClaimLine::hand_out(served).jobs) ids.push_back(job->id);
  return ids;
}

void commit(ClaimLine& line, const ClaimLine::Served& served, const ClaimAnswer& answer) {
  for (const auto& one : served) ClaimLine::answer(one, answer);
  line.end(served, true);
}

}  // namespace

TEST_CASE("claim line: who came first is served first, and nobody in vain") {
  ClaimLine line;
  Waiter first(line, claim_of("first", 2)), other(line, claim_of("other", 1, {kOther})),
      second(line, claim_of("second", 2));
  auto jobs = new_jobs({kMail, kMail, kMail});
  const auto served = serve(line, jobs, 2);
  Waiter third(line, claim_of("third", 2));
  CHECK(workers(served) == Names{"first", "second"});
  CHECK(jobs_of(served[0]) == Names{"job 0", "job 1"});
  CHECK(jobs_of(served[1]) == Names{"job 2"});
  CHECK(line.serve(jobs).empty());
  commit(line, served, answer_with(1));
  CHECK(first.news()->answer->jobs.size() == 1);
  CHECK(second.news()->answer->jobs.size() == 1);
  CHECK(other.waits());
  CHECK(third.waits());
  other.stop();
  third.stop();
  CHECK_FALSE(other.news());
  CHECK_FALSE(third.news());
}

TEST_CASE(
    "claim line: jobs go out by rank, and in the order of enqueueing; those for later do not") {
  ClaimLine line;
  Claim claim = claim_of("w", 3, {kMail, kReport});
  claim.lanes.front().rank = 2;
  claim.lanes.back().rank = 1;
  Waiter waiter(line, claim);
  auto jobs = new_jobs({kMail, kMail, kReport, kMail, kMail});
  jobs[0].run_at = TimePoint();
  const auto served = serve(line, jobs);
  CHECK(jobs_of(served.front()) == Names{"job 2", "job 1", "job 3"});
  CHECK(jobs[1].handed_out);
  CHECK_FALSE(jobs[0].handed_out);
  CHECK_FALSE(jobs[4].handed_out);
  commit(line, served, answer_with(3));
  CHECK(waiter.news()->answer);
}

TEST_CASE("claim line: what was not committed leaves them in line") {
  ClaimLine line;
  Waiter waiter(line, claim_of("w"));
  auto jobs = new_jobs({kMail});
  const auto served = serve(line, jobs);
  ClaimLine::answer(served.front(), answer_with(1));
  line.end(served, false);
  CHECK(waiter.waits());
  jobs = new_jobs({kMail});
  commit(line, serve(line, jobs), answer_with(1));
  CHECK(waiter.news()->answer->jobs.size() == 1);
}

TEST_CASE("claim line: who is being served does not leave before the end") {
  ClaimLine line;
  Waiter waiter(line, claim_of("w"));
  auto jobs = new_jobs({kMail});
  const auto served = serve(line, jobs);
  waiter.stop();
  SUBCASE("and leaves with its jobs") {
    commit(line, served, answer_with(1));
    CHECK(waiter.news()->answer->jobs.size() == 1);
  }
  SUBCASE("and leaves with nothing if that failed") {
    line.end(served, false);
    CHECK_FALSE(waiter.news());
  }
}

TEST_CASE("claim line: nobody is served whose token fired or who has not looked yet") {
  ClaimLine line;
  ClaimLine::Place looking(line, [] { return claim_of("looking"); }, {});
  Waiter stopped(line, claim_of("stopped"));
  stopped.stop();
  CHECK_FALSE(stopped.news());
  auto jobs = new_jobs({kMail});
  CHECK(line.serve(jobs).empty());
  CHECK_FALSE(jobs.front().handed_out);
}

TEST_CASE("claim line: who may have what became ready looks again") {
  ClaimLine line;
  Waiter mail(line, claim_of("mail")), report(line, claim_of("report", 1, {kReport}));
  line.wake({kMail});
  const auto news = mail.news();
  REQUIRE(news);
  CHECK_FALSE(news->answer);
  CHECK(report.waits());
  line.wake_all();
  CHECK(report.news());
}

TEST_CASE("claim line: what became ready during the first look is not missed") {
  ClaimLine line;
  ClaimLine::Place place(line, [] { return claim_of("w"); }, {});
  line.wake({kMail});
  CHECK(place.wait(in(1min)));
  CHECK_FALSE(place.wait(in(0ms)));
}

TEST_CASE("claim line: who may not have its jobs looks for the reason") {
  ClaimLine line;
  Waiter waiter(line, claim_of("w"));
  auto jobs = new_jobs({kMail});
  commit(line, serve(line, jobs), answer_with(0));
  const auto news = waiter.news();
  REQUIRE(news);
  CHECK_FALSE(news->answer);
}

}  // namespace jobmill::postgres
