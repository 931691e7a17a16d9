// SPDX-License-Identifier: Apache-2.0
#include "wire/codec.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>

#include "base/duration.h"
#include "base/json_writer.h"
#include "http/problem.h"

namespace jobmill::wire {
namespace {

using Kind = jobs::Settlement::Kind;

// --- writing ------------------------------------------------------------------------------------

void write_texts(JsonWriter& json, std::string_view name, const std::vector<std::string>& texts) {
  if (texts.empty()) return;
  json.key(name).array();
  for (const std::string& text : texts) json.value(text);
  json.end();
}

void write_text(JsonWriter& json, std::string_view name, const std::string& text) {
  if (!text.empty()) json.member(name, text);
}

// Without what the server would take for granted anyway.
void write_spec(JsonWriter& json, const jobs::JobSpec& spec) {
  static const jobs::JobSpec kDefaults;
  json.object().member("kind", spec.kind);
  write_text(json, "id", spec.id);
  if (spec.v != kDefaults.v) json.member("v", spec.v);
  json.raw_member(spec.args.starts_with('{') ? "named" : "args", spec.args);
  write_text(json, "name", spec.name);
  if (spec.queue != kDefaults.queue) json.member("queue", spec.queue);
  if (spec.priority != kDefaults.priority) json.member("priority", spec.priority);
  if (spec.run_at) json.member("run_at", format_instant(*spec.run_at));
  if (spec.delay) json.member("delay", format_iso(*spec.delay));
  write_texts(json, "labels", spec.labels);
  if (spec.retries) json.member("retries", *spec.retries);
  write_members(json, spec.extra);
  if (spec.max_crashes != kDefaults.max_crashes) json.member("max_crashes", spec.max_crashes);
  if (!spec.meta.empty()) json.raw_member("meta", spec.meta);
  if (spec.count) json.member("count", *spec.count);
  json.end();
}

void write_failure(JsonWriter& json, const jobs::Failure& failure) {
  json.member("type", failure.type).member("message", failure.message);
  write_text(json, "cause_type", failure.cause_type);
  write_text(json, "cause_message", failure.cause_message);
  write_text(json, "stack", failure.stack);
  if (failure.retry == jobs::RetryRule::Never) json.member("retry", "never");
  if (failure.retry == jobs::RetryRule::After)
    json.key("retry")
        .object()
        .raw_member("after_s",
                    fmt::format("{}", std::chrono::duration<double>(failure.after).count()))
        .end();
}

struct KindName {
  std::string_view name;
  Kind kind;
};
// In the order in which the server answers them.
constexpr std::array kKinds{KindName{"complete", Kind::Complete}, KindName{"fail", Kind::Fail},
                            KindName{"release", Kind::Release}, KindName{"snooze", Kind::Snooze}};

struct MissedName {
  std::string_view name;
  jobs::Missed missed;
};
constexpr std::array kMissed{
    MissedName{"skip", jobs::Missed::Skip}, MissedName{"once", jobs::Missed::Once},
    MissedName{"all", jobs::Missed::All}, MissedName{"within", jobs::Missed::Within}};

// --- reading ------------------------------------------------------------------------------------

std::string text(const Node& node, std::string_view name) {
  const Node* member = node.find(name);
  return member != nullptr && member->is_string() ? member->text : std::string();
}

template <class Int = std::int64_t>
Int integer(const Node& node, std::string_view name, Int missing = 0) {
  const Node* member = node.find(name);
  const auto value = member != nullptr ? member->as_int() : std::nullopt;
  return value ? static_cast<Int>(*value) : missing;
}

template <class Int>
std::optional<Int> maybe_integer(const Node& node, std::string_view name) {
  const Node* member = node.find(name);
  const auto value = member != nullptr ? member->as_int() : std::nullopt;
  return value ? std::optional(static_cast<Int>(*value)) : std::nullopt;
}

bool flag(const Node& node, std::string_view name) {
  const Node* member = node.find(name);
  return member != nullptr && member->as_bool().value_or(false);
}

Duration seconds(const Node& node, std::string_view name) {
  const Node* member = node.find(name);
  const double value = member != nullptr ? member->as_double().value_or(0) : 0;
  return std::chrono::round<Duration>(std::chrono::duration<double>(value));
}

std::optional<TimePoint> instant(const Node& node, std::string_view name) {
  const Node* member = node.find(name);
  if (member == nullptr || !member->is_string()) return std::nullopt;
  const auto at = parse_instant(member->text);
  return at ? std::optional(*at) : std::nullopt;
}

std::string json(const Node& node, std::string_view name) {
  const Node* member = node.find(name);
  return member != nullptr ? to_json(*member) : std::string();
}

const std::vector<Node>& items(const Node& node, std::string_view name) {
  static const std::vector<Node> kNone;
  const Node* member = node.find(name);
  return member != nullptr ? member->items : kNone;
}

std::vector<std::string> texts(const Node& node, std::string_view name) {
  std::vector<std::string> found;
  for (const Node& item : items(node, name)) found.push_back(item.text);
  return found;
}

std::string args(const Node& node) {
  const Node* named = node.find("named");
  if (named != nullptr) return to_json(*named);
  const Node* list = node.find("args");
  return list != nullptr ? to_json(*list) : "[]";
}

jobs::WorkerState state_of_worker(const Node& node) {
  return jobs::worker_state(text(node, "state")).value_or(jobs::WorkerState::Run);
}

jobs::JobState state_of_job(const Node& node, jobs::JobState missing) {
  return jobs::job_state(text(node, "state")).value_or(missing);
}

jobs::Inserted decode_one_inserted(const Node& node) {
  return {.id = text(node, "id"),
          .state = state_of_job(node, jobs::JobState::Enqueued),
          .created = flag(node, "created")};
}

std::optional<jobs::Progress> decode_progress(const Node* node) {
  if (node == nullptr || !node->is_object()) return std::nullopt;
  return jobs::Progress{integer(*node, "done"), integer(*node, "total"), integer(*node, "failed")};
}

jobs::LogLine decode_line(const Node& node) {
  return {.level = jobs::line_level(text(node, "level")).value_or(jobs::LineLevel::Info),
          .at = instant(node, "at").value_or(TimePoint{}),
          .text = text(node, "text")};
}

jobs::JobEvent decode_event(const Node& node) {
  Node data = node;
  std::erase_if(data.members, [](const Node::Member& member) {
    return member.key == "state" || member.key == "createdAt";
  });
  return {.state = state_of_job(node, jobs::JobState::Enqueued),
          .at = instant(node, "createdAt").value_or(TimePoint{}),
          .data = to_json(data)};
}

jobs::Worker decode_worker(const Node& node) {
  jobs::Worker worker;
  worker.id = text(node, "id");
  worker.spec = {.name = text(node, "name"),
                 .tags = texts(node, "tags"),
                 .queues = texts(node, "queues"),
                 .kinds = texts(node, "kinds"),
                 .concurrency = integer<int>(node, "workerPoolSize", 1),
                 .version = text(node, "version"),
                 .host = text(node, "host"),
                 .pid = integer(node, "pid"),
                 .runtime = text(node, "runtime"),
                 .prefetch = integer<int>(node, "prefetch"),
                 .generation = text(node, "generation"),
                 .replica = text(node, "replica")};
  worker.state = state_of_worker(node);
  worker.first_beat = instant(node, "firstHeartbeat").value_or(TimePoint{});
  worker.last_beat = instant(node, "lastHeartbeat").value_or(TimePoint{});
  worker.occupied = integer<int>(node, "occupiedWorkers");
  worker.oldest_start = instant(node, "oldestStart");
  worker.drain_until = instant(node, "drainDeadline");
  return worker;
}

jobs::JobSpec decode_spec(const Node& node) {
  jobs::JobSpec spec;
  spec.kind = text(node, "kind");
  spec.v = integer<int>(node, "v", 1);
  spec.args = args(node);
  spec.name = text(node, "name");
  spec.queue = text(node, "queue");
  spec.priority = integer<int>(node, "priority");
  spec.labels = texts(node, "labels");
  spec.retries = maybe_integer<int>(node, "retries");
  spec.extra = jobs::read_extra(node);
  spec.max_crashes = integer<int>(node, "max_crashes", jobs::kDefaultMaxCrashes);
  spec.meta = json(node, "meta");
  return spec;
}

jobs::RecurringJob decode_one_recurring(const Node& node) {
  jobs::RecurringJob recurring;
  jobs::RecurringSpec& spec = recurring.spec;
  spec.id = text(node, "id");
  spec.schedule = text(node, "scheduleExpression");
  spec.zone = text(node, "zoneId");
  spec.dst = text(node, "dst");
  if (const Node* job = node.find("spec")) spec.job = decode_spec(*job);
  const auto missed = std::ranges::find(kMissed, text(node, "missed"), &MissedName::name);
  if (missed != kMissed.end()) spec.missed = missed->missed;
  if (const auto within = parse_iso_duration(text(node, "missedWithin")))
    spec.missed_within = to_duration(*within);
  spec.missed_max = integer<int>(node, "missedMax", spec.missed_max);
  spec.max_concurrent = integer<int>(node, "maxConcurrent", 1);
  spec.created_by = text(node, "createdBy");
  recurring.version = integer<int>(node, "version", 1);
  recurring.created_at = instant(node, "createdAt").value_or(TimePoint{});
  recurring.next_run = instant(node, "nextRun");
  recurring.last_run = instant(node, "lastRun");
  recurring.runs = integer(node, "runs");
  recurring.missed_runs = integer(node, "missedRuns");
  recurring.skipped_runs = integer(node, "skippedRuns");
  recurring.first_skipped = instant(node, "firstSkipped");
  recurring.last_skipped = instant(node, "lastSkipped");
  recurring.last_skip_reason = text(node, "lastSkipReason");
  return recurring;
}

// --- errors -------------------------------------------------------------------------------------

struct ProblemCode {
  std::string_view name;
  Code code;
};
constexpr std::array kProblems{
    ProblemCode{"invalid_argument", Code::InvalidArgument},
    ProblemCode{"unauthenticated", Code::PermissionDenied},
    ProblemCode{"forbidden", Code::PermissionDenied},
    ProblemCode{"not_found", Code::NotFound},
    ProblemCode{"worker_gone", Code::NotFound},
    ProblemCode{"lease_lost", Code::Conflict},
    ProblemCode{"illegal_transition", Code::Conflict},
    ProblemCode{"version_conflict", Code::Conflict},
    ProblemCode{"idempotency_conflict", Code::AlreadyExists},
    ProblemCode{"payload_too_large", Code::Exhausted},
    ProblemCode{"protocol_unsupported", Code::Unsupported},
    ProblemCode{"rate_limited", Code::Unavailable},
    ProblemCode{"storage_unavailable", Code::Unavailable},
};

// For servers and proxies that answer without our problems.
Code code_of_status(int status) {
  switch (status) {
    case 400:
      return Code::InvalidArgument;
    case 401:
    case 403:
      return Code::PermissionDenied;
    case 404:
    case 410:
      return Code::NotFound;
    case 409:
      return Code::Conflict;
    case 413:
      return Code::Exhausted;
    case 429:
    case 502:
    case 503:
    case 504:
      return Code::Unavailable;
    default:
      return Code::Internal;
  }
}

Code code_of(std::string_view name, int status) {
  const auto found = std::ranges::find(kProblems, name, &ProblemCode::name);
  return found != kProblems.end() ? found->code : code_of_status(status);
}

jobs::Settled decode_one_settled(const Node& node) {
  jobs::Settled settled;
  settled.job_id = text(node, "id");
  settled.state = state_of_job(node, jobs::JobState::Succeeded);
  settled.run_at = instant(node, "run_at");
  const int status = integer<int>(node, "status", 500);
  if (status >= 300) {
    const std::string code = text(node, "code");
    settled.status = fail(code_of(code, status), settled.job_id + ": " + code);
  }
  return settled;
}

}  // namespace

std::string encode_jobs(std::span<const jobs::JobSpec> specs) {
  JsonWriter json;
  json.object().key("jobs").array();
  for (const jobs::JobSpec& spec : specs) write_spec(json, spec);
  return std::move(json.end().end()).text();
}

std::string encode_worker(const jobs::WorkerSpec& worker) {
  JsonWriter json;
  json.object().member("name", worker.name).member("protocol", 1);
  write_texts(json, "tags", worker.tags);
  write_texts(json, "queues", worker.queues);
  write_texts(json, "kinds", worker.kinds);
  json.member("concurrency", worker.concurrency).member("version", worker.version);
  write_text(json, "host", worker.host);
  json.member("pid", worker.pid);
  write_text(json, "runtime", worker.runtime);
  json.member("prefetch", worker.prefetch);
  write_text(json, "generation", worker.generation);
  write_text(json, "replica", worker.replica);
  return std::move(json.end()).text();
}

std::string encode_claim(const jobs::ClaimRequest& request) {
  JsonWriter json;
  json.object().member("max", request.limit);
  write_texts(json, "queues", request.queues);
  write_texts(json, "kinds", request.kinds);
  json.member("wait_ms", std::chrono::floor<std::chrono::milliseconds>(request.wait).count());
  return std::move(json.end()).text();
}

namespace {

void write_progress(JsonWriter& json, const jobs::Progress& progress) {
  json.member("done", progress.done).member("total", progress.total);
  if (progress.failed != 0) json.member("failed", progress.failed);
}

void write_lines(JsonWriter& json, std::span<const jobs::LogLine> lines) {
  json.key("logs").array();
  for (const jobs::LogLine& line : lines)
    json.object()
        .member("level", to_string(line.level))
        .member("at", format_instant(line.at))
        .member("text", line.text)
        .end();
  json.end();
}

void write_report(JsonWriter& json, const jobs::Report& report) {
  json.object().member("id", report.job_id).member("lock_token", report.lock_token);
  if (report.progress) {
    write_progress(json.key("progress").object(), *report.progress);
    json.end();
  }
  if (!report.logs.empty()) write_lines(json, report.logs);
  json.end();
}

}  // namespace

std::string encode_beat(std::span<const jobs::Report> running) {
  JsonWriter json;
  json.object().key("running").array();
  for (const jobs::Report& report : running) write_report(json, report);
  return std::move(json.end().end()).text();
}

std::string encode_progress(const jobs::Report& report) {
  JsonWriter json;
  json.object().member("lock_token", report.lock_token);
  if (report.progress) write_progress(json, *report.progress);
  return std::move(json.end()).text();
}

std::string encode_lines(const jobs::Report& report) {
  JsonWriter json;
  json.object().member("lock_token", report.lock_token);
  write_lines(json, report.logs);
  return std::move(json.end()).text();
}

namespace {

void write_crash(JsonWriter& json, const jobs::Crash& crash) {
  json.key("crash").object();
  if (crash.signal != 0) json.member("signal", crash.signal);
  json.member("exit_code", crash.exit_code);
  if (crash.peak_rss_bytes > 0) json.member("peak_rss_bytes", crash.peak_rss_bytes);
  if (crash.out_of_memory) json.member("out_of_memory", true);
  write_text(json, "detail", crash.detail);
  json.end();
}

void write_settlement(JsonWriter& json, const jobs::Settlement& settlement) {
  json.member("lock_token", settlement.lock_token);
  if (settlement.kind == Kind::Fail) write_failure(json, settlement.failure);
  if (settlement.crash) write_crash(json, *settlement.crash);
  if (settlement.kind == Kind::Release) write_text(json, "reason", settlement.reason);
  if (settlement.kind == Kind::Snooze)
    json.raw_member("after_s", seconds_json(std::max(settlement.after, Duration::zero())));
  if (settlement.kind == Kind::Complete && !settlement.result.empty())
    json.raw_member("result", settlement.result);
}

}  // namespace

std::string encode_settlement(const jobs::Settlement& settlement) {
  JsonWriter json;
  json.object();
  write_settlement(json, settlement);
  return std::move(json.end()).text();
}

std::string_view verb_of(jobs::Settlement::Kind kind) {
  return std::ranges::find(kKinds, kind, &KindName::kind)->name;
}

std::string encode_settlements(std::span<const jobs::Settlement> settlements) {
  JsonWriter json;
  json.object();
  for (const auto& [name, kind] : kKinds) {
    json.key(name).array();
    for (const jobs::Settlement& settlement : settlements) {
      if (settlement.kind != kind) continue;
      json.object().member("id", settlement.job_id);
      write_settlement(json, settlement);
      json.end();
    }
    json.end();
  }
  return std::move(json.end()).text();
}

std::string encode_recurring(const jobs::RecurringSpec& spec) {
  JsonWriter json;
  json.object().member("schedule", spec.schedule).member("zone", spec.zone);
  write_text(json, "dst", spec.dst);
  json.member("missed", std::ranges::find(kMissed, spec.missed, &MissedName::missed)->name);
  if (spec.missed == jobs::Missed::Within)
    json.member("missed_within", format_iso(spec.missed_within));
  json.member("missed_max", spec.missed_max)
      .member("max_concurrent", spec.max_concurrent)
      .key("spec");
  write_spec(json, spec.job);
  return std::move(json.end()).text();
}

jobs::InsertResult decode_inserted(const Node& node) {
  jobs::InsertResult result;
  for (const Node& job : items(node, "jobs")) result.jobs.push_back(decode_one_inserted(job));
  const auto existed = std::ranges::count(result.jobs, false, &jobs::Inserted::created);
  result.total = integer(node, "count");
  // Of those with a `count` the answer names some; they are all new, or the request was repeated.
  const bool repeated = existed == static_cast<std::int64_t>(result.jobs.size());
  result.created = repeated ? 0 : result.total - existed;
  return result;
}

jobs::Registration decode_registration(const Node& node) {
  return {.worker_id = text(node, "worker_id"),
          .lease = seconds(node, "lease_s"),
          .beat = seconds(node, "beat_s")};
}

jobs::Claimed decode_claimed(const Node& node) {
  jobs::Claimed claimed;
  claimed.state = state_of_worker(node);
  for (const Node& job : items(node, "jobs"))
    claimed.jobs.push_back({decode_job(job), text(job, "lock_token")});
  return claimed;
}

jobs::BeatAnswer decode_beat(const Node& node) {
  jobs::BeatAnswer answer;
  for (const Node& cancel : items(node, "cancel"))
    answer.cancel.push_back({text(cancel, "id"), text(cancel, "reason")});
  answer.state = state_of_worker(node);
  answer.drain_until = instant(node, "drain_until");
  answer.lease = seconds(node, "lease_s");
  return answer;
}

jobs::Job decode_job(const Node& node) {
  return {.id = text(node, "id"),
          .kind = text(node, "kind"),
          .v = integer<int>(node, "v", 1),
          .args = args(node),
          .name = text(node, "name"),
          .queue = text(node, "queue"),
          .priority = integer<int>(node, "priority"),
          .state = state_of_job(node, jobs::JobState::Processing),
          .version = integer<int>(node, "version", 1),
          .run_at = instant(node, "run_at"),
          .labels = texts(node, "labels"),
          .retries = maybe_integer<int>(node, "retries"),
          .attempt = integer<int>(node, "attempt"),
          .failures = integer<int>(node, "failures"),
          .crashes = integer<int>(node, "crashes"),
          .max_attempts = integer<int>(node, "max_attempts"),
          .max_crashes = integer<int>(node, "max_crashes", jobs::kDefaultMaxCrashes),
          .extra = jobs::read_extra(node),
          .progress = decode_progress(node.find("progress")),
          .deadline = instant(node, "deadline"),
          .recurring_id = text(node, "recurring_id"),
          .meta = json(node, "meta"),
          .created_by = text(node, "created_by"),
          .created_at = instant(node, "created_at").value_or(TimePoint{}),
          .updated_at = instant(node, "updated_at").value_or(TimePoint{})};
}

std::vector<jobs::JobEvent> decode_history(const Node& node) {
  std::vector<jobs::JobEvent> events;
  for (const Node& event : items(node, "history")) events.push_back(decode_event(event));
  return events;
}

jobs::JobPage decode_page(const Node& node) {
  jobs::JobPage page;
  for (const Node& job : items(node, "items")) page.items.push_back(decode_job(job));
  page.next = text(node, "next");
  return page;
}

jobs::JobLog decode_log(const Node& node) {
  jobs::JobLog log{.attempt = integer<int>(node, "attempt"),
                   .lines = {},
                   .dropped = integer(node, "dropped"),
                   .next = integer(node, "next")};
  for (const Node& line : items(node, "lines")) log.lines.push_back(decode_line(line));
  return log;
}

jobs::Outcome decode_outcome(const Node& node) {
  return {.available = flag(node, "available"),
          .state = state_of_job(node, jobs::JobState::Enqueued),
          .json = json(node, "result"),
          .retry_after = std::chrono::milliseconds(integer(node, "retry_after_ms"))};
}

std::vector<jobs::Worker> decode_workers(const Node& node) {
  std::vector<jobs::Worker> workers;
  for (const Node& worker : node.items) workers.push_back(decode_worker(worker));
  return workers;
}

std::vector<jobs::QueueStats> decode_queues(const Node& node, TimePoint now) {
  std::vector<jobs::QueueStats> queues;
  for (const Node& queue : node.items) {
    jobs::QueueStats& stats = queues.emplace_back();
    stats.queue = text(queue, "queue");
    stats.priority = integer<int>(queue, "priority");
    stats.enqueued = integer(queue, "enqueued");
    stats.scheduled = integer(queue, "scheduled");
    stats.processing = integer(queue, "processing");
    stats.succeeded = integer(queue, "succeeded");
    stats.failed = integer(queue, "failed");
    stats.deleted = integer(queue, "deleted");
    if (stats.enqueued > 0)
      stats.oldest = now - std::chrono::milliseconds(integer(queue, "oldestMs"));
    stats.paused = flag(queue, "paused");
  }
  return queues;
}

std::vector<jobs::RecurringJob> decode_recurring(const Node& node) {
  std::vector<jobs::RecurringJob> all;
  for (const Node& recurring : node.items) all.push_back(decode_one_recurring(recurring));
  return all;
}

// The server answers kind by kind; within a kind the order is ours.
Result<std::vector<jobs::Settled>> decode_settled(const Node& node,
                                                  std::span<const jobs::Settlement> settlements) {
  const std::vector<Node>& results = items(node, "results");
  if (results.size() != settlements.size())
    return fail(Code::Internal, "the server answered another number of settlements");
  std::vector<jobs::Settled> settled(settlements.size());
  std::size_t next = 0;
  for (const auto& [name, kind] : kKinds)
    for (std::size_t i = 0; i < settlements.size(); ++i)
      if (settlements[i].kind == kind) settled[i] = decode_one_settled(results[next++]);
  return settled;
}

Result<jobs::Settled> decode_settled(const http::Response& response,
                                     const jobs::Settlement& settlement) {
  jobs::Settled settled;
  settled.job_id = settlement.job_id;
  if (settlement.kind == Kind::Release) settled.state = jobs::JobState::Enqueued;
  const bool refused = response.status == 404 || response.status == 409 || response.status == 413;
  if (refused) settled.status = decode_problem(response);
  if (response.status == 204 || !settled.status) return settled;
  if (response.status != 200) return decode_problem(response);
  TRY(const Node answer, parse_json(response.body));
  const bool snoozed = settlement.kind == Kind::Snooze;
  settled.state =
      state_of_job(answer, snoozed ? jobs::JobState::Scheduled : jobs::JobState::Failed);
  settled.run_at = instant(answer, "run_at");
  return settled;
}

Fault decode_problem(const http::Response& response) {
  const auto problem = parse_json(response.body);
  if (!problem)
    return fail(code_of_status(response.status),
                fmt::format("the server answered {}", response.status));
  const std::string detail = text(*problem, "detail");
  return fail(code_of(text(*problem, "code"), response.status),
              detail.empty() ? fmt::format("the server answered {}", response.status) : detail);
}

std::string_view problem_name(Code code) { return http::problem_code(code); }

}  // namespace jobmill::wire
