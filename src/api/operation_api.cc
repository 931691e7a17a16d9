// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <array>

#include "api/audit_record.h"
#include "api/auth.h"
#include "api/job_action.h"
#include "api/job_filter.h"
#include "api/operations.h"
#include "api/problem.h"
#include "api/route.h"

// Actions on many things, and how far they are.
namespace jobmill::api {
namespace {

using Kind = jobs::Alteration::Kind;

constexpr std::size_t kMostIds = 200'000;  // what a body can hold

// --- jobs in bulk -------------------------------------------------------------------------------

struct Bulk {
  JobAction action;
  bool nothing = false;  // no job is in a state for this
  bool dry_run = false;
};

void read_params(ObjectReader in, jobs::Alteration& alteration) {
  std::optional<TimePoint> run_at;
  in.instant("runAt", run_at);
  in.text("queue", alteration.queue);
  in.integer("priority", alteration.priority, 0, jobs::kMaxPriority);
  const auto needs = [&](Kind kind, std::string_view name) {
    if (alteration.kind == kind && !in.has(name)) in.wrong(name, "is required");
    if (alteration.kind != kind && in.has(name))
      in.wrong(name, fmt::format("does not go with {}", to_string(alteration.kind)));
  };
  needs(Kind::Reschedule, "runAt");
  needs(Kind::Move, "queue");
  needs(Kind::Prioritize, "priority");
  alteration.run_at = run_at.value_or(TimePoint{});
  in.close();
}

void read_which(ObjectReader& in, Bulk& bulk, std::vector<FieldError>& errors) {
  const Node* filter = in.object("filter");
  in.texts("ids", bulk.action.ids);
  if (filter != nullptr) read_filter({*filter, "filter", errors}, bulk.action.filter, errors);
  if (filter != nullptr && in.has("ids")) return in.wrong("ids", "excludes filter");
  if (filter == nullptr && bulk.action.ids.empty())
    in.wrong("filter", "is required, or ids; {} means all jobs");
  if (bulk.action.ids.size() > kMostIds) in.wrong("ids", "are more than 200,000");
}

Bulk read_bulk(JsonBody& body) {
  Bulk bulk;
  auto in = body.reader();
  std::string action;
  in.text("action", action, Field::Required);
  const auto kind = alteration_kind(action);
  if (!kind && in.has("action"))
    in.wrong("action", "expected requeue, delete, reschedule, move or priority");
  bulk.action.alteration.kind = kind.value_or(Kind::Requeue);
  read_which(in, bulk, body.errors());
  static const Node kNothing = Node::object();
  const Node* params = in.object("params");
  if (kind)
    read_params({params == nullptr ? kNothing : *params, "params", body.errors()},
                bulk.action.alteration);
  in.flag("dryRun", bulk.dry_run);
  in.close();
  return bulk;
}

http::Response nothing_matches(bool dry_run) {
  if (dry_run) return json_response(200, R"({"matching":0,"lowerBound":false})");
  return to_response(Problem{.status = 409,
                             .code = "illegal_transition",
                             .detail = "no job that matches is in a state for this action"});
}

http::Response bulk_response(ApiContext& context, const Call& call) {
  JsonBody body(call.request, {.bytes = kBulkBodyBytes});
  Bulk bulk = read_bulk(body);
  if (auto problem = body.problem()) return to_response(*problem);
  const Kind kind = bulk.action.alteration.kind;
  if (!call.identity.may(scope_of(kind, bulk.action.filter)) && !bulk.dry_run)
    return forbidden("only an admin deletes jobs; an operator cancels those that are PROCESSING");
  auto reachable = within_reach(kind, std::move(bulk.action.filter));
  if (!reachable) return nothing_matches(bulk.dry_run);
  bulk.action.filter = *std::move(reachable);
  return act_on_jobs(context, call, std::move(bulk.action), bulk.dry_run);
}

void post_bulk(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] { return bulk_response(context, call); });
}

// --- operations ---------------------------------------------------------------------------------

http::Response no_operation(const std::string& id) {
  return to_response(fail(Code::NotFound, "no operation " + id));
}

void get_operations(ApiContext& context, Call call) {
  JsonWriter json;
  json.array();
  if (context.operations != nullptr)
    for (const Operation& operation : context.operations->list()) write_operation(json, operation);
  call.responder.send(json_response(200, std::move(json.end()).text()));
}

void get_operation(ApiContext& context, Call call) {
  const std::string& id = call.parameter("id");
  const auto operation =
      context.operations == nullptr ? std::nullopt : context.operations->find(id);
  if (!operation) return call.responder.send(no_operation(id));
  JsonWriter json;
  write_operation(json, *operation);
  call.responder.send(json_response(200, std::move(json).text()));
}

http::Response cancelled(ApiContext& context, const Call& call) {
  const std::string& id = call.parameter("id");
  if (context.operations == nullptr) return no_operation(id);
  const Status status = context.operations->cancel(id);
  if (status) record(context, call, "operation.cancel", id);
  if (status || status.error().code != Code::Conflict) return done_or_problem(status);
  Problem problem = to_problem(status.error());
  problem.code = "illegal_transition";
  return to_response(problem);
}

void delete_operation(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] { return cancelled(context, call); });
}

constexpr std::array kRoutes{
    Route{"POST", "/api/jobs/bulk", Scope::Operate, post_bulk},
    Route{"GET", "/api/operations", Scope::Read, get_operations},
    Route{"GET", "/api/operations/{id}", Scope::Read, get_operation},
    Route{"DELETE", "/api/operations/{id}", Scope::Operate, delete_operation},
};

}  // namespace

std::span<const Route> operation_routes() { return kRoutes; }

}  // namespace jobmill::api
