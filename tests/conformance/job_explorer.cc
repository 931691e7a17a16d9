// SPDX-License-Identifier: Apache-2.0
#include "conformance/job_explorer.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "base/id.h"
#include "conformance/job_bench.h"

namespace jobmill::jobs {
namespace {

using Names = std::vector<std::string>;

// A store whose jobs are told by their names.
class Search {
 public:
  explicit Search(const MakeJobExplorer& make)
      : fixture_(make()), explorer(fixture_.explorer), bench([this] { return fixture_.jobs; }) {}

 private:
  JobExplorerFixture fixture_;

 public:
  JobExplorer& explorer;
  Bench bench;

  std::string add(std::string name, JobSpec job = spec("k")) {
    job.name = std::move(name);
    return bench.enqueue(job);
  }
  std::string add_for(std::string name, Duration later, JobSpec job = spec("k")) {
    job.run_at = bench.now() + later;
    return add(std::move(name), std::move(job));
  }
  // A job of each name, a second apart.
  void add_each(const Names& names, const JobSpec& job = spec("k")) {
    for (const std::string& name : names) {
      add(name, job);
      bench.clock.advance(1s);
    }
  }

  std::string worker() {
    if (worker_.empty()) worker_ = bench.worker();
    need(bench.store.beat(worker_, {}, bench.now()));
    return worker_;
  }

  std::string complete_one(std::string name, Duration run = 1s, JobSpec job = spec("k")) {
    job.queue = "complete";
    const auto id = add(std::move(name), std::move(job));
    const auto claimed = bench.claim(worker(), 1, {"complete"});
    REQUIRE(claimed.jobs.size() == 1);
    bench.clock.advance(run);
    CHECK(bench.settle(complete(claimed.jobs.front())).status);
    return id;
  }

  // FAILED unless it may try again.
  std::string fail_one(std::string name, const Failure& failure, JobSpec job = spec("k")) {
    job.queue = "fail";
    const auto id = add(std::move(name), std::move(job));
    const auto claimed = bench.claim(worker(), 1, {"fail"});
    REQUIRE(claimed.jobs.size() == 1);
    Settlement settlement = complete(claimed.jobs.front());
    settlement.kind = Settlement::Kind::Fail;
    settlement.failure = failure;
    CHECK(bench.settle(settlement).status);
    return id;
  }

  JobSlice slice(JobSliceRequest request) {
    if (request.limit == 20) request.limit = 1000;
    return need(explorer.slice(request));
  }

  // The names of all that match; page after page, the longest unchanged first.
  Names found(const JobFilter& filter) {
    Names names;
    for (const Job& job : slice({.filter = filter}).items) names.push_back(job.name);
    const auto counted = need(explorer.count(filter, 1000));
    CHECK(counted.exact);
    CHECK(counted.count == static_cast<std::int64_t>(names.size()));
    Names same;
    for (const std::string& id : need(explorer.ids(filter, "", 1000)).ids)
      same.push_back(bench.job(id).name);
    CHECK(same == names);
    std::ranges::sort(names);
    return names;
  }

