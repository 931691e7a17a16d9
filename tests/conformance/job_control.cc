// SPDX-License-Identifier: Apache-2.0
#include "conformance/job_control.h"

#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "base/id.h"
#include "conformance/job_bench.h"

namespace jobmill::jobs {
namespace {

using Kind = Alteration::Kind;

// Jobs in all states that there are.
struct Everywhere {
  explicit Everywhere(Bench& bench) {
    const auto worker = bench.worker();
    JobSpec later = spec("k");
    later.run_at = bench.now() + 1h;
    succeeded = bench.enqueue(spec("k"));
    bench.settle(complete(bench.claim_one(worker)));
    failed = bench.enqueue(spec("k"));
    bench.settle(fail_with(bench.claim_one(worker), RetryRule::Never));
    deleted = bench.enqueue(spec("k"));
    need(bench.store.remove(deleted, "", bench.now()));
    processing = bench.enqueue(spec("k"));
    bench.claim_one(worker);
    scheduled = bench.enqueue(later);
    enqueued = bench.enqueue(spec("k"));
  }

  std::vector<std::string> all() const {
    return {scheduled, enqueued, processing, succeeded, failed, deleted, new_id(TimePoint{})};
  }

  std::string succeeded, failed, deleted, processing, scheduled, enqueued;
};

// One letter each: o(k), c(onflict), n(ot found).
std::string outcomes(Bench& bench, const std::vector<std::string>& ids,
                     const Alteration& alteration) {
  const auto statuses = need(bench.owner.alter(ids, alteration, bench.now()));
  std::string letters;
  for (const Status& status : statuses) {
    if (status) {
      letters += 'o';
      continue;
    }
    letters += status.error().code == Code::Conflict   ? 'c'
               : status.error().code == Code::NotFound ? 'n'
                                                       : '?';
  }
  return letters;
}

std::string last_event(Bench& bench, const std::string& id, std::string_view member) {
  return bench.event_text(id, bench.states(id).size() - 1, member);
}

void exercise_alter(const MakeJobStore& make) {
  SUBCASE("alter: requeue, in the order of the ids") {
    Bench bench(make);
    const Everywhere jobs(bench);
    CHECK(outcomes(bench, jobs.all(), {.reason = "by alice"}) == "occooon");
    for (const auto& id :
         {jobs.scheduled, jobs.enqueued, jobs.succeeded, jobs.failed, jobs.deleted})
      CHECK(bench.state(id) == JobState::Enqueued);
    CHECK(bench.state(jobs.processing) == JobState::Processing);
    CHECK(last_event(bench, jobs.failed, "reason") == "by alice");
    CHECK(bench.job(jobs.failed).failures == 0);
    CHECK(bench.queue("default").enqueued == 5);
    CHECK(bench.queue("default").scheduled == 0);
    CHECK(bench.queue("default").failed == 0);
    CHECK(bench.claim(bench.worker()).jobs.size() == 5);
  }

  SUBCASE("alter: delete") {
    Bench bench(make);
    const Everywhere jobs(bench);
    CHECK(outcomes(bench, jobs.all(), {.kind = Kind::Delete}) == "ooooocn");
    CHECK(bench.queue("default").deleted == 6);
    CHECK(bench.queue("default").processing == 0);
    CHECK(last_event(bench, jobs.enqueued, "reason") == "deleted by request");
    CHECK(bench.claim(bench.worker()).jobs.empty());
    CHECK(need(bench.store.scheduled_until("", TimePoint::max())) == 0);
  }

  SUBCASE("alter: delete tells the worker") {
    Bench bench(make);
    const auto worker = bench.worker();
    const auto id = bench.enqueue(spec("k"));
    const Report running = lease_of(bench.claim_one(worker));
    CHECK(outcomes(bench, {id}, {.kind = Kind::Delete, .reason = "by bob"}) == "o");
    const auto answer = need(bench.store.beat(worker, std::span(&running, 1), bench.now()));
    REQUIRE(answer.cancel.size() == 1);
    CHECK(answer.cancel[0].reason == "deleted");
    CHECK(last_event(bench, id, "reason") == "by bob");
  }

  SUBCASE("alter: reschedule") {
    Bench bench(make);
    const Everywhere jobs(bench);
    const TimePoint at = bench.now() + 2h;
    CHECK(outcomes(bench, jobs.all(), {.kind = Kind::Reschedule, .run_at = at}) == "ooccocn");
    for (const auto& id : {jobs.scheduled, jobs.enqueued, jobs.failed}) {
      CHECK(bench.state(id) == JobState::Scheduled);
      CHECK(bench.job(id).run_at == at);
    }
    CHECK(bench.queue("default").scheduled == 3);
    CHECK(bench.queue("default").enqueued == 0);
    CHECK(bench.queue("default").failed == 0);
    CHECK(need(bench.store.scheduled_until("", at)) == 3);
    CHECK(need(bench.store.scheduled_until("", at - 1s)) == 0);
    CHECK(need(bench.owner.next_due("", bench.now())) == at);
    bench.clock.advance(2h);
    CHECK(need(bench.owner.promote_due(bench.now())) == 3);
    CHECK(bench.job(jobs.failed).failures == 0);
  }

  SUBCASE("alter: reschedule for the past is at once") {
    Bench bench(make);
    const Everywhere jobs(bench);
    const std::vector<std::string> ids{jobs.scheduled, jobs.enqueued, jobs.failed};
    CHECK(outcomes(bench, ids, {.kind = Kind::Reschedule, .run_at = bench.now() - 1h}) == "ooo");
    for (const auto& id : ids) {
      CHECK(bench.state(id) == JobState::Enqueued);
      CHECK_FALSE(bench.job(id).run_at);
    }
    CHECK(bench.claim(bench.worker()).jobs.size() == 3);
  }

  SUBCASE("alter: move to another queue") {
    Bench bench(make);
    const Everywhere jobs(bench);
    CHECK(outcomes(bench, jobs.all(), {.kind = Kind::Move, .queue = "other"}) == "ooccccn");
    CHECK(bench.job(jobs.scheduled).queue == "other");
    CHECK(bench.state(jobs.scheduled) == JobState::Scheduled);
    CHECK(bench.job(jobs.scheduled).run_at.has_value());
    CHECK(bench.job(jobs.enqueued).queue == "other");
    CHECK(bench.job(jobs.enqueued).kind == "k");
    CHECK(bench.job(jobs.succeeded).queue == "default");
    CHECK(bench.queue("default").enqueued == 0);
    CHECK(bench.queue("default").scheduled == 0);
    CHECK(bench.queue("other").enqueued == 1);
    CHECK(bench.queue("other").scheduled == 1);
    CHECK(bench.queue("other").oldest == bench.job(jobs.enqueued).updated_at);
    CHECK_FALSE(bench.queue("default").oldest);
    CHECK(need(bench.store.scheduled_until("other", TimePoint::max())) == 1);
    CHECK(need(bench.store.scheduled_until("default", TimePoint::max())) == 0);

    const auto worker = bench.worker();
    CHECK(bench.claim(worker, 9, {"default"}).jobs.empty());
    CHECK(ids(bench.claim(worker, 9, {"other"})) == std::vector{jobs.enqueued});
    bench.clock.advance(1h);
    CHECK(need(bench.owner.promote_due(bench.now())) == 1);
    CHECK(ids(bench.claim(bench.worker(), 9, {"other"})) == std::vector{jobs.scheduled});
  }

  SUBCASE("alter: another priority") {
    Bench bench(make);
    const Everywhere jobs(bench);
    const auto urgent = bench.enqueue(spec("k"));
    CHECK(outcomes(bench, jobs.all(), {.kind = Kind::Prioritize, .priority = 3}) == "ooccccn");
    CHECK(outcomes(bench, {urgent}, {.kind = Kind::Prioritize, .priority = 9}) == "o");
    CHECK(bench.job(jobs.scheduled).priority == 3);
    CHECK(bench.job(urgent).priority == 9);
    CHECK(bench.job(urgent).queue == "default");
    CHECK(bench.queue("default").enqueued == 2);
    CHECK(ids(bench.claim(bench.worker())) == std::vector{urgent, jobs.enqueued});
  }

  SUBCASE("alter: what is moved keeps its history, and tells who did it") {
    Bench bench(make);
    const auto id = bench.enqueue(spec("k"));
    const Job before = bench.job(id);
    bench.clock.advance(5s);
    CHECK(outcomes(bench, {id}, {.kind = Kind::Move, .reason = "by alice", .queue = "other"}) ==
          "o");
    CHECK(bench.job(id).version == before.version + 1);
    CHECK(bench.job(id).updated_at == before.updated_at);
    CHECK(bench.states(id) == std::vector<std::string>{"ENQUEUED", "ENQUEUED"});
    CHECK(last_event(bench, id, "reason") == "by alice");
    // Where it is already, nothing happens.
    CHECK(outcomes(bench, {id}, {.kind = Kind::Move, .queue = "other"}) == "o");
    CHECK(bench.states(id).size() == 2);
  }

  SUBCASE("alter: an id twice, and what cannot be asked") {
    Bench bench(make);
    const auto id = bench.enqueue(spec("k"));
    CHECK(outcomes(bench, {id, id}, {.kind = Kind::Delete}) == "oc");
    CHECK(outcomes(bench, {}, {.kind = Kind::Delete}).empty());
    const auto refused = [&](std::size_t count, const Alteration& alteration) {
      const std::vector<std::string> many(count, id);
      return code(bench.owner.alter(many, alteration, bench.now())) == Code::InvalidArgument;
    };
    CHECK(refused(1001, {}));
    CHECK(refused(1, {.kind = Kind::Move}));
    CHECK(refused(1, {.kind = Kind::Move, .queue = std::string(kMaxQueueBytes + 1, 'q')}));
    CHECK(refused(1, {.kind = Kind::Prioritize, .priority = kMaxPriority + 1}));
    CHECK(refused(1, {.kind = Kind::Prioritize, .priority = -1}));
  }

  SUBCASE("alter: a thousand at once") {
    Bench bench(make);
    JobSpec job = spec("k");
    std::vector<std::string> all;
    for (int i = 0; i < 10; ++i) {
      for (const auto& made : bench.insert(std::vector<JobSpec>(100, job)).jobs)
        all.push_back(made.id);
    }
    CHECK(outcomes(bench, all, {.kind = Kind::Delete}) == std::string(1000, 'o'));
    CHECK(bench.queue("default").deleted == 1000);
    CHECK(outcomes(bench, all, {}) == std::string(1000, 'o'));
    CHECK(bench.queue("default").enqueued == 1000);
  }
}

void exercise_paused_queues(const MakeJobStore& make) {
  SUBCASE("pause: from a paused queue nobody claims, and jobs still come in") {
    Bench bench(make);
    const auto worker = bench.worker();
    bench.enqueue(spec("k", "mail"));
    const auto other = bench.enqueue(spec("k", "other"));
    need(bench.owner.pause_queue("mail", true, bench.now()));
    CHECK(bench.queue("mail").paused);
    CHECK_FALSE(bench.queue("other").paused);
    CHECK(ids(bench.claim(worker)) == std::vector{other});
    CHECK(bench.claim(worker, 9, {"mail"}).jobs.empty());
    bench.enqueue(spec("k", "mail"));
    CHECK(bench.queue("mail").enqueued == 2);

    need(bench.owner.pause_queue("mail", true, bench.now()));
    need(bench.owner.pause_queue("mail", false, bench.now()));
    need(bench.owner.pause_queue("mail", false, bench.now()));
    CHECK_FALSE(bench.queue("mail").paused);
    CHECK(bench.claim(worker).jobs.size() == 2);
  }

  SUBCASE("pause: what runs goes on") {
    Bench bench(make);
    const auto worker = bench.worker();
    bench.enqueue(spec("k"));
    const auto claimed = bench.claim_one(worker);
    need(bench.owner.pause_queue("default", true, bench.now()));
    const Report running = lease_of(claimed);
    CHECK(need(bench.store.beat(worker, std::span(&running, 1), bench.now())).cancel.empty());
    CHECK(bench.settle(complete(claimed)).status);
  }

  SUBCASE("pause: before the queue has any job") {
    Bench bench(make);
    need(bench.owner.pause_queue("new", false, bench.now()));
    need(bench.owner.pause_queue("new", true, bench.now()));
    CHECK(bench.queue("new").paused);
    bench.enqueue(spec("k", "new"));
    CHECK(bench.claim(bench.worker()).jobs.empty());
    CHECK(code(bench.owner.pause_queue("", true, bench.now())) == Code::InvalidArgument);
  }

  SUBCASE("pause: a claim that waits is woken by the resumption") {
    Bench bench(make);
    const auto worker = bench.worker();
    const auto id = bench.enqueue(spec("k"));
    need(bench.owner.pause_queue("default", true, bench.now()));
    ClaimRequest request;
    request.worker_id = worker;
    request.wait = 30s;
    std::vector<std::string> taken;
    std::thread waiting([&] {
      const auto claimed = bench.store.claim(request, bench.now());
      if (claimed) taken = ids(*claimed);
    });
    const Status resumed = bench.owner.pause_queue("default", false, bench.now());
    waiting.join();
    CHECK(resumed);
    CHECK(taken == std::vector{id});
  }

  SUBCASE("pause: what is scheduled for the queue becomes ENQUEUED, and waits") {
    Bench bench(make);
    JobSpec later = spec("k");
    later.run_at = bench.now() + 5s;
    const auto id = bench.enqueue(later);
    need(bench.owner.pause_queue("default", true, bench.now()));
    bench.clock.advance(5s);
    CHECK(need(bench.owner.promote_due(bench.now())) == 1);
    CHECK(bench.state(id) == JobState::Enqueued);
    CHECK(bench.claim(bench.worker()).jobs.empty());
  }
}

void exercise_paused_recurring(const MakeJobStore& make) {
  const auto every_minute = [] {
    RecurringSpec recurring;
    recurring.id = "r";
    recurring.schedule = "PT1M";
    recurring.job = spec("report");
    return recurring;
  };
  const auto only = [](Bench& bench) {
    auto all = need(bench.store.recurring());
    REQUIRE(all.size() == 1);
    return std::move(all.front());
  };

  SUBCASE("pause: a paused recurring job makes no runs, and the one ahead is taken back") {
    Bench bench(make);
    const auto begin = bench.now();
    need(bench.store.put_recurring(every_minute(), bench.now()));
    CHECK(bench.queue("default").scheduled == 1);
    need(bench.owner.pause_recurring("r", true, bench.now()));
    CHECK(only(bench).spec.paused);
    CHECK_FALSE(only(bench).next_run);
    CHECK(bench.queue("default").scheduled == 0);
    CHECK(bench.queue("default").deleted == 1);
    need(bench.owner.pause_recurring("r", true, bench.now()));

    bench.clock.advance(10min + 30s);
    CHECK(need(bench.owner.plan_recurring(bench.now())) == 0);
    CHECK(need(bench.owner.promote_due(bench.now())) == 0);
    CHECK(bench.queue("default").enqueued == 0);

    need(bench.owner.pause_recurring("r", false, bench.now()));
    need(bench.owner.pause_recurring("r", false, bench.now()));
    CHECK_FALSE(only(bench).spec.paused);
    CHECK(only(bench).next_run == begin + 11min);
    CHECK(bench.queue("default").scheduled == 1);
    CHECK(need(bench.owner.plan_recurring(bench.now())) == 0);
    bench.clock.advance(30s);
    CHECK(need(bench.owner.plan_recurring(bench.now())) == 1);
    const auto resumed = only(bench);
    CHECK(resumed.runs == 1);
    CHECK(resumed.missed_runs == 0);
    CHECK(resumed.skipped_runs == 0);
    CHECK(resumed.last_run == begin + 11min);
    CHECK(bench.queue("default").enqueued == 1);
    CHECK(code(bench.owner.pause_recurring("nothing", true, bench.now())) == Code::NotFound);
  }

  SUBCASE("pause: an edit keeps it, and a run by hand is still possible") {
    Bench bench(make);
    need(bench.store.put_recurring(every_minute(), bench.now()));
    need(bench.owner.pause_recurring("r", true, bench.now()));
    // Applications put their recurring jobs at each start, which must not undo what people did.
    CHECK_FALSE(need(bench.store.put_recurring(every_minute(), bench.now())));
    CHECK(only(bench).spec.paused);
    RecurringSpec changed = every_minute();
    changed.schedule = "PT5M";
    CHECK_FALSE(need(bench.store.put_recurring(changed, bench.now())));
    CHECK(only(bench).spec.paused);
    CHECK(only(bench).spec.schedule == "PT5M");
    CHECK_FALSE(only(bench).next_run);
    CHECK(bench.queue("default").scheduled == 0);
    const auto id = need(bench.store.trigger_recurring("r", bench.now()));
    CHECK(bench.state(id) == JobState::Enqueued);

    need(bench.owner.pause_recurring("r", false, bench.now()));
    CHECK(only(bench).next_run.has_value());
    CHECK(bench.queue("default").scheduled == 1);
  }

  SUBCASE("pause: a recurring job may be made paused") {
    Bench bench(make);
    RecurringSpec recurring = every_minute();
    recurring.paused = true;
    CHECK(need(bench.store.put_recurring(recurring, bench.now())));
    CHECK_FALSE(only(bench).next_run);
    CHECK(bench.queue("default").scheduled == 0);
    need(bench.owner.pause_recurring("r", false, bench.now()));
    CHECK(bench.queue("default").scheduled == 1);
    CHECK_FALSE(need(bench.store.put_recurring(recurring, bench.now())));
    CHECK(only(bench).spec.paused);
    CHECK(bench.queue("default").scheduled == 0);
    need(bench.store.remove_recurring("r", bench.now()));
    CHECK(need(bench.store.recurring()).empty());
  }
}

}  // namespace

void exercise_job_control(const MakeJobStore& make) {
  exercise_alter(make);
  exercise_paused_queues(make);
  exercise_paused_recurring(make);
}

}  // namespace jobmill::jobs
