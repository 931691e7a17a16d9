// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "api/arm_resources.h"
#include "api/execution_query.h"
#include "api/problem.h"

// Jobs of Container Apps by the paths of Azure Resource Manager: Microsoft.App/jobs.
namespace jobmill::api {
namespace {

using executions::JobKey;

constexpr char kJobs[] = "Microsoft.App/jobs";
constexpr std::string_view kFirstVersion = "2023-05-01";

// --- answers -----------------------------------------------------------------------------------

void send_document(const http::Responder& responder, const Result<Node>& document) {
  responder.send(document ? json_response(200, to_json(*document)) : arm_error(document.error()));
}

void send_list(const http::Responder& responder, Result<Node> items) {
  responder.send(items ? arm_list(*std::move(items)) : arm_error(items.error()));
}

// A version from the first that has jobs on, or none.
bool is_known_version(const http::Request& request) {
  const auto version = request.parameter("api-version");
  if (!version) return true;
  const std::string_view day = version->substr(0, kFirstVersion.size());
  const bool dated = day.size() == kFirstVersion.size() &&
                     day.find_first_not_of("0123456789-") == std::string_view::npos;
  return dated && day >= kFirstVersion;
}

template <Handler Serve>
void versioned(ApiContext& context, Call call) {
  if (!is_known_version(call.request))
    return call.responder.send(
        arm_error(400, "InvalidApiVersionParameter",
                  fmt::format("The api-version '{}' is not known; use {} or a later one",
                              call.request.parameter("api-version").value_or(""), kFirstVersion)));
  Serve(context, std::move(call));
}

JobKey key_of(const Call& call) { return job_key(call.parameter("g"), call.parameter("n")); }

// --- create, change, delete --------------------------------------------------------------------

const Node* environment_in(const Node& resource) {
  const Node* properties = resource.find("properties");
  return properties == nullptr ? nullptr : properties->find("environmentId");
}

// The environment that a job names must be there; a job must name one.
Status check_environment(const executions::Resources& resources, const Node& job, bool required) {
  const Node* environment = environment_in(job);
  if (environment == nullptr || environment->is_null())
    return required ? fail(Code::InvalidArgument, "properties.environmentId is required")
                    : Status();
  const auto found = resources.find(environment->text);
  if (found && http::iequals(found->type, executions::kEnvironments)) return {};
  return fail(Code::InvalidArgument,
              fmt::format("The environment '{}' does not exist. Specify a valid environment",
                          environment->text));
}

Result<Node> job_in(ApiContext& context, const Call& call, bool patch) {
  TRY(Node body, arm_body(call));
  Node job = executions::tidy_resource(std::move(body));
  TRY_VOID(check_environment(context.executions->resources(), job, !patch));
  return job;
}

void put_job(ApiContext& context, const Call& call, Node job, bool patch) {
  context.executions->put_job(
      key_of(call), resource_id(call, kJobs, call.parameter("n")), std::move(job), patch,
      [call](const Result<ExecutionPlane::Put>& put) {
        call.responder.send(put ? json_response(put->created ? 201 : 200, to_json(put->resource))
                                : arm_error(put.error()));
      });
}

// A job that has no environment is a manifest's: that it is not to be changed here is said first.
void refuse(ApiContext& context, const Call& call, const Fault& why) {
  context.executions->get_job(key_of(call), [&context, call, why](const Result<Node>& job) {
    if (!job || environment_in(*job) != nullptr) return call.responder.send(arm_error(why));
    put_job(context, call, *job, false);
  });
}

void create(ApiContext& context, Call call) {
  auto job = job_in(context, call, false);
  if (!job) return refuse(context, call, job.error());
  context.pool.post([&context, call, job = *std::move(job)] {
    const Status group = ensure_group(context.executions->resources(), call, job);
    if (!group) return call.responder.send(arm_error(group.error()));
    put_job(context, call, job, false);
  });
}

void change(ApiContext& context, Call call) {
  auto job = job_in(context, call, true);
  if (!job) return call.responder.send(arm_error(job.error()));
  put_job(context, call, *std::move(job), true);
}

bool wants_to_wait(const Call& call) { return call.request.parameter("wait") != "false"; }

// With ?wait=false: 202 when there is such a job. What `work` does then is not waited for.
void accept(ApiContext& context, const Call& call, std::function<void()> work) {
  context.executions->get_job(key_of(call),
                              [call, work = std::move(work)](const Result<Node>& job) {
                                if (!job) return call.responder.send(arm_error(job.error()));
                                work();
                                call.responder.send(json_response(202, "{}"));
                              });
}

void remove(ApiContext& context, Call call) {
  ExecutionPlane& plane = *context.executions;
  if (!wants_to_wait(call))
    return accept(context, call, [&plane, key = key_of(call)] {
      plane.delete_job(key, [](const Status&) {});  // nobody waits to hear of it
    });
  plane.delete_job(key_of(call), [call](const Status& done) {
    call.responder.send(done ? json_response(200, "{}") : arm_error(done.error()));
  });
}

// --- read --------------------------------------------------------------------------------------

void get(ApiContext& context, Call call) {
  context.executions->get_job(key_of(call), [responder = call.responder](const Result<Node>& job) {
    send_document(responder, job);
  });
}

// Of the path's group, or of all.
void list(ApiContext& context, Call call) {
  const auto group = std::ranges::find(call.path, "g", &Parameters::value_type::first);
  const std::string of =
      group == call.path.end() ? std::string() : job_key(group->second, "").group;
  context.executions->list_jobs(of, [responder = call.responder](Result<Node> jobs) {
    send_list(responder, std::move(jobs));
  });
}

void list_secrets(ApiContext& context, Call call) {
  context.executions->secrets(key_of(call), [responder = call.responder](Result<Node> secrets) {
    send_list(responder, std::move(secrets));
  });
}

// --- start and stop ----------------------------------------------------------------------------

// The body is the template to be used this time, or nothing.
void start(ApiContext& context, Call call) {
  auto body = arm_body(call);
  if (!body) return call.responder.send(arm_error(body.error()));
  Node pod = body->find("containers") == nullptr ? Node() : *std::move(body);
  context.executions->start(key_of(call), std::move(pod),
                            [responder = call.responder](const Result<Node>& started) {
                              send_document(responder, started);
                            });
}

void stop_one_or_all(ApiContext& context, const Call& call, const std::string& execution) {
  ExecutionPlane& plane = *context.executions;
  if (!wants_to_wait(call))
    return accept(context, call, [&plane, key = key_of(call), execution] {
      plane.stop(key, execution, [](const Result<Node>&) {});  // nobody waits to hear of it
    });
  plane.stop(key_of(call), execution, [responder = call.responder](Result<Node> stopped) {
    send_list(responder, std::move(stopped));
  });
}

void stop_all(ApiContext& context, Call call) { stop_one_or_all(context, call, ""); }
void stop(ApiContext& context, Call call) { stop_one_or_all(context, call, call.parameter("e")); }

// --- executions --------------------------------------------------------------------------------

// Where the page after this one is.
std::string next_link(const Call& call, std::string_view last) {
  std::string link =
      fmt::format("{}://{}{}?", call.request.tls ? "https" : "http",
                  call.request.headers.get("Host").value_or("localhost"), call.request.path);
  for (const auto& [name, value] : call.request.query)
    if (name != "after")
      link += fmt::format("{}={}&", http::url_encode(name), http::url_encode(value));
  return link + "after=" + http::url_encode(last);
}

http::Response page(const Call& call, Node executions, std::size_t limit) {
  Node answer = Node::object();
  const bool full = executions.items.size() >= limit;
  const Node* last = full ? executions.items.back().find("name") : nullptr;
  if (last != nullptr) answer.set("nextLink", Node::string(next_link(call, last->text)));
  answer.set("value", std::move(executions));
  return json_response(200, to_json(answer));
}

void list_executions(ApiContext& context, Call call) {
  auto query = execution_query(call.request, context.clock.now());
  if (!query) return call.responder.send(arm_error(query.error()));
  const std::size_t limit = query->limit;
  context.executions->list_executions(
      key_of(call), *std::move(query), [call, limit](Result<Node> executions) {
        call.responder.send(executions ? page(call, *std::move(executions), limit)
                                       : arm_error(executions.error()));
      });
}

void get_execution(ApiContext& context, Call call) {
  context.executions->get_execution(key_of(call), call.parameter("e"),
                                    [responder = call.responder](const Result<Node>& execution) {
                                      send_document(responder, execution);
                                    });
}

template <Handler Serve>
constexpr Handler kServe = with_executions<versioned<Serve>>;

#define JOBMILL_JOBS "/subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.App/jobs"
constexpr std::array kRoutes{
    Route{"GET", "/subscriptions/{s}/providers/Microsoft.App/jobs", Scope::Read, kServe<list>},
    Route{"GET", JOBMILL_JOBS, Scope::Read, kServe<list>},
    Route{"GET", JOBMILL_JOBS "/{n}", Scope::Read, kServe<get>},
    Route{"PUT", JOBMILL_JOBS "/{n}", Scope::Admin, kServe<create>},
    Route{"PATCH", JOBMILL_JOBS "/{n}", Scope::Admin, kServe<change>},
    Route{"DELETE", JOBMILL_JOBS "/{n}", Scope::Admin, kServe<remove>},
    Route{"POST", JOBMILL_JOBS "/{n}/start", Scope::Operate, kServe<start>},
    Route{"POST", JOBMILL_JOBS "/{n}/stop", Scope::Operate, kServe<stop_all>},
    Route{"POST", JOBMILL_JOBS "/{n}/stop/{e}", Scope::Operate, kServe<stop>},
    Route{"GET", JOBMILL_JOBS "/{n}/executions", Scope::Read, kServe<list_executions>},
    Route{"GET", JOBMILL_JOBS "/{n}/executions/{e}", Scope::Read, kServe<get_execution>},
    Route{"POST", JOBMILL_JOBS "/{n}/listSecrets", Scope::Admin, kServe<list_secrets>},
};
#undef JOBMILL_JOBS

}  // namespace

std::span<const Route> container_app_routes() {
  static const std::vector<Route> all = [] {
    std::vector<Route> routes(kRoutes.begin(), kRoutes.end());
    for (const auto more : {arm_resource_routes(), role_assignment_routes()})
      routes.insert(routes.end(), more.begin(), more.end());
    return routes;
  }();
  return all;
}

}  // namespace jobmill::api
