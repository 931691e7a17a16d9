// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "api/audit_record.h"
#include "api/job_action.h"
#include "api/json.h"
#include "api/problem.h"
#include "api/route.h"
#include "base/json_writer.h"

// Queues of jobs: what is in them, and what people do to them.
namespace jobmill::api {
namespace {

std::int64_t age_ms(const std::optional<TimePoint>& since, TimePoint now) {
  if (!since || *since >= now) return 0;
  return std::chrono::floor<std::chrono::milliseconds>(now - *since).count();
}

void write_queue(JsonWriter& json, const jobs::QueueStats& queue, TimePoint now) {
  json.object()
      .member("queue", queue.queue)
      .member("priority", queue.priority)
      .member("enqueued", queue.enqueued)
      .member("scheduled", queue.scheduled)
      .member("processing", queue.processing)
      .member("succeeded", queue.succeeded)
      .member("failed", queue.failed)
      .member("deleted", queue.deleted)
      .member("consumable", queue.paused ? 0 : queue.enqueued)
      .member("oldestMs", age_ms(queue.oldest, now))
      .member("paused", queue.paused)
      .end();
}

Result<std::string> all_queues(ApiContext& context) {
  const TimePoint now = context.clock.now();
  TRY(const auto queues, context.store.queues(now));
  JsonWriter json;
  json.array();
  for (const jobs::QueueStats& queue : queues) write_queue(json, queue, now);
  return std::move(json.end()).text();
}

Result<std::string> one_queue(ApiContext& context, const std::string& name) {
  const TimePoint now = context.clock.now();
  TRY(const auto queues, context.store.queues(now));
  const auto found = std::ranges::find(queues, name, &jobs::QueueStats::queue);
  if (found == queues.end()) return fail(Code::NotFound, "no queue " + name);
  JsonWriter json;
  write_queue(json, *found, now);
  return std::move(json).text();
}

void get_queues(ApiContext& context, Call call) {
  answer(context, call.responder, [&context] { return json_or_problem(all_queues(context)); });
}

void get_queue(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, name = call.parameter("name")] {
    return json_or_problem(one_queue(context, name));
  });
}

// --- changes ------------------------------------------------------------------------------------

template <bool kPaused>
void pause_queue(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] {
    JsonBody body(call.request);
    body.reader().close();
    if (auto problem = body.problem()) return to_response(*problem);
    const std::string& name = call.parameter("name");
    const Status status = context.store.pause_queue(name, kPaused, context.clock.now());
    if (status) record(context, call, kPaused ? "queue.pause" : "queue.resume", name);
    return done_or_problem(status);
  });
}

// What waits in a queue goes; what runs, or has ended, stays.
void purge_queue(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] {
    JsonBody body(call.request);
    auto in = body.reader();
    bool dry_run = false;
    in.flag("dryRun", dry_run);
    in.close();
    if (auto problem = body.problem()) return to_response(*problem);
    const std::string& name = call.parameter("name");
    JobAction action{
        .alteration = {.kind = jobs::Alteration::Kind::Delete},
        .filter = {.states = {jobs::JobState::Scheduled, jobs::JobState::Enqueued}, .queue = name},
        .what = "jobs that wait in queue " + name};
    return act_on_jobs(context, call, std::move(action), dry_run);
  });
}

constexpr std::array kRoutes{
    Route{"GET", "/v1/queues", Scope::Read, get_queues},
    Route{"GET", "/v1/queues/{name}", Scope::Read, get_queue},
    Route{"POST", "/v1/queues/{name}/pause", Scope::Operate, pause_queue<true>},
    Route{"POST", "/v1/queues/{name}/resume", Scope::Operate, pause_queue<false>},
    Route{"GET", "/api/queues", Scope::Read, get_queues},
    Route{"GET", "/api/queues/{name}", Scope::Read, get_queue},
    Route{"POST", "/api/queues/{name}/pause", Scope::Operate, pause_queue<true>},
    Route{"POST", "/api/queues/{name}/resume", Scope::Operate, pause_queue<false>},
    Route{"POST", "/api/queues/{name}/purge", Scope::Admin, purge_queue},
    Route{"GET", "/api/metrics/queues", Scope::Read, get_queues},
};

}  // namespace

std::span<const Route> queues_routes() { return kRoutes; }

}  // namespace jobmill::api
