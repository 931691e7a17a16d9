// SPDX-License-Identifier: Apache-2.0
#include "api/job_json.h"

#include <algorithm>
#include <optional>

#include "base/duration.h"
#include "jobs/spec_json.h"

namespace jobmill::api {
namespace {

void write_texts(JsonWriter& json, std::string_view name, const std::vector<std::string>& texts) {
  json.key(name).array();
  for (const std::string& text : texts) json.value(text);
  json.end();
}

void write_text(JsonWriter& json, std::string_view name, const std::string& text) {
  if (!text.empty()) json.member(name, text);
}

void write_instant(JsonWriter& json, std::string_view name, const std::optional<TimePoint>& at) {
  if (at) json.member(name, format_instant(*at));
}

void write_args(JsonWriter& json, const std::string& args) {
  json.raw_member(args.starts_with('{') ? "named" : "args", args);
}

void write_json(JsonWriter& json, std::string_view name, const std::string& text) {
  if (!text.empty()) json.raw_member(name, text);
}

// What a claim hands out, and everyone else sees too.
void write_core(JsonWriter& json, const jobs::Job& job) {
  json.member("id", job.id).member("kind", job.kind).member("v", job.v);
  write_args(json, job.args);
  json.member("name", job.name).member("queue", job.queue);
  write_texts(json, "labels", job.labels);
  json.member("attempt", job.attempt)
      .member("max_attempts", job.max_attempts)
      .member("crashes", job.crashes);
  write_members(json, job.extra);
  write_instant(json, "deadline", job.deadline);
  write_text(json, "recurring_id", job.recurring_id);
  write_json(json, "meta", job.meta);
}

void write_progress(JsonWriter& json, const jobs::Progress& progress) {
  json.key("progress")
      .object()
      .member("done", progress.done)
      .member("total", progress.total)
      .member("failed", progress.failed)
      .member("percent", progress.percent())
      .end();
}

void read_args(ObjectReader& in, jobs::JobSpec& spec) {
  const Node* args = in.array("args");
  const Node* named = in.object("named");
  if (args != nullptr && named != nullptr) in.wrong("named", "excludes args");
  if (args != nullptr) spec.args = to_json(*args);
  if (named != nullptr) spec.args = to_json(*named);
}

constexpr double kFarthest = 1e9;  // seconds
constexpr std::string_view kSeconds =
    "expected seconds, or an ISO 8601 duration such as PT5M, not negative";

std::optional<Duration> seconds_of(const Node& node) {
  if (node.is_string()) {
    const auto parsed = parse_iso_duration(node.text);
    return parsed && !parsed->negative() ? std::optional(to_duration(*parsed)) : std::nullopt;
  }
  const auto value = node.as_double();
  if (!value || !(*value >= 0 && *value <= kFarthest)) return std::nullopt;
  return std::chrono::round<Duration>(std::chrono::duration<double>(*value));
}

void read_seconds(ObjectReader& in, std::string_view name, Duration& out) {
  const Node* member = in.any(name);
  if (member == nullptr) return;
  const auto value = seconds_of(*member);
  if (!value) return in.wrong(name, std::string(kSeconds));
  out = *value;
}

void read_delays(ObjectReader& in, std::vector<Duration>& delays) {
  const Node* list = in.array("delays");
  if (list == nullptr) return;
  if (list->items.empty()) in.wrong("delays", "must not be empty");
  for (const Node& item : list->items) {
    const auto delay = seconds_of(item);
    if (!delay) return in.wrong("delays", std::string(kSeconds));
    delays.push_back(*delay);
  }
}

// A base alone is the factor, too: 2 means 2, 4, 8 …
void read_growth(ObjectReader& in, jobs::RetryPolicy& policy) {
  read_seconds(in, "base", policy.base);
  if (in.has("base")) {
    const auto whole = std::chrono::floor<std::chrono::seconds>(policy.base);
    policy.factor = std::max<std::int64_t>(1, whole.count());
    if (whole != policy.base && !in.has("factor"))
      in.wrong("factor", "is required when base is no whole number");
  }
  in.integer("factor", policy.factor, 1);
  read_seconds(in, "cap", policy.cap);
}

jobs::RetryPolicy read_retry(ObjectReader in) {
  jobs::RetryPolicy policy;
  read_delays(in, policy.delays);
  read_growth(in, policy);
  if (in.has("delays") && (in.has("base") || in.has("factor") || in.has("cap")))
    in.wrong("delays", "excludes base, factor and cap");
  std::optional<double> jitter;
  in.number("jitter", jitter);
  if (jitter && *jitter > 1) in.wrong("jitter", "expected 0 to 1");
  policy.jitter = jitter.value_or(0);
  in.close();
  return policy;
}

void read_extra(ObjectReader& in, jobs::Extra& extra, std::vector<FieldError>& errors) {
  if (const Node* retry = in.object("retry"))
    extra.retry = read_retry({*retry, in.path_of("retry"), errors});
  read_seconds(in, "timeout_s", extra.timeout);
  read_seconds(in, "progress_timeout_s", extra.progress_timeout);
  in.duration("result_ttl", extra.result_ttl);
  if (const Node* trace = in.object("trace")) {
    ObjectReader inner(*trace, in.path_of("trace"), errors);
    inner.text("traceparent", extra.trace.parent, Field::Required);
    inner.text("tracestate", extra.trace.state);
    inner.close();
  }
}

}  // namespace

void read_spec(ObjectReader in, jobs::JobSpec& spec, std::vector<FieldError>& errors) {
  in.text("id", spec.id);
  in.text("kind", spec.kind, Field::Required);
  in.integer("v", spec.v, 1);
  read_args(in, spec);
  in.text("name", spec.name);
  in.text("queue", spec.queue);
  in.integer("priority", spec.priority, 0, jobs::kMaxPriority);
  in.instant("run_at", spec.run_at);
  in.duration("delay", spec.delay);
  in.texts("labels", spec.labels);
  in.integer("retries", spec.retries, 0, jobs::kMostRetries);
  read_extra(in, spec.extra, errors);
  in.integer("max_crashes", spec.max_crashes, 1, 1000);
  if (const Node* meta = in.object("meta")) spec.meta = to_json(*meta);
  in.integer("count", spec.count, 1, jobs::kMaxCount);
  if (spec.retries && spec.extra.retry) in.wrong("retry", "excludes retries");
  if (spec.run_at && spec.delay) in.wrong("delay", "excludes run_at");
  if (in.has("id") && spec.count) in.wrong("count", "excludes id");
  in.close();
}

void write_job(JsonWriter& json, const jobs::Job& job) {
  json.object();
  write_job_members(json, job);
  json.end();
}

void write_job_members(JsonWriter& json, const jobs::Job& job) {
  write_core(json, job);
  json.member("priority", job.priority)
      .member("state", to_string(job.state))
      .member("version", job.version);
  write_instant(json, "run_at", job.run_at);
  if (job.retries) json.member("retries", *job.retries);
  json.member("failures", job.failures).member("max_crashes", job.max_crashes);
  if (job.progress) write_progress(json, *job.progress);
  write_text(json, "created_by", job.created_by);
  json.member("created_at", format_instant(job.created_at))
      .member("updated_at", format_instant(job.updated_at));
}

void write_claimed(JsonWriter& json, const jobs::ClaimedJob& claimed,
                   const std::string& lease_until) {
  json.object();
  write_core(json, claimed.job);
  json.member("lock_token", claimed.lock_token).member("lease_until", lease_until).end();
}

void write_log(JsonWriter& json, const jobs::JobLog& log) {
  json.object().member("attempt", log.attempt).key("lines").array();
  for (const jobs::LogLine& line : log.lines)
    json.object()
        .member("level", to_string(line.level))
        .member("at", format_instant(line.at))
        .member("text", line.text)
        .end();
  json.end().member("dropped", log.dropped).member("next", log.next).end();
}

void write_outcome(JsonWriter& json, const jobs::Outcome& outcome) {
  json.object().member("available", outcome.available).member("state", to_string(outcome.state));
  if (outcome.available) json.raw_member("result", outcome.json);
  if (outcome.retry_after > Duration::zero()) {
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(outcome.retry_after);
    json.member("retry_after_ms", ms.count());
  }
  json.end();
}

// The event's own fields stand beside state and time, as its readers know them.
void write_event(JsonWriter& json, const jobs::JobEvent& event) {
  std::string text = "{\"state\":" + json_quote(to_string(event.state)) +
                     ",\"createdAt\":" + json_quote(format_instant(event.at));
  if (event.data.size() > 2) text += "," + event.data.substr(1, event.data.size() - 2);
  json.raw(text + "}");
}

void write_inserted(JsonWriter& json, const jobs::Inserted& inserted) {
  json.object()
      .member("id", inserted.id)
      .member("state", to_string(inserted.state))
      .member("created", inserted.created)
      .end();
}

void write_spec(JsonWriter& json, const jobs::JobSpec& spec) {
  json.object();
  write_members(json, spec);
  json.end();
}

void write_worker(JsonWriter& json, const jobs::Worker& worker) {
  const jobs::WorkerSpec& spec = worker.spec;
  json.object()
      .member("id", worker.id)
      .member("name", spec.name)
      .member("workerPoolSize", spec.concurrency)
      .member("occupiedWorkers", worker.occupied)
      .member("running", true)
      .member("state", to_string(worker.state))
      .member("firstHeartbeat", format_instant(worker.first_beat))
      .member("lastHeartbeat", format_instant(worker.last_beat));
  write_members(json, spec);
  write_instant(json, "oldestStart", worker.oldest_start);
  // While it is quiet it has no end that would mean something to a reader.
  if (worker.state == jobs::WorkerState::Stop)
    write_instant(json, "drainDeadline", worker.drain_until);
  json.end();
}

}  // namespace jobmill::api
