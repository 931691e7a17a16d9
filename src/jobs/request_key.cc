// SPDX-License-Identifier: Apache-2.0
#include "jobs/request_key.h"

#include <algorithm>

#include "base/base64.h"
#include "base/duration.h"
#include "base/hmac.h"
#include "base/json_writer.h"
#include "base/secret.h"
#include "jobs/spec_json.h"

namespace jobmill::jobs {
namespace {

void sort_members(Node& node) {
  std::ranges::sort(node.members, {}, &Node::Member::key);
  for (Node::Member& member : node.members) sort_members(member.value);
  for (Node& item : node.items) sort_members(item);
}

std::string canonical(std::string_view json) {
  auto node = parse_json(json);
  if (!node) return std::string(json);
  sort_members(*node);
  return to_json(*node);
}

void write_canonical(JsonWriter& json, const JobSpec& given) {
  JobSpec spec = given;
  spec.args = canonical(spec.args);
  if (!spec.meta.empty()) spec.meta = canonical(spec.meta);
  spec.extra.trace = {};
  json.object();
  write_members(json, spec);
  if (!spec.id.empty()) json.member("id", spec.id);
  if (spec.run_at) json.member("run_at", format_instant(*spec.run_at));
  if (spec.delay) json.member("delay", format_iso(*spec.delay));
  if (spec.count) json.member("count", *spec.count);
  json.end();
}

}  // namespace

Status check_key(std::string_view key) {
  if (key.size() <= kMaxKeyBytes) return {};
  return fail(Code::InvalidArgument, "idempotency_key: longer than 255 bytes");
}

std::string fingerprint(std::span<const JobSpec> specs) {
  JsonWriter json;
  json.array();
  for (const JobSpec& spec : specs) write_canonical(json, spec);
  json.end();
  return base64_encode(hmac_sha256(Secret("jobmill request"), std::move(json).text()));
}

std::string answer_text(const InsertResult& result) {
  JsonWriter json;
  json.object().member("total", result.total).key("jobs").array();
  for (const Inserted& job : result.jobs)
    json.object().member("id", job.id).member("state", to_string(job.state)).end();
  return std::move(json.end().end()).text();
}

Result<InsertResult> repeated_answer(std::string_view text) {
  TRY(const Node node, parse_json(text));
  InsertResult result;
  if (const Node* total = node.find("total")) result.total = total->as_int().value_or(0);
  const Node* list = node.find("jobs");
  if (list == nullptr) return fail(Code::Internal, "an answer without jobs was kept");
  for (const Node& job : list->items) {
    const Node* id = job.find("id");
    const Node* state = job.find("state");
    if (id == nullptr || state == nullptr) return fail(Code::Internal, "a kept answer is damaged");
    result.jobs.push_back({.id = id->text,
                           .state = job_state(state->text).value_or(JobState::Enqueued),
                           .created = false});
  }
  return result;
}

Fault key_conflict(std::string_view key) {
  return fail(Code::AlreadyExists,
              "idempotency_key: was used for another request: " + std::string(key));
}

}  // namespace jobmill::jobs
