// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "protocol/control_server.h"
#include "vectors.h"

namespace jobmill::testing {
namespace {

Duration seconds(double count) {
  return std::chrono::round<Duration>(std::chrono::duration<double>(count));
}

// What must happen before the instant of a vector, in the order of time.
class Past {
 public:
  Past(ControlServer& server, ManualClock& clock) : server_(server), clock_(clock) {}

  void at(TimePoint when, std::function<void()> event) { events_.emplace_back(when, event); }

  void happen(TimePoint now) {
    std::ranges::stable_sort(events_, {}, [](const auto& event) { return event.first; });
    for (const auto& [when, event] : events_) {
      clock_.set(when);
      event();
    }
    clock_.set(now);
  }

  void insert(const std::string& queue, std::optional<TimePoint> run_at) {
    jobs::JobSpec spec;
    spec.kind = "vector";
    spec.queue = queue;
    spec.run_at = run_at;
    REQUIRE(server_.store().insert({&spec, 1}, clock_.now()));
  }

  // A worker that holds `occupied` jobs of a queue of its own.
  void worker(int slots, int occupied) {
    jobs::WorkerSpec spec;
    spec.name = "vector";
    spec.concurrency = slots;
    spec.queues = {"held"};
    const auto registration = server_.store().announce(spec, clock_.now());
    REQUIRE(registration);
    for (int i = 0; i < occupied; ++i) insert("held", std::nullopt);
    const auto claimed = server_.store().claim({.worker_id = registration->worker_id,
                                                .limit = std::max(occupied, 1),
                                                .queues = {},
                                                .kinds = {}},
                                               clock_.now());
    REQUIRE(claimed);
    REQUIRE(claimed->jobs.size() == static_cast<std::size_t>(occupied));
  }

 private:
  ControlServer& server_;
  ManualClock& clock_;
  std::vector<std::pair<TimePoint, std::function<void()>>> events_;
};

void add_job(Past& past, const Node& job, TimePoint now) {
  const std::string queue = text_or(job, "queue", std::string(jobs::kDefaultQueue));
  if (text(job, "state") == "ENQUEUED") {
    past.at(now - seconds(number(job, "age")), [&past, queue] { past.insert(queue, {}); });
  } else if (text(job, "state") == "SCHEDULED") {
    const TimePoint run_at = now + seconds(number(job, "runAt"));
    past.at(std::min(now, run_at) - std::chrono::seconds(1),
            [&past, queue, run_at] { past.insert(queue, run_at); });
  }
  // PROCESSING jobs come with the workers that hold them.
}

void check_json(const Node& found, const Node& expected) {
  REQUIRE(found.members.size() == expected.members.size());
  for (const Node::Member& member : expected.members)
    CHECK(number(found, member.key) == doctest::Approx(*member.value.as_double()));
}

void check_request(ControlServer& server, const Node& request) {
  CAPTURE(to_json(request));
  Exchange exchange{.target = text(request, "path")};
  if (const Node* headers = request.find("headers"))
    for (const Node::Member& header : headers->members)
      exchange.headers.add(header.key, header.value.text);
  const auto response = ask(server, exchange);
  CHECK(response.status == (has(request, "status") ? number(request, "status") : 200));
  if (has(request, "json")) check_json(json(response), member(request, "json"));
  if (has(request, "www_authenticate")) {
    const auto challenge = response.headers.get("WWW-Authenticate").value_or("");
    CHECK(challenge.starts_with(text(request, "www_authenticate")));
  }
  if (response.status >= 400)
    CHECK(response.headers.get("Content-Type") == "application/problem+json");
}

}  // namespace

TEST_CASE("metrics API: answers as in the vectors") {
  for (const Node& vector : vectors("jobs/metrics_api.json")) {
    CAPTURE(text(vector, "id"));
    ManualClock clock;
    const TimePoint now = clock.now() + std::chrono::hours(24);
    ControlServerOptions options;
    if (text_or(vector, "auth", "") == "basic")
      options.users = {{"dashboard-user", access::Password::plain("dashboard-password"), "viewer"}};
    ControlServer server(clock, options);
    Past past(server, clock);
    if (has(vector, "jobs"))
      for (const Node& job : member(vector, "jobs").items) add_job(past, job, now);
    if (has(vector, "servers"))
      for (const Node& worker : member(vector, "servers").items) {
        const double age =
            has(worker, "last_heartbeat_age") ? number(worker, "last_heartbeat_age") : 0;
        past.at(now - seconds(age), [&past, worker] {
          past.worker(static_cast<int>(number(worker, "workers")),
                      static_cast<int>(number(worker, "occupied")));
        });
      }
    past.happen(now);
    for (const Node& request : member(vector, "requests").items) check_request(server, request);
  }
}

}  // namespace jobmill::testing
