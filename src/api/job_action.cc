// SPDX-License-Identifier: Apache-2.0
#include "api/job_action.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "api/audit_record.h"
#include "api/auth.h"
#include "api/job_filter.h"
#include "api/job_page.h"
#include "api/problem.h"

namespace jobmill::api {
namespace {

using jobs::Alteration;
using jobs::JobState;
using Kind = Alteration::Kind;

constexpr int kPage = 1000;
constexpr std::int64_t kCounted = 1'000'000;

struct KindName {
  std::string_view name;
  Kind kind;
};
constexpr std::array kKinds{KindName{"requeue", Kind::Requeue}, KindName{"delete", Kind::Delete},
                            KindName{"reschedule", Kind::Reschedule}, KindName{"move", Kind::Move},
                            KindName{"priority", Kind::Prioritize}};

std::vector<JobState> states_for(Kind kind) {
  switch (kind) {
    case Kind::Requeue:
      return {JobState::Scheduled, JobState::Succeeded, JobState::Failed, JobState::Deleted};
    case Kind::Delete:
      return {JobState::Scheduled, JobState::Enqueued, JobState::Processing, JobState::Succeeded,
              JobState::Failed};
    case Kind::Reschedule:
      return {JobState::Scheduled, JobState::Enqueued, JobState::Failed};
    case Kind::Move:
    case Kind::Prioritize:
      break;
  }
  return {JobState::Scheduled, JobState::Enqueued};
}

StepDone outcome(const std::vector<Status>& statuses) {
  const auto done = std::ranges::count_if(statuses, [](const Status& s) { return bool(s); });
  return {.done = done, .failed = std::ssize(statuses) - done};
}

// A page of the jobs that match, at its place. What the action leaves matching lies before the
// place, what it turns into a match is younger than the filter asks for.
Operations::Step on_matching(ApiContext& context, const Alteration& alteration,
                             jobs::JobFilter filter) {
  return [&context, alteration, filter = std::move(filter),
          place = std::string()]() mutable -> Result<StepDone> {
    TRY(auto* explorer, explorer_of(context));
    TRY(const auto page, explorer->ids(filter, place, kPage));
    if (page.ids.empty()) return StepDone{.finished = true};
    TRY(const auto statuses, context.store.alter(page.ids, alteration, context.clock.now()));
    place = page.last;
    StepDone step = outcome(statuses);
    step.finished = std::ssize(page.ids) < kPage;
    return step;
  };
}

Operations::Step on_ids(ApiContext& context, const Alteration& alteration,
                        std::vector<std::string> ids) {
  return [&context, alteration, ids = std::move(ids),
          next = std::size_t{0}]() mutable -> Result<StepDone> {
    const auto page = std::span(ids).subspan(next, std::min<std::size_t>(kPage, ids.size() - next));
    TRY(const auto statuses, context.store.alter(page, alteration, context.clock.now()));
    next += page.size();
    StepDone step = outcome(statuses);
    step.finished = next == ids.size();
    return step;
  };
}

jobs::JobFilter older_than(jobs::JobFilter filter, TimePoint now) {
  filter.updated_before = filter.updated_before ? std::min(*filter.updated_before, now) : now;
  return filter;
}

std::string what_of(const JobAction& action) {
  if (!action.what.empty()) return action.what;
  if (!action.ids.empty()) return std::to_string(action.ids.size()) + " chosen jobs";
  return to_json(action.filter);
}

http::Response preview_response(const jobs::JobCount& count) {
  JsonWriter json;
  json.object().member("matching", count.count).member("lowerBound", !count.exact).end();
  return json_response(200, std::move(json).text());
}

}  // namespace

std::string_view to_string(Kind kind) {
  return std::ranges::find(kKinds, kind, &KindName::kind)->name;
}

std::optional<Kind> alteration_kind(std::string_view name) {
  const auto found = std::ranges::find(kKinds, name, &KindName::name);
  return found == kKinds.end() ? std::nullopt : std::optional(found->kind);
}

std::optional<jobs::JobFilter> within_reach(Kind kind, jobs::JobFilter filter) {
  std::vector<JobState> states = states_for(kind);
  std::erase_if(states, [&](JobState state) {
    return !filter.states.empty() && std::ranges::find(filter.states, state) == filter.states.end();
  });
  if (states.empty()) return std::nullopt;
  filter.states = std::move(states);
  return filter;
}

Scope scope_of(Kind kind, const jobs::JobFilter& filter) {
  const bool cancels = filter.states == std::vector{JobState::Processing};
  return kind == Kind::Delete && !cancels ? Scope::Admin : Scope::Operate;
}

Result<jobs::JobCount> preview(ApiContext& context, const JobAction& action) {
  if (!action.ids.empty()) return jobs::JobCount{.count = std::ssize(action.ids)};
  TRY(auto* explorer, explorer_of(context));
  return explorer->count(action.filter, kCounted);
}

Result<std::string> start(ApiContext& context, const Call& call, JobAction action) {
  if (context.operations == nullptr) return fail(Code::Unavailable, "no operations run here");
  TRY(const auto count, preview(context, action));
  if (!call.identity.name.empty()) action.alteration.reason = "by " + call.identity.name;
  Operations::Order order{.action = std::string(to_string(action.alteration.kind)),
                          .what = what_of(action),
                          .by = call.identity.name,
                          .matching = count.exact ? std::optional(count.count) : std::nullopt,
                          .step = {}};
  order.step = action.ids.empty()
                   ? on_matching(context, action.alteration,
                                 older_than(std::move(action.filter), context.clock.now()))
                   : on_ids(context, action.alteration, std::move(action.ids));
  const std::string did = "jobs." + order.action;
  const std::string target = order.what;
  TRY(std::string id, context.operations->start(std::move(order)));
  record(context, call, did, target);
  return id;
}

http::Response operation_started(const Result<std::string>& id) {
  if (!id && id.error().code == Code::Exhausted)
    return to_response(
        Problem{.status = 429, .code = "rate_limited", .detail = id.error().message});
  if (!id) return to_response(id.error());
  JsonWriter json;
  json.object().member("operationId", *id).end();
  return json_response(202, std::move(json).text());
}

http::Response act_on_jobs(ApiContext& context, const Call& call, JobAction action, bool dry_run) {
  if (!dry_run) return operation_started(start(context, call, std::move(action)));
  const auto count = preview(context, action);
  return count ? preview_response(*count) : to_response(count.error());
}

}  // namespace jobmill::api
