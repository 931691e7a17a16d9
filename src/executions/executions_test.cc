// SPDX-License-Identifier: Apache-2.0
#include "executions/executions.h"

#include <doctest/doctest.h>

#include <set>

#include "executions/executions_fixture.h"

namespace jobmill::executions {
namespace {

using namespace std::chrono_literals;

ContainerJob with_limits(int completions, int parallelism, int retry_limit) {
  ContainerJob job = EngineRig::plain_job();
  job.completions = completions;
  job.parallelism = parallelism;
  job.retry_limit = retry_limit;
  return job;
}

std::vector<ReplicaState> states(const Execution& execution) {
  std::vector<ReplicaState> all;
  for (const Replica& replica : execution.replicas) all.push_back(replica.state);
  return all;
}

bool letters_and_digits(std::string_view text) {
  return text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789") == text.npos;
}

}  // namespace

TEST_CASE("executions: one replica exits 0, the execution succeeds") {
  EngineRig rig;
  const std::string name = rig.start();
  CHECK(rig.engine.find(name)->status == ExecutionStatus::Processing);
  CHECK(rig.engine.counts(rig.key).pending == 1);

  const auto first = rig.tick();
  CHECK(first.changed == std::vector{name});  // to be saved before it starts
  REQUIRE(first.start.size() == 1);
  CHECK(first.start[0].execution == name);
  CHECK(first.jobs == std::vector{rig.key});
  const std::string replica = first.start[0].replica;
  rig.engine.started(replica, {.pid = 7, .start_ticks = 9}, rig.clock.now());
  rig.tick();
  CHECK(rig.saved(name).status == ExecutionStatus::Running);
  CHECK(rig.saved(name).replicas[0].mark.pid == 7);
  CHECK(rig.saved(name).replicas[0].deadline == rig.clock.now() + 60s);
  CHECK(rig.engine.counts(rig.key).unfinished == 1);
  CHECK(rig.engine.counts(rig.key).pending == 0);

  rig.clock.advance(5s);
  rig.exit(replica, 0);
  CHECK(rig.saved(name).status == ExecutionStatus::Succeeded);
  CHECK(rig.saved(name).reason.empty());
  CHECK(rig.saved(name).ended == rig.clock.now());
  CHECK(rig.engine.counts(rig.key).unfinished == 0);
  CHECK(rig.engine.find(name) != nullptr);  // until it was saved
  CHECK(rig.tick().empty());
  CHECK(rig.engine.find(name) == nullptr);
  CHECK(rig.engine.idle());
  CHECK_FALSE(rig.engine.next());
}

TEST_CASE("executions: names are those of the job with random letters and digits") {
  EngineRig rig;
  std::set<std::string> names;
  for (int i = 0; i < 200; ++i) names.insert(rig.start());
  CHECK(names.size() == 200);
  for (const std::string& name : names) {
    CHECK(name.starts_with("worker-"));
    CHECK(name.size() == std::string("worker-").size() + 7);
    CHECK(letters_and_digits(name.substr(7)));
  }
  const auto replicas = rig.taken_up();
  CHECK(std::set(replicas.begin(), replicas.end()).size() == 200);
  for (const std::string& replica : replicas) {
    CHECK(names.contains(replica.substr(0, replica.size() - 6)));
    CHECK(replica[replica.size() - 6] == '-');
    CHECK(letters_and_digits(replica.substr(replica.size() - 5)));
  }
}

TEST_CASE("executions: completion count 3, parallelism 2, and one replica fails") {
  EngineRig rig(with_limits(3, 2, 1));
  const std::string name = rig.start();
  const auto first = rig.taken_up();
  REQUIRE(first.size() == 2);  // not more than parallelism
  for (const std::string& replica : first) rig.engine.started(replica, {}, rig.clock.now());

  rig.exit(first[0], 1);
  CHECK(rig.taken_up().empty());  // its successor waits
  CHECK(rig.engine.next() == rig.clock.now() + 10s);
  rig.exit(first[1], 0);
  const auto second = rig.taken_up();
  REQUIRE(second.size() == 1);  // two are missing: one runs now, the successor comes later
  rig.wait(10s - 1us);
  CHECK(rig.taken_up().empty());
  rig.wait(1us);
  const auto third = rig.taken_up();
  REQUIRE(third.size() == 1);

  rig.exit(second[0], 0);
  CHECK(rig.taken_up().empty());  // never more than are missing
  CHECK(rig.saved(name).status == ExecutionStatus::Running);
  rig.exit(third[0], 0);
  const Execution& done = rig.saved(name);
  CHECK(done.status == ExecutionStatus::Succeeded);
  CHECK(done.succeeded == 3);
  CHECK(done.failures == 1);
  CHECK(states(done) == std::vector{ReplicaState::Failed, ReplicaState::Succeeded,
                                    ReplicaState::Succeeded, ReplicaState::Succeeded});
  CHECK(done.replicas[2].attempt == 2);
  CHECK(done.replicas[3].attempt == 1);
}

TEST_CASE("executions: the retry limit counts failures of the whole execution") {
  struct Case {
    int limit;
    std::vector<int> exits;  // of one replica after the other
    ExecutionStatus status;
    std::string reason;
  };
  const std::vector<Case> cases{
      {0, {0}, ExecutionStatus::Succeeded, ""},
      {0, {1}, ExecutionStatus::Failed, "exit 1"},
      {2, {1, 0}, ExecutionStatus::Succeeded, ""},
      {2, {1, 2, 0}, ExecutionStatus::Succeeded, ""},
      {2, {1, 2, 3}, ExecutionStatus::Failed, "exit 3; 3 failures exceed the retry limit of 2"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.limit);
    CAPTURE(one.exits.size());
    EngineRig rig(with_limits(1, 1, one.limit));
    const std::string name = rig.start();
    for (const int code : one.exits) {
      const std::string replica = rig.run_one();
      REQUIRE_FALSE(replica.empty());
      rig.exit(replica, code);
      rig.wait(360s);
    }
    CHECK(rig.saved(name).status == one.status);
    CHECK(rig.saved(name).reason == one.reason);
    CHECK(rig.saved(name).replicas.size() == one.exits.size());
    CHECK(rig.taken_up().empty());
  }
}

TEST_CASE("executions: the back-off doubles from 10 s to 360 s, or is what the job says") {
  EngineRig rig(with_limits(1, 1, 100));
  rig.start();
  for (const auto pause : {10s, 20s, 40s, 80s, 160s, 320s, 360s, 360s}) {
    rig.exit(rig.run_one(), 1);
    CHECK(rig.engine.next() == rig.clock.now() + pause);
    rig.wait(pause);
  }

  ContainerJob hasty = with_limits(1, 1, 3);
  hasty.options.backoff = {Duration::zero(), Duration::zero()};
  EngineRig other(hasty);
  const std::string name = other.start();
  for (int i = 0; i < 4; ++i) other.exit(other.run_one(), 1);  // no pause between them
  CHECK(other.saved(name).status == ExecutionStatus::Failed);
}

TEST_CASE("executions: how a replica ended is its reason, and all of it is retried") {
  struct Case {
    ReplicaEnd end;
    std::string reason;
  };
  const std::vector<Case> cases{{{.exit_code = 3}, "exit 3"},
                                {{.signal = 9}, "signal 9"},
                                {{.signal = 9, .out_of_memory = true}, "oom"}};
  for (const Case& one : cases) {
    CAPTURE(one.reason);
    EngineRig rig(with_limits(1, 1, 1));
    const std::string name = rig.start();
    rig.end(rig.run_one(), one.end);
    CHECK(rig.saved(name).replicas[0].state == ReplicaState::Failed);
    CHECK(rig.saved(name).replicas[0].reason == one.reason);
    rig.wait(10s);
    rig.end(rig.run_one(), one.end);
    CHECK(rig.saved(name).status == ExecutionStatus::Failed);
    CHECK(rig.saved(name).reason == one.reason + "; 2 failures exceed the retry limit of 1");
  }
}

TEST_CASE("executions: when failures are too many, what still runs is stopped: Degraded") {
  EngineRig rig(with_limits(3, 2, 0));
  const std::string name = rig.start();
  const auto replicas = rig.taken_up();
  for (const std::string& replica : replicas) rig.engine.started(replica, {}, rig.clock.now());
  rig.exit(replicas[0], 1);
  CHECK(rig.saved(name).status == ExecutionStatus::Degraded);
  CHECK(rig.saved(name).reason == "exit 1");
  REQUIRE(rig.stops.size() == 1);
  CHECK(rig.stops[0].replica == replicas[1]);
  CHECK(rig.stops[0].ordered);
  rig.end(replicas[1], {.signal = 15});
  CHECK(rig.saved(name).status == ExecutionStatus::Failed);
  CHECK(states(rig.saved(name)) == std::vector{ReplicaState::Failed, ReplicaState::Stopped});
}

TEST_CASE("executions: a time-out asks first, kills after the grace, and counts as a failure") {
  EngineRig rig(with_limits(1, 1, 1));
  const std::string name = rig.start();
  rig.clock.advance(100s);  // nothing runs yet, so no time passes for it
  const std::string replica = rig.run_one();
  CHECK(rig.engine.next() == rig.clock.now() + 60s);
  rig.wait(60s);
  REQUIRE(rig.stops.size() == 1);
  CHECK_FALSE(rig.stops[0].kill);
  CHECK_FALSE(rig.stops[0].ordered);
  CHECK(rig.engine.next() == rig.clock.now() + 30s);
  rig.wait(30s);
  REQUIRE(rig.stops.size() == 2);
  CHECK(rig.stops[1].kill);
  CHECK_FALSE(rig.stops[1].ordered);
  rig.wait(1h);
  CHECK(rig.stops.size() == 2);  // never twice

  rig.end(replica, {.signal = 9});
  CHECK(rig.saved(name).replicas[0].reason == "timeout");
  rig.wait(10s);
  const std::string second = rig.run_one();
  REQUIRE_FALSE(second.empty());
  rig.wait(60s);
  rig.exit(second, 0);  // too late for a success
  CHECK(rig.saved(name).status == ExecutionStatus::Failed);
  CHECK(rig.saved(name).reason == "timeout; 2 failures exceed the retry limit of 1");
}

// One replica that runs, of a job with stalledAfter of a minute.
class StallRig : public EngineRig {
 public:
  StallRig() : EngineRig(stalling(1min)) {
    name = start();
    replica = run_one();
  }
  static ContainerJob stalling(Duration after) {
    ContainerJob job = EngineRig::plain_job();
    job.replica_timeout = 3600s;
    job.retry_limit = 1;
    job.options.stalled_after = after;
    return job;
  }
  // Its computing time, whenever it is asked for.
  void pass(Duration by, Duration computed_for_each_look = {}) {
    const TimePoint end = clock.now() + by;
    while (engine.next() && *engine.next() <= end) {
      clock.advance(*engine.next() - clock.now());
      for (const std::string& one : tick().look) {
        cpu += computed_for_each_look;
        engine.used(one, cpu, clock.now());
        ++looks;
      }
      tick();
    }
    clock.advance(end - clock.now());
  }
  Duration cpu{};
  int looks = 0;
  std::string name;
  std::string replica;
};

TEST_CASE("executions: a replica without a sign of life is ended, and has failed") {
  StallRig rig;
  rig.pass(59s);
  CHECK(rig.stops.empty());
  rig.pass(1s);
  REQUIRE(rig.stops.size() == 1);
  CHECK_FALSE(rig.stops[0].ordered);  // so that its message counts a delivery
  CHECK(rig.looks == 4);
  rig.end(rig.replica, {.signal = 15});
  const Replica& ended = rig.saved(rig.name).replicas[0];
  CHECK(ended.state == ReplicaState::Failed);
  CHECK(ended.reason == "stalled");
  rig.wait(10s);
  CHECK(rig.taken_up().size() == 1);  // and is tried again
}

TEST_CASE("executions: output, messages and computing are signs of life") {
  const auto stops_after = [](auto live) {
    StallRig rig;
    for (int i = 0; i < 6; ++i) {
      rig.pass(40s);
      live(rig);
    }
    CHECK(rig.stops.empty());
    rig.pass(59s);
    CHECK(rig.stops.empty());
    rig.pass(16s);  // what it computed is seen with the next look
    CHECK(rig.stops.size() == 1);
  };
  stops_after([](StallRig& rig) { rig.engine.wrote(rig.replica, rig.clock.now()); });
  stops_after([](StallRig& rig) {
    static std::int64_t sequence = 0;
    rig.take(rig.replica, ++sequence);
  });
  stops_after([](StallRig& rig) { rig.cpu += 1s; });
}

TEST_CASE("executions: to keep a connection open is no sign of life, to compute is one") {
  StallRig idle;
  idle.pass(75s, 20ms);  // of 15 s
  CHECK(idle.stops.size() == 1);
  StallRig busy;
  busy.pass(10min, 200ms);
  CHECK(busy.stops.empty());
  busy.cpu = 0s;  // a process of it ended
  busy.pass(59s);
  CHECK(busy.stops.empty());
}

TEST_CASE("executions: without stalledAfter, or where nobody can tell, nobody is stalled") {
  EngineRig plain;
  plain.start();
  const std::string replica = plain.run_one();
  plain.wait(59s);
  CHECK(plain.tick().look.empty());
  CHECK(plain.stops.empty());

  EngineRig blind(StallRig::stalling(1min));
  blind.start();
  blind.run_one();
  for (int i = 0; i < 20; ++i) {
    blind.clock.advance(15s);
    for (const std::string& one : blind.tick().look)
      blind.engine.used(one, std::nullopt, blind.clock.now());
  }
  CHECK(blind.stops.empty());
}

TEST_CASE("executions: the first token of a replica is kept") {
  EngineRig rig;
  const std::string name = rig.start();
  const std::string replica = rig.run_one();
  const TimePoint first = rig.clock.now();
  rig.engine.identified(replica, first);
  rig.wait(1s);
  rig.engine.identified(replica, rig.clock.now());
  rig.tick();
  const auto stored = execution_from(to_document(rig.saved(name)));
  REQUIRE(stored);
  CHECK(stored->replicas[0].identified == first);
}

TEST_CASE("executions: a job without a time-out runs as long as it likes") {
  ContainerJob job = EngineRig::plain_job();
  job.replica_timeout.reset();
  EngineRig rig(job);
  rig.start();
  rig.run_one();
  CHECK_FALSE(rig.engine.next());
}

TEST_CASE("executions: stop ends a running replica, as ordered, and the execution is Stopped") {
  EngineRig rig(with_limits(1, 1, 5));
  const std::string name = rig.start();
  const std::string replica = rig.run_one();
  REQUIRE(rig.engine.stop(rig.key, name, rig.clock.now()));
  REQUIRE(rig.engine.stop(rig.key, name, rig.clock.now()));
  rig.tick();
  REQUIRE(rig.stops.size() == 1);
  CHECK(rig.stops[0].ordered);
  CHECK_FALSE(rig.stops[0].kill);
  CHECK(rig.saved(name).status == ExecutionStatus::Running);
  CHECK(rig.saved(name).stopping);
  CHECK_FALSE(rig.engine.idle());
  rig.wait(30s);
  REQUIRE(rig.stops.size() == 2);
  CHECK(rig.stops[1].kill);
  rig.end(replica, {.signal = 9});
  CHECK(rig.saved(name).status == ExecutionStatus::Stopped);
  CHECK(rig.saved(name).reason == "stopped on request");
  CHECK(rig.saved(name).failures == 0);
  CHECK(rig.saved(name).replicas.size() == 1);
  rig.tick();
  const auto again = rig.engine.stop(rig.key, name, rig.clock.now());
  REQUIRE_FALSE(again);
  CHECK(again.error().code == Code::NotFound);
}

TEST_CASE("executions: stop before, during and after the start of a replica") {
  SUBCASE("before anything was asked for") {
    EngineRig rig;
    const std::string name = rig.start();
    REQUIRE(rig.engine.stop(rig.key, name, rig.clock.now()));
    CHECK(rig.taken_up().empty());
    CHECK(rig.saved(name).status == ExecutionStatus::Stopped);
    CHECK(rig.stops.empty());
  }
  SUBCASE("while it starts: it starts all the same, and ends") {
    EngineRig rig;
    const std::string name = rig.start();
    const std::string replica = rig.taken_up().at(0);
    REQUIRE(rig.engine.stop(rig.key, name, rig.clock.now()));
    rig.tick();
    REQUIRE(rig.stops.size() == 1);
    rig.engine.started(replica, {.pid = 5}, rig.clock.now());
    rig.tick();
    CHECK(rig.stops.size() == 1);
    CHECK(rig.saved(name).replicas[0].state == ReplicaState::Stopping);
    rig.end(replica, {.signal = 15});
    CHECK(rig.saved(name).status == ExecutionStatus::Stopped);
    CHECK(rig.saved(name).replicas[0].state == ReplicaState::Stopped);
  }
  SUBCASE("while it starts: it never ran") {
    EngineRig rig;
    const std::string name = rig.start();
    const std::string replica = rig.taken_up().at(0);
    REQUIRE(rig.engine.stop(rig.key, name, rig.clock.now()));
    rig.tick();
    rig.exit(replica, 0);
    CHECK(rig.saved(name).status == ExecutionStatus::Stopped);
    CHECK_FALSE(rig.saved(name).replicas[0].started);
    CHECK_FALSE(rig.saved(name).replicas[0].end);
  }
  SUBCASE("while it starts: it cannot start") {
    EngineRig rig;
    const std::string name = rig.start();
    const std::string replica = rig.taken_up().at(0);
    REQUIRE(rig.engine.stop(rig.key, name, rig.clock.now()));
    rig.tick();
    rig.engine.start_failed(replica, "StartError: no such file", false, rig.clock.now());
    rig.tick();
    CHECK(rig.saved(name).status == ExecutionStatus::Stopped);
  }
  SUBCASE("while it waits for its back-off") {
    EngineRig rig(with_limits(1, 1, 3));
    const std::string name = rig.start();
    rig.exit(rig.run_one(), 1);
    CHECK(rig.engine.stop_all(rig.key, rig.clock.now()) == std::vector{name});
    rig.tick();
    CHECK(rig.stops.empty());
    CHECK(rig.saved(name).status == ExecutionStatus::Stopped);
    CHECK(states(rig.saved(name)) == std::vector{ReplicaState::Failed, ReplicaState::Stopped});
    CHECK_FALSE(rig.engine.next());
  }
  SUBCASE("after its time-out: it still counts as one") {
    EngineRig rig(with_limits(1, 1, 3));
    const std::string name = rig.start();
    const std::string replica = rig.run_one();
    rig.wait(60s);
    REQUIRE(rig.engine.stop(rig.key, name, rig.clock.now()));
    rig.wait(30s);
    REQUIRE(rig.stops.size() == 2);  // TERM and KILL, once each
    CHECK_FALSE(rig.stops[0].ordered);
    CHECK_FALSE(rig.stops[1].ordered);
    rig.end(replica, {.signal = 9});
    CHECK(rig.saved(name).status == ExecutionStatus::Stopped);
    CHECK(rig.saved(name).replicas[0].reason == "timeout");
  }
}

TEST_CASE("executions: ends and starts may be told in any order, and more than once") {
  EngineRig rig;
  const std::string name = rig.start();
  const std::string replica = rig.taken_up().at(0);
  rig.engine.ended(replica, {.exit_code = 0}, rig.clock.now());
  rig.engine.started(replica, {.pid = 3}, rig.clock.now());
  rig.engine.ended(replica, {.exit_code = 1}, rig.clock.now());
  rig.engine.started("worker-nobody-00000", {}, rig.clock.now());
  rig.engine.ended("x", {}, rig.clock.now());
  rig.tick();
  CHECK(rig.saved(name).status == ExecutionStatus::Succeeded);
  CHECK(rig.saved(name).began == rig.clock.now());
  CHECK(rig.saved(name).succeeded == 1);
  rig.engine.ended(replica, {.exit_code = 1}, rig.clock.now());
  CHECK(rig.tick().empty());
}

TEST_CASE("executions: a job without a chance to start fails at once") {
  for (const std::string reason :
       {"ImageNotRunnable: no entry for image 'x'", "NameNotResolvable: add it to /etc/hosts",
        "StartError: no such file"}) {
    EngineRig rig(with_limits(1, 1, 10));
    const std::string name = rig.start();
    rig.engine.start_failed(rig.taken_up().at(0), reason, false, rig.clock.now());
    rig.wait(1h);
    CHECK(rig.saved(name).status == ExecutionStatus::Failed);
    CHECK(rig.saved(name).reason == reason);
    CHECK(rig.saved(name).replicas.size() == 1);
  }
  EngineRig rig(with_limits(1, 1, 1));  // any other reason is a failure as any
  const std::string name = rig.start();
  rig.engine.start_failed(rig.taken_up().at(0), "PullFailed: timeout", false, rig.clock.now());
  rig.wait(10s);
  rig.engine.start_failed(rig.taken_up().at(0), "PullFailed: timeout", false, rig.clock.now());
  rig.tick();
  CHECK(rig.saved(name).status == ExecutionStatus::Failed);
  CHECK(rig.saved(name).failures == 2);
}

TEST_CASE("executions: what may become possible is tried again, and is no failure") {
  EngineRig rig(with_limits(1, 1, 0));
  const std::string name = rig.start();
  const std::string replica = rig.taken_up().at(0);
  const std::string reason = "SecretUnavailable: the vault has no such secret";
  rig.engine.start_failed(replica, reason, true, rig.clock.now());
  rig.tick();
  CHECK(rig.saved(name).status == ExecutionStatus::Processing);
  CHECK(rig.saved(name).reason == reason);
  CHECK(rig.engine.next() == rig.clock.now() + 10s);
  rig.wait(10s);
  CHECK(rig.taken_up() == std::vector{replica});  // the same one
  rig.engine.start_failed(replica, reason, true, rig.clock.now());
  rig.tick();
  CHECK(rig.engine.next() == rig.clock.now() + 20s);
  rig.wait(20s);
  rig.exit(rig.run_one(), 0);
  CHECK(rig.saved(name).status == ExecutionStatus::Succeeded);
  CHECK(rig.saved(name).failures == 0);
  CHECK(rig.saved(name).reason.empty());
}

TEST_CASE("executions: a changed job does not reach executions that were started before") {
  EngineRig rig;
  const std::string name = rig.start();
  ContainerJob job = with_limits(5, 5, 5);
  job.pod.containers[0].image = "app:2";
  rig.engine.put(job, rig.clock.now());
  CHECK(rig.taken_up().size() == 1);
  CHECK(rig.engine.find(name)->started.pod.containers[0].image == "app:1");

  Template pod = job.pod;
  pod.containers[0].image = "app:3";
  const auto other = rig.engine.start(rig.key, {.pod = pod}, rig.clock.now());
  CHECK(rig.engine.find(*other)->started.pod.containers[0].image == "app:3");
  CHECK(rig.engine.job(rig.key)->pod.containers[0].image == "app:2");
  CHECK(rig.taken_up().size() == 5);
}

TEST_CASE("executions: secrets and the document stay with the job") {
  ContainerJob job = EngineRig::plain_job();
  job.secrets.emplace("key", Secret("hidden"));
  job.document = Node::string("everything");
  EngineRig rig(job);
  const Execution* execution = rig.engine.find(rig.start());
  CHECK(execution->started.secrets.empty());
  CHECK(execution->started.document.is_null());
}

TEST_CASE("executions: a deleted job is gone at once, its executions when they have ended") {
  EngineRig rig;
  const std::string name = rig.start();
  const std::string replica = rig.run_one();
  rig.engine.remove(rig.key, rig.clock.now());
  CHECK(rig.engine.job(rig.key) == nullptr);
  CHECK(rig.engine.jobs().empty());
  const auto late = rig.engine.start(rig.key, {}, rig.clock.now());
  REQUIRE_FALSE(late);
  CHECK(late.error().code == Code::NotFound);
  rig.tick();
  CHECK(rig.stops.size() == 1);
  CHECK(rig.engine.unfinished(rig.key).size() == 1);
  rig.end(replica, {.signal = 15});
  CHECK(rig.saved(name).status == ExecutionStatus::Stopped);
  CHECK(rig.saved(name).reason == "the job was deleted");
  CHECK(rig.engine.unfinished(rig.key).empty());
}

// --- schedules ----------------------------------------------------------------------------------

TEST_CASE("executions: runs that a schedule missed while nobody was there are made up for by one") {
  ContainerJob job = EngineRig::plain_job();
  job.trigger = TriggerType::Schedule;
  job.cron = "*/5 * * * *";
  for (const auto& [away, made_up] : {std::pair(1h, 1u), std::pair(0h, 0u)}) {
    EngineRig rig(job);
    rig.engine.catch_up(rig.key, rig.clock.now() - away, rig.clock.now());
    rig.wait(0us);
    CHECK(rig.engine.unfinished(rig.key).size() == made_up);
    CHECK(rig.engine.next() == rig.clock.now() + 5min);  // and then by the clock
  }
  EngineRig rig(job);
  rig.engine.catch_up({"default", "unknown"}, rig.clock.now() - 1h, rig.clock.now());
  rig.wait(0us);
  CHECK(rig.engine.unfinished(rig.key).empty());
}

TEST_CASE("executions: a schedule starts executions by cron, in UTC") {
  ContainerJob job = EngineRig::plain_job();
  job.trigger = TriggerType::Schedule;
  job.cron = "*/5 * * * *";
  EngineRig rig(job);
  CHECK(rig.engine.next() == rig.clock.now() + 5min);
  rig.wait(5min - 1us);
  CHECK(rig.engine.unfinished(rig.key).empty());
  rig.wait(1us);
  REQUIRE(rig.engine.unfinished(rig.key).size() == 1);
  CHECK(rig.engine.unfinished(rig.key)[0]->by.name == "schedule");
  CHECK(rig.engine.unfinished(rig.key)[0]->by.type == "schedule");
  CHECK(rig.engine.next() == rig.clock.now() + 5min);
  rig.wait(5min);
  CHECK(rig.engine.unfinished(rig.key).size() == 2);  // they may overlap
  rig.wait(1h);
  CHECK(rig.engine.unfinished(rig.key).size() == 3);  // what was missed is made up for once

  job.options.suspended = true;
  rig.engine.put(job, rig.clock.now());
  rig.wait(1h);
  CHECK(rig.engine.unfinished(rig.key).size() == 3);
  CHECK_FALSE(rig.engine.next());
  job.options.suspended = false;
  job.options.pending_limit = 4;
  rig.engine.put(job, rig.clock.now());
  rig.start();  // by hand, and not counted
  rig.wait(5min);
  rig.wait(5min);
  rig.wait(5min);
  CHECK(rig.engine.unfinished(rig.key).size() == 5);
}

TEST_CASE("executions: a job for messages may have a schedule too, which is for messages then") {
  ContainerJob job = EngineRig::queue_job();
  job.cron = job.options.schedule = "*/5 * * * *";
  EngineRig rig(job);
  rig.clock.advance(*rig.engine.next() - rig.clock.now());
  rig.tick();
  REQUIRE(rig.engine.unfinished(rig.key).size() == 1);
  const Execution* first = rig.engine.unfinished(rig.key)[0];
  CHECK(first->by.type == "schedule");
  CHECK(first->semantics == Semantics::Cloud);
  CHECK(rig.engine.reservation(rig.key, 0).reserved == 0);

  rig.engine.bind_schedule(rig.key, 3);
  rig.engine.put(job, rig.clock.now());
  rig.wait(5min);
  REQUIRE(rig.engine.unfinished(rig.key).size() == 2);
  CHECK(rig.engine.unfinished(rig.key)[1]->semantics == Semantics::Bound);
  CHECK(rig.engine.reservation(rig.key, 0).reserved == 3);
}

TEST_CASE("executions: a change of something else does not put off the next run") {
  ContainerJob job = EngineRig::plain_job();
  job.trigger = TriggerType::Schedule;
  job.cron = "0 * * * *";
  EngineRig rig(job);
  rig.wait(59min);
  job.retry_limit = 3;
  rig.engine.put(job, rig.clock.now());
  CHECK(rig.engine.next() == rig.clock.now() + 1min);
  job.cron = "30 * * * *";
  rig.engine.put(job, rig.clock.now());
  CHECK(rig.engine.next() == rig.clock.now() + 31min);
  rig.engine.remove(rig.key, rig.clock.now());
  CHECK_FALSE(rig.engine.next());
}

// --- messages and reservations ------------------------------------------------------------------

TEST_CASE("executions: an execution reserves its messages until it has taken them") {
  EngineRig rig(EngineRig::queue_job());
  const std::string name = rig.start_bound(2);
  CHECK(rig.engine.reservation(rig.key, 0).reserved == 2);
  rig.start_bound(1);
  CHECK(rig.engine.reservation(rig.key, 0).reserved == 3);
  const auto replicas = rig.taken_up();
  for (const std::string& replica : replicas) rig.engine.started(replica, {}, rig.clock.now());
  rig.tick();
  rig.take(replicas[0], 1);
  CHECK(rig.engine.reservation(rig.key, 0).reserved == 2);
  CHECK(rig.engine.reservation(rig.key, 0).taken == 1);
  rig.settle(replicas[0], 1, "completed");
  rig.take(replicas[0], 2);
  rig.take(replicas[0], 3);
  CHECK(rig.engine.reservation(rig.key, 0).reserved == 1);  // of the other
  CHECK(rig.engine.reservation(rig.key, 0).taken == 3);
  CHECK(rig.tick().changed == std::vector{name});
  rig.exit(replicas[0], 0);
  CHECK(rig.engine.reservation(rig.key, 0).taken == 0);
  CHECK(rig.engine.reservation(rig.key, 0).reserved == 1);
}

TEST_CASE("executions: a reservation belongs to the rule of that name, wherever it stands") {
  ContainerJob job = EngineRig::queue_job();
  EngineRig rig(job);
  rig.start_bound();
  rig.ready(7);
  ScaleRule other;
  other.name = "other";
  job.rules.insert(job.rules.begin(), other);
  rig.engine.put(job, rig.clock.now());
  CHECK(rig.engine.reservation(rig.key, 0).reserved == 0);
  CHECK(rig.engine.reservation(rig.key, 1).reserved == 1);
  CHECK(rig.engine.reservation(rig.key, 2).reserved == 0);
}

TEST_CASE("executions: a failed replica gives back what it took, and its successor needs it") {
  ContainerJob job = EngineRig::queue_job();
  job.retry_limit = 1;
  EngineRig rig(job);
  const std::string name = rig.start_bound();
  const std::string replica = rig.run_one();
  rig.take(replica, 1);
  rig.settle(replica, 1, "abandoned");
  rig.ready(1);
  rig.exit(replica, 1);
  CHECK(rig.engine.reservation(rig.key, 0).reserved == 1);
  CHECK(rig.saved(name).status == ExecutionStatus::Running);
  rig.wait(10s);
  const std::string second = rig.run_one();
  REQUIRE_FALSE(second.empty());
  rig.take(second, 1);
  rig.settle(second, 1, "completed");
  rig.ready(0);
  rig.exit(second, 0);
  CHECK(rig.saved(name).status == ExecutionStatus::Succeeded);
  REQUIRE(rig.saved(name).messages.size() == 2);
  CHECK(rig.saved(name).messages[0].outcome == "abandoned");
  CHECK(rig.saved(name).messages[1].outcome == "completed");
}

TEST_CASE("executions: no replica is tried again without a message for it") {
  struct Case {
    const char* what;
    std::int64_t ready;
    std::string outcome;  // of the message that it took; empty: it took none
    std::string dead_letter_reason;
    ReplicaEnd end;
    std::string reason;  // of the execution
  };
  const std::vector<Case> cases{
      {"an empty queue",
       0,
       "",
       "",
       {.exit_code = 1},
       "NoMessage: the replica ended with exit 1 without a message, and none is ready"},
      {"a message that is reserved by another",
       1,
       "",
       "",
       {.signal = 11},
       "NoMessage: the replica ended with signal 11 without a message, and none is ready"},
      {"a dead letter",
       0,
       "dead-lettered",
       "MaxDeliveryCountExceeded",
       {.signal = 9},
       "signal 9; its message was dead-lettered: MaxDeliveryCountExceeded"},
      {"work that was done",
       0,
       "completed",
       "",
       {.exit_code = 2},
       "exit 2; its message was completed"},
      {"somebody else was quicker",
       1,
       "abandoned",
       "",
       {.exit_code = 2},
       "exit 2; its message was abandoned, and none is ready"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.what);
    ContainerJob job = EngineRig::queue_job();
    job.retry_limit = 10;
    EngineRig rig(job);
    const std::string name = rig.start_bound();
    const std::string replica = rig.run_one();
    rig.start_bound();  // reserves one as well
    rig.ready(one.ready);
    if (!one.outcome.empty()) {
      rig.take(replica, 1);
      rig.settle(replica, 1, one.outcome, one.dead_letter_reason);
    }
    rig.end(replica, one.end);
    CHECK(rig.saved(name).status == ExecutionStatus::Failed);
    CHECK(rig.saved(name).reason == one.reason);
    CHECK(rig.saved(name).replicas.size() == 1);
  }
}

TEST_CASE("executions: what a replica held is its execution's until its end was looked at") {
  ContainerJob job = EngineRig::queue_job();
  job.retry_limit = 1;
  job.options.backoff = {};
  for (const int code : {0, 1}) {
    EngineRig rig(job);
    rig.ready(1);
    rig.start_bound();
    const std::string replica = rig.run_one();
    rig.take(replica, 7);
    rig.ready(0);
    CHECK(rig.engine.reservation(rig.key, 0).reserved == 0);

    // Its process is gone: the message that goes back must not start another execution.
    rig.engine.ending(replica, rig.clock.now());
    rig.settle(replica, 7, code == 0 ? "completed" : "abandoned");
    rig.ready(code);
    rig.tick();
    CHECK(rig.engine.reservation(rig.key, 0).reserved == 1);

    rig.exit(replica, code);
    CHECK(rig.engine.reservation(rig.key, 0).reserved == code);  // the retry's, or nobody's
    CHECK(rig.engine.unfinished(rig.key).size() == static_cast<std::size_t>(code));
  }
}

TEST_CASE("executions: a retry takes a message that nobody else reserves") {
  ContainerJob job = EngineRig::queue_job();
  job.retry_limit = 10;
  EngineRig rig(job);
  const std::string name = rig.start_bound();
  const std::string replica = rig.run_one();
  rig.start_bound();
  rig.ready(2);
  rig.exit(replica, 1);
  CHECK(rig.saved(name).status == ExecutionStatus::Running);
  CHECK(rig.engine.next() <= rig.clock.now() + 10s);
}

TEST_CASE("executions: a queue that nobody told of is not an empty one") {
  ContainerJob job = EngineRig::queue_job();
  job.retry_limit = 1;
  EngineRig rig(job);
  const std::string name = rig.start_bound();
  rig.exit(rig.run_one(), 1);
  CHECK(rig.saved(name).status == ExecutionStatus::Running);
  rig.ready(0);
  rig.wait(10s);
  rig.exit(rig.run_one(), 1);
  CHECK(rig.saved(name).reason.starts_with("NoMessage: "));
}

TEST_CASE("executions: cloud semantics retries whatever the queue holds") {
  ContainerJob job = EngineRig::queue_job();
  job.retry_limit = 1;
  EngineRig rig(job);
  const auto name = rig.engine.start(rig.key, {.rule = 0}, rig.clock.now());
  rig.ready(0);
  CHECK(rig.engine.reservation(rig.key, 0).reserved == 0);
  rig.exit(rig.run_one(), 1);
  CHECK(rig.saved(*name).status == ExecutionStatus::Running);
  rig.wait(10s);
  rig.exit(rig.run_one(), 1);
  CHECK(rig.saved(*name).reason == "exit 1; 2 failures exceed the retry limit of 1");
}

TEST_CASE("executions: others finish their messages when one finds none: Degraded until then") {
  ContainerJob job = EngineRig::queue_job();
  job.completions = 2;
  job.parallelism = 2;
  job.retry_limit = 5;
  EngineRig rig(job);
  const std::string name = rig.start_bound();
  const auto replicas = rig.taken_up();
  REQUIRE(replicas.size() == 2);
  for (const std::string& replica : replicas) rig.engine.started(replica, {}, rig.clock.now());
  rig.take(replicas[0], 1);
  rig.ready(0);
  rig.exit(replicas[1], 1);
  CHECK(rig.saved(name).status == ExecutionStatus::Degraded);
  CHECK(rig.saved(name).reason.starts_with("NoMessage: "));
  CHECK(rig.stops.empty());
  rig.settle(replicas[0], 1, "completed");
  rig.exit(replicas[0], 0);
  CHECK(rig.saved(name).status == ExecutionStatus::Failed);
  CHECK(rig.saved(name).succeeded == 1);
}

TEST_CASE("executions: exit 0 with a message in hand is a success with a warning") {
  struct Case {
    std::string outcome;
    std::string reason;
    bool by_end;  // by that of the process
    bool warns;
  };
  const std::vector<Case> cases{{"", "", false, true},
                                {"abandoned", "", true, true},
                                {"abandoned", "", false, false},  // it said so
                                {"lock-lost", "", false, true},
                                {"dead-lettered", "MaxDeliveryCountExceeded", true, true},
                                {"dead-lettered", "MaxDeliveryCountExceeded", false, false},
                                {"dead-lettered", "BadOrder", true, false},
                                {"completed", "", true, false},
                                {"deferred", "", false, false}};
  for (const Case& one : cases) {
    CAPTURE(one.outcome);
    EngineRig rig(EngineRig::queue_job());
    const std::string name = rig.start_bound();
    const std::string replica = rig.run_one();
    rig.take(replica, 1);
    if (one.by_end) rig.engine.ending(replica, rig.clock.now());
    if (!one.outcome.empty()) rig.settle(replica, 1, one.outcome, one.reason);
    rig.exit(replica, 0);
    const Execution& done = rig.saved(name);
    CHECK(done.status == ExecutionStatus::Succeeded);
    CHECK(done.reason.starts_with("ExitedWithoutSettling") == one.warns);
    CHECK((done.replicas[0].reason == "ExitedWithoutSettling") == one.warns);
  }
}

TEST_CASE("executions: of a message that was taken twice the last outcome counts") {
  EngineRig rig(EngineRig::queue_job());
  const std::string name = rig.start_bound();
  const std::string replica = rig.run_one();
  rig.take(replica, 1);
  rig.settle(replica, 1, "abandoned");
  rig.take(replica, 1);
  CHECK(rig.engine.reservation(rig.key, 0).taken == 1);  // one message
  SUBCASE("before its end") {
    rig.settle(replica, 1, "completed");
    rig.exit(replica, 0);
    CHECK(rig.saved(name).reason.empty());
  }
  SUBCASE("as it is known after a crash") {
    rig.tick();
    TakenMessage given_back{.replica = replica, .entity = "orders", .sequence = 1};
    given_back.outcome = "abandoned";
    TakenMessage done = given_back;
    done.outcome = "completed";
    EngineRig next(EngineRig::queue_job(), 2);
    next.engine.restore(rig.saved(name), {given_back, done}, next.clock.now());
    next.tick();
    CHECK(next.saved(name).status == ExecutionStatus::Succeeded);
  }
}

TEST_CASE("executions: an execution shows the last hundred messages") {
  EngineRig rig(EngineRig::queue_job());
  const std::string name = rig.start_bound();
  const std::string replica = rig.run_one();
  rig.take(replica, 1);  // and holds it
  for (int i = 2; i <= 150; ++i) {
    rig.take(replica, i);
    rig.settle(replica, i, "completed");
  }
  const Execution* execution = rig.engine.find(name);
  REQUIRE(execution->messages.size() == 100);
  CHECK(execution->messages[0].sequence == 1);
  CHECK(execution->messages[99].sequence == 150);
  CHECK(rig.engine.reservation(rig.key, 0).taken == 150);
}

TEST_CASE("executions: a message of nobody is the oldest replica's that has none") {
  EngineRig rig(EngineRig::queue_job());
  CHECK(rig.engine.likely_taker(rig.key, 0).empty());
  rig.start_bound();
  CHECK(rig.engine.likely_taker(rig.key, 0).empty());  // it does not run yet
  const std::string first = rig.run_one();
  rig.clock.advance(1s);
  rig.start_bound();
  const std::string second = rig.run_one();
  CHECK(rig.engine.likely_taker(rig.key, 0) == first);
  CHECK(rig.engine.likely_taker(rig.key, 1).empty());
  rig.take(first, 1);
  CHECK(rig.engine.likely_taker(rig.key, 0) == second);
}

// --- ends and beginnings of the server ----------------------------------------------------------

TEST_CASE("executions: a server that ends stops replicas, and their executions go on") {
  ContainerJob job = EngineRig::queue_job();
  job.trigger = TriggerType::Schedule;
  job.cron = "* * * * *";
  EngineRig rig(job);
  const std::string name = rig.start_bound();
  const std::string replica = rig.run_one();
  const std::string waiting = rig.start_bound();
  rig.engine.shut_down(rig.clock.now());
  rig.tick();
  REQUIRE(rig.stops.size() == 1);
  CHECK(rig.stops[0].replica == replica);
  CHECK(rig.stops[0].ordered);
  CHECK(rig.asked.empty());  // nothing is started any more
  CHECK_FALSE(rig.engine.idle());
  const auto late = rig.engine.start(rig.key, {}, rig.clock.now());
  REQUIRE_FALSE(late);
  CHECK(late.error().code == Code::Unavailable);
  rig.engine.put(job, rig.clock.now());
  rig.wait(30s);
  CHECK(rig.stops.size() == 2);
  rig.end(replica, {.signal = 9});
  CHECK(rig.engine.idle());
  CHECK_FALSE(rig.engine.next());
  CHECK(rig.saved(name).status == ExecutionStatus::Running);
  CHECK(rig.saved(name).failures == 0);
  CHECK(states(rig.saved(name)) == std::vector{ReplicaState::Stopped, ReplicaState::Pending});

  EngineRig next(job, 2);
  for (const Execution& one : rig.store) next.engine.restore(one, {}, next.clock.now());
  CHECK(next.taken_up().size() == 2);
  CHECK(next.engine.unfinished(next.key)[0]->name == name);
  CHECK(next.engine.unfinished(next.key)[1]->name == waiting);
}

TEST_CASE("executions: a replica that did its work while the server ended has succeeded") {
  EngineRig rig(EngineRig::queue_job());
  const std::string name = rig.start_bound();
  const std::string replica = rig.run_one();
  rig.take(replica, 1);
  rig.engine.shut_down(rig.clock.now());
  rig.tick();
  rig.settle(replica, 1, "completed");
  rig.end(replica, {.signal = 15});
  CHECK(rig.saved(name).status == ExecutionStatus::Succeeded);
}

TEST_CASE("executions: after a crash every execution is settled or goes on") {
  struct Case {
    const char* what;
    std::vector<std::string> taken;  // outcomes as the execution knew them
    std::vector<std::string> kept;   // outcomes that were kept with the settlements
    ExecutionStatus status;
    std::size_t replicas;
  };
  const std::vector<Case> cases{
      {"nothing taken", {}, {}, ExecutionStatus::Running, 2},
      {"held", {""}, {}, ExecutionStatus::Running, 2},
      {"completed", {""}, {"completed"}, ExecutionStatus::Succeeded, 1},
      {"completed, and the taking was not saved", {}, {"completed"}, ExecutionStatus::Succeeded, 1},
      {"refused", {""}, {"dead-lettered"}, ExecutionStatus::Failed, 1},
      {"given back", {""}, {"abandoned"}, ExecutionStatus::Running, 2},
      {"one of two", {"", ""}, {"completed"}, ExecutionStatus::Running, 2},
      {"refused and completed",
       {"", ""},
       {"dead-lettered", "completed"},
       ExecutionStatus::Succeeded,
       1},
  };
  for (const Case& one : cases) {
    CAPTURE(one.what);
    EngineRig before(EngineRig::queue_job());
    const std::string name = before.start_bound();
    const std::string replica = before.run_one();
    for (std::size_t i = 0; i < one.taken.size(); ++i)
      before.take(replica, static_cast<std::int64_t>(i));
    before.tick();
    std::vector<TakenMessage> kept;
    for (std::size_t i = 0; i < one.kept.size(); ++i) {
      TakenMessage message;
      message.replica = replica;
      message.entity = "orders";
      message.sequence = static_cast<std::int64_t>(i);
      message.outcome = one.kept[i];
      kept.push_back(std::move(message));
    }

    EngineRig rig(EngineRig::queue_job(), 2);
    rig.engine.restore(before.saved(name), kept, rig.clock.now());
    const auto started = rig.taken_up();
    const Execution& now = rig.saved(name);
    CHECK(now.status == one.status);
    CHECK(now.replicas.size() == one.replicas);
    CHECK(now.replicas[0].state == ReplicaState::Lost);
    CHECK(now.failures == 0);
    CHECK(started.size() == one.replicas - 1);
    if (now.finished()) CHECK(now.reason.starts_with("ServerRestarted: "));
    CHECK(rig.engine.reservation(rig.key, 0).reserved == (now.finished() ? 0 : 1));
  }
}

TEST_CASE("executions: cloud semantics and completion counts go on after a crash") {
  ContainerJob job = with_limits(3, 2, 4);
  EngineRig before(job);
  const std::string name = before.start();
  const auto first = before.taken_up();
  for (const std::string& replica : first) before.engine.started(replica, {}, before.clock.now());
  before.exit(first[0], 0);
  before.exit(first[1], 1);

  EngineRig rig(job, 2);
  rig.engine.restore(before.saved(name), {}, rig.clock.now());
  REQUIRE(rig.taken_up().size() == 1);  // for the lost one; the failed one's successor waits
  rig.wait(10s);
  REQUIRE(rig.taken_up().size() == 1);
  const Execution& now = rig.saved(name);
  CHECK(now.failures == 1);
  CHECK(now.succeeded == 1);
  CHECK(states(now) == std::vector{ReplicaState::Succeeded, ReplicaState::Failed,
                                   ReplicaState::Lost, ReplicaState::Starting,
                                   ReplicaState::Starting});
}

TEST_CASE("executions: who was to be stopped, or could not succeed any more, ends after a crash") {
  EngineRig before(with_limits(3, 3, 0));
  const std::string stopped = before.start();
  before.run_one();
  REQUIRE(before.engine.stop(before.key, stopped, before.clock.now()));
  const std::string degraded = before.start();
  const auto replicas = before.taken_up();
  before.exit(replicas[0], 1);
  const std::string orphan = before.start();
  before.tick();

  EngineRig rig(with_limits(3, 3, 0), 2);
  Execution of_nobody = before.saved(orphan);
  of_nobody.job.name = "gone";
  rig.engine.restore(before.saved(stopped), {}, rig.clock.now());
  rig.engine.restore(before.saved(degraded), {}, rig.clock.now());
  rig.engine.restore(of_nobody, {}, rig.clock.now());
  CHECK(rig.taken_up().empty());
  CHECK(rig.saved(stopped).status == ExecutionStatus::Stopped);
  CHECK(rig.saved(stopped).reason == "stopped on request");
  CHECK(rig.saved(degraded).status == ExecutionStatus::Failed);
  CHECK(rig.saved(degraded).reason == "exit 1");
  CHECK(rig.saved(orphan).status == ExecutionStatus::Stopped);
  CHECK(rig.engine.idle());
}

}  // namespace jobmill::executions
