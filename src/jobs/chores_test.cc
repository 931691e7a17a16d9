// SPDX-License-Identifier: Apache-2.0
#include "jobs/chores.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace jobmill::jobs {
namespace {

using namespace std::chrono_literals;

// Only the part of a store that chores use; `done` is the order in which they used it.
class Maintained final : public JobStoreOwner {
 public:
  std::vector<std::string> done;
  std::optional<TimePoint> next;
  std::string broken;

  Result<std::int64_t> promote_due(TimePoint) override { return chore("promote"); }
  Result<std::int64_t> rescue(TimePoint) override { return chore("rescue"); }
  Result<std::int64_t> time_out(TimePoint) override { return chore("time out"); }
  Result<std::int64_t> expire(TimePoint) override { return chore("expire"); }
  Result<std::int64_t> plan_recurring(TimePoint) override { return chore("plan"); }
  Result<std::optional<TimePoint>> next_chore(TimePoint) override { return next; }

  void on_change(Listener) override {}
  Result<InsertResult> insert(std::span<const JobSpec>, TimePoint, std::string_view) override {
    return unused();
  }
  Result<Registration> announce(const WorkerSpec&, TimePoint) override { return unused(); }
  Result<Claimed> claim(const ClaimRequest&, TimePoint) override { return unused(); }
  Result<BeatAnswer> beat(std::string_view, std::span<const Report>, TimePoint) override {
    return unused();
  }
  Status report(const Report&, TimePoint) override { return unused(); }
  Result<std::vector<Settled>> settle(std::string_view, std::span<const Settlement>,
                                      TimePoint) override {
    return unused();
  }
  Status leave(std::string_view, TimePoint) override { return unused(); }
  Result<Job> get(std::string_view) override { return unused(); }
  Result<std::vector<JobEvent>> history(std::string_view) override { return unused(); }
  Result<JobPage> list(const JobQuery&) override { return unused(); }
  Result<JobLog> log(std::string_view, int, std::int64_t) override { return unused(); }
  Result<Outcome> result(std::string_view, TimePoint) override { return unused(); }
  Result<std::vector<Tally>> tallies() override { return unused(); }
  bool leads() const override { return true; }
  Result<std::vector<Status>> alter(std::span<const std::string>, const Alteration&,
                                    TimePoint) override {
    return unused();
  }
  Status pause_queue(std::string_view, bool, TimePoint) override { return unused(); }
  Status pause_recurring(std::string_view, bool, TimePoint) override { return unused(); }
  Status requeue(std::string_view, TimePoint) override { return unused(); }
  Status remove(std::string_view, std::string_view, TimePoint) override { return unused(); }
  Result<std::vector<Worker>> workers(TimePoint) override { return unused(); }
  Result<std::vector<QueueStats>> queues(TimePoint) override { return unused(); }
  Result<std::int64_t> scheduled_until(std::string_view, TimePoint) override { return unused(); }
  Result<bool> put_recurring(const RecurringSpec&, TimePoint) override { return unused(); }
  Result<std::vector<RecurringJob>> recurring() override { return unused(); }
  Status remove_recurring(std::string_view, TimePoint) override { return unused(); }
  Result<std::string> trigger_recurring(std::string_view, TimePoint) override { return unused(); }
  Status set_worker_state(std::string_view, WorkerState, std::optional<TimePoint>,
                          TimePoint) override {
    return unused();
  }
  Status worker_died(std::string_view, const Crash&, TimePoint) override { return unused(); }
  Result<std::optional<TimePoint>> next_due(std::string_view, TimePoint) override {
    return unused();
  }

 private:
  static Fault unused() { return fail(Code::Unsupported, "not a chore"); }
  Result<std::int64_t> chore(const std::string& name) {
    done.push_back(name);
    if (name == broken) return fail(Code::Unavailable, "disk full");
    return 1;
  }
};

}  // namespace

TEST_CASE("chores: recurring jobs are planned before due jobs are enqueued") {
  Maintained store;
  store.next = TimePoint(90s);
  Chores chores;
  CHECK(chores.run(store, TimePoint(60s)) == TimePoint(90s));
  CHECK(store.done == std::vector<std::string>{"plan", "rescue", "time out", "promote", "expire"});
  store.next.reset();
  CHECK_FALSE(chores.run(store, TimePoint(90s)));
}

TEST_CASE("chores: one that fails is told and tried again, and stops none of the others") {
  Maintained store;
  store.broken = "rescue";
  store.next = TimePoint(10s);  // still due, as nothing was done
  std::vector<std::string> complaints;
  Chores chores([&](std::string_view chore, const Fault& fault) {
    complaints.push_back(std::string(chore) + ": " + fault.message);
  });
  CHECK(chores.run(store, TimePoint(60s)) == TimePoint(61s));
  CHECK(store.done.size() == 5);
  CHECK(complaints == std::vector<std::string>{"rescue: disk full"});
}

}  // namespace jobmill::jobs
