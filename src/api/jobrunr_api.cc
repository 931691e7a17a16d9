// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <map>

#include "api/audit_record.h"
#include "api/auth.h"
#include "api/job_change.h"
#include "api/job_filter.h"
#include "api/job_json.h"
#include "api/job_page.h"
#include "api/jobrunr_json.h"
#include "api/json.h"
#include "api/problem.h"
#include "api/query_reader.h"
#include "api/route.h"
#include "base/duration.h"
#include "base/id.h"
#include "jobs/metadata.h"

// The paths of JobRunr's dashboard that are about jobs, and those that stand beside them.
namespace jobmill::api {
namespace {

// --- list and get -------------------------------------------------------------------------------

Result<std::string> page(ApiContext& context, const JobPageRequest& request) {
  TRY(auto* explorer, explorer_of(context));
  TRY(const auto found, find_jobs(*explorer, request));
  std::vector<std::string> ids;
  for (const jobs::Job& job : found.items) ids.push_back(job.id);
  TRY(const auto histories, explorer->histories(ids));
  JsonWriter json;
  json.object().key("items").array();
  for (std::size_t i = 0; i < found.items.size(); ++i)
    write_jobrunr_job(json, found.items[i], histories[i]);
  json.end();
  write_page_facts(json, {.total = found.total.count,
                          .exact = found.total.exact,
                          .offset = request.offset,
                          .limit = request.limit,
                          .order = request.order,
                          .has_previous = !found.previous.empty(),
                          .has_next = !found.next.empty(),
                          .previous = found.previous,
                          .next = found.next});
  return std::move(json.end()).text();
}

void list_jobs(ApiContext& context, Call call) {
  JobPageRequest request;
  QueryReader in(call.request);
  read_filter(in, request.filter);
  in.text("order", request.order);
  in.integer("offset", request.offset);
  in.integer("limit", request.limit, 1, 1000);
  in.text("after", request.after);
  in.text("before", request.before);
  if (auto problem = in.close()) return call.responder.send(to_response(*problem));
  if (request.filter.states.empty()) request.filter.states = {jobs::JobState::Enqueued};
  answer(context, call.responder,
         [&context, request] { return json_or_problem(page(context, request)); });
}

std::optional<int> attempt_of(const jobs::JobEvent& event) {
  if (event.state != jobs::JobState::Processing) return std::nullopt;
  const auto data = parse_json(event.data);
  const Node* attempt = data ? data->find("attempt") : nullptr;
  const auto number = attempt == nullptr ? std::nullopt : attempt->as_int();
  return number ? std::optional(static_cast<int>(*number)) : std::nullopt;
}

// After a requeue attempts are counted anew: a number's lines are those of its latest event.
Result<std::vector<EventLog>> logs_of(ApiContext& context, const std::string& id,
                                      const std::vector<jobs::JobEvent>& history) {
  std::map<int, std::size_t> events;
  for (std::size_t i = 0; i < history.size(); ++i)
    if (const auto attempt = attempt_of(history[i])) events[*attempt] = i + 1;
  std::vector<EventLog> logs;
  for (const auto& [attempt, event] : events) {
    TRY(auto log, context.store.log(id, attempt, 0));
    if (!log.lines.empty()) logs.push_back({event, std::move(log.lines)});
  }
  return logs;
}

Result<std::string> one_job(ApiContext& context, const std::string& id) {
  TRY(const auto job, context.store.get(id));
  TRY(const auto history, context.store.history(id));
  TRY(const auto logs, logs_of(context, id, history));
  JsonWriter json;
  write_jobrunr_job(json, job, history, logs);
  return std::move(json).text();
}

void get_job(ApiContext& context, Call call) {
  answer(context, call.responder,
         [&context, id = call.parameter("id")] { return json_or_problem(one_job(context, id)); });
}

// --- changes ------------------------------------------------------------------------------------

// Who may not delete jobs may cancel those that run.
http::Response deleted(ApiContext& context, const Call& call) {
  JsonBody body(call.request);
  std::string reason;
  auto in = body.reader();
  in.text("reason", reason);
  in.close();
  if (auto problem = body.problem()) return to_response(*problem);
  const std::string& id = call.parameter("id");
  const auto job = context.store.get(id);
  if (!job) return to_response(job.error());
  const bool running = job->state == jobs::JobState::Processing;
  if (!running && !call.identity.may(Scope::Admin))
    return forbidden("only an admin deletes jobs; an operator cancels those that are PROCESSING");
  const Status status = context.store.remove(id, reason, context.clock.now());
  if (status) record(context, call, running ? "job.cancel" : "job.delete", job->id);
  return changed(status, id);
}

void delete_job(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] { return deleted(context, call); });
}

// The same job again, as a new one; its name and labels are those that were made of its arguments.
jobs::JobSpec spec_like(const jobs::Job& job) {
  jobs::JobSpec spec;
  spec.kind = job.kind;
  spec.v = job.v;
  spec.args = job.args;
  spec.name = job.name;
  spec.queue = job.queue;
  spec.priority = job.priority;
  spec.labels = job.labels;
  spec.retries = job.retries;
  spec.extra = job.extra;
  spec.extra.trace = {};
  spec.max_crashes = job.max_crashes;
  spec.meta = job.meta;
  return spec;
}

