// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "base/duration.h"
#include "executions/execution.h"
#include "executions/job_fields.h"

namespace jobmill::executions {
namespace {

using manifest::Problems;
using manifest::Unknown;

// --- the job as it was --------------------------------------------------------------------------

Node job_document(const ContainerJob& job) {
  Node node = Node::object();
  node.set("trigger", Node::string(to_string(job.trigger)));
  if (job.replica_timeout) node.set("replicaTimeout", Node::integer(job.replica_timeout->count()));
  node.set("retryLimit", Node::integer(job.retry_limit));
  node.set("completions", Node::integer(job.completions));
  node.set("parallelism", Node::integer(job.parallelism));
  set_text(node, "cron", job.cron);
  node.set("pollingInterval", Node::integer(job.polling_interval.count()));
  node.set("minExecutions", Node::integer(job.min_executions));
  node.set("maxExecutions", Node::integer(job.max_executions));
  node.set("rules", list_document(job.rules, rule_document));
  node.set("template", to_document(job.pod));
  node.set("identity", identity_document(job.identity));
  node.set("options", options_document(job.options));
  node.set("generation", Node::integer(job.generation));
  set_instant(node, "created", job.created);
  set_instant(node, "updated", job.updated);
  return node;
}

std::optional<std::int64_t> number_of(Fields& fields, std::string_view key) {
  const Node* node = fields.any(key);
  const auto value = node ? node->as_int() : std::nullopt;
  if (node && !value) fields.error(key, "expected an integer, found " + to_json(*node));
  return value;
}

std::optional<Duration> duration_of(Fields& fields, std::string_view key) {
  const auto count = number_of(fields, key);
  return count ? std::optional(Duration(*count)) : std::nullopt;
}

std::optional<TimePoint> instant_of(Fields& fields, std::string_view key) {
  const std::string text = fields.text(key);
  if (text.empty()) return std::nullopt;
  auto at = parse_instant(text);
  if (at) return *at;
  fields.error(key, at.error().message);
  return std::nullopt;
}

void read_job(Fields& fields, ContainerJob& job) {
  if (const auto trigger = any_case_word(fields, "trigger", kTriggerTypes))
    job.trigger = TriggerType(*trigger);
  job.replica_timeout = duration_of(fields, "replicaTimeout");
  job.retry_limit = fields.required_integer("retryLimit").value_or(0);
  job.completions = fields.required_integer("completions").value_or(1);
  job.parallelism = fields.required_integer("parallelism").value_or(1);
  job.cron = fields.text("cron");
  job.polling_interval = duration_of(fields, "pollingInterval").value_or(job.polling_interval);
  job.min_executions = fields.required_integer("minExecutions").value_or(0);
  job.max_executions = fields.required_integer("maxExecutions").value_or(100);
  fields.each("rules", [&](Fields& f) { job.rules.push_back(read_rule(f)); });
  fields.required_object("template", [&](Fields& f) { job.pod = read_template(f); });
  fields.object("identity", [&](Fields& f) { job.identity = read_identity(f); });
  fields.object("options", [&](Fields& f) { job.options = read_options(f); });
  job.generation = number_of(fields, "generation").value_or(1);
  job.created = instant_of(fields, "created").value_or(TimePoint());
  job.updated = instant_of(fields, "updated").value_or(TimePoint());
}

// --- replicas and messages ----------------------------------------------------------------------

Node end_document(const ReplicaEnd& end) {
  Node node = Node::object();
  node.set("exitCode", Node::integer(end.exit_code));
  if (end.signal != 0) node.set("signal", Node::integer(end.signal));
  if (end.out_of_memory) node.set("outOfMemory", Node::boolean(true));
  if (end.peak_rss_bytes > 0) node.set("peakRss", Node::integer(end.peak_rss_bytes));
  set_text(node, "detail", end.detail);
  return node;
}

ReplicaEnd read_end(Fields& fields) {
  ReplicaEnd end;
  end.exit_code = fields.integer("exitCode").value_or(0);
  end.signal = fields.integer("signal").value_or(0);
  end.out_of_memory = fields.boolean("outOfMemory").value_or(false);
  end.peak_rss_bytes = number_of(fields, "peakRss").value_or(0);
  end.detail = fields.text("detail");
  return end;
}

Node mark_document(const ProcessMark& mark) {
  Node node = Node::object();
  node.set("pid", Node::integer(mark.pid));
  node.set("startTicks", Node::integer(mark.start_ticks));
  set_text(node, "cgroup", mark.cgroup);
  return node;
}

ProcessMark read_mark(Fields& fields) {
  return {number_of(fields, "pid").value_or(0), number_of(fields, "startTicks").value_or(0),
          fields.text("cgroup")};
}

Node replica_document(const Replica& replica) {
  Node node = Node::object();
  node.set("name", Node::string(replica.name));
  node.set("attempt", Node::integer(replica.attempt));
  node.set("state", Node::string(to_string(replica.state)));
  set_text(node, "reason", replica.reason);
  if (replica.mark.pid != 0) node.set("mark", mark_document(replica.mark));
  set_instant(node, "created", replica.created);
  set_instant(node, "due", replica.due);
  set_instant(node, "started", replica.started);
  set_instant(node, "identified", replica.identified);
  set_instant(node, "deadline", replica.deadline);
  set_instant(node, "ended", replica.ended);
  if (replica.end) node.set("end", end_document(*replica.end));
  return node;
}

Replica read_replica(Fields& fields) {
  Replica replica;
  replica.name = fields.required_text("name");
  replica.attempt = fields.required_integer("attempt").value_or(1);
  if (const auto state = replica_state_named(fields.required_text("state")))
    replica.state = *state;
  else
    fields.error("state", "no state of a replica");
  replica.reason = fields.text("reason");
  fields.object("mark", [&](Fields& f) { replica.mark = read_mark(f); });
  replica.created = instant_of(fields, "created").value_or(TimePoint());
  replica.due = instant_of(fields, "due");
  replica.started = instant_of(fields, "started");
  replica.identified = instant_of(fields, "identified");
  replica.deadline = instant_of(fields, "deadline");
  replica.ended = instant_of(fields, "ended");
  fields.object("end", [&](Fields& f) { replica.end = read_end(f); });
  return replica;
}

// Clients read other names for times than the store.
Node message_node(const TakenMessage& message, const char* taken, const char* ended) {
  Node node = Node::object();
  node.set("replica", Node::string(message.replica));
  node.set("entity", Node::string(message.entity));
  node.set("sequenceNumber", Node::integer(message.sequence));
  node.set("messageId", Node::string(message.message_id));
  node.set("deliveryCount", Node::integer(message.delivery_count));
  set_instant(node, taken, message.taken);
  set_text(node, "outcome", message.outcome);
  set_text(node, "reason", message.reason);
  set_instant(node, ended, message.ended);
  return node;
}

Node message_document(const TakenMessage& message) {
  return message_node(message, "taken", "ended");
}

TakenMessage read_message(Fields& fields) {
  TakenMessage message;
  message.replica = fields.text("replica");
  message.entity = fields.text("entity");
  message.sequence = number_of(fields, "sequenceNumber").value_or(0);
  message.message_id = fields.text("messageId");
  message.delivery_count =
      static_cast<std::uint32_t>(number_of(fields, "deliveryCount").value_or(0));
  message.taken = instant_of(fields, "taken").value_or(TimePoint());
  message.outcome = fields.text("outcome");
  message.reason = fields.text("reason");
  message.ended = instant_of(fields, "ended");
  return message;
}

// --- the execution ------------------------------------------------------------------------------

Node started_by_document(const StartedBy& by) {
  Node node = Node::object();
  node.set("name", Node::string(by.name));
  node.set("type", Node::string(by.type));
  set_text(node, "decision", by.decision);
  return node;
}

void read_execution(Fields& fields, Execution& execution) {
  execution.name = fields.required_text("name");
  execution.job.group = fields.required_text("group");
  execution.job.name = fields.required_text("job");
  if (const auto status = execution_status_named(fields.required_text("status")))
    execution.status = *status;
  else
    fields.error("status", "no status of an execution");
  execution.reason = fields.text("reason");
  execution.stopping = fields.boolean("stopping").value_or(false);
  fields.required_object("by", [&](Fields& by) {
    execution.by = {by.text("name"), by.text("type"), by.text("decision")};
  });
  if (const auto semantics = any_case_word(fields, "semantics", kSemantics))
    execution.semantics = Semantics(*semantics);
  execution.rule = fields.integer("rule").value_or(-1);
  execution.reserves = fields.integer("reserves").value_or(0);
  fields.required_object("started", [&](Fields& f) { read_job(f, execution.started); });
  execution.started.key = execution.job;
  execution.created = instant_of(fields, "created").value_or(TimePoint());
  execution.began = instant_of(fields, "began");
  execution.ended = instant_of(fields, "ended");
  execution.succeeded = fields.integer("succeeded").value_or(0);
  execution.failures = fields.integer("failures").value_or(0);
  fields.each("replicas", [&](Fields& f) { execution.replicas.push_back(read_replica(f)); });
  fields.each("messages", [&](Fields& f) { execution.messages.push_back(read_message(f)); });
}

// --- as clients see it --------------------------------------------------------------------------

Node replica_resource(const Replica& replica) {
  Node node = Node::object();
  node.set("name", Node::string(replica.name));
  node.set("attempt", Node::integer(replica.attempt));
  node.set("state", Node::string(to_string(replica.state)));
  set_text(node, "reason", replica.reason);
  set_instant(node, "dueTime", replica.due);
  set_instant(node, "startTime", replica.started);
  set_instant(node, "identityTokenTime", replica.identified);
  set_instant(node, "deadline", replica.deadline);
  set_instant(node, "endTime", replica.ended);
  if (replica.mark.pid != 0) node.set("pid", Node::integer(replica.mark.pid));
  if (!replica.end) return node;
  if (replica.end->signal == 0) node.set("exitCode", Node::integer(replica.end->exit_code));
  if (replica.end->signal != 0) node.set("signal", Node::integer(replica.end->signal));
  if (replica.end->peak_rss_bytes > 0)
    node.set("peakMemoryBytes", Node::integer(replica.end->peak_rss_bytes));
  set_text(node, "lastOutput", replica.end->detail);
  return node;
}

Node message_resource(const TakenMessage& message) {
  return message_node(message, "takenTime", "endTime");
}

Node our_part(const Execution& execution) {
  Node node = Node::object();
  set_text(node, "reason", execution.reason);
  Node& trigger = node.set("trigger", Node::object());
  trigger.set("name", Node::string(execution.by.name));
  trigger.set("type", Node::string(execution.by.type));
  node.set("replicas", list_document(execution.replicas, replica_resource));
  node.set("messages", list_document(execution.messages, message_resource));
  node.set("semantics", Node::string(to_string(execution.semantics)));
  set_text(node, "decisionId", execution.by.decision);
  return node;
}

}  // namespace

Node to_document(const Execution& execution) {
  Node node = Node::object();
  node.set("name", Node::string(execution.name));
  node.set("group", Node::string(execution.job.group));
  node.set("job", Node::string(execution.job.name));
  node.set("status", Node::string(to_string(execution.status)));
  set_text(node, "reason", execution.reason);
  if (execution.stopping) node.set("stopping", Node::boolean(true));
  node.set("by", started_by_document(execution.by));
  node.set("semantics", Node::string(to_string(execution.semantics)));
  node.set("rule", Node::integer(execution.rule));
  node.set("reserves", Node::integer(execution.reserves));
  node.set("started", job_document(execution.started));
  set_instant(node, "created", execution.created);
  set_instant(node, "began", execution.began);
  set_instant(node, "ended", execution.ended);
  node.set("succeeded", Node::integer(execution.succeeded));
  node.set("failures", Node::integer(execution.failures));
  node.set("replicas", list_document(execution.replicas, replica_document));
  node.set("messages", list_document(execution.messages, message_document));
  return node;
}

Result<Execution> execution_from(const Node& document) {
  Execution execution;
  Problems problems("execution");
  {
    Fields fields(document, "", Unknown::Refused, problems);
    if (document.is_object()) read_execution(fields, execution);
  }
  if (problems.ok()) return execution;
  return fail(Code::InvalidArgument, problems.errors().front().text);
}

Node to_resource(const Execution& execution, std::string_view job_id) {
  Node node = Node::object();
  node.set("id", Node::string(std::string(job_id) + "/executions/" + execution.name));
  node.set("name", Node::string(execution.name));
  node.set("type", Node::string("Microsoft.App/jobs/executions"));
  Node& properties = node.set("properties", Node::object());
  properties.set("status", Node::string(to_string(execution.status)));
  set_instant(properties, "startTime", execution.created);
  set_instant(properties, "endTime", execution.ended);
  properties.set("template", to_document(execution.started.pod));
  properties.set("jobmill", our_part(execution));
  return node;
}

}  // namespace jobmill::executions
