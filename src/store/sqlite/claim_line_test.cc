// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/claim_line.h"

#include <chrono>
#include <future>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace jobmill::sqlite {
namespace {

using namespace std::chrono_literals;

std::chrono::steady_clock::time_point in(std::chrono::milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

jobs::ClaimRequest claim_of(std::string worker) {
  jobs::ClaimRequest request;
  request.worker_id = std::move(worker);
  return request;
}

ClaimLine::Turn one_job(const std::string& id) {
  jobs::Claimed claimed;
  claimed.jobs.emplace_back().job.id = id;
  return {.answer = std::move(claimed)};
}

// A transaction with one job for whoever asks first.
struct Shop {
  Result<ClaimLine::Turn> operator()(const jobs::ClaimRequest& request) {
    asked.push_back(request.worker_id);
    if (jobs == 0) return ClaimLine::Turn{.left = false};
    if (request.worker_id == refused) return ClaimLine::Turn{.answer = jobs::Claimed{}};
    --jobs;
    return one_job("job of " + request.worker_id);
  }

  int jobs = 1;
  std::string refused{};
  std::vector<std::string> asked{};
};

}  // namespace

TEST_CASE("claim line: who came first is served first, and nobody is asked in vain") {
  ClaimLine line;
  const auto a = claim_of("a"), b = claim_of("b"), c = claim_of("c");
  ClaimLine::Place first(line, a), second(line, b), third(line, c);
  Shop shop{.refused = "a"};
  ClaimLine::Served served;
  REQUIRE(line.serve(served, [&](const auto& request) { return shop(request); }));
  line.end(served, true);
  CHECK(shop.asked == std::vector<std::string>{"a", "b", "c"});  // c: nothing was left
  const auto answer = second.wait(in(1min));
  REQUIRE(answer);
  CHECK((*answer)->jobs.front().job.id == "job of b");
  CHECK_FALSE(first.leave());
  CHECK_FALSE(third.wait(in(0ms)));
}

TEST_CASE("claim line: of a transaction that was rolled back nobody hears") {
  ClaimLine line;
  const auto a = claim_of("a");
  ClaimLine::Place place(line, a);
  auto waiting = std::async(std::launch::async, [&] { return place.wait(in(1min)); });
  for (const bool committed : {false, true}) {
    Shop shop;
    ClaimLine::Served served;
    REQUIRE(line.serve(served, [&](const auto& request) { return shop(request); }));
    REQUIRE(served.size() == 1);
    Shop next;
    ClaimLine::Served nobody;
    REQUIRE(line.serve(nobody, [&](const auto& request) { return next(request); }));
    CHECK(next.asked.empty());  // it has been served already
    line.end(served, committed);
  }
  const auto answer = waiting.get();
  REQUIRE(answer);
  CHECK((*answer)->jobs.size() == 1);
}

TEST_CASE("claim line: who leaves takes along what was claimed for it") {
  ClaimLine line;
  const auto a = claim_of("a");
  ClaimLine::Place place(line, a);
  Shop shop;
  ClaimLine::Served served;
  REQUIRE(line.serve(served, [&](const auto& request) { return shop(request); }));
  auto leaving = std::async(std::launch::async, [&] { return place.leave(); });
  line.end(served, true);
  const auto answer = leaving.get();
  REQUIRE(answer);
  CHECK((*answer)->jobs.front().job.id == "job of a");
}

TEST_CASE("claim line: a token ends the wait, and nothing is claimed after it") {
  ClaimLine line;
  std::stop_source source;
  auto a = claim_of("a");
  a.stop = source.get_token();
  ClaimLine::Place place(line, a);
  auto waiting = std::async(std::launch::async, [&] { return place.wait(in(1min)); });
  source.request_stop();
  CHECK_FALSE(waiting.get());
  Shop shop;
  ClaimLine::Served served;
  REQUIRE(line.serve(served, [&](const auto& request) { return shop(request); }));
  CHECK(shop.asked.empty());
}

}  // namespace jobmill::sqlite
