// SPDX-License-Identifier: Apache-2.0
#include "api/job_page.h"

#include <doctest/doctest.h>

#include <algorithm>

namespace jobmill::api {
namespace {

// Jobs 0 to 9 in this order, whatever is asked for; a place is a number. What was asked is kept.
class Ten final : public jobs::JobExplorer {
 public:
  Result<jobs::JobSlice> slice(const jobs::JobSliceRequest& request) override {
    asked = request;
    const int from =
        request.after.empty() ? static_cast<int>(request.offset) : std::stoi(request.after) + 1;
    const int to = std::min(10, from + request.limit);
    jobs::JobSlice slice;
    for (int i = from; i < to; ++i) slice.items.emplace_back().id = std::to_string(i);
    slice.first = std::to_string(from);
    slice.last = std::to_string(to - 1);
    slice.has_before = from > 0;
    slice.has_after = to < 10;
    return slice;
  }
  Result<jobs::JobCount> count(const jobs::JobFilter&, std::int64_t cap) override {
    counted_to = cap;
    return jobs::JobCount{.count = 10};
  }
  Result<jobs::JobIds> ids(const jobs::JobFilter&, const std::string&, int) override {
    return jobs::JobIds{};
  }
  Result<std::vector<std::vector<jobs::JobEvent>>> histories(
      std::span<const std::string> ids) override {
    return std::vector<std::vector<jobs::JobEvent>>(
        ids.size(), {{jobs::JobState::Failed, {}, R"({"exceptionType":"t"})"}});
  }
  Result<std::vector<jobs::FailureGroup>> failures(std::int64_t, int) override {
    return std::vector<jobs::FailureGroup>();
  }
  Result<jobs::JobCount> failure_groups() override { return jobs::JobCount{}; }
  Result<std::vector<std::string>> kinds() override { return std::vector<std::string>(); }
  Result<std::vector<std::string>> labels(std::string_view, int) override {
    return std::vector<std::string>();
  }

  jobs::JobSliceRequest asked;
  std::int64_t counted_to = 0;
};

std::string fault_of(const JobPageRequest& request) {
  Ten jobs;
  const auto found = find_jobs(jobs, request);
  if (found) return {};
  CHECK(found.error().code == Code::InvalidArgument);
  return found.error().message;
}

JobsFound found_in(Ten& jobs, const JobPageRequest& request) {
  auto found = find_jobs(jobs, request);
  REQUIRE(found);
  return *std::move(found);
}

}  // namespace

TEST_CASE("job page: the order is read, and of several the first one counts") {
  Ten jobs;
  found_in(jobs, {.order = "scheduledAt:DESC,createdAt:ASC"});
  CHECK(jobs.asked.order == jobs::JobOrder::ScheduledAt);
  CHECK(jobs.asked.descending);
  found_in(jobs, {.order = "createdAt"});
  CHECK(jobs.asked.order == jobs::JobOrder::CreatedAt);
  CHECK_FALSE(jobs.asked.descending);
  CHECK(jobs.counted_to == kCountedExactly);
  for (const char* order : {"", "name:ASC", "updatedAt:UP", "updatedAt:asc"})
    CHECK(fault_of({.order = order}).starts_with("order: expected"));
}

TEST_CASE("job page: cursors lead through a list and end with it") {
  Ten jobs;
  JobPageRequest request{.filter = {.queue = "q"}, .limit = 4};
  auto page = found_in(jobs, request);
  CHECK(page.previous.empty());
  request.after = page.next;
  page = found_in(jobs, request);
  CHECK(page.items.front().id == "4");
  CHECK_FALSE(page.previous.empty());
  request.after = page.next;
  page = found_in(jobs, request);
  CHECK(page.items.size() == 2);
  CHECK(page.next.empty());
}

TEST_CASE("job page: a cursor of another filter or order is refused") {
  Ten jobs;
  const JobPageRequest request{.filter = {.queue = "q"}, .limit = 4};
  const std::string cursor = found_in(jobs, request).next;
  const std::string no = "after: is no cursor of a list with this filter and order";
  CHECK(fault_of({.filter = {.queue = "q"}, .after = cursor}).empty());
  CHECK(fault_of({.filter = {.queue = "p"}, .after = cursor}) == no);
  CHECK(fault_of({.filter = {.queue = "q"}, .order = "updatedAt:DESC", .after = cursor}) == no);
  CHECK(fault_of({.filter = {.queue = "q"}, .order = "createdAt:ASC", .after = cursor}) == no);
  CHECK(fault_of({.after = "!"}) == no);
  CHECK(fault_of({.after = "AAAA"}) == no);
  CHECK(fault_of({.filter = {.queue = "q"}, .after = cursor, .before = cursor}) ==
        "before: excludes after");
}

TEST_CASE("job page: who counts far is told to follow cursors, and may count besides them") {
  Ten jobs;
  CHECK(fault_of({.offset = 10'000}).empty());
  CHECK(fault_of({.offset = 10'001}).starts_with("offset: is at most 10000; go on with after="));
  const std::string cursor = found_in(jobs, {.limit = 4}).next;
  found_in(jobs, {.offset = 20'000, .after = cursor});
  CHECK(jobs.asked.offset == 0);
  CHECK(jobs.asked.after == "3");
}

TEST_CASE("job page: what a failed job ended with is told, of the others nothing") {
  Ten jobs;
  std::vector<jobs::Job> items(3);
  items[1].state = jobs::JobState::Failed;
  const auto errors = errors_of(jobs, items);
  REQUIRE(errors);
  CHECK_FALSE((*errors)[0]);
  REQUIRE((*errors)[1]);
  CHECK((*errors)[1]->type == "t");
  CHECK((*errors)[1]->fingerprint == jobs::fingerprint_of("t", "", ""));
  CHECK_FALSE((*errors)[2]);
}

TEST_CASE("job page: a job that runs again has no error") {
  const jobs::JobEvent failed{jobs::JobState::Failed, {}, R"({"exceptionType":"t"})"};
  CHECK(error_of({failed}));
  CHECK_FALSE(error_of({failed, {jobs::JobState::Enqueued, {}, "{}"}}));
  CHECK_FALSE(error_of({}));
}

}  // namespace jobmill::api
