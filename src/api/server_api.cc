// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "api/audit_record.h"
#include "api/job_json.h"
#include "api/job_page.h"
#include "api/jobrunr_json.h"
#include "api/json.h"
#include "api/problem.h"
#include "api/route.h"

// Workers, which the dashboard calls servers.
namespace jobmill::api {
namespace {

constexpr int kPage = 1000;
constexpr int kMostPages = 10;

Retention retention_of(const ApiContext& context) {
  return {.succeeded = context.keep_succeeded, .deleted = context.keep_deleted};
}

Result<std::string> servers(ApiContext& context) {
  TRY(const auto workers, context.store.workers(context.clock.now()));
  JsonWriter json;
  json.array();
  for (const jobs::Worker& worker : workers) {
    json.object();
    write_jobrunr_server(json, worker, retention_of(context));
    json.end();
  }
  return std::move(json.end()).text();
}

void get_servers(ApiContext& context, Call call) {
  answer(context, call.responder, [&context] { return json_or_problem(servers(context)); });
}

// --- what one of them runs ----------------------------------------------------------------------

// The worker that a job was last handed to.
std::string holder_of(const std::vector<jobs::JobEvent>& history) {
  if (history.empty() || history.back().state != jobs::JobState::Processing) return {};
  const auto data = parse_json(history.back().data);
  const Node* server = data ? data->find("serverId") : nullptr;
  return server == nullptr ? std::string() : server->text;
}

Status add_held(jobs::JobExplorer& explorer, std::string_view worker_id,
                std::vector<jobs::Job> running, std::vector<jobs::Job>& held) {
  std::vector<std::string> ids;
  for (const jobs::Job& job : running) ids.push_back(job.id);
  TRY(const auto histories, explorer.histories(ids));
  for (std::size_t i = 0; i < histories.size(); ++i)
    if (holder_of(histories[i]) == worker_id) held.push_back(std::move(running[i]));
  return {};
}

// Which worker has a job stands in the job's history only, so running jobs are looked through until
// all of this worker's are found.
Result<std::vector<jobs::Job>> jobs_of(jobs::JobExplorer& explorer, const jobs::Worker& worker) {
  std::vector<jobs::Job> held;
  jobs::JobSliceRequest request{.filter = {.states = {jobs::JobState::Processing}}, .limit = kPage};
  for (int page = 0; page < kMostPages && std::ssize(held) < worker.occupied; ++page) {
    TRY(auto slice, explorer.slice(request));
    TRY_VOID(add_held(explorer, worker.id, std::move(slice.items), held));
    if (!slice.has_after) break;
    request.after = slice.last;
  }
  return held;
}

Result<jobs::Worker> worker_of(ApiContext& context, const std::string& id) {
  TRY(auto workers, context.store.workers(context.clock.now()));
  const auto found = std::ranges::find(workers, id, &jobs::Worker::id);
  if (found == workers.end()) return fail(Code::NotFound, "no worker " + id);
  return std::move(*found);
}

Result<std::string> server(ApiContext& context, const std::string& id) {
  TRY(const auto worker, worker_of(context, id));
  TRY(auto* explorer, explorer_of(context));
  TRY(const auto held, jobs_of(*explorer, worker));
  JsonWriter json;
  json.object();
  write_jobrunr_server(json, worker, retention_of(context));
  json.key("jobs").array();
  for (const jobs::Job& job : held) write_job(json, job);
  return std::move(json.end().end()).text();
}

void get_server(ApiContext& context, Call call) {
  answer(context, call.responder,
         [&context, id = call.parameter("id")] { return json_or_problem(server(context, id)); });
}

// --- changes ------------------------------------------------------------------------------------

struct Command {
  jobs::WorkerState state;
  std::string_view action;
};
constexpr Command kQuiet{jobs::WorkerState::Quiet, "server.quiet"};
constexpr Command kResume{jobs::WorkerState::Run, "server.resume"};
constexpr Command kDrain{jobs::WorkerState::Stop, "server.drain"};

// How long a worker that stops lets its jobs run is its own business.
template <const Command& kCommand>
void command(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] {
    JsonBody body(call.request);
    body.reader().close();
    if (auto problem = body.problem()) return to_response(*problem);
    const std::string& id = call.parameter("id");
    const Status status =
        context.store.set_worker_state(id, kCommand.state, std::nullopt, context.clock.now());
    if (status) record(context, call, kCommand.action, id);
    return done_or_problem(status);
  });
}

constexpr std::array kRoutes{
    Route{"GET", "/api/servers", Scope::Read, get_servers},
    Route{"GET", "/api/servers/{id}", Scope::Read, get_server},
    Route{"POST", "/api/servers/{id}/quiet", Scope::Operate, command<kQuiet>},
    Route{"POST", "/api/servers/{id}/resume", Scope::Operate, command<kResume>},
    Route{"POST", "/api/servers/{id}/drain", Scope::Operate, command<kDrain>},
};

}  // namespace

std::span<const Route> server_routes() { return kRoutes; }

}  // namespace jobmill::api