 private:
  std::string worker_;
};

Failure failure(std::string type, std::string message, std::string stack = "") {
  Failure made;
  made.type = std::move(type);
  made.message = std::move(message);
  made.stack = std::move(stack);
  made.retry = RetryRule::Never;
  return made;
}

Names names_of(const JobSlice& slice) {
  Names names;
  for (const Job& job : slice.items) names.push_back(job.name);
  return names;
}

// --- filters -------------------------------------------------------------------------------------

void exercise_filters(const MakeJobExplorer& make) {
  SUBCASE("filter: nothing matches in an empty store") {
    Search search(make);
    CHECK(search.found({}).empty());
    CHECK(search.found({.states = {JobState::Failed}, .queue = "mail"}).empty());
    const auto slice = search.slice({});
    CHECK(slice.first.empty());
    CHECK(slice.last.empty());
    CHECK_FALSE(slice.has_before);
    CHECK_FALSE(slice.has_after);
    CHECK(need(search.explorer.kinds()).empty());
    CHECK(need(search.explorer.labels("", 10)).empty());
    CHECK(need(search.explorer.failures(0, 10)).empty());
    CHECK(need(search.explorer.failure_groups()).count == 0);
  }

  SUBCASE("filter: states, one or many") {
    Search search(make);
    search.add_for("scheduled", 1h);
    search.complete_one("succeeded");
    search.fail_one("failed", failure("T", "m"));
    need(search.bench.store.remove(search.add("deleted"), "", search.bench.now()));
    search.add("processing");
    search.bench.claim_one(search.worker());
    search.add("enqueued");

    CHECK(search.found({.states = {JobState::Scheduled}}) == Names{"scheduled"});
    CHECK(search.found({.states = {JobState::Enqueued}}) == Names{"enqueued"});
    CHECK(search.found({.states = {JobState::Processing}}) == Names{"processing"});
    CHECK(search.found({.states = {JobState::Succeeded}}) == Names{"succeeded"});
    CHECK(search.found({.states = {JobState::Failed}}) == Names{"failed"});
    CHECK(search.found({.states = {JobState::Deleted}}) == Names{"deleted"});
    CHECK(search.found({.states = {JobState::Awaiting}}).empty());
    CHECK(search.found({.states = {JobState::Processed}}).empty());
    CHECK(search.found({.states = {JobState::Failed, JobState::Succeeded}}) ==
          Names{"failed", "succeeded"});
    CHECK(search.found({}).size() == 6);
  }

  SUBCASE("filter: a job is shown with all that it has") {
    Search search(make);
    JobSpec job = spec("mail.send", "mail");
    job.args = R"(["bob@example.org",3])";
    job.meta = R"({"tenant":"acme"})";
    job.labels = {"tenant:acme", "urgent"};
    job.priority = 3;
    job.created_by = "ops";
    job.extra.timeout = 60s;
    const auto id = search.add("Mail", job);
    const auto claimed = search.bench.claim_one(search.worker());
    Report report = lease_of(claimed);
    report.progress = Progress{1, 4, 0};
    need(search.bench.store.report(report, search.bench.now()));
    const auto found = search.slice({.filter = {.states = {JobState::Processing}}});
    REQUIRE(found.items.size() == 1);
    const Job& shown = found.items.front();
    const Job stored = search.bench.job(id);
    CHECK(shown.id == id);
    CHECK(shown.args == job.args);
    CHECK(shown.meta == job.meta);
    CHECK(shown.labels == job.labels);
    CHECK(shown.priority == 3);
    CHECK(shown.queue == "mail");
    CHECK(shown.kind == "mail.send");
    CHECK(shown.created_by == "ops");
    CHECK(shown.state == JobState::Processing);
    CHECK(shown.version == stored.version);
    CHECK(shown.attempt == 1);
    CHECK(shown.progress == Progress{1, 4, 0});
    CHECK(shown.deadline == stored.deadline);
    CHECK(shown.extra == job.extra);
    CHECK(shown.created_at == stored.created_at);
    CHECK(shown.updated_at == stored.updated_at);
  }

  SUBCASE("filter: words of the name, without case") {
    Search search(make);
    search.add_each({"Mail to Bob", "mail to alice", "100% of Bob's_report", "Report"});
    CHECK(search.found({.name = "mail"}) == Names{"Mail to Bob", "mail to alice"});
    CHECK(search.found({.name = "MAIL TO B"}) == Names{"Mail to Bob"});
    CHECK(search.found({.name = "bob mail"}) == Names{"Mail to Bob"});
    CHECK(search.found({.name = "bob"}) == Names{"100% of Bob's_report", "Mail to Bob"});
    CHECK(search.found({.name = "0%"}) == Names{"100% of Bob's_report"});
    CHECK(search.found({.name = "s_r"}) == Names{"100% of Bob's_report"});
    CHECK(search.found({.name = "m_il"}).empty());
    CHECK(search.found({.name = "nothing"}).empty());
  }

  SUBCASE("filter: kind and queue, which must be whole") {
    Search search(make);
    search.add("a", spec("mail.send", "mail"));
    search.add("b", spec("mail.send", "bulk"));
    JobSpec urgent = spec("mail", "mail");
    urgent.priority = 5;
    search.add("c", urgent);
    CHECK(search.found({.kind = "mail.send"}) == Names{"a", "b"});
    CHECK(search.found({.kind = "mail"}) == Names{"c"});
    CHECK(search.found({.queue = "mail"}) == Names{"a", "c"});
    CHECK(search.found({.kind = "mail.send", .queue = "mail"}) == Names{"a"});
    CHECK(search.found({.states = {JobState::Enqueued}, .queue = "mail"}) == Names{"a", "c"});
    CHECK(search.found({.states = {JobState::Failed}, .queue = "mail"}).empty());
    CHECK(search.found({.kind = "ma"}).empty());
    CHECK(search.found({.queue = "nothing"}).empty());
  }

  SUBCASE("filter: all of the labels") {
    Search search(make);
    JobSpec acme = spec("k"), both = spec("k");
    acme.labels = {"tenant:acme"};
    both.labels = {"urgent", "tenant:acme"};
    search.add("acme", acme);
    search.add("both", both);
    search.add("none");
    CHECK(search.found({.labels = {"tenant:acme"}}) == Names{"acme", "both"});
    CHECK(search.found({.labels = {"tenant:acme", "urgent"}}) == Names{"both"});
    CHECK(search.found({.labels = {"tenant"}}).empty());
    CHECK(search.found({.states = {JobState::Failed}, .labels = {"urgent"}}).empty());
  }

  SUBCASE("filter: the error that a job ended with, or waits after") {
    Search search(make);
    search.fail_one("ended", failure("mail.Refused", "Mailbox of Bob is 100% full"));
    Failure again = failure("mail.Refused", "try later");
    again.retry = RetryRule::Default;
    search.fail_one("waits", again);
    search.fail_one("other", failure("Timeout", "too slow"));
    search.complete_one("fine");
    CHECK(search.found({.error_type = "mail.Refused"}) == Names{"ended", "waits"});
    CHECK(search.found({.states = {JobState::Failed}, .error_type = "mail.Refused"}) ==
          Names{"ended"});
    CHECK(search.found({.error_type = "mail"}).empty());
    CHECK(search.found({.error_text = "mailbox OF"}) == Names{"ended"});
    CHECK(search.found({.error_text = "later"}) == Names{"waits"});
    CHECK(search.found({.error_text = "100% f"}) == Names{"ended"});
    CHECK(search.found({.error_text = "%"}) == Names{"ended"});
    CHECK(search.found({.error_type = "Timeout", .error_text = "mailbox"}).empty());

    // What ran well after all has no error to be found by.
    search.bench.clock.advance(1h);
    need(search.bench.owner.promote_due(search.bench.now()));
    search.bench.settle(complete(search.bench.claim_one(search.bench.worker())));
    CHECK(search.found({.error_type = "mail.Refused"}) == Names{"ended"});
  }

  SUBCASE("filter: failures alike") {
    Search search(make);
    const auto one = failure("E", "row 17 is bad", "at load(0x7f3a)\nat main()");
    const auto two = failure("E", "row 18 is worse", "at load(0x8000)");
    search.fail_one("one", one);
    search.fail_one("two", two);
    search.fail_one("three", failure("E", "row 19", "at store()"));
    const auto fingerprint = fingerprint_of(one.type, one.stack, one.message);
    CHECK(search.found({.failure_fingerprint = fingerprint}) == Names{"one", "two"});
    CHECK(search.found({.states = {JobState::Failed}, .failure_fingerprint = fingerprint}) ==
          Names{"one", "two"});
    CHECK(
        search.found({.states = {JobState::Enqueued}, .failure_fingerprint = fingerprint}).empty());
    CHECK(search.found({.error_text = "worse", .failure_fingerprint = fingerprint}) ==
          Names{"two"});
    CHECK(search.found({.failure_fingerprint = "0123456789abcdef"}).empty());
  }

  SUBCASE("filter: the runs of a recurring job") {
    Search search(make);
    RecurringSpec recurring;
    recurring.id = "r";
    recurring.schedule = "PT1H";
    recurring.job = spec("k");
    recurring.job.name = "run";
    need(search.bench.store.put_recurring(recurring, search.bench.now()));
    need(search.bench.store.trigger_recurring("r", search.bench.now()));
    search.add("other");
    CHECK(search.found({.recurring_id = "r"}) == Names{"run", "run"});
    CHECK(search.found({.states = {JobState::Enqueued}, .recurring_id = "r"}) == Names{"run"});
    CHECK(search.found({.recurring_id = "nothing"}).empty());
  }

  SUBCASE("filter: when jobs were made, changed, and are due; the end is not part of it") {
    Search search(make);
    const TimePoint t0 = search.bench.now();
    search.add_each({"a", "b", "c"});
    CHECK(search.found({.created_after = t0 + 1s}) == Names{"b", "c"});
    CHECK(search.found({.created_before = t0 + 1s}) == Names{"a"});
    CHECK(search.found({.created_after = t0 + 1s, .created_before = t0 + 2s}) == Names{"b"});
    CHECK(search.found({.updated_after = t0 + 2s}) == Names{"c"});
    CHECK(search.found({.updated_before = t0 + 2s}) == Names{"a", "b"});
    search.bench.clock.advance(7s);
    const auto a = search.slice({.filter = {.name = "a"}}).items.front().id;
    need(search.bench.store.remove(a, "", search.bench.now()));
    CHECK(search.found({.updated_after = t0 + 10s}) == Names{"a"});
    CHECK(search.found({.updated_after = t0 + 10s, .updated_before = t0 + 10s}).empty());
    JobSliceRequest request{.filter = {.updated_after = t0 + 1s, .updated_before = t0 + 10s},
                            .limit = 1};
    request.after = search.slice(request).last;
    CHECK(names_of(search.slice(request)) == Names{"c"});
    request.after = search.slice(request).last;
    CHECK(search.slice(request).items.empty());
    request.before = std::exchange(request.after, "");
    CHECK(names_of(search.slice(request)) == Names{"b"});

    const TimePoint t1 = search.bench.now();
    search.add_for("soon", 1h);
    search.add_for("late", 2h, spec("k", "other"));
    CHECK(search.found({.scheduled_after = t1}) == Names{"late", "soon"});
    CHECK(search.found({.scheduled_after = t1 + 2h}) == Names{"late"});
    CHECK(search.found({.scheduled_before = t1 + 2h}) == Names{"soon"});
    CHECK(search.found({.queue = "other", .scheduled_before = t1 + 3h}) == Names{"late"});
  }

  SUBCASE("filter: how long the run took, and how many there were") {
    Search search(make);
    search.complete_one("short", 10ms);
    search.complete_one("long", 3s);
    search.add("waits");
    CHECK(search.found({.min_duration = 3s}) == Names{"long"});
    CHECK(search.found({.min_duration = 10ms}) == Names{"long", "short"});
    CHECK(search.found({.min_duration = 4s}).empty());
    CHECK(search.found({.min_attempt = 1}) == Names{"long", "short"});
    Failure again = failure("E", "m");
    again.retry = RetryRule::After;
    search.fail_one("twice", again);
    search.bench.claim(search.worker(), 1, {"fail"});
    CHECK(search.found({.min_attempt = 2}) == Names{"twice"});
  }

  SUBCASE("filter: a value inside the arguments") {
    using Op = ArgumentFilter::Op;
    Search search(make);
    JobSpec a = spec("k"), b = spec("k"), c = spec("k");
    a.args = R"([{"customer":42,"region":"eu-west","vip":true,"deep":{"list":[1,"x"]}},"eu"])";
    b.args = R"([{"customer":7,"region":"us-east","vip":false,"note":null},"42"])";
    c.args = R"({"customer":42.5,"my key":"it's \"quoted\""})";
    search.add("a", a);
    search.add("b", b);
    search.add("c", c);
    const auto found = [&](std::string path, Op op, std::string value) {
      return search.found({.arg = ArgumentFilter{std::move(path), op, std::move(value)}});
    };
    CHECK(found("0.customer", Op::Equal, "42") == Names{"a"});
    CHECK(found("0.customer", Op::Equal, "\"42\"").empty());
    CHECK(found("1", Op::Equal, "\"42\"") == Names{"b"});
    CHECK(found("1", Op::Equal, "42").empty());
    CHECK(found("0.region", Op::Equal, "\"us-east\"") == Names{"b"});
    CHECK(found("0.vip", Op::Equal, "true") == Names{"a"});
    CHECK(found("0.vip", Op::Equal, "1").empty());
    CHECK(found("0.note", Op::Equal, "null") == Names{"b"});
    CHECK(found("0.note", Op::Exists, "") == Names{"b"});
    CHECK(found("0.vip", Op::NotEqual, "true") == Names{"b"});
    CHECK(found("0.customer", Op::NotEqual, "7") == Names{"a"});
    CHECK(found("0.customer", Op::Less, "42") == Names{"b"});
    CHECK(found("0.customer", Op::AtMost, "42") == Names{"a", "b"});
    CHECK(found("0.customer", Op::Greater, "7") == Names{"a"});
    CHECK(found("0.customer", Op::AtLeast, "7") == Names{"a", "b"});
    CHECK(found("0.region", Op::Greater, "\"f\"") == Names{"b"});
    CHECK(found("0.region", Op::Greater, "5").empty());
    CHECK(found("0.region", Op::Contains, "\"WEST\"") == Names{"a"});
    CHECK(found("0.deep.list.1", Op::Equal, "\"x\"") == Names{"a"});
    CHECK(found("0.customer", Op::Exists, "") == Names{"a", "b"});
    CHECK(found("customer", Op::Equal, "42.5") == Names{"c"});
    CHECK(found("named.customer", Op::Greater, "42") == Names{"c"});
    CHECK(found("my key", Op::Equal, R"("it's \"quoted\"")") == Names{"c"});
    CHECK(found("5", Op::Exists, "").empty());
    CHECK(found("nothing.at.all", Op::Exists, "").empty());
    CHECK(found("it's\"bad", Op::Exists, "").empty());
    CHECK(code(search.explorer.slice({.filter = {.arg = ArgumentFilter{"0", Op::Equal, "{"}}})) ==
          Code::InvalidArgument);
  }

  SUBCASE("filter: free text") {
    Search search(make);
    JobSpec labelled = spec("k"), argued = spec("k");
    labelled.labels = {"colour:Purple"};
    argued.args = R"(["deep purple"])";
    search.add("purple rain");
    search.add("labelled", labelled);
    search.add("argued", argued);
    search.add("kind", spec("purple.paint"));
    search.fail_one("failed", failure("E", "too PURPLE"));
    search.add("other");
    CHECK(search.found({.text = "purple"}) ==
          Names{"argued", "failed", "kind", "labelled", "purple rain"});
    CHECK(search.found({.states = {JobState::Failed}, .text = "Purple"}) == Names{"failed"});
    CHECK(search.found({.text = "100%"}).empty());
  }

  SUBCASE("filter: all that is set must hold") {
    Search search(make);
    JobSpec acme = spec("mail.send", "mail"), other = spec("mail.send", "mail");
    acme.labels = {"tenant:acme"};
    acme.args = R"([1])";
    other.labels = {"tenant:other"};
    search.add("Mail a", acme);
    search.add("Mail b", other);
    search.add("Mail c", spec("mail.send", "bulk"));
    JobFilter filter{.states = {JobState::Enqueued},
                     .name = "mail",
                     .kind = "mail.send",
                     .queue = "mail",
                     .labels = {"tenant:acme"},
                     .created_after = search.bench.now() - 1s,
                     .created_before = search.bench.now() + 1s,
                     .updated_after = search.bench.now() - 1s,
                     .updated_before = search.bench.now() + 1s,
                     .arg = ArgumentFilter{"0", ArgumentFilter::Op::Equal, "1"},
                     .text = "a"};
    CHECK(search.found(filter) == Names{"Mail a"});
    filter.min_attempt = 1;
    CHECK(search.found(filter).empty());
  }
}

// --- orders and pages ----------------------------------------------------------------------------

void exercise_pages(const MakeJobExplorer& make) {
  SUBCASE("order: by change, by creation, by due time, both ways") {
    Search search(make);
    search.add_for("a", 3h);
    search.bench.clock.advance(1s);
    search.add_for("b", 1h, spec("k", "other"));
    search.bench.clock.advance(1s);
    const auto c = search.add("c");
    search.bench.clock.advance(1s);
    search.add("d");
    search.bench.clock.advance(1s);
    need(search.bench.store.remove(c, "", search.bench.now()));
    const auto names = [&](JobOrder order, bool descending) {
      return names_of(search.slice({.order = order, .descending = descending}));
    };
    CHECK(names(JobOrder::UpdatedAt, false) == Names{"a", "b", "d", "c"});
    CHECK(names(JobOrder::UpdatedAt, true) == Names{"c", "d", "b", "a"});
    CHECK(names(JobOrder::CreatedAt, false) == Names{"a", "b", "c", "d"});
    CHECK(names(JobOrder::CreatedAt, true) == Names{"d", "c", "b", "a"});
    CHECK(names(JobOrder::ScheduledAt, false) == Names{"b", "a"});
    CHECK(names(JobOrder::ScheduledAt, true) == Names{"a", "b"});
    CHECK(names_of(search.slice({.filter = {.states = {JobState::Enqueued}},
                                 .order = JobOrder::ScheduledAt}))
              .empty());
    CHECK(names_of(search.slice({.filter = {.states = {JobState::Scheduled, JobState::Deleted}},
                                 .order = JobOrder::CreatedAt,
                                 .descending = true})) == Names{"c", "b", "a"});
    CHECK(names_of(search.slice({.filter = {.queue = "other"}, .order = JobOrder::ScheduledAt})) ==
          Names{"b"});
  }

  SUBCASE("pages: first, next, previous, last, and an offset") {
    for (const auto order : {JobOrder::UpdatedAt, JobOrder::CreatedAt, JobOrder::ScheduledAt}) {
      CAPTURE(static_cast<int>(order));
      Search search(make);
      for (int i = 0; i < 10; ++i) {
        search.add_for(std::to_string(i), 1h, spec("k", i % 2 == 0 ? "even" : "odd"));
        search.bench.clock.advance(1s);
      }
      JobSliceRequest request{.order = order, .limit = 4};
      const auto first = search.slice(request);
      CHECK(names_of(first) == Names{"0", "1", "2", "3"});
      CHECK_FALSE(first.has_before);
      CHECK(first.has_after);

      request.after = first.last;
      const auto second = search.slice(request);
      CHECK(names_of(second) == Names{"4", "5", "6", "7"});
      CHECK(second.has_before);
      CHECK(second.has_after);
      request.after = second.last;
      const auto third = search.slice(request);
      CHECK(names_of(third) == Names{"8", "9"});
      CHECK(third.has_before);
      CHECK_FALSE(third.has_after);
      request.after = third.last;
      const auto beyond = search.slice(request);
      CHECK(beyond.items.empty());
      CHECK(beyond.has_before);
      CHECK_FALSE(beyond.has_after);

      request.after.clear();
      request.before = third.first;
      const auto back = search.slice(request);
      CHECK(names_of(back) == Names{"4", "5", "6", "7"});
      CHECK(back.has_before);
      CHECK(back.has_after);
      request.before = second.first;
      const auto start = search.slice(request);
      CHECK(names_of(start) == Names{"0", "1", "2", "3"});
      CHECK_FALSE(start.has_before);
      CHECK(start.has_after);

      request.before.clear();
      request.last = true;
      const auto last = search.slice(request);
      CHECK(names_of(last) == Names{"6", "7", "8", "9"});
      CHECK(last.has_before);
      CHECK_FALSE(last.has_after);

      request.last = false;
      request.offset = 3;
      const auto skipped = search.slice(request);
      CHECK(names_of(skipped) == Names{"3", "4", "5", "6"});
      CHECK(skipped.has_before);
      CHECK(skipped.has_after);
      request.offset = 100;
      CHECK(search.slice(request).items.empty());

      request.offset = 0;
      request.descending = true;
      const auto newest = search.slice(request);
      CHECK(names_of(newest) == Names{"9", "8", "7", "6"});
      request.after = newest.last;
      CHECK(names_of(search.slice(request)) == Names{"5", "4", "3", "2"});
      request.after.clear();
      request.last = true;
      CHECK(names_of(search.slice(request)) == Names{"3", "2", "1", "0"});
    }
  }

  SUBCASE("pages: of jobs of one instant none is missing or twice") {
    Search search(make);
    for (int i = 0; i < 23; ++i) {
      JobSpec job = spec(i % 3 == 0 ? "a" : "b", i % 2 == 0 ? "even" : "odd");
      search.add(std::to_string(i), job);
    }
    for (const auto order : {JobOrder::UpdatedAt, JobOrder::CreatedAt}) {
      for (const bool descending : {false, true}) {
        const auto all = names_of(search.slice({.order = order, .descending = descending}));
        REQUIRE(all.size() == 23);
        Names walked;
        JobSliceRequest request{.order = order, .descending = descending, .limit = 5};
        for (bool more = true; more;) {
          const auto slice = search.slice(request);
          for (const Job& job : slice.items) walked.push_back(job.name);
          request.after = slice.last;
          more = slice.has_after;
        }
        CHECK(walked == all);
      }
    }
  }

  SUBCASE("pages: a place stays where it is while jobs come, go and change") {
    Search search(make);
    search.add_each({"a", "b", "c", "d", "e", "f"});
    JobSliceRequest request{.filter = {.states = {JobState::Enqueued}}, .limit = 2};
    const auto first = search.slice(request);
    CHECK(names_of(first) == Names{"a", "b"});
    for (const Job& job : first.items)
      need(search.bench.store.remove(job.id, "", search.bench.now()));
    search.add("g");
    request.after = first.last;
    const auto next = search.slice(request);
    CHECK(names_of(next) == Names{"c", "d"});
    CHECK_FALSE(next.has_before);
    request.after.clear();
    request.before = next.first;
    CHECK(search.slice(request).items.empty());
    request.before.clear();
    request.after = next.last;
    CHECK(names_of(search.slice(request)) == Names{"e", "f"});
  }

  SUBCASE("pages: with filters that the order knows nothing of") {
    Search search(make);
    JobSpec labelled = spec("k");
    labelled.labels = {"l"};
    for (int i = 0; i < 12; ++i) {
      search.add(std::to_string(i), i % 3 == 0 ? labelled : spec("other"));
      search.bench.clock.advance(1s);
    }
    JobSliceRequest request{.filter = {.labels = {"l"}}, .limit = 2};
    const auto first = search.slice(request);
    CHECK(names_of(first) == Names{"0", "3"});
    CHECK(first.has_after);
    request.after = first.last;
    const auto second = search.slice(request);
    CHECK(names_of(second) == Names{"6", "9"});
    CHECK(second.has_before);
    CHECK_FALSE(second.has_after);
    request.filter = {.kind = "k"};
    CHECK(names_of(search.slice(request)) == Names{"6", "9"});
    request.filter = {.name = "1"};
    request.after.clear();
    request.descending = true;
    CHECK(names_of(search.slice(request)) == Names{"11", "10"});
  }

  SUBCASE("pages: what cannot be asked") {
    Search search(make);
    search.add_each({"a", "b", "c"});
    const auto place = search.slice({}).last;
    const auto refused = [&](const JobSliceRequest& request) {
      return code(search.explorer.slice(request)) == Code::InvalidArgument;
    };
    CHECK(refused({.order = JobOrder::CreatedAt, .after = place}));
    CHECK(refused({.order = JobOrder::CreatedAt, .before = place}));
    CHECK(refused({.after = "no place"}));
    CHECK(refused({.after = "'; DROP TABLE job"}));
    CHECK(refused({.limit = 0}));
    CHECK(refused({.limit = 1001}));
    CHECK(refused({.offset = 10'001}));
    CHECK(refused({.offset = -1}));
    CHECK(refused({.after = place, .offset = 1}));
    CHECK(refused({.after = place, .last = true}));
    CHECK(refused({.after = place, .before = place}));
    CHECK(code(search.explorer.ids({}, "no place", 10)) == Code::InvalidArgument);
    CHECK(code(search.explorer.ids({}, "", 10'001)) == Code::InvalidArgument);
  }
}

// --- counts and ids ------------------------------------------------------------------------------

void exercise_counts(const MakeJobExplorer& make) {
  SUBCASE("count: exact up to the cap, and without one where counters tell it") {
    Search search(make);
    JobSpec many = spec("k", "many");
    many.count = 30;
    many.labels = {"l"};
    many.name = "many {i}";
    search.bench.insert({many});
    search.add("one");
    const auto count = [&](const JobFilter& filter) {
      return need(search.explorer.count(filter, 10));
    };
    CHECK(count({.states = {JobState::Enqueued}}).count == 31);
    CHECK(count({.states = {JobState::Enqueued}}).exact);
    CHECK(count({.states = {JobState::Enqueued}, .queue = "many"}).count == 30);
    CHECK(count({.states = {JobState::Enqueued}, .queue = "many"}).exact);
    CHECK(count({.states = {JobState::Scheduled}}).count == 0);
    CHECK(count({.labels = {"l"}}).count == 10);
    CHECK_FALSE(count({.labels = {"l"}}).exact);
    CHECK(count({.name = "many 2"}).count == 10);
    CHECK_FALSE(count({.name = "many 2"}).exact);  // 2, 12, 20 to 29
    CHECK(need(search.explorer.count({.name = "many 2"}, 12)).exact);
    CHECK(count({.name = "one"}).count == 1);
    CHECK(count({.name = "one"}).exact);

    search.bench.claim(search.worker(), 7);
    CHECK(count({.states = {JobState::Processing}}).count == 7);
    CHECK(count({.states = {JobState::Processing, JobState::Enqueued}}).count == 31);
  }

  SUBCASE("ids: page by page, the longest unchanged first") {
    Search search(make);
    for (int i = 0; i < 5; ++i) {
      search.add(std::to_string(i), spec("k", i % 2 == 0 ? "a" : "b"));
      search.bench.clock.advance(1s);
    }
    search.bench.clock.advance(1s);
    const auto page = need(search.explorer.ids({}, "", 2));
    REQUIRE(page.ids.size() == 2);
    CHECK(search.bench.job(page.ids[0]).name == "0");
    CHECK(search.bench.job(page.ids[1]).name == "1");
    need(search.bench.store.remove(page.ids[0], "", search.bench.now()));
    const auto next = need(search.explorer.ids({}, page.last, 10));
    REQUIRE(next.ids.size() == 4);
    CHECK(search.bench.job(next.ids[0]).name == "2");
    CHECK(search.bench.job(next.ids[3]).name == "0");
    CHECK(need(search.explorer.ids({}, next.last, 10)).ids.empty());
    CHECK(need(search.explorer.ids({}, next.last, 10)).last.empty());
    CHECK(need(search.explorer.ids({.queue = "b"}, "", 10)).ids.size() == 2);
  }

  SUBCASE("explorer: sees what was confirmed before") {
    Search search(make);
    for (int i = 1; i <= 20; ++i) {
      const auto id = search.add(std::to_string(i));
      CHECK(need(search.explorer.count({.states = {JobState::Enqueued}}, 1)).count == 1);
      CHECK(search.slice({.filter = {.states = {JobState::Enqueued}}}).items.front().id == id);
      need(search.bench.store.remove(id, "", search.bench.now()));
      CHECK(need(search.explorer.count({.states = {JobState::Enqueued}}, 1)).count == 0);
    }
  }
}

// --- failures ------------------------------------------------------------------------------------

void exercise_failures(const MakeJobExplorer& make) {
  SUBCASE("failures: those that failed alike are one group, the latest first") {
    Search search(make);
    const TimePoint t0 = search.bench.now();
    search.fail_one("a1", failure("E", "row 1", "  at load(17)\n  at main"), spec("load"));
    search.bench.clock.advance(1s);
    search.fail_one("b1", failure("F", "no stack 1"));
    search.bench.clock.advance(1s);
    const auto latest =
        search.fail_one("a2", failure("E", "row 2", "  at load(18)\n  at run"), spec("load2"));
    search.bench.clock.advance(1s);
    search.complete_one("fine");

    const auto groups = need(search.explorer.failures(0, 10));
    REQUIRE(groups.size() == 2);
    CHECK(groups[0].fingerprint == fingerprint_of("E", "at load(17)", ""));
    CHECK(groups[0].error_type == "E");
    CHECK(groups[0].top_frame == "at load(18)");
    CHECK(groups[0].message == "row 2");
    CHECK(groups[0].kind == "load2");
    CHECK(groups[0].example == latest);
    CHECK(groups[0].count == 2);
    CHECK(groups[0].quarantined == 0);
    CHECK(groups[0].first_seen == t0);
    CHECK(groups[0].last_seen == t0 + 2s);
    CHECK(groups[1].error_type == "F");
    CHECK(groups[1].top_frame.empty());
    CHECK(groups[1].count == 1);
    CHECK(need(search.explorer.failure_groups()).count == 2);
    CHECK(need(search.explorer.failure_groups()).exact);
    CHECK(need(search.explorer.failures(1, 10)).size() == 1);
    CHECK(need(search.explorer.failures(0, 1)).front().error_type == "E");
    CHECK(need(search.explorer.failures(2, 10)).empty());
  }

  SUBCASE("failures: a job that is requeued or deleted leaves its group") {
    Search search(make);
    const auto first = search.fail_one("1", failure("E", "first"));
    search.bench.clock.advance(1s);
    const auto second = search.fail_one("2", failure("E", "first"));
    search.bench.clock.advance(1s);
    const auto third = search.fail_one("3", failure("E", "first"));
    CHECK(need(search.explorer.failures(0, 10)).front().count == 3);

    need(search.bench.store.requeue(third, search.bench.now()));
    const auto two = need(search.explorer.failures(0, 10));
    REQUIRE(two.size() == 1);
    CHECK(two[0].count == 2);
    CHECK(two[0].example == second);
    CHECK(two[0].last_seen == search.bench.job(second).updated_at);
    need(search.bench.store.remove(first, "", search.bench.now()));
    const auto one = need(search.explorer.failures(0, 10));
    REQUIRE(one.size() == 1);
    CHECK(one[0].count == 1);
    CHECK(one[0].first_seen == one[0].last_seen);
    need(search.bench.owner.alter(std::vector{second}, Alteration{}, search.bench.now()));
    CHECK(need(search.explorer.failures(0, 10)).empty());
    CHECK(need(search.explorer.failure_groups()).count == 0);
  }

  SUBCASE("failures: one that is tried again is none") {
    Search search(make);
    Failure again = failure("E", "m");
    again.retry = RetryRule::Default;
    search.fail_one("a", again);
    CHECK(need(search.explorer.failures(0, 10)).empty());
  }

  SUBCASE("failures: those in quarantine are told apart") {
    Search search(make);
    JobSpec job = spec("k");
    job.max_crashes = 1;
    search.add("a", job);
    search.bench.claim_one(search.worker());
    Crash crash;
    crash.signal = 11;
    need(search.bench.owner.worker_died(search.worker(), crash, search.bench.now()));
    const auto groups = need(search.explorer.failures(0, 10));
    REQUIRE(groups.size() == 1);
    CHECK(groups[0].error_type == "jobmill.CrashLimit");
    CHECK(groups[0].count == 1);
    CHECK(groups[0].quarantined == 1);
  }
}

// --- the rest ------------------------------------------------------------------------------------

void exercise_completion(const MakeJobExplorer& make) {
  SUBCASE("histories: of many jobs, in their order") {
    Search search(make);
    const auto ended = search.complete_one("a");
    const auto waits = search.add("b");
    const auto all = need(
        search.explorer.histories(std::vector<std::string>{waits, new_id(TimePoint{}), ended}));
    REQUIRE(all.size() == 3);
    REQUIRE(all[0].size() == 1);
    CHECK(all[0][0].state == JobState::Enqueued);
    CHECK(all[1].empty());
    const auto known = need(search.bench.store.history(ended));
    REQUIRE(all[2].size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(all[2][i].state == known[i].state);
      CHECK(all[2][i].at == known[i].at);
      CHECK(all[2][i].data == known[i].data);
    }
    CHECK(need(search.explorer.histories({})).empty());
  }

  SUBCASE("completion: kinds, and labels that begin so") {
    Search search(make);
    JobSpec a = spec("b.kind"), b = spec("a.kind", "other");
    a.labels = {"tenant:acme", "urgent"};
    b.labels = {"tenant:zeta", "tenant:acme", "100%"};
    search.add("a", a);
    search.add("b", b);
    search.add("c", a);
    CHECK(need(search.explorer.kinds()) == Names{"a.kind", "b.kind"});
    CHECK(need(search.explorer.labels("", 10)) ==
          Names{"100%", "tenant:acme", "tenant:zeta", "urgent"});
    CHECK(need(search.explorer.labels("tenant:", 10)) == Names{"tenant:acme", "tenant:zeta"});
    CHECK(need(search.explorer.labels("tenant:", 1)) == Names{"tenant:acme"});
    CHECK(need(search.explorer.labels("%", 10)).empty());
    CHECK(need(search.explorer.labels("100%", 10)) == Names{"100%"});
  }

  SUBCASE("completion: labels of jobs that are gone are forgotten") {
    Search search(make);
    JobSpec job = spec("k");
    job.labels = {"l"};
    need(search.bench.store.remove(search.add("a", job), "", search.bench.now()));
    CHECK(need(search.explorer.labels("", 10)) == Names{"l"});
    search.bench.clock.advance(73h);
    need(search.bench.owner.expire(search.bench.now()));
    CHECK(need(search.explorer.labels("", 10)).empty());
    CHECK(search.found({}).empty());
  }
}

}  // namespace

void exercise_job_explorer(const MakeJobExplorer& make) {
  exercise_filters(make);
  exercise_pages(make);
  exercise_counts(make);
  exercise_failures(make);
  exercise_completion(make);
}

}  // namespace jobmill::jobs
