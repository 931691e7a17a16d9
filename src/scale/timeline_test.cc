// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <functional>
#include <limits>

#include <doctest/doctest.h>

#include "scale/autoscaler_rig.h"

namespace jobmill::scale {
namespace {

using namespace std::chrono_literals;

constexpr int kSlots = 4;
constexpr Duration kRunTime = 15s;
constexpr Duration kStartUp = 12s;
constexpr Duration kHold = 25s;    // how long the server lets a read wait
constexpr Duration kAhead = 2min;  // runInMax

// The first walkthrough without its processes: a queue, replicas with four slots each, and three
// metrics whose reads wait until the value changes. Advances from event to event.
class Workshop {
 public:
  Workshop() {
    rig_.spec.polling_interval = 30s;
    rig_.spec.cooldown_period = 300s;
    rig_.spec.min_replicas = 0;
    rig_.spec.max_replicas = 10;
    rig_.put(AutoscalerRig::walkthrough());
    rig_.ready(0);
    settle();
  }

  TimePoint now() const { return rig_.clock.now(); }
  AutoscalerRig& rig() { return rig_; }

  void schedule(int count, Duration run_in) {
    for (int i = 0; i < count; ++i) jobs_.push_back({now() + run_in, {}});
    settle();
  }

  void pass(Duration duration) {
    const TimePoint end = now() + duration;
    for (TimePoint next = next_event(); next <= end; next = next_event()) {
      rig_.clock.set(next);
      settle();
    }
    rig_.clock.set(end);
    settle();
  }

  int ready() const {
    return static_cast<int>(std::count_if(replicas_.begin(), replicas_.end(),
                                          [&](const Replica& r) { return is_ready(r); }));
  }
  int done() const {
    return static_cast<int>(
        std::count_if(jobs_.begin(), jobs_.end(), [&](const Job& job) { return is_done(job); }));
  }
  bool all_slots_taken() const { return running() == ready() * kSlots; }

 private:
  struct Job {
    TimePoint run_at;
    std::optional<TimePoint> started;
  };
  struct Replica {
    TimePoint ready_at;
  };

  bool is_ready(const Replica& replica) const { return replica.ready_at <= now(); }
  bool is_done(const Job& job) const { return job.started && *job.started + kRunTime <= now(); }
  bool waits(const Job& job) const { return !job.started && job.run_at <= now(); }
  bool runs(const Job& job) const { return job.started && !is_done(job); }

  int running() const {
    return static_cast<int>(
        std::count_if(jobs_.begin(), jobs_.end(), [&](const Job& job) { return runs(job); }));
  }

  double usage() const { return ready() == 0 ? 0 : double(running()) / (ready() * kSlots); }

  double scheduled() const {
    return double(std::count_if(jobs_.begin(), jobs_.end(), [&](const Job& job) {
      return job.run_at > now() && job.run_at <= now() + kAhead;
    }));
  }

  double latency_ms() const {
    Duration oldest{};
    for (const Job& job : jobs_)
      if (waits(job)) oldest = std::max(oldest, now() - job.run_at);
    return double(oldest.count()) / 1000;
  }

  void work() {
    int free = ready() * kSlots - running();
    for (Job& job : jobs_)
      if (free > 0 && waits(job)) {
        job.started = now();
        --free;
      }
  }

  // Idle replicas are stopped at once; here none that works is ever asked to go.
  void obey() {
    while (static_cast<int>(replicas_.size()) > rig_.wanted) {
      REQUIRE(running() == 0);
      replicas_.pop_back();
    }
    while (static_cast<int>(replicas_.size()) < rig_.wanted)
      replicas_.push_back({now() + kStartUp});
  }

  void report() {
    const int total = static_cast<int>(replicas_.size());
    rig_.report({rig_.wanted, {.starting = total - ready(), .ready = ready()}, running()});
  }

  void push() {
    const std::array values{usage(), scheduled(), latency_ms()};
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (!rig_.reads.contains(i)) continue;
      const bool first = !answered_[i];
      const bool over = answered_[i] && now() >= *answered_[i] + kHold;
      if (!first && !over && values[i] == told_[i]) continue;
      told_[i] = values[i];
      answered_[i] = now();
      rig_.answer(i, values[i], true);
    }
  }

  // Everything that follows at this instant.
  void settle() {
    work();
    rig_.tick();
    push();
    obey();
    report();
    work();
  }

  TimePoint next_event() const {
    TimePoint next = TimePoint::max();
    const auto consider = [&](TimePoint at) {
      if (at > now()) next = std::min(next, at);
    };
    if (const auto at = rig_.autoscaler.next()) consider(*at);
    for (const Job& job : jobs_) {
      consider(job.run_at);
      if (job.started) consider(*job.started + kRunTime);
    }
    for (const Replica& replica : replicas_) consider(replica.ready_at);
    for (const auto& answered : answered_)
      if (answered) consider(*answered + kHold);
    return next;
  }

  AutoscalerRig rig_;
  std::vector<Job> jobs_;
  std::vector<Replica> replicas_;
  std::array<double, 3> told_{};
  std::array<std::optional<TimePoint>, 3> answered_{};
};

struct Change {
  Duration at;  // since the jobs were scheduled
  DecisionKind kind;
  int from;
  int to;
  Rule rule;
  bool operator==(const Change&) const = default;
};

std::vector<Change> changes(const std::vector<Decision>& records, TimePoint start) {
  std::vector<Change> out;
  for (const Decision& d : records)
    if (d.from != d.to) out.push_back({d.at - start, d.kind, d.from, d.to, d.limiting_rule});
  return out;
}

}  // namespace

TEST_CASE("timeline: the first walkthrough, unshortened, from 0 to 5, 7, 9 and back to 0") {
  Workshop workshop;
  workshop.pass(10min);
  CHECK(workshop.rig().sizes.empty());  // nothing to do, nothing done

  const TimePoint start = workshop.now();
  workshop.schedule(40, 2min);
  CHECK(workshop.rig().wanted == 5);  // in the same instant, in one decision
  CHECK(workshop.rig().sizes == std::vector{5});

  workshop.pass(2min - 1us);
  CHECK(workshop.ready() == 5);  // before the jobs are due
  workshop.pass(1us);
  CHECK(workshop.all_slots_taken());  // 100 % usage
  CHECK(workshop.rig().wanted == 7);

  workshop.pass(10min);
  CHECK(workshop.done() == 40);
  CHECK(workshop.ready() == 0);

  // The two replicas that were asked for at 2:00 take 8 jobs at 2:12; all slots are taken again,
  // which asks for 9. At 2:15 the first 20 jobs end, 12 are left and nothing asks for 9 any more:
  // the window holds it for 300 s. The last evaluation that found a trigger active was at 2:27,
  // when the jobs of 2:12 ended; those of 2:15 end at 2:30.
  const std::vector<Change> expected{
      {0s, DecisionKind::Activate, 0, 5, Rule::None},
      {2min, DecisionKind::Up, 5, 7, Rule::None},
      {2min + 12s, DecisionKind::Up, 7, 9, Rule::None},
      {7min + 15s + 1us, DecisionKind::Down, 9, 7, Rule::ScaleDownWindow},
      {7min + 27s + 1us, DecisionKind::Zero, 7, 0, Rule::NotActive},
  };
  const auto seen = changes(workshop.rig().records, start);
  REQUIRE(seen.size() == expected.size());
  for (std::size_t i = 0; i < seen.size(); ++i) {
    CAPTURE(i);
    CAPTURE(seen[i].at.count());
    CHECK(seen[i] == expected[i]);
  }
}

}  // namespace jobmill::scale
