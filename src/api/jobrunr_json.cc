// SPDX-License-Identifier: Apache-2.0
#include "api/jobrunr_json.h"

#include <fmt/format.h>
#include <algorithm>

#include "api/job_json.h"
#include "api/job_page.h"
#include "base/document.h"
#include "base/duration.h"
#include "base/schedule_text.h"

namespace jobmill::api {
namespace {

// --- what is called ------------------------------------------------------------------------------

Node parsed_args(std::string_view args) {
  auto node = parse_json(args);
  return node ? *std::move(node) : Node::array();
}

// The named form is one argument, an object.
std::vector<const Node*> arguments_of(const Node& args) {
  if (args.is_object()) return {&args};
  std::vector<const Node*> list;
  for (const Node& item : args.items) list.push_back(&item);
  return list;
}

struct CallName {
  std::string_view owner;  // up to the last dot
  std::string_view method;
};

CallName split(std::string_view kind) {
  const auto dot = kind.rfind('.');
  if (dot == std::string_view::npos) return {"", kind};
  return {kind.substr(0, dot), kind.substr(dot + 1)};
}

void write_details(JsonWriter& json, std::string_view kind, const std::string& args) {
  const CallName name = split(kind);
  json.key("jobDetails")
      .object()
      .member("className", name.owner)
      .raw_member("staticFieldName", "null")
      .member("methodName", name.method)
      .key("jobParameters")
      .array();
  const Node node = parsed_args(args);
  for (const Node* argument : arguments_of(node))
    json.object()
        .member("className", to_string(argument->kind))
        .member("actualClassName", to_string(argument->kind))
        .raw_member("object", to_json(*argument))
        .end();
  json.end().member("cacheable", true).end();
}

void write_labels(JsonWriter& json, const std::vector<std::string>& labels) {
  json.key("labels").array();
  for (const std::string& label : labels) json.value(label);
  json.end();
}

void write_retries(JsonWriter& json, const std::optional<int>& retries) {
  if (retries)
    json.member("amountOfRetries", *retries);
  else
    json.raw_member("amountOfRetries", "null");
}

// --- jobs ---------------------------------------------------------------------------------------

// A failure carries what it has in common with others.
void write_jobrunr_event(JsonWriter& json, const jobs::JobEvent& event) {
  const auto error = error_of({event});
  if (!error) return write_event(json, event);
  jobs::JobEvent told = event;
  told.data.pop_back();  // its object gets one more member
  told.data += fmt::format("{}\"fingerprint\":{}}}", told.data.size() > 1 ? "," : "",
                           json_quote(error->fingerprint));
  write_event(json, told);
}

void write_log(JsonWriter& json, const EventLog& log) {
  json.key(fmt::format("jobRunrDashboardLog-{}", log.event)).object().key("logLines").array();
  for (const jobs::LogLine& line : log.lines)
    json.object()
        .member("level", to_string(line.level))
        .member("logInstant", format_instant(line.at))
        .member("logMessage", line.text)
        .end();
  json.end().end();
}

// Of the latest attempt: the last event that began one.
void write_progress(JsonWriter& json, const jobs::Job& job,
                    std::span<const jobs::JobEvent> history) {
  const auto last = std::find_if(history.rbegin(), history.rend(), [](const jobs::JobEvent& event) {
    return event.state == jobs::JobState::Processing;
  });
  if (!job.progress || last == history.rend()) return;
  json.key(fmt::format("jobRunrDashboardProgressBar-{}", history.rend() - last))
      .object()
      .member("totalAmount", job.progress->total)
      .member("succeededAmount", job.progress->done)
      .member("failedAmount", job.progress->failed)
      .member("progress", job.progress->percent())
      .end();
}

// What a job's user noted goes with its end.
void write_metadata(JsonWriter& json, const jobs::Job& job, std::span<const jobs::JobEvent> history,
                    std::span<const EventLog> logs) {
  json.key("metadata").object();
  const bool ended = job.state == jobs::JobState::Succeeded || job.state == jobs::JobState::Deleted;
  if (const auto meta = parse_json(job.meta); meta && !ended)
    for (const Node::Member& member : meta->members)
      json.key_text(member.key).raw(to_json(member.value));
  for (const EventLog& log : logs) write_log(json, log);
  write_progress(json, job, history);
  json.end();
}

// Without how long "within" is, which has a field of its own.
std::string missed_name(jobs::Missed missed) {
  const std::string text = jobs::to_text(missed, Duration::zero());
  return text.substr(0, text.find('='));
}

void write_texts(JsonWriter& json, std::string_view name, const std::vector<std::string>& texts) {
  json.key(name).array();
  for (const std::string& text : texts) json.value(text);
  json.end();
}

std::string page_request(const PageFacts& page, std::int64_t offset, std::string_view direction,
                         const std::string& cursor) {
  std::string request = page.order.empty() ? "" : fmt::format("order={}&", page.order);
  request += fmt::format("offset={}&limit={}", std::max<std::int64_t>(0, offset), page.limit);
  return cursor.empty() ? request : fmt::format("{}&{}={}", request, direction, cursor);
}

void write_request(JsonWriter& json, std::string_view name, bool there, const std::string& text) {
  if (there)
    json.member(name, text);
  else
    json.raw_member(name, "null");
}

}  // namespace

std::string signature_of(std::string_view kind, std::string_view args) {
  std::vector<std::string_view> types;
  const Node node = parsed_args(args);
  for (const Node* argument : arguments_of(node)) types.push_back(to_string(argument->kind));
  return fmt::format("{}({})", kind, fmt::join(types, ","));
}

void write_jobrunr_job(JsonWriter& json, const jobs::Job& job,
                       std::span<const jobs::JobEvent> history, std::span<const EventLog> logs) {
  json.object()
      .member("id", job.id)
      .member("version", job.version)
      .member("jobSignature", signature_of(job.kind, job.args))
      .member("jobName", job.name.empty() ? job.kind : job.name);
  write_retries(json, job.retries);
  write_labels(json, job.labels);
  if (job.recurring_id.empty())
    json.raw_member("recurringJobId", "null");
  else
    json.member("recurringJobId", job.recurring_id);
  write_details(json, job.kind, job.args);
  json.key("jobHistory").array();
  for (const jobs::JobEvent& event : history) write_jobrunr_event(json, event);
  json.end();
  write_metadata(json, job, history, logs);
  json.end();
}

void write_jobrunr_recurring(JsonWriter& json, const jobs::RecurringJob& recurring) {
  const jobs::RecurringSpec& spec = recurring.spec;
  json.member("id", spec.id)
      .member("version", recurring.version)
      .member("jobSignature", signature_of(spec.job.kind, spec.job.args))
      .member("jobName", spec.job.name.empty() ? spec.job.kind : spec.job.name);
  write_retries(json, spec.job.retries);
  write_labels(json, spec.job.labels);
  write_details(json, spec.job.kind, spec.job.args);
  json.member("scheduleExpression", spec.schedule)
      .member("human", schedule_text(spec.schedule))
      .member("zoneId", spec.zone)
      .member("dst", spec.dst.empty() ? "real-time" : spec.dst)
      .member("createdBy", spec.created_by)
      .member("createdAt", format_instant(recurring.created_at));
  if (recurring.next_run) json.member("nextRun", format_instant(*recurring.next_run));
  if (recurring.last_run) json.member("lastRun", format_instant(*recurring.last_run));
  json.member("paused", spec.paused).member("missed", missed_name(spec.missed));
  if (spec.missed == jobs::Missed::Within)
    json.member("missedWithin", format_iso(spec.missed_within));
  json.member("missedMax", spec.missed_max)
      .member("maxConcurrent", spec.max_concurrent)
      .member("runs", recurring.runs)
      .member("missedRuns", recurring.missed_runs)
      .member("skippedRuns", recurring.skipped_runs);
  if (recurring.last_skipped)
    json.member("lastSkipped", format_instant(*recurring.last_skipped))
        .member("lastSkipReason", recurring.last_skip_reason);
}

// Workers do not tell what their machines and processes use: null is not nothing.
void write_jobrunr_server(JsonWriter& json, const jobs::Worker& worker, const Retention& keep) {
  const jobs::WorkerSpec& spec = worker.spec;
  json.member("id", worker.id)
      .member("name", spec.name)
      .member("workerPoolSize", spec.concurrency)
      .member("occupiedWorkers", worker.occupied)
      .raw_member("pollIntervalInSeconds", "null")
      .member("deleteSucceededJobsAfter", format_iso(keep.succeeded))
      .member("permanentlyDeleteDeletedJobsAfter", format_iso(keep.deleted))
      .member("firstHeartbeat", format_instant(worker.first_beat))
      .member("lastHeartbeat", format_instant(worker.last_beat))
      .member("running", worker.state == jobs::WorkerState::Run)
      .member("state", to_string(worker.state));
  for (const std::string_view unknown :
       {"systemTotalMemory", "systemFreeMemory", "systemCpuLoad", "processMaxMemory",
        "processFreeMemory", "processAllocatedMemory", "processCpuLoad"})
    json.raw_member(unknown, "null");
  write_texts(json, "tags", spec.tags);
  write_texts(json, "queues", spec.queues);
  write_texts(json, "kinds", spec.kinds);
  json.member("version", spec.version)
      .member("generation", spec.generation)
      .member("replica", spec.replica)
      .member("host", spec.host)
      .member("pid", spec.pid)
      .member("runtime", spec.runtime);
  if (worker.oldest_start) json.member("oldestStart", format_instant(*worker.oldest_start));
  if (worker.state == jobs::WorkerState::Stop && worker.drain_until)
    json.member("drainDeadline", format_instant(*worker.drain_until));
}

void write_page_facts(JsonWriter& json, const PageFacts& page) {
  const std::int64_t pages = (page.total + page.limit - 1) / page.limit;
  json.member("total", page.total)
      .member("totalIsLowerBound", !page.exact)
      .member("currentPage", page.offset / page.limit)
      .member("totalPages", pages)
      .member("limit", page.limit)
      .member("offset", page.offset)
      .member("hasPrevious", page.has_previous)
      .member("hasNext", page.has_next);
  write_request(json, "previousPageRequest", page.has_previous,
                page_request(page, page.offset - page.limit, "before", page.previous));
  write_request(json, "nextPageRequest", page.has_next,
                page_request(page, page.offset + page.limit, "after", page.next));
}

}  // namespace jobmill::api