http::Response cloned(ApiContext& context, const Call& call) {
  JsonBody body(call.request);
  auto in = body.reader();
  const Node* args = in.array("args");
  const Node* named = in.object("named");
  if (args != nullptr && named != nullptr) in.wrong("named", "excludes args");
  in.close();
  if (auto problem = body.problem()) return to_response(*problem);
  const auto job = context.store.get(call.parameter("id"));
  if (!job) return to_response(job.error());
  jobs::JobSpec spec = spec_like(*job);
  if (args != nullptr || named != nullptr) spec.args = to_json(args != nullptr ? *args : *named);
  spec.created_by = call.identity.name;
  const auto inserted = context.store.insert({&spec, 1}, context.clock.now());
  if (!inserted) return to_response(inserted.error());
  const std::string& id = inserted->jobs.front().id;
  record(context, call, "job.clone", job->id, {}, json_quote(id));
  JsonWriter json;
  json.object().member("id", id).end();
  return json_response(201, std::move(json).text());
}

void post_clone(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] { return cloned(context, call); });
}

http::Response scheduled(ApiContext& context, const Call& call) {
  JsonBody body(call.request);
  std::optional<TimePoint> run_at;
  auto in = body.reader();
  in.instant("run_at", run_at);
  if (!in.has("run_at")) in.wrong("run_at", "is required");
  in.close();
  if (auto problem = body.problem()) return to_response(*problem);
  const std::string& id = call.parameter("id");
  if (!run_at) return to_response(wrong_parameter("run_at", "must not be empty"));
  jobs::Alteration alteration{.kind = jobs::Alteration::Kind::Reschedule, .run_at = *run_at};
  if (!call.identity.name.empty()) alteration.reason = "by " + call.identity.name;
  const auto statuses = context.store.alter({&id, 1}, alteration, context.clock.now());
  if (!statuses) return to_response(statuses.error());
  if (statuses->front())
    record(context, call, "job.schedule", id, {}, json_quote(format_instant(*run_at)));
  return changed(statuses->front(), id);
}

void post_schedule(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] { return scheduled(context, call); });
}

// --- the server itself --------------------------------------------------------------------------

// Made when it is first asked for. Without a memory there is none.
Result<std::string> cluster_id(ApiContext& context) {
  if (context.metadata == nullptr) return std::string();
  const TimePoint now = context.clock.now();
  return jobs::kept_value(*context.metadata, "id", "cluster", new_id(now), now);
}

Result<std::string> version(ApiContext& context) {
  TRY(const std::string id, cluster_id(context));
  JsonWriter json;
  json.object()
      .member("version", context.version)
      .member("allowAnonymousDataUsage", false)
      .member("clusterId", id)
      .member("storageProviderType", context.storage)
      .end();
  return std::move(json).text();
}

void get_version(ApiContext& context, Call call) {
  answer(context, call.responder, [&context] { return json_or_problem(version(context)); });
}

Result<std::string> cluster(ApiContext& context) {
  TRY(const std::string id, cluster_id(context));
  JsonWriter json;
  json.object().member("clusterId", id).end();
  return std::move(json).text();
}

void get_cluster(ApiContext& context, Call call) {
  answer(context, call.responder, [&context] { return json_or_problem(cluster(context)); });
}

Result<std::string> metadata(ApiContext& context, const Call& call, bool raw) {
  std::optional<jobs::Fact> fact;
  if (context.metadata != nullptr) {
    TRY(fact, context.metadata->get(call.parameter("name"), call.parameter("owner")));
  }
  if (!fact) return fail(Code::NotFound, "no such metadata");
  if (raw) return parse_json(fact->value) ? fact->value : json_quote(fact->value);
  JsonWriter json;
  json.object()
      .member("name", fact->name)
      .member("owner", fact->owner)
      .member("value", fact->value)
      .member("createdAt", format_instant(fact->created_at))
      .member("updatedAt", format_instant(fact->updated_at))
      .end();
  return std::move(json).text();
}

void get_metadata(ApiContext& context, Call call) {
  std::string format;
  QueryReader in(call.request);
  in.text("format", format);
  const bool raw = format == "jsonValue";
  if (!raw && !format.empty()) in.wrong("format", "expected jsonValue");
  if (auto problem = in.close()) return call.responder.send(to_response(*problem));
  answer(context, call.responder,
         [&context, call, raw] { return json_or_problem(metadata(context, call, raw)); });
}

constexpr std::array kRoutes{
    Route{"GET", "/api/jobs", Scope::Read, list_jobs},
    Route{"POST", "/api/jobs", Scope::Produce, post_jobs},
    Route{"GET", "/api/jobs/{id}", Scope::Read, get_job},
    Route{"DELETE", "/api/jobs/{id}", Scope::Operate, delete_job},
    Route{"POST", "/api/jobs/{id}/requeue", Scope::Operate, post_requeue},
    Route{"POST", "/api/jobs/{id}/schedule", Scope::Operate, post_schedule},
    Route{"POST", "/v1/jobs/{id}/schedule", Scope::Operate, post_schedule},
    Route{"POST", "/api/jobs/{id}/clone", Scope::Produce, post_clone},
    Route{"GET", "/api/jobs/{id}/logs", Scope::Read, get_logs},
    Route{"GET", "/api/version", Scope::Read, get_version},
    Route{"GET", "/api/cluster/cluster-id", Scope::Read, get_cluster},
    Route{"GET", "/api/metadata/{name}/{owner}", Scope::Read, get_metadata},
};

}  // namespace

std::span<const Route> jobrunr_routes() { return kRoutes; }

}  // namespace jobmill::api
