// SPDX-License-Identifier: Apache-2.0
#include "conformance/job_store.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "base/document.h"
#include "base/duration.h"
#include "base/id.h"
#include "conformance/job_bench.h"
#include "conformance/job_operations.h"

namespace jobmill::jobs {
namespace {

// --- producers -----------------------------------------------------------------------------------

void exercise_insert(const MakeJobStore& make) {
  SUBCASE("insert: what was stored can be read back") {
    Bench bench(make);
    JobSpec job = spec("mail.send", "mail");
    job.v = 2;
    job.args = R"(["bob@example.org",3])";
    job.name = "Mail to {0} ({meta.tenant})";
    job.priority = 4;
    job.labels = {"tenant:acme", "copies:%1"};
    job.retries = 5;
    job.max_crashes = 2;
    job.meta = R"({"tenant":"acme"})";
    job.created_by = "ops";
    const auto inserted = bench.insert({job});
    REQUIRE(inserted.jobs.size() == 1);
    CHECK(inserted.created == 1);
    CHECK(inserted.jobs[0].created);
    CHECK(inserted.jobs[0].state == JobState::Enqueued);
    CHECK(is_uuid(inserted.jobs[0].id));

    const Job stored = bench.job(inserted.jobs[0].id);
    CHECK(stored.id == inserted.jobs[0].id);
    CHECK(stored.kind == "mail.send");
    CHECK(stored.v == 2);
    CHECK(stored.args == job.args);
    CHECK(stored.name == "Mail to bob@example.org (acme)");
    CHECK(stored.queue == "mail");
    CHECK(stored.priority == 4);
    CHECK(stored.state == JobState::Enqueued);
    CHECK(stored.version == 1);
    CHECK(stored.labels == std::vector<std::string>{"tenant:acme", "copies:3"});
    CHECK(stored.retries == 5);
    CHECK(stored.attempt == 0);
    CHECK(stored.max_attempts == 6);
    CHECK(stored.max_crashes == 2);
    CHECK(stored.meta == job.meta);
    CHECK(stored.created_at == bench.now());
    CHECK(stored.updated_at == bench.now());
    CHECK(bench.states(stored.id) == std::vector<std::string>{"ENQUEUED"});
  }

  SUBCASE("insert: a job for later is SCHEDULED, one for the past or for now is ENQUEUED") {
    Bench bench(make);
    JobSpec later = spec("k"), delayed = spec("k"), past = spec("k"), at_once = spec("k");
    later.run_at = bench.now() + 1h;
    delayed.delay = 90s;
    past.run_at = bench.now() - 1h;
    at_once.delay = 0s;
    const auto inserted = bench.insert({later, delayed, past, at_once});
    CHECK(inserted.jobs[0].state == JobState::Scheduled);
    CHECK(inserted.jobs[1].state == JobState::Scheduled);
    CHECK(inserted.jobs[2].state == JobState::Enqueued);
    CHECK(inserted.jobs[3].state == JobState::Enqueued);
    CHECK(bench.job(inserted.jobs[0].id).run_at == bench.now() + 1h);
    CHECK(bench.job(inserted.jobs[1].id).run_at == bench.now() + 90s);
    CHECK_FALSE(bench.job(inserted.jobs[2].id).run_at);
    CHECK(bench.event_text(inserted.jobs[0].id, 0, "scheduledAt") ==
          format_instant(bench.now() + 1h));
  }

  SUBCASE("insert: `count` makes many jobs, {i} being the index") {
    Bench bench(make);
    JobSpec job = spec("example.sample");
    job.args = R"(["job {i}",{"{i}":"{i}{i}"},7])";
    job.name = "Sample {i} of {0}";
    job.labels = {"n:{i}"};
    job.count = 12;
    const auto inserted = bench.insert({job});
    CHECK(inserted.created == 12);
    REQUIRE(inserted.jobs.size() == 10);  // the first ones are enough to look at
    CHECK(bench.queue("default").enqueued == 12);

    const Job third = bench.job(inserted.jobs[3].id);
    CHECK(third.args == R"(["job 3",{"{i}":"33"},7])");
    CHECK(third.name == "Sample 3 of job 3");
    CHECK(third.labels == std::vector<std::string>{"n:3"});
    const auto claimed = bench.claim(bench.worker());
    REQUIRE(claimed.jobs.size() == 12);
    CHECK(claimed.jobs.back().job.name == "Sample 11 of job 11");
  }

  SUBCASE("insert: {i} is text like any other without `count`") {
    Bench bench(make);
    JobSpec job = spec("k");
    job.args = R"(["{i}"])";
    job.name = "{i}";
    const Job stored = bench.job(bench.enqueue(job));
    CHECK(stored.args == job.args);
    CHECK(stored.name == "{i}");
  }

  SUBCASE("insert: the same id names the same job") {
    Bench bench(make);
    JobSpec job = spec("k");
    job.id = "order/4711";
    const auto first = bench.insert({job});
    job.queue = "other";
    const auto second = bench.insert({job, job});
    CHECK(first.jobs[0].created);
    CHECK(first.jobs[0].id == canonical_id("order/4711"));
    CHECK(second.created == 0);
    REQUIRE(second.jobs.size() == 2);
    CHECK_FALSE(second.jobs[0].created);
    CHECK(second.jobs[0].id == first.jobs[0].id);
    CHECK(bench.job("order/4711").queue == "default");
    CHECK(bench.queue("default").enqueued == 1);

    job.id = "7D444840-9DC0-11D1-B245-5FFDCE74FAD2";
    const auto twice = bench.insert({job, job});
    CHECK(twice.created == 1);
    CHECK(twice.jobs[0].id == "7d444840-9dc0-11d1-b245-5ffdce74fad2");
    CHECK(twice.jobs[0].created);
    CHECK_FALSE(twice.jobs[1].created);
  }

  SUBCASE("insert: the same id with another payload is refused, and nothing is stored") {
    Bench bench(make);
    JobSpec job = spec("k");
    job.id = "order/4711";
    job.args = R"([1,{"a":1,"b":2}])";
    bench.insert({job});
    JobSpec other = job;
    other.args = "[2]";
    const auto refused = bench.store.insert(std::vector{spec("new"), other}, bench.now());
    CHECK(code(refused) == Code::AlreadyExists);
    CHECK(refused.error().message.find("jobs[1].id") != std::string::npos);
    CHECK(bench.queue("default").enqueued == 1);
    CHECK(bench.job("order/4711").args == job.args);

    job.id = other.id = "order/4712";
    CHECK(code(bench.store.insert(std::vector{job, other}, bench.now())) == Code::AlreadyExists);
    CHECK(bench.queue("default").enqueued == 1);
    // A request that is repeated may be written in another way.
    bench.insert({job});
    job.args = R"([ 1, {"b": 2, "a": 1} ])";
    CHECK(bench.insert({job}).created == 0);
  }

  SUBCASE("insert: all or nothing, and the error names index and field") {
    Bench bench(make);
    const auto refused = [&](JobSpec bad, Code expected, std::string_view field) {
      const auto result = bench.store.insert(std::vector{spec("k"), bad}, bench.now());
      CAPTURE(std::string(field));
      CHECK(code(result) == expected);
      CHECK(result.error().message.find("jobs[1]") != std::string::npos);
      CHECK(result.error().message.find(field) != std::string::npos);
      CHECK(bench.queue("default").enqueued == 0);
    };
    JobSpec bad = spec("");
    refused(bad, Code::InvalidArgument, "kind");
    bad = spec("k");
    bad.priority = 10;
    refused(bad, Code::InvalidArgument, "priority");
    bad = spec("k");
    bad.labels = {"a", "b", "c", "d"};
    refused(bad, Code::InvalidArgument, "labels");
    bad.labels = {"a", "a"};
    refused(bad, Code::InvalidArgument, "labels");
    bad.labels = {std::string(46, 'x')};
    refused(bad, Code::InvalidArgument, "labels");
    bad = spec("k", std::string(129, 'q'));
    refused(bad, Code::InvalidArgument, "queue");
    bad = spec("k");
    bad.count = 1'000'001;
    refused(bad, Code::InvalidArgument, "count");
    bad.count = 2;
    bad.id = "x";
    refused(bad, Code::InvalidArgument, "count");
    bad = spec("k");
    bad.args = "[\"" + std::string(kMaxPayloadBytes, 'x') + "\"]";
    refused(bad, Code::Exhausted, "args");
  }
}

// --- claims --------------------------------------------------------------------------------------

void exercise_claim(const MakeJobStore& make) {
  SUBCASE(
      "claim: in the worker's order of queues, then by priority, then first come first served") {
    Bench bench(make);
    JobSpec urgent = spec("k", "b");
    urgent.priority = 9;
    const auto b1 = bench.enqueue(spec("k", "b"));
    const auto b2 = bench.enqueue(urgent);
    const auto a1 = bench.enqueue(spec("x", "a"));
    const auto a2 = bench.enqueue(spec("y", "a"));
    const auto a3 = bench.enqueue(spec("x", "a"));
    bench.enqueue(spec("k", "elsewhere"));
    WorkerSpec worker;
    worker.queues = {"a", "b"};
    const auto id = bench.worker(worker);
    CHECK(ids(bench.claim(id, 2)) == std::vector{a1, a2});
    CHECK(ids(bench.claim(id)) == std::vector{a3, b2, b1});
    CHECK(bench.claim(id).jobs.empty());
    CHECK(ids(bench.claim(id, 9, {"elsewhere"})).size() == 1);
  }

  SUBCASE("claim: a worker takes only the kinds that it has") {
    Bench bench(make);
    bench.enqueue(spec("report"));
    const auto mail = bench.enqueue(spec("mail"));
    WorkerSpec worker;
    worker.kinds = {"mail", "fax"};
    const auto id = bench.worker(worker);
    CHECK(ids(bench.claim(id)) == std::vector{mail});
    CHECK(bench.claim(id).jobs.empty());
    CHECK(bench.claim(id, 9, {}, {"report"}).jobs.size() == 1);
  }

  SUBCASE("claim: the job comes with its token and counts its attempts") {
    Bench bench(make);
    const auto id = bench.enqueue(spec("k"));
    const auto worker = bench.worker();
    bench.clock.advance(1500ms);
    const auto claimed = bench.claim_one(worker);
    CHECK(claimed.job.id == id);
    CHECK(claimed.job.state == JobState::Processing);
    CHECK(claimed.job.attempt == 1);
    CHECK(claimed.job.max_attempts == 11);
    CHECK_FALSE(claimed.lock_token.empty());
    CHECK(bench.state(id) == JobState::Processing);
    CHECK(bench.event_text(id, 1, "serverId") == worker);
    CHECK(bench.event_text(id, 1, "serverName") == "w");
    CHECK(bench.event(id, 1, "attempt").as_int() == 1);
    CHECK(bench.event_text(id, 1, "updatedAt") == format_instant(bench.now()));
    CHECK(bench.claim(worker).jobs.empty());
  }

  SUBCASE("claim: waits until work arrives") {
    Bench bench(make);
    const auto worker = bench.worker();
    ClaimRequest request;
    request.worker_id = worker;
    request.wait = 20s;
    Claimed claimed;
    std::thread waiting([&] {
      auto result = bench.store.claim(request, bench.now());
      if (result) claimed = *std::move(result);
    });
    const auto id = bench.enqueue(spec("k"));
    waiting.join();
    CHECK(ids(claimed) == std::vector{id});
  }

  SUBCASE("claim: its wait ends without work when the time is up") {
    Bench bench(make);
    ClaimRequest request;
    request.worker_id = bench.worker();
    request.wait = 1ms;
    CHECK(need(bench.store.claim(request, bench.now())).jobs.empty());
  }

  SUBCASE("claim: a worker that nobody knows is told so") {
    Bench bench(make);
    ClaimRequest request;
    request.worker_id = new_id(bench.now());
    CHECK(code(bench.store.claim(request, bench.now())) == Code::NotFound);
    CHECK(code(bench.store.beat(request.worker_id, {}, bench.now())) == Code::NotFound);
    CHECK(code(bench.store.leave(request.worker_id, bench.now())) == Code::NotFound);
  }

  SUBCASE("claim: a quiet worker takes nothing, and takes again when it may") {
    Bench bench(make);
    const auto worker = bench.worker();
    bench.enqueue(spec("k"));
    need(bench.owner.set_worker_state(worker, WorkerState::Quiet, bench.now() + 25s, bench.now()));
    const auto quiet = bench.claim(worker);
    CHECK(quiet.jobs.empty());
    CHECK(quiet.state == WorkerState::Quiet);
    const auto beat = need(bench.store.beat(worker, {}, bench.now()));
    CHECK(beat.state == WorkerState::Quiet);
    CHECK(beat.drain_until == bench.now() + 25s);
    need(bench.owner.set_worker_state(worker, WorkerState::Run, std::nullopt, bench.now()));
    CHECK(bench.claim(worker).jobs.size() == 1);
  }
}

// --- settlements ---------------------------------------------------------------------------------

void exercise_settle(const MakeJobStore& make) {
  SUBCASE("settle: complete") {
    Bench bench(make);
    const auto id = bench.enqueue(spec("k"));
    bench.clock.advance(10ms);
    const auto claimed = bench.claim_one(bench.worker());
    bench.clock.advance(2500ms);
    const auto settled = bench.settle(complete(claimed));
    CHECK(settled.status);
    CHECK(settled.state == JobState::Succeeded);
    CHECK(bench.state(id) == JobState::Succeeded);
    CHECK(bench.states(id) == std::vector<std::string>{"ENQUEUED", "PROCESSING", "SUCCEEDED"});
    CHECK(bench.event(id, 2, "latencyDuration").text == "0.010000000");
    CHECK(bench.event(id, 2, "processDuration").text == "2.500000000");
    const auto stats = bench.queue("default");
    CHECK(stats.enqueued == 0);
    CHECK(stats.processing == 0);
  }

  SUBCASE("settle: the dead process of one job is a crash, and its worker goes on") {
    Bench bench(make);
    const auto id = bench.enqueue(spec("k"));
    const auto worker = bench.worker();
    const auto die = [&] {
      auto settlement = fail_with(bench.claim_one(worker));
      settlement.crash = {.signal = 11, .exit_code = 0, .detail = "segmentation fault"};
      const auto settled = bench.settle(settlement);
      CHECK(settled.status);
      return settled.state;
    };
    CHECK(die() == JobState::Enqueued);  // the first one at once
    CHECK(bench.job(id).crashes == 1);
    CHECK(bench.job(id).failures == 0);
    CHECK(bench.job(id).attempt == 0);
    CHECK(bench.event_text(id, 2, "reason") == "Crash 1 of 3: signal 11");
    CHECK(bench.event(id, 1, "attempt").as_int() == 1);  // it ran, although that does not count
    CHECK(die() == JobState::Scheduled);
    CHECK(bench.job(id).run_at == bench.now() + 3s);
    bench.clock.advance(3s);
    need(bench.owner.promote_due(bench.now()));
    CHECK(die() == JobState::Failed);
    const std::size_t last = bench.states(id).size() - 1;
    CHECK(bench.event_text(id, last, "exceptionType") == "jobmill.CrashLimit");
    CHECK(bench.event(id, last, "crash").find("signal")->as_int() == 11);
  }

  SUBCASE("settle: a failure is retried after 3, 9, 27 … seconds") {
    Bench bench(make);
    JobSpec job = spec("k");
    job.retries = 2;
    const auto id = bench.enqueue(job);
    const auto worker = bench.worker();
    for (const auto delay : {Duration(3s), Duration(9s)}) {
      const auto settled = bench.settle(fail_with(bench.claim_one(worker)));
      CHECK(settled.status);
      CHECK(settled.state == JobState::Scheduled);
      CHECK(settled.run_at == bench.now() + delay);
      bench.clock.advance(delay - 1us);
      need(bench.owner.promote_due(bench.now()));
      CHECK(bench.claim(worker).jobs.empty());  // never early
      bench.clock.advance(1us);
      need(bench.owner.promote_due(bench.now()));
    }
    const auto last = bench.claim_one(worker);
    CHECK(last.job.attempt == 3);
    CHECK(last.job.max_attempts == 3);
    CHECK(bench.settle(fail_with(last)).state == JobState::Failed);
    CHECK(bench.job(id).failures == 3);
    CHECK(bench.states(id) == std::vector<std::string>{"ENQUEUED", "PROCESSING", "FAILED",
                                                       "SCHEDULED", "ENQUEUED", "PROCESSING",
                                                       "FAILED", "SCHEDULED", "ENQUEUED",
                                                       "PROCESSING", "FAILED"});
    CHECK(bench.event_text(id, 2, "exceptionType") == "mail.Refused");
    CHECK(bench.event_text(id, 2, "exceptionMessage") == "mailbox \"full\"");
    CHECK(bench.event_text(id, 2, "stackTrace") == "at send()");
    CHECK(bench.event(id, 2, "doNotRetry").as_bool() == false);
    CHECK(bench.event_text(id, 3, "reason") == "Retry 1 of 2");
    CHECK(bench.event_text(id, 7, "reason") == "Retry 2 of 2");
  }

  SUBCASE("settle: the handler may say when, or that there is no use") {
    Bench bench(make);
    const auto worker = bench.worker();
    const auto id = bench.enqueue(spec("k"));
    const auto later = bench.settle(fail_with(bench.claim_one(worker), RetryRule::After, 77s));
    CHECK(later.run_at == bench.now() + 77s);
    bench.clock.advance(77s);
    need(bench.owner.promote_due(bench.now()));
    need(bench.store.beat(worker, {}, bench.now()));
    const auto never = bench.settle(fail_with(bench.claim_one(worker), RetryRule::Never));
    CHECK(never.state == JobState::Failed);
    CHECK_FALSE(never.run_at);
    CHECK(bench.state(id) == JobState::Failed);
    CHECK(bench.event(id, 6, "doNotRetry").as_bool() == true);
  }

  SUBCASE("settle: a release gives the job back and consumes no attempt") {
    Bench bench(make);
    const auto worker = bench.worker();
    const auto id = bench.enqueue(spec("k"));
    const auto settled = bench.settle(release(bench.claim_one(worker), "shutdown"));
    CHECK(settled.state == JobState::Enqueued);
    CHECK(bench.event_text(id, 2, "reason").find("shutdown") != std::string::npos);
    const auto again = bench.claim_one(worker);
    CHECK(again.job.attempt == 1);
    CHECK(again.job.crashes == 0);
  }

  SUBCASE("settle: a stale token is a conflict and changes nothing") {
    Bench bench(make);
    const auto worker = bench.worker();
    const auto id = bench.enqueue(spec("k"));
    const auto first = bench.claim_one(worker);
    REQUIRE(bench.settle(release(first, "")).status);
    const auto second = bench.claim_one(worker);
    CHECK(first.lock_token != second.lock_token);
    CHECK(code(bench.settle(complete(first)).status) == Code::Conflict);
    CHECK(bench.state(id) == JobState::Processing);
    CHECK(bench.settle(complete(second)).status);
    CHECK(code(bench.settle(complete(second)).status) == Code::Conflict);

    Settlement nonsense = complete(second);
    nonsense.lock_token = "nonsense";
    CHECK(code(bench.settle(nonsense).status) == Code::Conflict);
    nonsense.job_id = new_id(bench.now());
    CHECK(code(bench.settle(nonsense).status) == Code::NotFound);
  }

  SUBCASE("settle: each item has its own outcome") {
    Bench bench(make);
    bench.insert({spec("k"), spec("k"), spec("k")});
    const auto claimed = bench.claim(bench.worker());
    REQUIRE(claimed.jobs.size() == 3);
    std::vector<Settlement> all{complete(claimed.jobs[0]), complete(claimed.jobs[0]),
                                fail_with(claimed.jobs[1]), release(claimed.jobs[2], "")};
    const auto settled = need(bench.store.settle({}, all, bench.now()));
    REQUIRE(settled.size() == 4);
    CHECK(settled[0].status);
    CHECK(code(settled[1].status) == Code::Conflict);
    CHECK(settled[2].state == JobState::Scheduled);
    CHECK(settled[3].state == JobState::Enqueued);
    const auto stats = bench.queue("default");
    CHECK(stats.enqueued == 1);
    CHECK(stats.scheduled == 1);
    CHECK(stats.processing == 0);
  }
}

// --- the lives of workers ------------------------------------------------------------------------

void exercise_workers(const MakeJobStore& make) {
  SUBCASE("workers: what they told of themselves is shown while their lease lives") {
    Bench bench(make);
    WorkerSpec spec_;
    spec_.name = "jobs-abc12";
    spec_.tags = {"linux"};
    spec_.queues = {"mail", "default"};
    spec_.kinds = {"k"};
    spec_.concurrency = 4;
    spec_.version = "1.2";
    spec_.host = "host";
    spec_.pid = 4711;
    spec_.replica = "jobs-abc12";
    const auto registration = need(bench.store.announce(spec_, bench.now()));
    CHECK(registration.lease == 30s);
    CHECK(registration.beat == 10s);
    bench.enqueue(spec("k"));
    bench.clock.advance(5s);
    bench.claim_one(registration.worker_id);

    const auto workers = need(bench.store.workers(bench.now()));
    REQUIRE(workers.size() == 1);
    const Worker& worker = workers.front();
    CHECK(worker.id == registration.worker_id);
    CHECK(worker.spec.name == spec_.name);
    CHECK(worker.spec.queues == spec_.queues);
    CHECK(worker.spec.kinds == spec_.kinds);
    CHECK(worker.spec.concurrency == 4);
    CHECK(worker.spec.replica == spec_.replica);
    CHECK(worker.state == WorkerState::Run);
    CHECK(worker.occupied == 1);
    CHECK(worker.oldest_start == bench.now());
    CHECK(worker.first_beat == bench.now() - 5s);

    bench.clock.advance(30s);
    CHECK(need(bench.store.workers(bench.now())).empty());
  }

  SUBCASE("workers: beats renew the lease") {
    Bench bench(make);
    const auto worker = bench.worker();
    bench.enqueue(spec("k"));
    const auto claimed = bench.claim_one(worker);
    const std::vector running{lease_of(claimed)};
    for (int i = 0; i < 12; ++i) {
      bench.clock.advance(20s);
      const auto beat = need(bench.store.beat(worker, running, bench.now()));
      CHECK(beat.cancel.empty());
      CHECK(beat.lease == 30s);
      CHECK(need(bench.owner.rescue(bench.now())) == 0);
    }
    CHECK(bench.settle(complete(claimed)).status);
  }

  SUBCASE("workers: the jobs of one whose lease ran out go back, counted as crashes") {
    Bench bench(make);
    const auto worker = bench.worker();
    const auto id = bench.enqueue(spec("k"));
    const auto claimed = bench.claim_one(worker);
    bench.clock.advance(30s - 1us);
    CHECK(need(bench.owner.rescue(bench.now())) == 0);
    bench.clock.advance(1us);
    CHECK(need(bench.owner.rescue(bench.now())) == 1);

    const Job job = bench.job(id);
    CHECK(job.state == JobState::Enqueued);
    CHECK(job.crashes == 1);
    CHECK(job.failures == 0);
    CHECK(job.attempt == 0);
    CHECK(code(bench.store.beat(worker, {}, bench.now())) == Code::NotFound);
    CHECK(code(bench.settle(complete(claimed)).status) == Code::Conflict);
    CHECK(bench.claim_one(bench.worker()).job.attempt == 1);
  }

  SUBCASE("workers: at the limit of crashes a job fails and is not retried") {
    Bench bench(make);
    const auto id = bench.enqueue(spec("k"));
    const auto die = [&] {
      WorkerSpec worker_spec;
      worker_spec.name = "w";
      worker_spec.concurrency = 1;
      worker_spec.version = "shop 1.2";
      const auto worker = bench.worker(worker_spec);
      bench.claim_one(worker);
      need(bench.owner.worker_died(worker,
                                   {.signal = 9,
                                    .peak_rss_bytes = 70'000'000,
                                    .out_of_memory = true,
                                    .detail = std::string(70'000, 'x') + "last words"},
                                   bench.now()));
    };
    die();
    CHECK(bench.state(id) == JobState::Enqueued);  // the first one at once
    die();
    CHECK(bench.job(id).run_at == bench.now() + 3s);
    bench.clock.advance(3s);
    need(bench.owner.promote_due(bench.now()));
    die();
    const Job job = bench.job(id);
    CHECK(job.state == JobState::Failed);
    CHECK(job.crashes == 3);
    CHECK(job.failures == 0);
    const std::size_t last = bench.states(id).size() - 1;
    CHECK(bench.event_text(id, last, "exceptionType") == "jobmill.CrashLimit");
    CHECK(bench.event(id, last, "doNotRetry").as_bool() == true);
    const Node crash = bench.event(id, last, "crash");
    REQUIRE(crash.find("signal") != nullptr);
    CHECK(crash.find("signal")->as_int() == 9);
    CHECK(crash.find("peakRss")->as_int() == 70'000'000);
    CHECK(crash.find("oom")->as_bool() == true);
    CHECK(crash.find("build")->as_string() == "shop 1.2");
    const auto tail = crash.find("stderrTail")->as_string().value();
    CHECK(tail.size() == 64u << 10);
    CHECK(tail.ends_with("xlast words"));
    CHECK(bench.event_text(id, last, "exceptionMessage") == "out of memory");
    CHECK(code(bench.owner.worker_died("nobody", {}, bench.now())) == Code::NotFound);
  }

  SUBCASE("workers: whoever may run is given what is ready, whenever that began") {
    Bench bench(make);
    bench.enqueue(spec("k"));
    const auto worker = bench.worker();
    std::atomic<bool> ends = false;
    std::jthread toggling([&] {
      for (int i = 0; i < 1000; ++i)
        for (const WorkerState state : {WorkerState::Quiet, WorkerState::Run})
          need(bench.owner.set_worker_state(worker, state, {}, bench.now()));
      ends = true;
    });
    int wrong = 0;
    while (!ends) {
      const Claimed claimed = bench.claim(worker);
      wrong += claimed.jobs.empty() && claimed.state == WorkerState::Run ? 1 : 0;
      for (const ClaimedJob& job : claimed.jobs) {
        Settlement settlement = complete(job);
        settlement.kind = Settlement::Kind::Release;
        CHECK(bench.settle(settlement).status);
      }
    }
    CHECK(wrong == 0);
  }

  SUBCASE("workers: who leaves gives back what it holds") {
    Bench bench(make);
    const auto worker = bench.worker();
    const auto id = bench.enqueue(spec("k"));
    bench.claim_one(worker);
    need(bench.store.leave(worker, bench.now()));
    const Job job = bench.job(id);
    CHECK(job.state == JobState::Enqueued);
    CHECK(job.crashes == 0);
    CHECK(job.attempt == 0);
    CHECK(need(bench.store.workers(bench.now())).empty());
  }

  SUBCASE("workers: a beat tells what to cancel") {
    Bench bench(make);
    const auto worker = bench.worker();
    bench.insert({spec("k"), spec("k"), spec("k")});
    const auto claimed = bench.claim(worker);
    std::vector<Report> running;
    for (const auto& job : claimed.jobs) running.push_back(lease_of(job));
    need(bench.store.remove(claimed.jobs[0].job.id, "not wanted", bench.now()));
    REQUIRE(bench.settle(release(claimed.jobs[1], "")).status);

    const auto beat = need(bench.store.beat(worker, running, bench.now()));
    REQUIRE(beat.cancel.size() == 2);
    CHECK(beat.cancel[0].job_id == claimed.jobs[0].job.id);
    CHECK(beat.cancel[0].reason == "deleted");
    CHECK(beat.cancel[1].job_id == claimed.jobs[1].job.id);
    CHECK(beat.cancel[1].reason == "lost");
    CHECK(code(bench.settle(complete(claimed.jobs[0])).status) == Code::Conflict);
    CHECK(bench.state(claimed.jobs[0].job.id) == JobState::Deleted);
    CHECK(bench.settle(complete(claimed.jobs[2])).status);
  }

  SUBCASE("workers: a job whose claim never reached its worker comes back") {
    Bench bench(make);
    const auto worker = bench.worker();
    const auto id = bench.enqueue(spec("k"));
    bench.claim_one(worker);
    for (int i = 0; i < 4; ++i) {
      bench.clock.advance(20s);
      need(bench.store.beat(worker, {}, bench.now()));
    }
    const Job job = bench.job(id);
    CHECK(job.state == JobState::Enqueued);
    CHECK(job.crashes == 0);
  }
}

// --- control -------------------------------------------------------------------------------------

// Brings one job into a state by its ordinary ways.
std::string job_in(Bench& bench, JobState state) {
  JobSpec job = spec("k");
  if (state == JobState::Scheduled) job.delay = 1h;
  const auto id = bench.enqueue(job);
  if (state == JobState::Scheduled || state == JobState::Enqueued) return id;
  if (state == JobState::Deleted) {
    need(bench.store.remove(id, "", bench.now()));
    return id;
  }
  const auto claimed = bench.claim_one(bench.worker());
  if (state == JobState::Succeeded) REQUIRE(bench.settle(complete(claimed)).status);
  if (state == JobState::Failed) {
    REQUIRE(bench.settle(fail_with(claimed, RetryRule::Never)).status);
  }
  return id;
}

void exercise_control(const MakeJobStore& make) {
  constexpr JobState kReachable[] = {JobState::Scheduled, JobState::Enqueued,  JobState::Processing,
                                     JobState::Failed,    JobState::Succeeded, JobState::Deleted};

  SUBCASE("control: requeue and delete follow the table of transitions") {
    for (const JobState from : kReachable) {
      CAPTURE(std::string(to_string(from)));
      Bench requeueing(make);
      const auto id = job_in(requeueing, from);
      const auto requeued = requeueing.store.requeue(id, requeueing.now());
      if (transition_allowed(from, JobState::Enqueued)) {
        CHECK(requeued);
        CHECK(requeueing.state(id) == JobState::Enqueued);
      } else {
        CHECK(code(requeued) == Code::Conflict);
        CHECK(requeueing.state(id) == from);
      }
      Bench deleting(make);
      const auto other = job_in(deleting, from);
      const auto removed = deleting.store.remove(other, "not wanted", deleting.now());
      if (transition_allowed(from, JobState::Deleted)) {
        CHECK(removed);
        CHECK(deleting.state(other) == JobState::Deleted);
        CHECK(deleting.event_text(other, deleting.states(other).size() - 1, "reason") ==
              "not wanted");
      } else {
        CHECK(code(removed) == Code::Conflict);
      }
    }
    Bench bench(make);
    CHECK(code(bench.store.get("nothing")) == Code::NotFound);
    CHECK(code(bench.store.history("nothing")) == Code::NotFound);
    CHECK(code(bench.store.requeue("nothing", bench.now())) == Code::NotFound);
    CHECK(code(bench.store.remove("nothing", "", bench.now())) == Code::NotFound);
  }

  SUBCASE("control: a deletion says why, also when nobody gave a reason") {
    Bench bench(make);
    const auto plain = bench.enqueue(spec("k"));
    need(bench.store.remove(plain, "", bench.now()));
    CHECK(bench.event_text(plain, 1, "reason") == "deleted by request");
    const auto told = bench.enqueue(spec("k"));
    need(bench.store.remove(told, "a duplicate", bench.now()));
    CHECK(bench.event_text(told, 1, "reason") == "a duplicate");
  }

  SUBCASE("control: a requeue by hand restarts the count of retries and keeps the history") {
    Bench bench(make);
    const auto id = job_in(bench, JobState::Failed);
    need(bench.store.requeue(id, bench.now()));
    const Job job = bench.job(id);
    CHECK(job.failures == 0);
    CHECK(bench.states(id) ==
          std::vector<std::string>{"ENQUEUED", "PROCESSING", "FAILED", "ENQUEUED"});
    CHECK(job.version == 4);
    const auto claimed = bench.claim_one(bench.worker());
    CHECK(claimed.job.attempt == 1);
    CHECK(bench.settle(fail_with(claimed)).run_at == bench.now() + 3s);
  }

  SUBCASE("control: lists come in pages, newest first, each job once") {
    Bench bench(make);
    std::vector<std::string> inserted;
    for (int i = 0; i < 7; ++i) {
      inserted.insert(inserted.begin(), bench.enqueue(spec("k", i % 2 == 0 ? "even" : "odd")));
      bench.clock.advance(1ms);
    }
    const auto all = [&](JobQuery query) {
      std::vector<std::string> found;
      do {
        const auto page = need(bench.store.list(query));
        CHECK(page.items.size() <= static_cast<std::size_t>(query.limit));
        for (const Job& job : page.items) found.push_back(job.id);
        query.after = page.next;
      } while (!query.after.empty());
      return found;
    };
    JobQuery query;
    query.limit = 3;
    CHECK(all(query) == inserted);
    query.limit = 7;
    CHECK(need(bench.store.list(query)).next.empty());
    query.limit = 2;
    query.state = JobState::Enqueued;
    CHECK(all(query) == inserted);
    query.queue = "odd";
    CHECK(all(query) == std::vector{inserted[1], inserted[3], inserted[5]});
    query.state = JobState::Failed;
    CHECK(all(query).empty());
    query.state.reset();
    query.limit = 0;
    CHECK(code(bench.store.list(query)) == Code::InvalidArgument);
    query.limit = 5;
    query.after = "garbage";
    CHECK(code(bench.store.list(query)) == Code::InvalidArgument);
  }

  SUBCASE("control: each state can be listed") {
    Bench bench(make);
    for (const JobState state : kReachable) {
      const auto id = job_in(bench, state);
      JobQuery query;
      query.state = state;
      const auto page = need(bench.store.list(query));
      CAPTURE(std::string(to_string(state)));
      REQUIRE_FALSE(page.items.empty());
      CHECK(std::any_of(page.items.begin(), page.items.end(),
                        [&](const Job& job) { return job.id == id && job.state == state; }));
      if (state == JobState::Enqueued) need(bench.store.remove(id, "", bench.now()));
    }
  }

  SUBCASE("control: queues tell what waits and since when") {
    Bench bench(make);
    bench.enqueue(spec("k", "mail"));
    bench.clock.advance(4s);
    JobSpec urgent = spec("k", "mail"), later = spec("k", "mail");
    urgent.priority = 5;
    later.delay = 60s;
    bench.insert({urgent, later});
    auto stats = bench.queue("mail");
    CHECK(stats.enqueued == 2);
    CHECK(stats.scheduled == 1);
    CHECK(stats.processing == 0);
    CHECK(stats.oldest == bench.now() - 4s);
    CHECK_FALSE(stats.paused);

    const auto worker = bench.worker();
    bench.claim_one(worker);  // the urgent one
    CHECK(bench.queue("mail").oldest == bench.now() - 4s);
    bench.claim_one(worker);
    stats = bench.queue("mail");
    CHECK(stats.enqueued == 0);
    CHECK(stats.processing == 2);
    CHECK_FALSE(stats.oldest);
  }

  SUBCASE("control: queues tell how many jobs have ended, and how") {
    Bench bench(make);
    const auto worker = bench.worker();
    const auto ended = [&] {
      const auto stats = bench.queue("mail");
      return std::vector{stats.succeeded, stats.failed, stats.deleted};
    };
    JobSpec once = spec("k", "mail");
    once.retries = 0;
    bench.insert({spec("k", "mail"), once, spec("k", "mail"), spec("k", "mail")});
    const auto claimed = bench.claim(worker, 3);
    REQUIRE(claimed.jobs.size() == 3);
    REQUIRE(bench.settle(complete(claimed.jobs[0])).status);
    bench.settle(fail_with(claimed.jobs[1]));
    const std::string failed = claimed.jobs[1].job.id;
    CHECK(ended() == std::vector<std::int64_t>{1, 1, 0});

    need(bench.store.remove(claimed.jobs[2].job.id, "", bench.now()));
    CHECK(ended() == std::vector<std::int64_t>{1, 1, 1});
    need(bench.store.requeue(failed, bench.now()));
    CHECK(ended() == std::vector<std::int64_t>{1, 0, 1});
    need(bench.store.remove(failed, "", bench.now()));
    CHECK(ended() == std::vector<std::int64_t>{1, 0, 2});

    bench.clock.advance(36h + 1min);
    need(bench.owner.expire(bench.now()));
    CHECK(ended() == std::vector<std::int64_t>{0, 0, 3});
    bench.clock.advance(72h + 1min);
    need(bench.owner.expire(bench.now()));
    CHECK(ended() == std::vector<std::int64_t>{0, 0, 0});
  }

  SUBCASE("control: scheduled jobs are counted to the instant") {
    Bench bench(make);
    std::vector<JobSpec> specs;
    for (const Duration delay : {Duration(59s), Duration(61s), Duration(61s + 500ms)}) {
      JobSpec job = spec("k", "a");
      job.delay = delay;
      specs.push_back(job);
    }
    JobSpec other = spec("k", "b");
    other.delay = 10s;
    specs.push_back(other);
    bench.insert(specs);
    const auto until = [&](std::string_view queue, Duration window) {
      return need(bench.store.scheduled_until(queue, bench.now() + window));
    };
    CHECK(until("", 0s) == 0);
    CHECK(until("", 60s) == 2);
    CHECK(until("a", 60s) == 1);
    CHECK(until("a", 61s - 1us) == 1);
    CHECK(until("a", 61s) == 2);
    CHECK(until("a", 61s + 499ms) == 2);
    CHECK(until("a", 61s + 500ms) == 3);
    CHECK(until("nowhere", 1h) == 0);
    CHECK(need(bench.owner.next_due("", bench.now())) == bench.now() + 10s);
    CHECK(need(bench.owner.next_due("a", bench.now() + 59s)) == bench.now() + 61s);
    CHECK_FALSE(need(bench.owner.next_due("a", bench.now() + 2h)));

    bench.clock.advance(60s);
    CHECK(until("", 0s) == 2);  // overdue ones count
    CHECK(need(bench.owner.promote_due(bench.now())) == 2);
    CHECK(until("", 0s) == 0);
    CHECK(until("", 10s) == 2);
    CHECK(bench.queue("a").enqueued == 1);
  }

  SUBCASE("control: finished jobs are deleted, and then gone") {
    Bench bench(make);
    const auto id = job_in(bench, JobState::Succeeded);
    const auto failed = job_in(bench, JobState::Failed);
    bench.clock.advance(36h - 1us);
    CHECK(need(bench.owner.expire(bench.now())) == 0);
    bench.clock.advance(1us);
    CHECK(need(bench.owner.expire(bench.now())) == 1);
    CHECK(bench.state(id) == JobState::Deleted);
    bench.clock.advance(72h);
    CHECK(need(bench.owner.expire(bench.now())) == 1);
    CHECK(code(bench.store.get(id)) == Code::NotFound);
    CHECK(bench.state(failed) == JobState::Failed);  // until somebody acts on it
  }

  SUBCASE("control: the store names the next instant at which there is something to do") {
    Bench bench(make);
    CHECK_FALSE(need(bench.owner.next_chore(bench.now())));
    JobSpec later = spec("k");
    later.delay = 3600s;
    bench.insert({later});
    CHECK(need(bench.owner.next_chore(bench.now())) == bench.now() + 3600s);
    bench.worker();
    CHECK(need(bench.owner.next_chore(bench.now())) == bench.now() + 30s);
  }
}

// --- recurring jobs ------------------------------------------------------------------------------

RecurringSpec every_minute(std::string id) {
  RecurringSpec recurring;
  recurring.id = std::move(id);
  recurring.schedule = "PT1M";
  recurring.job = spec("report");
  return recurring;
}

void exercise_recurring(const MakeJobStore& make) {
  SUBCASE("recurring: one run exists ahead of time, and the next one when it is due") {
    Bench bench(make);
    CHECK(need(bench.store.put_recurring(every_minute("r"), bench.now())));
    const TimePoint created = bench.now();
    CHECK(bench.queue("default").scheduled == 1);
    auto all = need(bench.store.recurring());
    REQUIRE(all.size() == 1);
    CHECK(all[0].spec.id == "r");
    CHECK(all[0].spec.schedule == "PT1M");
    CHECK(all[0].spec.job.kind == "report");
    CHECK(all[0].created_at == created);
    CHECK(all[0].next_run == created + 60s);
    CHECK_FALSE(all[0].last_run);
    CHECK(need(bench.owner.next_chore(bench.now())) == created + 60s);

    bench.clock.advance(60s);
    CHECK(need(bench.owner.plan_recurring(bench.now())) == 1);
    need(bench.owner.promote_due(bench.now()));
    const auto stats = bench.queue("default");
    CHECK(stats.enqueued == 1);
    CHECK(stats.scheduled == 1);
    all = need(bench.store.recurring());
    CHECK(all[0].next_run == created + 120s);
    CHECK(all[0].last_run == created + 60s);
    const auto claimed = bench.claim_one(bench.worker());
    CHECK(claimed.job.recurring_id == "r");
    CHECK(claimed.job.kind == "report");
  }

  SUBCASE("recurring: the same spec again changes nothing, another one replaces the run ahead") {
    Bench bench(make);
    const TimePoint created = bench.now();
    need(bench.store.put_recurring(every_minute("r"), bench.now()));
    bench.clock.advance(10s);
    CHECK_FALSE(need(bench.store.put_recurring(every_minute("r"), bench.now())));
    CHECK(need(bench.store.recurring())[0].next_run == created + 60s);
    CHECK(need(bench.store.recurring())[0].version == 1);

    auto changed = every_minute("r");
    changed.schedule = "PT5M";
    CHECK_FALSE(need(bench.store.put_recurring(changed, bench.now())));
    const auto all = need(bench.store.recurring());
    REQUIRE(all.size() == 1);
    CHECK(all[0].version == 2);
    CHECK(all[0].created_at == created);
    CHECK(all[0].next_run == created + 300s);  // the anchor stays
    CHECK(bench.queue("default").scheduled == 1);
  }

  SUBCASE("recurring: no second run while one is active, and that is recorded") {
    Bench bench(make);
    need(bench.store.put_recurring(every_minute("r"), bench.now()));
    const TimePoint created = bench.now();
    for (int i = 0; i < 2; ++i) {
      bench.clock.advance(60s);
      need(bench.owner.plan_recurring(bench.now()));
      need(bench.owner.promote_due(bench.now()));
    }
    CHECK(bench.queue("default").enqueued == 1);
    const auto all = need(bench.store.recurring());
    CHECK(all[0].skipped_runs == 1);
    CHECK(all[0].runs == 1);
    CHECK(all[0].missed_runs == 0);
    CHECK(all[0].first_skipped == created + 120s);
    CHECK(all[0].last_skipped == created + 120s);
    CHECK_FALSE(all[0].last_skip_reason.empty());
    CHECK(all[0].last_run == created + 60s);
    CHECK(all[0].next_run == created + 180s);
  }

  SUBCASE(
      "recurring: what was missed is skipped, run once, run each, or run as far as it is young") {
    struct Case {
      Missed missed;
      std::int64_t runs;
      std::int64_t skipped;
    };
    // Away for ten minutes and a half: ten runs were due, the last one 30 s ago.
    for (const Case& expected : {Case{Missed::Skip, 0, 10}, Case{Missed::Once, 1, 9},
                                 Case{Missed::All, 10, 0}, Case{Missed::Within, 5, 5}}) {
      CAPTURE(static_cast<int>(expected.missed));
      Bench bench(make);
      auto recurring = every_minute("r");
      recurring.missed = expected.missed;
      if (expected.missed == Missed::Within) recurring.missed_within = 300s;
      const TimePoint created = bench.now();
      need(bench.store.put_recurring(recurring, bench.now()));
      bench.clock.advance(630s);
      need(bench.owner.plan_recurring(bench.now()));
      need(bench.owner.promote_due(bench.now()));
      CHECK(bench.queue("default").enqueued == expected.runs);
      CHECK(bench.queue("default").scheduled == 1);
      const auto all = need(bench.store.recurring());
      CHECK(all[0].skipped_runs == expected.skipped);
      CHECK(all[0].missed_runs == 10);
      CHECK(all[0].runs == expected.runs);
      CHECK(all[0].next_run == created + 660s);
      CHECK(need(bench.owner.plan_recurring(bench.now())) == 0);
    }
  }

  SUBCASE("recurring: removing takes the run ahead with it") {
    Bench bench(make);
    need(bench.store.put_recurring(every_minute("r"), bench.now()));
    need(bench.store.remove_recurring("r", bench.now()));
    CHECK(need(bench.store.recurring()).empty());
    CHECK(bench.queue("default").scheduled == 0);
    CHECK(code(bench.store.remove_recurring("r", bench.now())) == Code::NotFound);
  }

  SUBCASE("recurring: a run can be triggered by hand") {
    Bench bench(make);
    need(bench.store.put_recurring(every_minute("r"), bench.now()));
    const auto id = need(bench.store.trigger_recurring("r", bench.now()));
    CHECK(bench.job(id).recurring_id == "r");
    CHECK(bench.state(id) == JobState::Enqueued);
    CHECK(bench.queue("default").scheduled == 1);
    CHECK(need(bench.store.recurring()).front().runs == 1);
    CHECK(code(bench.store.trigger_recurring("nothing", bench.now())) == Code::NotFound);
  }

  SUBCASE("recurring: a spec that cannot work is refused") {
    Bench bench(make);
    const auto refused = [&](const RecurringSpec& bad) {
      CHECK(code(bench.store.put_recurring(bad, bench.now())) == Code::InvalidArgument);
    };
    auto bad = every_minute("r");
    bad.schedule = "0 0 30 2 *";
    refused(bad);
    bad = every_minute("r");
    bad.schedule = "0 2 * * *";
    bad.zone = "Nowhere/Land";
    refused(bad);
    bad = every_minute("r");
    bad.schedule = "PT0.5S";
    refused(bad);
    bad = every_minute("r");
    bad.job.kind.clear();
    refused(bad);
    CHECK(need(bench.store.recurring()).empty());
  }
}

}  // namespace

void exercise_job_store(const MakeJobStore& make) {
  exercise_insert(make);
  exercise_claim(make);
  exercise_settle(make);
  exercise_workers(make);
  exercise_control(make);
  exercise_recurring(make);
  exercise_operations(make);
}

}  // namespace jobmill::jobs
