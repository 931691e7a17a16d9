// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/duration.h"
#include "jobs/metrics.h"
#include "store/sqlite/sqlite_job_store.h"
#include "vectors.h"

namespace jobmill::sqlite {
namespace {

using testing::has;
using testing::member;
using testing::number;
using testing::text;

Duration seconds(double count) {
  return std::chrono::round<Duration>(std::chrono::duration<double>(count));
}

// The state that a vector describes, made by the ways that lead to it: `now` stands still, and what
// is of some age was done that long ago.
class World {
 public:
  explicit World(const Node& vector) : now_(clock_.now()) {
    auto file = SqliteFile::open(":memory:");
    REQUIRE(file);
    file_ = *std::move(file);
    auto store = open_job_store(*file_, now_ - std::chrono::hours(24));
    REQUIRE(store);
    store_ = *std::move(store);
    if (has(vector, "servers")) {
      for (const Node& server : member(vector, "servers").items) add_server(server);
    }
    if (has(vector, "jobs")) add_jobs(member(vector, "jobs").items);
  }

  // The answer to a request of the metrics API, before HTTP has any part in it.
  std::map<std::string, double> answer(const std::string& target) {
    const auto mark = target.find('?');
    const std::string path = target.substr(0, mark);
    const std::string query = mark == std::string::npos ? "" : target.substr(mark + 1);
    const auto equals = query.find('=');
    const std::string key = query.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : query.substr(equals + 1);
    const std::string queue = key == "queue" ? value : "";
    if (path.ends_with("/jobs/enqueued")) return enqueued(queue);
    if (path.ends_with("/jobs/scheduled")) return scheduled(queue, key == "queue" ? "" : value);
    return workers();
  }

 private:
  std::map<std::string, double> enqueued(const std::string& queue) {
    const auto metric = jobs::enqueued_metric(*store_, queue, now_);
    REQUIRE(metric);
    const std::chrono::duration<double, std::milli> latency = metric->latency;
    return {{"latency", latency.count()}, {"count", static_cast<double>(metric->count)}};
  }

  std::map<std::string, double> scheduled(const std::string& queue, const std::string& window) {
    const auto parsed = parse_iso_duration(window.empty() ? "PT1M" : window);
    REQUIRE(parsed);
    const auto count = jobs::scheduled_metric(*store_, queue, to_duration(*parsed), now_);
    REQUIRE(count);
    return {{"count", static_cast<double>(*count)}};
  }

  std::map<std::string, double> workers() {
    const auto metric = jobs::workers_metric(*store_, now_);
    REQUIRE(metric);
    return {{"usage", metric->usage},
            {"totalWorkers", static_cast<double>(metric->total)},
            {"occupiedWorkers", static_cast<double>(metric->occupied)}};
  }

  void add_server(const Node& server) {
    const double age = has(server, "last_heartbeat_age") ? number(server, "last_heartbeat_age") : 0;
    const TimePoint at = now_ - seconds(age);
    jobs::WorkerSpec spec;
    spec.name = "w";
    spec.concurrency = static_cast<int>(number(server, "workers"));
    const auto registered = store_->announce(spec, at);
    REQUIRE(registered);
    const int occupied = static_cast<int>(number(server, "occupied"));
    for (int i = 0; i < occupied; ++i) insert({}, at);
    jobs::ClaimRequest request;
    request.worker_id = registered->worker_id;
    request.limit = occupied;
    const auto claimed = store_->claim(request, at);
    REQUIRE(claimed);
    REQUIRE(claimed->jobs.size() == static_cast<std::size_t>(occupied));
  }

  // The oldest first, as jobs come. Those that run are held by the servers already.
  void add_jobs(std::vector<Node> jobs) {
    const auto age = [](const Node& job) { return has(job, "age") ? number(job, "age") : 0; };
    std::stable_sort(jobs.begin(), jobs.end(),
                     [&](const Node& a, const Node& b) { return age(a) > age(b); });
    for (const Node& job : jobs) {
      if (text(job, "state") == "PROCESSING") continue;
      jobs::JobSpec spec;
      spec.queue = testing::text_or(job, "queue", jobs::kDefaultQueue);
      TimePoint at = now_ - seconds(age(job));
      if (has(job, "runAt")) {
        spec.run_at = now_ + seconds(number(job, "runAt"));
        at = std::min(at, *spec.run_at - std::chrono::seconds(1));
      }
      insert(spec, at);
    }
  }

  void insert(jobs::JobSpec spec, TimePoint at) {
    spec.kind = "k";
    REQUIRE(store_->insert(std::span(&spec, 1), at));
  }

  ManualClock clock_;
  TimePoint now_;
  std::unique_ptr<SqliteFile> file_;
  std::unique_ptr<jobs::JobStoreOwner> store_;
};

}  // namespace

TEST_CASE("vectors: the numbers that autoscalers read") {
  int compared = 0;
  for (const Node& vector : testing::vectors("jobs/metrics_api.json")) {
    CAPTURE(text(vector, "id"));
    World world(vector);
    for (const Node& request : member(vector, "requests").items) {
      if (!has(request, "json")) continue;  // refusals belong to HTTP
      CAPTURE(text(request, "path"));
      const auto answer = world.answer(text(request, "path"));
      for (const auto& expected : member(request, "json").members) {
        CAPTURE(expected.key);
        REQUIRE(answer.contains(expected.key));
        CHECK(answer.at(expected.key) == doctest::Approx(expected.value.as_double().value()));
        ++compared;
      }
    }
  }
  CHECK(compared > 20);
}

}  // namespace jobmill::sqlite
