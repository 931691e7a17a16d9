// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "base/document.h"
#include "conformance/job_store.h"

// What the files of the contract share.
namespace jobmill::jobs {

using namespace std::chrono_literals;

inline JobSpec spec(std::string kind, std::string queue = "default") {
  JobSpec job;
  job.kind = std::move(kind);
  job.queue = std::move(queue);
  return job;
}

template <class T>
T need(Result<T> result) {
  REQUIRE_MESSAGE(result, (result ? "" : result.error().message));
  return *std::move(result);
}

inline void need(const Status& status) {
  REQUIRE_MESSAGE(status, (status ? "" : status.error().message));
}

template <class T>
Code code(const Result<T>& result) {
  REQUIRE_FALSE(result);
  return result.error().code;
}

// A store with the calls that the tests make again and again.
class Bench {
 public:
  explicit Bench(const MakeJobStore& make)
      : fixture_(make()), store(fixture_.store), owner(fixture_.owner), clock(fixture_.clock) {}

 private:
  JobStoreFixture fixture_;

 public:
  JobStore& store;
  JobStoreOwner& owner;
  ManualClock& clock;

  TimePoint now() const { return clock.now(); }

  InsertResult insert(const std::vector<JobSpec>& specs) {
    return need(store.insert(specs, now()));
  }
  std::string enqueue(const JobSpec& job) { return insert({job}).jobs.front().id; }

  std::string worker(WorkerSpec spec = {}) {
    if (spec.name.empty()) spec.name = "w", spec.concurrency = 100;
    return need(store.announce(spec, now())).worker_id;
  }

  Claimed claim(const std::string& worker, int limit = 100, std::vector<std::string> queues = {},
                std::vector<std::string> kinds = {}) {
    ClaimRequest request;
    request.worker_id = worker;
    request.limit = limit;
    request.queues = std::move(queues);
    request.kinds = std::move(kinds);
    return need(store.claim(request, now()));
  }

  ClaimedJob claim_one(const std::string& worker) {
    auto claimed = claim(worker, 1);
    REQUIRE(claimed.jobs.size() == 1);
    return std::move(claimed.jobs.front());
  }

  Settled settle(const Settlement& settlement) {
    auto settled = need(store.settle({}, std::span(&settlement, 1), now()));
    REQUIRE(settled.size() == 1);
    CHECK(settled.front().job_id == settlement.job_id);
    return std::move(settled.front());
  }

  Job job(const std::string& id) { return need(store.get(id)); }
  JobState state(const std::string& id) { return job(id).state; }

  std::vector<std::string> states(const std::string& id) {
    std::vector<std::string> names;
    for (const JobEvent& event : need(store.history(id)))
      names.emplace_back(to_string(event.state));
    return names;
  }

  // A member of the data of the n-th event.
  Node event(const std::string& id, std::size_t n, std::string_view member) {
    const auto events = need(store.history(id));
    REQUIRE(n < events.size());
    const Node data = need(parse_json(events[n].data));
    const Node* found = data.find(member);
    REQUIRE_MESSAGE(found != nullptr, "no " << std::string(member) << " in " << events[n].data);
    return *found;
  }
  std::string event_text(const std::string& id, std::size_t n, std::string_view member) {
    return std::string(event(id, n, member).as_string().value_or("(no text)"));
  }

  QueueStats queue(std::string_view name) {
    for (const QueueStats& stats : need(store.queues(now()))) {
      if (stats.queue == name) return stats;
    }
    return {};
  }
};

inline std::vector<std::string> ids(const Claimed& claimed) {
  std::vector<std::string> found;
  for (const ClaimedJob& job : claimed.jobs) found.push_back(job.job.id);
  return found;
}

inline Settlement complete(const ClaimedJob& claimed) {
  Settlement settlement;
  settlement.job_id = claimed.job.id;
  settlement.lock_token = claimed.lock_token;
  return settlement;
}

inline Settlement fail_with(const ClaimedJob& claimed, RetryRule retry = RetryRule::Default,
                            Duration after = {}) {
  Settlement settlement = complete(claimed);
  settlement.kind = Settlement::Kind::Fail;
  settlement.failure.type = "mail.Refused";
  settlement.failure.message = "mailbox \"full\"";
  settlement.failure.stack = "at send()";
  settlement.failure.retry = retry;
  settlement.failure.after = after;
  return settlement;
}

inline Settlement release(const ClaimedJob& claimed, std::string reason) {
  Settlement settlement = complete(claimed);
  settlement.kind = Settlement::Kind::Release;
  settlement.reason = std::move(reason);
  return settlement;
}

inline Report lease_of(const ClaimedJob& claimed) { return {claimed.job.id, claimed.lock_token}; }

}  // namespace jobmill::jobs
