// SPDX-License-Identifier: Apache-2.0
#include "executions/execution.h"

#include <doctest/doctest.h>

#include <chrono>

namespace jobmill::executions {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kNoon{1'767'268'800s};  // 2026-01-01T12:00:00Z

Container container() {
  Container one;
  one.name = "main";
  one.image = "registry.example/app:1";
  one.command = {"python", "a b.py"};
  one.args = {"--fast"};
  one.env = {{"PLAIN", "x=1", ""}, {"EMPTY", "", ""}, {"HIDDEN", "", "key"}};
  one.cpu_milli = 250;
  one.memory_bytes = std::int64_t{512} << 20;
  return one;
}

ContainerJob job() {
  ContainerJob job;
  job.key = {"rg", "worker"};
  job.trigger = TriggerType::Event;
  job.replica_timeout = 1500ms;
  job.retry_limit = 3;
  job.completions = 4;
  job.parallelism = 2;
  job.cron = "*/5 * * * *";
  job.polling_interval = 12s;
  job.min_executions = 1;
  job.max_executions = 9;
  job.rules = {{"queue",
                "azure-servicebus",
                {{"queueName", "orders"}, {"messageCount", "2"}},
                {{"connection-string", "connection"}},
                "/identities/a"}};
  job.pod.containers = {container()};
  job.pod.init_containers = {container()};
  job.pod.init_containers[0].memory_bytes = 12'345;
  job.identity = {true, {"/identities/a", "/identities/b"}};
  job.options.runner = RunnerKind::Oci;
  job.options.workdir = "/srv/app";
  job.options.semantics = Semantics::Bound;
  job.options.supervisor_locks = false;
  job.options.stop_grace = 200ms;
  job.options.backoff = {1500ms, 90s};
  job.options.stalled_after = 7s;
  job.options.history = {1000, std::chrono::hours(24 * 30)};
  job.options.pending_limit = 5;
  job.options.suspended = true;
  job.generation = 17;
  job.created = kNoon - 1h;
  job.updated = kNoon - 1min;
  return job;
}

Execution execution() {
  Execution one;
  one.name = "worker-abcdefg";
  one.job = {"rg", "worker"};
  one.status = ExecutionStatus::Running;
  one.reason = "exit 1";
  one.stopping = true;
  one.by = {"queue", "azure-servicebus", "decision-1"};
  one.semantics = Semantics::Bound;
  one.rule = 0;
  one.reserves = 2;
  one.started = job();
  one.created = kNoon;
  one.began = kNoon + 1us;
  one.succeeded = 1;
  one.failures = 2;
  Replica failed;
  failed.name = "worker-abcdefg-00000";
  failed.state = ReplicaState::Failed;
  failed.reason = "oom";
  failed.mark = {42, 123'456'789, "/sys/fs/cgroup/x"};
  failed.created = kNoon;
  failed.started = kNoon + 1s;
  failed.deadline = kNoon + 2s;
  failed.ended = kNoon + 3s;
  failed.end = ReplicaEnd{137, 9, true, 1 << 30, "Killed\n"};
  Replica waiting;
  waiting.name = "worker-abcdefg-11111";
  waiting.attempt = 2;
  waiting.created = kNoon + 3s;
  waiting.due = kNoon + 13s;
  one.replicas = {failed, waiting};
  TakenMessage message;
  message.replica = failed.name;
  message.entity = "orders";
  message.sequence = std::int64_t{1} << 50;
  message.message_id = "id-1";
  message.delivery_count = 3;
  message.taken = kNoon + 1s;
  message.outcome = "dead-lettered";
  message.reason = "MaxDeliveryCountExceeded";
  message.ended = kNoon + 2s;
  one.messages = {message};
  return one;
}

}  // namespace

TEST_CASE("execution: what is stored reads back as it was") {
  const Execution before = execution();
  const auto again = parse_json(to_json(to_document(before)));
  REQUIRE(again);
  const auto after = execution_from(*again);
  REQUIRE(after);
  CHECK(to_json(to_document(*after)) == to_json(to_document(before)));

  const ContainerJob& job = after->started;
  CHECK(job.key == before.job);
  CHECK(job.trigger == TriggerType::Event);
  CHECK(job.replica_timeout == 1500ms);
  CHECK(job.retry_limit == 3);
  CHECK(job.completions == 4);
  CHECK(job.parallelism == 2);
  CHECK(job.cron == "*/5 * * * *");
  CHECK(job.polling_interval == 12s);
  CHECK(job.min_executions == 1);
  CHECK(job.max_executions == 9);
  REQUIRE(job.rules.size() == 1);
  CHECK(job.rules[0].metadata == before.started.rules[0].metadata);
  CHECK(job.rules[0].auth.at(0).parameter == "connection");
  CHECK(job.rules[0].identity == "/identities/a");
  REQUIRE(job.pod.containers.size() == 1);
  CHECK(job.pod.containers[0].command == before.started.pod.containers[0].command);
  CHECK(job.pod.containers[0].env.at(1).value.empty());
  CHECK(job.pod.containers[0].env.at(2).secret == "key");
  CHECK(job.pod.containers[0].cpu_milli == 250);
  CHECK(job.pod.containers[0].memory_bytes == std::int64_t{512} << 20);
  CHECK(job.pod.init_containers.at(0).memory_bytes == 12'345);
  CHECK(job.identity.system);
  CHECK(job.identity.user == before.started.identity.user);
  CHECK(job.options.runner == RunnerKind::Oci);
  CHECK(job.options.workdir == "/srv/app");
  CHECK(job.options.semantics == Semantics::Bound);
  CHECK_FALSE(job.options.supervisor_locks);
  CHECK(job.options.stop_grace == 200ms);
  CHECK(job.options.backoff.first == 1500ms);
  CHECK(job.options.backoff.longest == 90s);
  CHECK(job.options.stalled_after == 7s);
  CHECK(job.options.history.keep == 1000);
  CHECK(job.options.history.age == std::chrono::hours(24 * 30));
  CHECK(job.options.pending_limit == 5);
  CHECK(job.options.suspended);
  CHECK(job.generation == 17);
  CHECK(job.created == kNoon - 1h);
  CHECK(job.updated == kNoon - 1min);

  CHECK(after->status == ExecutionStatus::Running);
  CHECK(after->stopping);
  CHECK(after->by.decision == "decision-1");
  CHECK(after->semantics == Semantics::Bound);
  CHECK(after->rule == 0);
  CHECK(after->reserves == 2);
  CHECK(after->began == kNoon + 1us);
  CHECK_FALSE(after->ended);
  CHECK(after->succeeded == 1);
  CHECK(after->failures == 2);
  REQUIRE(after->replicas.size() == 2);
  CHECK(after->replicas[0].state == ReplicaState::Failed);
  CHECK(after->replicas[0].mark.start_ticks == 123'456'789);
  CHECK(after->replicas[0].mark.cgroup == "/sys/fs/cgroup/x");
  CHECK(after->replicas[0].deadline == kNoon + 2s);
  REQUIRE(after->replicas[0].end);
  CHECK(after->replicas[0].end->out_of_memory);
  CHECK(after->replicas[0].end->peak_rss_bytes == 1 << 30);
  CHECK(after->replicas[1].due == kNoon + 13s);
  CHECK_FALSE(after->replicas[1].end);
  REQUIRE(after->messages.size() == 1);
  CHECK(after->messages[0].sequence == std::int64_t{1} << 50);
  CHECK(after->messages[0].ended == kNoon + 2s);
}

TEST_CASE("execution: one that was just made reads back too") {
  Execution empty;
  empty.name = "w-aaaaaaa";
  empty.job = {"default", "w"};
  const auto after = execution_from(to_document(empty));
  REQUIRE(after);
  CHECK_FALSE(after->started.replica_timeout);
  CHECK(after->started.options.history.age == History().age);
  CHECK(after->started.options.backoff.longest == Backoff().longest);
  CHECK(after->rule == -1);
  CHECK(to_json(to_document(*after)) == to_json(to_document(empty)));
}

TEST_CASE("execution: options of every kind read back") {
  Execution one = execution();
  one.started.options.backoff = {Duration::zero(), Duration::zero()};
  one.started.options.history = {std::nullopt, std::chrono::hours(24)};
  const auto after = execution_from(to_document(one));
  REQUIRE(after);
  CHECK(after->started.options.backoff.longest == Duration::zero());
  CHECK_FALSE(after->started.options.history.keep);
  CHECK(after->started.options.history.age == std::chrono::hours(24));
}

TEST_CASE("execution: documents that are not understood are refused") {
  const Node good = to_document(execution());
  const auto with = [&](const char* key, Node value) {
    Node bad = good;
    bad.set(key, std::move(value));
    return execution_from(bad);
  };
  CHECK(execution_from(good));
  for (const auto& refused :
       {with("status", Node::string("Sleeping")), with("unheardOf", Node::integer(1)),
        with("name", Node::string("")), with("created", Node::string("yesterday")),
        with("started", Node()), with("replicas", Node::integer(1)), execution_from(Node()),
        execution_from(Node::array())}) {
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::InvalidArgument);
  }
  Node bad = good;
  bad.find("replicas")->items[0].set("state", Node::string("Sleeping"));
  CHECK_FALSE(execution_from(bad));
}

TEST_CASE("execution: clients see status, times and template, and what we add") {
  const Node shown = to_resource(execution(), "/subscriptions/s/jobs/worker");
  CHECK(shown.find("id")->text == "/subscriptions/s/jobs/worker/executions/worker-abcdefg");
  CHECK(shown.find("name")->text == "worker-abcdefg");
  CHECK(shown.find("type")->text == "Microsoft.App/jobs/executions");
  const Node& properties = *shown.find("properties");
  CHECK(properties.find("status")->text == "Running");
  CHECK(properties.find("startTime")->text == "2026-01-01T12:00:00Z");
  CHECK(properties.find("endTime") == nullptr);
  const Node& main = properties.find("template")->find("containers")->items.at(0);
  CHECK(to_json(*main.find("resources")) == R"({"cpu":0.25,"memory":"0.5Gi"})");
  CHECK(to_json(*main.find("env")) ==
        R"([{"name":"PLAIN","value":"x=1"},{"name":"EMPTY","value":""},)"
        R"({"name":"HIDDEN","secretRef":"key"}])");
  const Node& ours = *properties.find("jobmill");
  CHECK(ours.find("reason")->text == "exit 1");
  CHECK(to_json(*ours.find("trigger")) == R"({"name":"queue","type":"azure-servicebus"})");
  CHECK(ours.find("semantics")->text == "bound");
  CHECK(ours.find("decisionId")->text == "decision-1");
  CHECK(ours.find("replicas")->items.at(0).find("state")->text == "Failed");
  CHECK(ours.find("replicas")->items.at(0).find("exitCode") == nullptr);  // a signal is no code
  CHECK(ours.find("replicas")->items.at(0).find("signal")->text == "9");
  CHECK(ours.find("replicas")->items.at(1).find("dueTime")->text == "2026-01-01T12:00:13Z");
  CHECK(to_json(ours.find("messages")->items.at(0)) ==
        R"({"replica":"worker-abcdefg-00000","entity":"orders","sequenceNumber":1125899906842624,)"
        R"("messageId":"id-1","deliveryCount":3,"takenTime":"2026-01-01T12:00:01Z",)"
        R"("outcome":"dead-lettered","reason":"MaxDeliveryCountExceeded",)"
        R"("endTime":"2026-01-01T12:00:02Z"})");
}

TEST_CASE("execution: names of states") {
  CHECK(to_string(ExecutionStatus::Degraded) == "Degraded");
  CHECK(to_string(ReplicaState::Lost) == "Lost");
  CHECK(to_string(TriggerType::Event) == "Event");
  CHECK(to_string(Semantics::Cloud) == "cloud");
  CHECK(execution_status_named("sUCCEEDED") == ExecutionStatus::Succeeded);
  CHECK_FALSE(execution_status_named("Succeede"));
  CHECK_FALSE(execution_status_named(""));
}

}  // namespace jobmill::executions
