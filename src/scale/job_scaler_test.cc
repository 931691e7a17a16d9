// SPDX-License-Identifier: Apache-2.0
#include "scale/job_scaler.h"

#include <doctest/doctest.h>

namespace jobmill::scale {
namespace {

using namespace std::chrono_literals;

constexpr const char* kJob = "orders-job";

JobScaler::Spec bound_spec() {
  JobScaler::Spec spec;
  spec.key = kJob;
  spec.max = 10;
  spec.rules = {{.name = "orders"}};
  return spec;
}

Autoscaler::Trigger metric(std::string name, std::int64_t target) {
  return {"azure-servicebus", std::move(name),
          MetricSpec{"s0-azure-servicebus-orders", MetricType::AverageValue, target * 1000}};
}

JobScaler::Spec keda_spec() {
  JobScaler::Spec spec;
  spec.key = kJob;
  spec.semantics = JobSemantics::Keda;
  spec.max = 10;
  spec.triggers = {metric("orders", 1)};
  return spec;
}

Fault refused() { return fail(Code::Unavailable, "connection refused"); }

// A JobScaler with one job, whose reads wait until the test answers them.
struct Rig {
  ManualClock clock;
  JobScaler scaler;
  std::map<std::size_t, JobScaler::Read> reads;
  std::vector<JobScaler::Create> created;
  int decided = 0;

