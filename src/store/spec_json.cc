// SPDX-License-Identifier: Apache-2.0
#include "store/spec_json.h"

#include "base/document.h"
#include "base/json_writer.h"
#include "jobs/spec_json.h"
#include "store/json_fields.h"

namespace jobmill::store {
namespace {

// Earlier a text that held the JSON was kept.
void read_json(const Node& node, std::string_view key, std::string& out) {
  const Node* found = node.find(key);
  if (found != nullptr) out = found->is_string() ? found->text : to_json(*found);
}

jobs::JobSpec job_spec(const Node& node) {
  jobs::JobSpec job;
  read(node, "kind", job.kind);
  read(node, "v", job.v);
  read_json(node, "args", job.args);
  read_json(node, "named", job.args);
  read(node, "name", job.name);
  read(node, "queue", job.queue);
  read(node, "priority", job.priority);
  read(node, "max_crashes", job.max_crashes);
  read_json(node, "meta", job.meta);
  read(node, "created_by", job.created_by);
  read(node, "labels", job.labels);
  job.extra = jobs::read_extra(node);
  if (node.find("retries") != nullptr) read(node, "retries", job.retries.emplace());
  return job;
}

}  // namespace

std::string to_json(const jobs::WorkerSpec& spec) {
  JsonWriter json;
  json.object().member("name", spec.name).member("concurrency", spec.concurrency);
  write_members(json, spec);
  return std::move(json.end()).text();
}

Result<jobs::WorkerSpec> worker_spec(std::string_view json) {
  TRY(const Node node, parse_json(json));
  jobs::WorkerSpec spec;
  read(node, "name", spec.name);
  read(node, "concurrency", spec.concurrency);
  read(node, "version", spec.version);
  read(node, "host", spec.host);
  read(node, "pid", spec.pid);
  read(node, "runtime", spec.runtime);
  read(node, "prefetch", spec.prefetch);
  read(node, "generation", spec.generation);
  read(node, "replica", spec.replica);
  read(node, "tags", spec.tags);
  read(node, "queues", spec.queues);
  read(node, "kinds", spec.kinds);
  return spec;
}

std::string to_json(const jobs::RecurringSpec& spec) {
  JsonWriter json;
  json.object()
      .member("id", spec.id)
      .member("schedule", spec.schedule)
      .member("zone", spec.zone)
      .member("dst", spec.dst)
      .member("missed", static_cast<int>(spec.missed))
      .member("missed_within", spec.missed_within.count())
      .member("missed_max", spec.missed_max)
      .member("max_concurrent", spec.max_concurrent)
      .member("created_by", spec.created_by);
  if (spec.paused) json.member("paused", true);  // the usual ones read as they always did
  json.key("job").object();
  write_members(json, spec.job);
  json.member("created_by", spec.job.created_by).end();
  return std::move(json.end()).text();
}

Result<jobs::RecurringSpec> recurring_spec(std::string_view json) {
  TRY(const Node node, parse_json(json));
  jobs::RecurringSpec spec;
  int missed = static_cast<int>(spec.missed);
  std::int64_t within = 0;
  read(node, "id", spec.id);
  read(node, "schedule", spec.schedule);
  read(node, "zone", spec.zone);
  read(node, "dst", spec.dst);
  read(node, "missed", missed);
  read(node, "missed_within", within);
  read(node, "missed_max", spec.missed_max);
  read(node, "max_concurrent", spec.max_concurrent);
  read(node, "created_by", spec.created_by);
  read(node, "paused", spec.paused);
  if (const Node* job = node.find("job")) spec.job = job_spec(*job);
  spec.missed = static_cast<jobs::Missed>(missed);
  spec.missed_within = Duration(within);
  return spec;
}

}  // namespace jobmill::store
