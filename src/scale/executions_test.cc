// SPDX-License-Identifier: Apache-2.0
#include "scale/executions.h"

#include <doctest/doctest.h>

namespace jobmill::scale {
namespace {

// One rule: T 1, max 10.
ExecutionsInput bound(std::int64_t ready, std::int64_t reserved, std::int64_t unfinished) {
  ExecutionsInput in;
  in.max = 10;
  in.unfinished = unfinished;
  in.bound = {{.name = "orders", .ready = ready, .reserved = reserved}};
  return in;
}

ExecutionsInput keda(double length, double target, std::int64_t unfinished) {
  ExecutionsInput in;
  in.semantics = JobSemantics::Keda;
  in.max = 10;
  in.unfinished = unfinished;
  in.triggers = {{"orders", "azure-servicebus", length, target, length > 0, ""}};
  return in;
}

int created(const ExecutionsInput& in) { return decide_executions(in).total(); }

std::string sentence(const ExecutionsInput& in) { return decide_executions(in).sentence; }

}  // namespace

TEST_CASE("executions: bound, formula table") {
  struct Case {
    std::int64_t ready, locked, reserved, messages, activation;
    std::optional<std::int64_t> min, max;
    std::int64_t unfinished;
    int create;
    JobLimit limit;
  };
  constexpr auto unset = std::nullopt;
  const std::vector<Case> cases{
      // ready locked reserved T activation min max unfinished
      {0, 0, 0, 1, 0, 0, 10, 0, 0, JobLimit::None},
      {3, 0, 0, 1, 0, 0, 10, 0, 3, JobLimit::None},
      {3, 0, 0, 1, 0, unset, unset, 0, 3, JobLimit::None},
      {300, 0, 0, 1, 0, unset, unset, 0, 100, JobLimit::MaxExecutions},
      {3, 0, 3, 1, 0, 0, 10, 3, 0, JobLimit::Reserved},
      {5, 0, 3, 1, 0, 0, 10, 3, 2, JobLimit::None},
      {5, 0, 9, 1, 0, 0, 10, 9, 0, JobLimit::Reserved},
      {4, 6, 0, 1, 0, 0, 10, 6, 4, JobLimit::None},  // held messages mask nothing
      {5, 5, 0, 1, 0, 0, 10, 6, 4, JobLimit::MaxExecutions},
      {0, 4, 0, 1, 0, 0, 10, 4, 0, JobLimit::Locked},
      {7, 0, 0, 3, 0, 0, 10, 0, 3, JobLimit::None},
      {7, 0, 3, 3, 0, 0, 10, 1, 2, JobLimit::None},
      {7, 0, 6, 3, 0, 0, 10, 2, 1, JobLimit::None},
      {2, 0, 0, 0, 0, 0, 10, 0, 2, JobLimit::None},   // T 0 counts as 1
      {2, 0, 0, -5, 0, 0, 10, 0, 2, JobLimit::None},  // as does one below
      {2, 0, 0, 1, 2, 0, 10, 0, 0, JobLimit::Activation},
      {2, 1, 0, 1, 2, 0, 10, 1, 2, JobLimit::None},  // locked ones count for the activation
      {0, 0, 0, 1, 0, 2, 10, 0, 2, JobLimit::None},
      {0, 0, 2, 1, 0, 2, 10, 2, 0, JobLimit::None},
      {1, 0, 2, 1, 0, 2, 10, 2, 0, JobLimit::Reserved},  // one of the kept ones takes it
      {1, 0, 0, 1, 0, 3, 10, 0, 3, JobLimit::None},
      {5, 0, 0, 1, 0, 3, 10, 0, 5, JobLimit::None},
      {0, 0, 0, 1, 0, 5, 3, 0, 3, JobLimit::None},  // max < min
      {0, 0, 3, 1, 0, 5, 3, 3, 0, JobLimit::None},
      {4, 0, 3, 1, 0, 5, 3, 3, 0, JobLimit::MaxExecutions},
      {4, 0, 0, 1, 0, 0, 2, 5, 0, JobLimit::MaxExecutions},  // started by hand, beyond max
      {4, 0, 0, 1, 0, 0, 0, 0, 0, JobLimit::MaxExecutions},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    CAPTURE(i);
    const Case& one = cases[i];
    ExecutionsInput in;
    in.min = one.min;
    in.max = one.max;
    in.unfinished = one.unfinished;
    in.bound = {{.name = "orders",
                 .ready = one.ready,
                 .locked = one.locked,
                 .reserved = one.reserved,
                 .messages = one.messages,
                 .activation = one.activation}};
    const ExecutionsDecision decision = decide_executions(in);
    CHECK(decision.total() == one.create);
    CHECK(to_string(decision.limit) == to_string(one.limit));
    CHECK_FALSE(decision.sentence.empty());
  }
}

TEST_CASE("executions: bound, rules are served in their order until max is reached") {
  ExecutionsInput in;
  in.max = 5;
  in.unfinished = 1;
  in.bound = {{.name = "orders", .ready = 3, .reserved = 1},
              {.name = "mails", .ready = 10, .messages = 4}};
  const ExecutionsDecision decision = decide_executions(in);
  REQUIRE(decision.create.size() == 2);
  CHECK(decision.create[0].rule == 0);
  CHECK(decision.create[0].count == 2);
  CHECK(decision.create[1].rule == 1);
  CHECK(decision.create[1].count == 2);
  CHECK(decision.wanted == 5);
  CHECK(decision.sentence == "max-executions (5 of 5 running); 2 ready");
  CHECK(decision.formula ==
        "orders: ceil((3 ready - 1 reserved) / 1) = 2; mails: ceil((10 ready - 0 reserved) / 4) = "
        "3; sum 5; max 5 - 1 unfinished = 4");
}

TEST_CASE("executions: bound, what is kept for min is of the first rule that can be read") {
  ExecutionsInput in;
  in.min = 3;
  in.bound = {{.name = "orders", .error = "no such queue"}, {.name = "mails", .ready = 1}};
  ExecutionsDecision decision = decide_executions(in);
  REQUIRE(decision.create.size() == 1);
  CHECK(decision.create[0].rule == 1);
  CHECK(decision.create[0].count == 3);

  in.bound.pop_back();
  decision = decide_executions(in);
  REQUIRE(decision.create.size() == 1);
  CHECK(decision.create[0].rule == -1);

  in.keep_min = false;
  CHECK(created(in) == 0);
}

TEST_CASE("executions: bound, the limit is told with its numbers") {
  ExecutionsInput in = bound(3, 0, 1);
  in.max = 1;
  CHECK(sentence(in) == "max-executions (1 of 1 running); 3 ready");
  in = bound(4, 1, 1);  // the running one has not taken its message yet
  in.max = 1;
  CHECK(sentence(in) == "max-executions (1 of 1 running); 3 ready");
  CHECK(decide_executions(in).formula ==
        "ceil((4 ready - 1 reserved) / 1) = 3; max 1 - 1 unfinished = 0");
  in = bound(5, 0, 0);
  in.max = 1;
  CHECK(sentence(in) == "max-executions (1 of 1 running); 4 ready");

  CHECK(sentence(bound(0, 0, 0)) == "nothing is ready");
  CHECK(sentence(bound(2, 0, 0)) == "2 started, as many as are wanted");
  CHECK(sentence(bound(2, 3, 3)) == "reserved (2 of 2 ready); executions were started for them");

  in = bound(2, 2, 2);
  in.bound[0].backing_off = 1;
  CHECK(sentence(in) == "back-off (1 reserved for executions that wait to try again); 2 ready");
  in.bound[0].reserved = 3;
  CHECK(decide_executions(in).limit == JobLimit::Reserved);  // the other two are enough for both

  in = bound(2, 0, 0);
  in.suspended = true;
  CHECK(sentence(in) == "suspended; 2 ready");
  CHECK(created(in) == 0);

  in = bound(2, 0, 0);
  in.bound[0].activation = 5;
  CHECK(sentence(in) == "activation (2 are not more than 5); 2 ready");

  in = bound(0, 0, 1);
  in.bound[0].locked = 2;
  CHECK(sentence(in) == "locked (2); none ready");
  in.bound[0].sessions = true;
  CHECK(sentence(in) == "sessions locked (2); no other session is ready");

  in = bound(2, 0, 0);
  in.bound[0].receivable = false;
  CHECK(sentence(in) == "disabled entity (orders); nothing starts on its account");
  CHECK(created(in) == 0);
}

TEST_CASE("executions: bound, what cannot be read starts nothing and is not empty") {
  ExecutionsInput in = bound(2, 0, 0);
  in.bound[0].error = "the queue orders does not exist";
  ExecutionsDecision decision = decide_executions(in);
  CHECK(decision.total() == 0);
  CHECK(decision.limit == JobLimit::Stale);
  CHECK(decision.sentence ==
        "stale (orders: the queue orders does not exist); nothing starts on its account");

  in.bound.push_back({.name = "mails", .ready = 1});
  decision = decide_executions(in);
  CHECK(decision.total() == 1);
  CHECK(decision.limit == JobLimit::Stale);
}

TEST_CASE("executions: bound, what KEDA would have done from the same state") {
  ExecutionsInput in = bound(2, 0, 3);
  in.bound[0].locked = 3;
  CHECK(created(in) == 2);
  CHECK(decide_executions(in).keda_would_create == 2);

  in = bound(2, 0, 5);  // three have settled, but have not ended yet
  in.bound[0].locked = 2;
  CHECK(created(in) == 2);
  CHECK(decide_executions(in).keda_would_create == 0);
}

TEST_CASE("executions: KEDA, the trigger that was chosen starts them") {
  ExecutionsInput in = keda(3, 1, 0);
  in.triggers.push_back({"mails", "azure-servicebus", 8, 2, true, ""});
  ExecutionsDecision decision = decide_executions(in);
  REQUIRE(decision.create.size() == 1);
  CHECK(decision.create[0].rule == 1);
  CHECK(decision.create[0].count == 4);

  in.combination = JobCombination::Sum;
  decision = decide_executions(in);
  REQUIRE(decision.create.size() == 1);
  CHECK(decision.create[0].rule == -1);
  CHECK(decision.create[0].count == 7);
}

TEST_CASE("executions: KEDA, the limit is told with its numbers") {
  ExecutionsInput in = keda(4, 1, 1);
  in.max = 1;
  ExecutionsDecision decision = decide_executions(in);
  CHECK(decision.limit == JobLimit::MaxExecutions);
  CHECK(decision.sentence == "max-executions (1 of 1 running); 4 in the queue");
  CHECK(decision.formula == "min(4 / 1, 1) rounded up = 1; 1 - 1 running = 0; 4 in the queue: 0");

  CHECK(sentence(keda(5, 1, 5)) ==
        "reserved (the 5 running are counted against the 5 in the queue)");
  CHECK(sentence(keda(5, 1, 0)) == "5 started, as many as are wanted");
  CHECK(sentence(keda(0, 1, 0)) == "nothing is in the queue");

  in = keda(2, 1, 0);
  in.triggers[0].active = false;
  CHECK(decide_executions(in).limit == JobLimit::Activation);

  in = keda(7, 0, 0);  // no target: no scale
  CHECK(created(in) == 0);

  in = keda(2, 1, 0);
  in.suspended = true;
  CHECK(decide_executions(in).limit == JobLimit::Suspended);
  CHECK(created(in) == 0);
}

TEST_CASE("executions: KEDA, a trigger that failed neither starts anything nor counts as empty") {
  ExecutionsInput in = keda(5, 1, 0);
  in.triggers[0].error = "connection refused";
  ExecutionsDecision decision = decide_executions(in);
  CHECK(decision.total() == 0);
  CHECK(decision.limit == JobLimit::Stale);
  CHECK(decision.sentence == "stale (orders: connection refused); nothing starts on its account");

  in.min = 1;  // those are kept all the same
  decision = decide_executions(in);
  REQUIRE(decision.create.size() == 1);
  CHECK(decision.create[0].rule == -1);
}

TEST_CASE("executions: KEDA, the strategy is shown beside what default would do") {
  ExecutionsInput in = keda(6, 1, 3);
  in.strategy = JobStrategy::Eager;
  ExecutionsDecision decision = decide_executions(in);
  CHECK(decision.total() == 6);
  CHECK(decision.keda_would_create == 3);
  CHECK(decision.formula ==
        "min(6 / 1, 10) rounded up = 6; eager: min(10 - 3 running - 0 pending, "
        "6) = 6; 6 in the queue: 6");
}

TEST_CASE("executions: a decision as a document") {
  ExecutionsInput in = bound(2, 1, 1);
  in.at = ManualClock().now();
  ExecutionsDecision decision = decide_executions(in);
  decision.id = "18cc2519c00-1";
  const Node document = to_document(decision);
  CHECK(document.find("id")->text == "18cc2519c00-1");
  CHECK(document.find("at")->text == "2024-01-01T00:00:00Z");
  CHECK(document.find("semantics")->text == "bound");
  CHECK(to_json(*document.find("create")) == R"([{"rule":"orders","count":1}])");
  CHECK(document.find("limit")->text == "none");
  CHECK(document.find("minExecutions")->is_null());
  CHECK(document.find("cloudWouldCreate")->as_int() == 1);
  REQUIRE(document.find("rules")->items.size() == 1);
  CHECK(document.find("rules")->items[0].find("reserved")->as_int() == 1);

  const Node cloud = to_document(decide_executions(keda(2.5, 2, 0)));
  CHECK(cloud.find("semantics")->text == "cloud");
  CHECK(cloud.find("strategy")->text == "default");
  CHECK(cloud.find("rules")->items[0].find("queueLength")->as_double() == 2.5);
}

}  // namespace jobmill::scale
