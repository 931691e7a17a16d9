// SPDX-License-Identifier: Apache-2.0
#include "jobs/spec_json.h"

namespace jobmill::jobs {
namespace {

void write_texts(JsonWriter& json, std::string_view name, const std::vector<std::string>& texts) {
  json.key(name).array();
  for (const std::string& text : texts) json.value(text);
  json.end();
}

}  // namespace

void write_members(JsonWriter& json, const JobSpec& spec) {
  json.member("kind", spec.kind).member("v", spec.v);
  json.raw_member(spec.args.starts_with('{') ? "named" : "args", spec.args);
  if (!spec.name.empty()) json.member("name", spec.name);
  json.member("queue", spec.queue).member("priority", spec.priority);
  write_texts(json, "labels", spec.labels);
  if (spec.retries) json.member("retries", *spec.retries);
  write_members(json, spec.extra);
  json.member("max_crashes", spec.max_crashes);
  if (!spec.meta.empty()) json.raw_member("meta", spec.meta);
}

void write_members(JsonWriter& json, const WorkerSpec& spec) {
  write_texts(json, "tags", spec.tags);
  write_texts(json, "queues", spec.queues);
  write_texts(json, "kinds", spec.kinds);
  json.member("version", spec.version)
      .member("host", spec.host)
      .member("pid", spec.pid)
      .member("runtime", spec.runtime)
      .member("prefetch", spec.prefetch)
      .member("generation", spec.generation)
      .member("replica", spec.replica);
}

}  // namespace jobmill::jobs
