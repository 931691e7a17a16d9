// SPDX-License-Identifier: Apache-2.0
#include "app/execution_explain.h"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/core.h>

#include "base/cron.h"
#include "base/duration.h"
#include "scale/ledger.h"

namespace jobmill::app {
namespace {

using executions::ContainerJob;
using executions::Execution;
using executions::Replica;
using executions::TakenMessage;

// One line of a timeline.
using Lines = std::multimap<TimePoint, std::string>;

void add_replica(Lines& lines, const Replica& replica) {
  if (replica.started)
    lines.emplace(*replica.started, fmt::format("{} started (attempt {}, pid {})", replica.name,
                                                replica.attempt, replica.mark.pid));
  if (replica.identified)
    lines.emplace(*replica.identified,
                  fmt::format("{} gets a token of its identity", replica.name));
  if (replica.ended)
    lines.emplace(*replica.ended,
                  fmt::format("{} {}{}", replica.name, executions::to_string(replica.state),
                              replica.reason.empty() ? "" : ": " + replica.reason));
}

void add_message(Lines& lines, const TakenMessage& message) {
  const std::string name =
      fmt::format("message {} of {}{}", message.sequence, message.entity,
                  message.message_id.empty() ? "" : " (id " + message.message_id + ")");
  lines.emplace(message.taken, fmt::format("{} takes {}, delivery {}", message.replica, name,
                                           message.delivery_count));
  if (message.ended)
    lines.emplace(*message.ended, fmt::format("{} {}{}", name, message.outcome,
                                              message.reason.empty() ? "" : ": " + message.reason));
}

std::string ended_line(const Execution& execution) {
  return fmt::format("{}{}", executions::to_string(execution.status),
                     execution.reason.empty() ? "" : ": " + execution.reason);
}

std::string bound_text(const scale::BoundRule& rule) {
  std::string text =
      fmt::format("  {}: {} ready, {} locked, {} reserved, {} for each execution", rule.name,
                  rule.ready, rule.locked, rule.reserved, std::max<std::int64_t>(1, rule.messages));
  if (!rule.error.empty()) text += "; " + rule.error;
  return text + "\n";
}

std::string trigger_text(const scale::JobTrigger& trigger) {
  std::string text =
      fmt::format("  {} ({}): {}, target {}, {}", trigger.name, trigger.type, trigger.queue_length,
                  trigger.target, trigger.active ? "active" : "not active");
  if (!trigger.error.empty()) text += "; stale: " + trigger.error;
  return text + "\n";
}

// Settings that are read, and have no effect.
void add_notes(const ContainerJob& job, std::vector<std::string>& warnings) {
  if (job.document.is_null()) return;  // a ScaledJob, whose manifest was checked
  manifest::Problems problems(job.key.name);
  (void)executions::decode_job(job.key, job.document, problems);
  for (const manifest::Remark& note : problems.notes()) warnings.push_back(note.text);
}

void add_rules(const ContainerJob& job, std::vector<std::string>& warnings) {
  for (const executions::ScaleRule& rule : job.rules) {
    const auto count = rule.metadata.find("messageCount");
    if (count != rule.metadata.end() && (count->second == "0" || count->second.starts_with('-')))
      warnings.push_back(
          fmt::format("rule {}: messageCount {} counts as 1", rule.name, count->second));
  }
}

std::string seconds(Duration duration) {
  return fmt::format("{:g} s", std::chrono::duration<double>(duration).count());
}

void add_queue(const ContainerJob& job, const broker::QueueDescription& queue,
               std::vector<std::string>& warnings) {
  const auto timeout = job.replica_timeout;
  const bool longer = !timeout || *timeout > queue.lock_duration;
  if (longer && !job.options.supervisor_locks)
    warnings.push_back(fmt::format(
        "the replica time-out ({}) is longer than the lock duration of queue {} ({}), and "
        "without supervisor locks nobody holds the lock: a message may be delivered again while "
        "it is worked on",
        timeout ? seconds(*timeout) : "none", queue.name, seconds(queue.lock_duration)));
  if (queue.max_delivery_count <= 1 && job.retry_limit > 0)
    warnings.push_back(fmt::format(
        "MaxDeliveryCount of queue {} is 1 and the retry limit {}: what a failed replica held is a "
        "dead letter at once, so its retry does not get it",
        queue.name, job.retry_limit));
}

std::string supervised_text(const JobPicture& picture) {
  std::string text;
  const auto timeout = picture.job.replica_timeout;
  for (const broker::QueueDescription& queue : picture.queues)
    if (picture.job.options.supervisor_locks && timeout && *timeout > queue.lock_duration)
      text += fmt::format(
          "the time-out of {} is longer than the lock duration of queue {} ({}): locks last as "
          "long as their replica\n",
          seconds(*timeout), queue.name, seconds(queue.lock_duration));
  return text;
}

std::string stalled_text(const ContainerJob& job) {
  if (!job.options.stalled_after) return {};
  return fmt::format(
      "a replica that for {} writes nothing, takes and settles no message and does not compute has "
      "stalled: it is ended and counts as failed\n",
      seconds(*job.options.stalled_after));
}

// "" for jobs without a schedule.
std::string schedule_text(const ContainerJob& job, TimePoint now) {
  if (job.cron.empty()) return {};
  const auto cron = Cron::parse(job.cron);
  const auto next = cron && !job.options.suspended ? cron->next(now, TimeZone()) : std::nullopt;
  return fmt::format("{} by its schedule '{}' (UTC), next {}\n",
                     job.trigger == executions::TriggerType::Schedule ? "starts" : "also starts",
                     job.cron, next ? format_instant(*next) : "never");
}

Node answer(std::string text) {
  Node node = Node::object();
  node.set("text", Node::string(text));
  return node;
}

}  // namespace

std::string explain_decision(const scale::ExecutionsDecision& decision) {
  std::string text =
      fmt::format("decided {}: {}\n", format_instant(decision.input.at), decision.sentence);
  for (const scale::BoundRule& rule : decision.input.bound) text += bound_text(rule);
  for (const scale::JobTrigger& trigger : decision.input.triggers) text += trigger_text(trigger);
  if (!decision.formula.empty()) text += "  " + decision.formula + "\n";
  if (decision.input.semantics == scale::JobSemantics::Bound)
    text +=
        fmt::format("  the cloud's arithmetic would have started {}\n", decision.keda_would_create);
  return text;
}

Result<std::string> explain_kept_decision(const Node& record) {
  const Node* inputs = record.find("inputs");
  if (inputs == nullptr) return fail(Code::Internal, "a kept decision cannot be read");
  TRY(const scale::ExecutionsInput input, scale::executions_input_from(*inputs));
  return explain_decision(scale::decide_executions(input));
}

std::vector<std::string> warnings_of(const JobPicture& picture) {
  const ContainerJob& job = picture.job;
  std::vector<std::string> warnings;
  add_rules(job, warnings);
  for (const broker::QueueDescription& queue : picture.queues) add_queue(job, queue, warnings);
  if (picture.semantics == executions::Semantics::Bound && job.retry_limit > 0)
    warnings.push_back(fmt::format(
        "the retry limit of {} has no effect on an empty queue: a replica that fails without a "
        "message is not tried again",
        job.retry_limit));
  add_notes(job, warnings);
  if (job.max_executions < job.min_executions)
    warnings.push_back(fmt::format("max executions {} is less than min executions {}",
                                   job.max_executions, job.min_executions));
  return warnings;
}

Node explain_job(const JobPicture& picture, TimePoint now) {
  const ContainerJob& job = picture.job;
  std::string text =
      fmt::format("{}: {} trigger", job.key.name, executions::to_string(job.trigger));
  if (picture.semantics)
    text += fmt::format(", {} semantics", executions::to_string(*picture.semantics));
  text += fmt::format("; {} of at most {} executions, {} of them not started yet\n",
                      picture.counts.unfinished, job.max_executions, picture.counts.pending);
  if (job.options.suspended) text += "suspended: its triggers start nothing\n";
  text += schedule_text(job, now);
  text += stalled_text(job) + supervised_text(picture);
  if (picture.latest != nullptr) text += explain_decision(*picture.latest);
  if (picture.last_create != nullptr && picture.last_create != picture.latest)
    text += fmt::format("the last time that it started executions, {} s ago:\n",
                        (now - picture.last_create->input.at) / std::chrono::seconds(1)) +
            explain_decision(*picture.last_create);
  const std::vector<std::string> warnings = warnings_of(picture);
  for (const std::string& warning : warnings) text += "warning: " + warning + "\n";

  Node node = answer(std::move(text));
  node.set("unfinished", Node::integer(picture.counts.unfinished));
  if (picture.latest != nullptr) node.set("decision", to_document(*picture.latest));
  if (picture.last_create != nullptr) node.set("lastCreate", to_document(*picture.last_create));
  Node list = Node::array();
  for (const std::string& warning : warnings) list.push(Node::string(warning));
  node.set("warnings", std::move(list));
  return node;
}

Node explain_why_not(const JobPicture& picture, TimePoint now) {
  if (picture.job.trigger == executions::TriggerType::Schedule)
    return answer(picture.job.options.suspended ? "suspended\n" : schedule_text(picture.job, now));
  if (picture.latest == nullptr)
    return answer(picture.semantics ? "not decided yet\n" : "no trigger: it starts by hand only\n");
  const scale::ExecutionsDecision& decision = *picture.latest;
  Node node = answer((decision.limit == scale::JobLimit::None
                          ? std::string("nothing holds it back: there is no backlog")
                          : decision.sentence) +
                     "\n");
  node.set("limit", Node::string(scale::to_string(decision.limit)));
  node.set("decision", to_document(decision));
  return node;
}

Node explain_execution(const Execution& execution) {
  Lines lines;
  lines.emplace(execution.created,
                fmt::format("created by {} ({})", execution.by.name, execution.by.type));
  for (const Replica& replica : execution.replicas) add_replica(lines, replica);
  for (const TakenMessage& message : execution.messages) add_message(lines, message);
  std::string text = execution.name + ": " + ended_line(execution) + "\n";
  for (const auto& [at, line] : lines) text += format_instant(at) + "  " + line + "\n";
  Node node = answer(std::move(text));
  node.set("execution", to_document(execution));
  return node;
}

}  // namespace jobmill::app
