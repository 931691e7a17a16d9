// SPDX-License-Identifier: Apache-2.0
#include "api/job_json.h"

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
  write_text(json, "recurring_id", job.recurring_id);
  write_json(json, "meta", job.meta);
}

void read_args(ObjectReader& in, jobs::JobSpec& spec) {
  const Node* args = in.array("args");
  const Node* named = in.object("named");
  if (args != nullptr && named != nullptr) in.wrong("named", "excludes args");
  if (args != nullptr) spec.args = to_json(*args);
  if (named != nullptr) spec.args = to_json(*named);
}

}  // namespace

void read_spec(ObjectReader in, jobs::JobSpec& spec) {
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
  in.integer("retries", spec.retries, 0, 1000);
  in.integer("max_crashes", spec.max_crashes, 1, 1000);
  if (const Node* meta = in.object("meta")) spec.meta = to_json(*meta);
  in.integer("count", spec.count, 1, jobs::kMaxCount);
  if (spec.run_at && spec.delay) in.wrong("delay", "excludes run_at");
  if (in.has("id") && spec.count) in.wrong("count", "excludes id");
  in.close();
}

void write_job(JsonWriter& json, const jobs::Job& job) {
  json.object();
  write_core(json, job);
  json.member("priority", job.priority)
      .member("state", to_string(job.state))
      .member("version", job.version);
  write_instant(json, "run_at", job.run_at);
  if (job.retries) json.member("retries", *job.retries);
  json.member("failures", job.failures).member("max_crashes", job.max_crashes);
  write_text(json, "created_by", job.created_by);
  json.member("created_at", format_instant(job.created_at))
      .member("updated_at", format_instant(job.updated_at))
      .end();
}

void write_claimed(JsonWriter& json, const jobs::ClaimedJob& claimed,
                   const std::string& lease_until) {
  json.object();
  write_core(json, claimed.job);
  json.member("lock_token", claimed.lock_token).member("lease_until", lease_until).end();
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
  write_instant(json, "drainDeadline", worker.drain_until);
  json.end();
}

}  // namespace jobmill::api
