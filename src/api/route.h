// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread_pool.h"
#include "http/message.h"
#include "http/server.h"
#include "jobs/job_store.h"
#include "jobs/metered_job_store.h"
#include "net/event_loop.h"

// One table for all requests: a route is a method, a pattern, what the caller must be allowed to
// do, and a function. Whoever serves them checks the scope before it calls the handler.
namespace jobmill::jobs {
class JobExplorer;
class Metadata;
}  // namespace jobmill::jobs

namespace jobmill::api {

class AuditLog;
struct AuditDraft;
class ControlPlane;
class EventHub;
class ExecutionPlane;
class Insight;
class OpenProblems;
class Oidc;
class Operations;
class Sessions;
struct Settings;
class Waiters;
struct ServiceBusApi;

// What the handlers work with. All of it outlives every call.
struct ApiContext {
  jobs::JobStoreOwner& store;  // blocks: only on the pool
  ThreadPool& pool;
  net::EventLoop& loop;
  const Clock& clock;
  Log& log;
  Waiters& waiters;                              // requests that are held until something happens
  std::string token_key;                         // random, secret: signs the tokens of workers
  Duration lease = std::chrono::seconds(30);     // as the store was opened with
  bool latency_in_seconds = false;               // /api/metrics/jobs/enqueued without `unit`
  bool public_metrics = false;                   // /metrics also without credentials
  bool viewers_read_bodies = false;              // of messages; others than viewers always do
  bool jobrunr_metrics = false;                  // /metrics also with JobRunr's names
  std::string_view version{};                    // of this program
  const jobs::MeteredJobStore* meter = nullptr;  // what `store` took; null: nobody measures it
  ControlPlane* control = nullptr;  // manifests and decisions; null where there is no autoscaler
  ServiceBusApi* bus = nullptr;     // the message broker; null where it is off
  ExecutionPlane* executions = nullptr;  // jobs of Container Apps; null where nobody runs them
  // What the dashboard needs besides; null where there is none.
  jobs::JobExplorer* explorer = nullptr;  // searches; blocks: only on the pool
  Operations* operations = nullptr;       // actions on many things, which take their time
  EventHub* events = nullptr;             // who listens to changes (server-sent events)
  Insight* insight = nullptr;             // decisions and series that were kept
  AuditLog* audit = nullptr;              // who did what
  Sessions* sessions = nullptr;           // logins of browsers, bearer tokens
  Oidc* oidc = nullptr;                   // logins by another server (OpenID Connect)
  const Settings* settings = nullptr;     // what was configured, and where
  jobs::Metadata* metadata = nullptr;     // small facts that outlive the process
  OpenProblems* problems = nullptr;       // what somebody should look at
  std::string_view storage = "sqlite";    // where jobs live: "sqlite" or "postgresql"
  Duration keep_succeeded{};              // how long jobs are kept, as the store was opened with
  Duration keep_deleted{};
};

enum class Scope : unsigned {
  None = 0,  // also without credentials
  Read = 1,
  Produce = 2,
  Work = 4,
  Operate = 8,
  Admin = 16,
};

// Who asks, as the credentials told.
struct Identity {
  std::string name{};       // for `createdBy`; empty: nobody had to say
  unsigned scopes = 0;      // Scope bits
  std::string worker_id{};  // set by a worker's token: it speaks for this worker only
  std::string session{};    // id of a browser's login; empty: credentials came with the request
  std::string role{};       // of a user: "viewer", "operator", "admin"; empty: a token
  std::vector<std::string> queues{};  // a token's, whose jobs alone it may send and run; empty: all

  bool may(Scope scope) const {
    const auto wanted = static_cast<unsigned>(scope);
    return (scopes & wanted) == wanted || (scopes & static_cast<unsigned>(Scope::Admin)) != 0;
  }
};

using Parameters = std::vector<std::pair<std::string, std::string>>;

// One request on its way to its answer.
struct Call {
  http::Request request;
  http::Responder responder;
  Identity identity;
  Parameters path;  // decoded values of the pattern's {names}
  // What the audit log will say of this request (api/audit_record.h); null: it says nothing.
  std::shared_ptr<AuditDraft> audit{};

  const std::string& parameter(std::string_view name) const;  // of the path; must be there
};

// Called on the loop thread; must not block.
using Handler = void (*)(ApiContext& context, Call call);

struct Route {
  std::string_view method;
  // "/v1/jobs/{id}/complete"; a {name} is one segment, not empty; one {name…} is one or more. Below
  // /subscriptions literals compare without case.
  std::string_view pattern;
  Scope scope;
  Handler handler;
};

struct Match {
  const Route* route = nullptr;
  Parameters path;
  std::vector<std::string_view> allowed;  // without a route: methods that this path knows
};

// Finds the route of a request. Segments are compared before they are decoded, so that a value may
// hold an encoded slash. Literal segments win over {names}. HEAD is served by GET's route.
Match match(std::span<const Route> routes, std::string_view method, std::string_view target);

// The answer when there is no route: 404, or 405 with Allow.
http::Response no_route(const Match& match, const http::Request& request);

// Runs `work` on the pool and sends what it returns.
void answer(ApiContext& context, http::Responder responder, std::function<http::Response()> work);

std::span<const Route> worker_routes();         // /v1/workers, settlements of /v1/jobs/{id}
std::span<const Route> jobs_routes();           // /v1/jobs
std::span<const Route> recurring_routes();      // /v1/recurring
std::span<const Route> queues_routes();         // /v1/queues
std::span<const Route> metrics_routes();        // /api/metrics, /metrics
std::span<const Route> openapi_routes();        // /v1/openapi.json
std::span<const Route> manifest_routes();       // /v1/manifests, /v1/scale; they need `control`
std::span<const Route> container_app_routes();  // Microsoft.App, identities, groups: ARM paths
std::span<const Route> execution_routes();      // /v1/executions: logs, explain
std::span<const Route> access_routes();         // /api/session, tokens, audit, users, settings
std::span<const Route> event_routes();          // /sse
std::span<const Route> stats_routes();          // /api/stats
std::span<const Route> search_routes();         // /api/jobs/search, counts, kinds, labels
std::span<const Route> jobrunr_routes();        // /api in the shapes of JobRunr's dashboard
std::span<const Route> operation_routes();      // /api/jobs/bulk, /api/operations
std::span<const Route> failure_routes();        // /api/failures
std::span<const Route> server_routes();         // /api/servers
std::span<const Route> problem_routes();        // /api/problems
std::span<const Route> export_routes();         // /api/export

// All of them, those of the broker too.
std::vector<Route> all_routes();

// Bodies with jobs or messages to be stored may be larger than others; for
// ServerLimits::body_limit.
inline constexpr std::size_t kInsertBodyBytes = 32u << 20;
inline constexpr std::size_t kBulkBodyBytes = 10u << 20;  // of ids
std::size_t body_limit(std::string_view method, std::string_view target, std::size_t usual);

}  // namespace jobmill::api