  void put(JobScaler::Spec spec) {
    scaler.put(std::move(spec), clock.now());
    tick();
  }
  void queue(std::int64_t ready, std::int64_t locked = 0, std::size_t rule = 0) {
    scaler.queue(kJob, rule, JobScaler::Queue{ready, locked}, clock.now());
    tick();
  }
  void executions(std::int64_t unfinished, std::vector<std::int64_t> reserved = {}) {
    scaler.executions(kJob, unfinished, 0, std::move(reserved), clock.now());
    tick();
  }
  void answer(std::size_t trigger, Result<Sample> sample) {
    REQUIRE(reads.contains(trigger));
    scaler.sample(reads.extract(trigger).mapped(), std::move(sample), clock.now());
    tick();
  }
  void answer(std::size_t trigger, double value, bool waits = false) {
    answer(trigger, Sample{value, value > 0, waits});
  }
  void fail_twice(std::size_t trigger) {
    answer(trigger, refused());
    answer(trigger, refused());
  }
  void tick() {
    const JobScaler::Actions actions = scaler.tick(clock.now());
    for (const auto& read : actions.reads) {
      CHECK_FALSE(reads.contains(read.trigger));  // reads of one trigger never overlap
      reads.emplace(read.trigger, read);
    }
    created.insert(created.end(), actions.create.begin(), actions.create.end());
    decided += static_cast<int>(actions.decided.size());
  }
  void advance(Duration by) {
    clock.advance(by);
    tick();
  }
  int take() {
    int sum = 0;
    for (const auto& one : std::exchange(created, {})) sum += one.count;
    return sum;
  }
  const ExecutionsDecision& latest() const {
    const ExecutionsDecision* decision = scaler.latest(kJob);
    REQUIRE(decision);
    return *decision;
  }
};

}  // namespace

TEST_CASE("job scaler: bound, nothing is decided before executions and queues are known") {
  Rig rig;
  rig.put(bound_spec());
  rig.queue(3);
  CHECK(rig.scaler.latest(kJob) == nullptr);
  rig.executions(2, {2});
  REQUIRE(rig.created.size() == 1);
  CHECK(rig.created[0].job == kJob);
  CHECK(rig.created[0].rule == 0);
  CHECK(rig.created[0].count == 1);
  CHECK(rig.created[0].decision == rig.latest().id);

  Rig other;
  other.put(bound_spec());
  other.executions(0);
  CHECK(other.scaler.latest(kJob) == nullptr);
  CHECK_FALSE(other.scaler.next());
}

TEST_CASE("job scaler: bound, a second burst is not masked by those that are still starting") {
  Rig rig;
  rig.put(bound_spec());
  rig.executions(0);
  rig.queue(3);
  CHECK(rig.take() == 3);
  rig.queue(5);  // two more, before anybody told that the three were started
  CHECK(rig.take() == 2);
  rig.executions(5, {5});
  CHECK(rig.take() == 0);
  rig.queue(3, 2);  // two were taken, and their executions run
  rig.executions(5, {3});
  CHECK(rig.take() == 0);
  CHECK(rig.latest().limit == JobLimit::Reserved);
}

TEST_CASE("job scaler: bound, at max the next starts when one ends") {
  Rig rig;
  JobScaler::Spec spec = bound_spec();
  spec.max = 1;
  rig.put(spec);
  rig.executions(0);
  rig.queue(5);
  CHECK(rig.take() == 1);
  rig.queue(4, 1);
  rig.executions(1, {0});
  CHECK(rig.take() == 0);
  CHECK(rig.latest().sentence == "max-executions (1 of 1 running); 4 ready");
  rig.queue(4, 0);
  rig.executions(0, {0});
  CHECK(rig.take() == 1);
}

TEST_CASE("job scaler: bound, an idle job has no timer") {
  Rig rig;
  rig.put(bound_spec());
  rig.executions(0);
  rig.queue(0);
  CHECK(rig.latest().sentence == "nothing is ready");
  CHECK_FALSE(rig.scaler.next());
}

TEST_CASE("job scaler: bound, min executions are kept at each poll, not at each change") {
  Rig rig;
  JobScaler::Spec spec = bound_spec();
  spec.min = 2;
  rig.put(spec);
  rig.queue(0);
  rig.executions(0);
  CHECK(rig.take() == 2);
  rig.executions(2, {2});
  rig.advance(10s);
  rig.executions(1, {1});  // one found nothing and ended
  CHECK(rig.take() == 0);
  REQUIRE(rig.scaler.next() == rig.clock.now() + 20s);
  rig.advance(20s);
  CHECK(rig.take() == 1);
}

TEST_CASE("job scaler: bound, an entity that is missing is told, and watched for") {
  Rig rig;
  rig.put(bound_spec());
  rig.executions(0);
  rig.scaler.queue(kJob, 0, fail(Code::NotFound, "the queue orders does not exist"),
                   rig.clock.now());
  rig.tick();
  CHECK(rig.latest().limit == JobLimit::Stale);
  rig.queue(1);
  CHECK(rig.take() == 1);
}

TEST_CASE("job scaler: only decisions that say something else are told") {
  Rig rig;
  rig.put(bound_spec());
  rig.executions(0);
  rig.queue(0);
  CHECK(rig.decided == 1);
  const std::string id = rig.latest().id;
  rig.queue(0);
  CHECK(rig.decided == 1);
  CHECK(rig.latest().id == id);
  rig.queue(1);
  CHECK(rig.decided == 2);
  CHECK(rig.scaler.last_create(kJob)->id == rig.latest().id);
  rig.executions(1, {1});
  CHECK(rig.scaler.last_create(kJob)->id != rig.latest().id);
}

TEST_CASE("job scaler: several rules wait for each other's first word only") {
  Rig rig;
  JobScaler::Spec spec = bound_spec();
  spec.rules.push_back({.name = "mails", .messages = 2});
  rig.put(spec);
  rig.executions(0);
  rig.queue(1);
  CHECK(rig.take() == 0);
  rig.queue(3, 0, 1);
  REQUIRE(rig.created.size() == 2);
  CHECK(rig.created[1].rule == 1);
  CHECK(rig.created[1].count == 2);
}

TEST_CASE("job scaler: KEDA, read at once and then at the interval, whatever happens between") {
  Rig rig;
  rig.put(keda_spec());
  rig.executions(0);
  rig.answer(0, 3);
  CHECK(rig.take() == 3);
  rig.executions(3);
  rig.advance(10s);
  rig.executions(2);
  CHECK(rig.take() == 0);
  CHECK(rig.reads.empty());
  REQUIRE(rig.scaler.next() == rig.clock.now() + 20s);
  rig.advance(20s);
  rig.answer(0, 4);
  CHECK(rig.take() == 2);
}

TEST_CASE("job scaler: KEDA, decided when all triggers have answered") {
  Rig rig;
  JobScaler::Spec spec = keda_spec();
  spec.triggers.push_back(metric("mails", 2));
  rig.put(spec);
  rig.executions(0);
  rig.answer(0, 1);
  CHECK(rig.scaler.latest(kJob) == nullptr);
  rig.answer(1, 8);
  REQUIRE(rig.created.size() == 1);
  CHECK(rig.created[0].rule == 1);
  CHECK(rig.created[0].count == 4);
}

TEST_CASE("job scaler: KEDA, a failed read is repeated with a new scaler before it counts") {
  Rig rig;
  rig.put(keda_spec());
  rig.executions(0);
  CHECK_FALSE(rig.reads.at(0).rebuild);
  rig.answer(0, refused());
  CHECK(rig.scaler.latest(kJob) == nullptr);
  REQUIRE(rig.reads.contains(0));
  CHECK(rig.reads.at(0).rebuild);
  rig.scaler.built(rig.reads.at(0), {"s0-azure-servicebus-orders", MetricType::AverageValue, 2000});
  rig.answer(0, 6);
  CHECK(rig.take() == 3);
}

TEST_CASE("job scaler: KEDA, a trigger that fails starts nothing and is never a zero") {
  Rig rig;
  rig.put(keda_spec());
  rig.executions(0);
  rig.fail_twice(0);
  CHECK(rig.take() == 0);
  CHECK(rig.latest().limit == JobLimit::Stale);
  CHECK(rig.latest().sentence ==
        "stale (orders: connection refused); nothing starts on its account");
  rig.advance(30s);
  rig.answer(0, 1);
  CHECK(rig.take() == 1);
}

TEST_CASE("job scaler: KEDA, a trigger that never answers is stale, and holds up no other") {
  Rig rig;
  JobScaler::Spec spec = keda_spec();
  spec.triggers.push_back(metric("mails", 1));
  rig.put(spec);
  rig.executions(0);
  rig.answer(0, 2);
  CHECK(rig.take() == 0);
  REQUIRE(rig.scaler.next());
  rig.clock.set(*rig.scaler.next());
  rig.tick();
  CHECK(rig.take() == 2);
  CHECK(rig.latest().limit == JobLimit::Stale);
}

TEST_CASE("job scaler: KEDA, a round that took longer than the interval is followed at once") {
  Rig rig;
  JobScaler::Spec spec = keda_spec();
  spec.polling_interval = 1s;
  rig.put(spec);
  rig.executions(0);
  rig.advance(1500ms);
  CHECK(rig.take() == 0);
  rig.answer(0, 1);
  CHECK(rig.take() == 1);
  rig.tick();
  CHECK(rig.reads.contains(0));
}

TEST_CASE("job scaler: KEDA, a source that pushes is decided at the interval all the same") {
  Rig rig;
  rig.put(keda_spec());
  rig.executions(0);
  rig.answer(0, 1, true);
  CHECK(rig.take() == 1);
  rig.executions(1);
  rig.advance(100ms);
  REQUIRE(rig.reads.contains(0));  // held by its source until the number changes
  rig.answer(0, 5, true);
  rig.advance(100ms);
  CHECK(rig.reads.contains(0));
  CHECK(rig.take() == 0);
  rig.advance(30s);
  CHECK(rig.take() == 4);
}

TEST_CASE("job scaler: a suspended job reads and starts nothing, and says so") {
  Rig rig;
  JobScaler::Spec spec = keda_spec();
  spec.suspended = true;
  rig.put(spec);
  rig.executions(0);
  CHECK(rig.reads.empty());
  CHECK(rig.latest().limit == JobLimit::Suspended);
  CHECK_FALSE(rig.scaler.next());

  spec.suspended = false;
  rig.put(spec);
  rig.answer(0, 2);
  CHECK(rig.take() == 2);

  Rig other;
  JobScaler::Spec bound = bound_spec();
  bound.suspended = true;
  bound.min = 1;
  other.put(bound);
  other.executions(0);
  other.queue(3);
  CHECK(other.take() == 0);
  CHECK(other.latest().sentence == "suspended; 3 ready");
  CHECK_FALSE(other.scaler.next());
}

TEST_CASE("job scaler: answers that come too late are dropped") {
  Rig rig;
  rig.put(keda_spec());
  rig.executions(0);
  const JobScaler::Read old = rig.reads.extract(0).mapped();
  rig.put(keda_spec());
  rig.scaler.sample(old, Sample{9, true}, rig.clock.now());
  rig.tick();
  CHECK(rig.take() == 0);
  rig.answer(0, 1);
  CHECK(rig.take() == 1);

  rig.scaler.remove(kJob);
  rig.scaler.sample(old, Sample{9, true}, rig.clock.now());
  rig.scaler.queue(kJob, 0, JobScaler::Queue{1, 0}, rig.clock.now());
  rig.tick();
  CHECK(rig.take() == 0);
  CHECK(rig.scaler.latest(kJob) == nullptr);
}

}  // namespace jobmill::scale
