// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <charconv>

#include "api/audit_record.h"
#include "api/auth.h"
#include "api/job_change.h"
#include "api/job_filter.h"
#include "api/job_json.h"
#include "api/job_page.h"
#include "api/problem.h"
#include "api/route.h"
#include "api/waiting_read.h"
#include "base/nearest.h"

// What producers and people ask of jobs.
namespace jobmill::api {
namespace {

constexpr std::size_t kMostSpecs = 100'000;
constexpr DocumentLimits kInsertLimits{.bytes = kInsertBodyBytes, .depth = 100, .nodes = 4'000'000};

// --- insert -------------------------------------------------------------------------------------

struct Insert {
  std::vector<jobs::JobSpec> specs;
  bool listed = false;  // came as {"jobs": […]}

  // One job is answered as an object, several as a list.
  bool many() const { return listed || specs.front().count; }
};

void read_list(JsonBody& body, Insert& insert) {
  auto in = body.reader();
  insert.listed = true;
  if (const Node* list = in.array("jobs")) {
    if (list->items.size() > kMostSpecs) in.wrong("jobs", "holds more than 100,000");
    for (std::size_t i = 0; i < list->items.size() && body.errors().empty(); ++i)
      read_spec({list->items[i], fmt::format("jobs[{}]", i), body.errors()},
                insert.specs.emplace_back(), body.errors());
  }
  in.close();
}

Insert read_insert(JsonBody& body) {
  Insert insert;
  if (body.root().find("jobs") != nullptr) {
    read_list(body, insert);
  } else {
    read_spec(body.reader(), insert.specs.emplace_back(), body.errors());
  }
  return insert;
}

constexpr std::string_view kKeyHeader = "Idempotency-Key";

// The store speaks of jobs[0] also to those who sent only one, and knows of no headers.
http::Response insert_error(const Insert& insert, Fault error) {
  constexpr std::string_view kOnly = "jobs[0].";
  if (!insert.listed && error.message.starts_with(kOnly)) error.message.erase(0, kOnly.size());
  const Problem problem = to_problem(error);
  if (problem.parameter != "idempotency_key") return to_response(problem);
  Problem of_key = wrong_parameter(kKeyHeader, problem.errors.front().reason);
  of_key.status = problem.status;
  of_key.code = problem.code;
  return to_response(of_key);
}

http::Response inserted_response(const Insert& insert, const jobs::InsertResult& result) {
  const auto existed = std::ranges::count(result.jobs, false, &jobs::Inserted::created);
  JsonWriter json;
  if (!insert.many()) {
    write_inserted(json, result.jobs.front());
  } else {
    json.object().key("jobs").array();
    for (const jobs::Inserted& job : result.jobs) write_inserted(json, job);
    json.end().member("count", result.total).end();
  }
  const bool all_existed = result.created == 0 && existed > 0;
  return json_response(all_existed ? 200 : 201, std::move(json).text());
}

// The trace in which the request was made; one that cannot be read is none.
jobs::Trace trace_of(const http::Request& request) {
  const std::string parent(request.headers.get("traceparent").value_or(""));
  if (!jobs::is_traceparent(parent)) return {};
  const std::string state(request.headers.get("tracestate").value_or(""));
  return {parent, state.size() <= jobs::kMaxTraceState ? state : ""};
}

// What the request says of all its jobs, unless they say it themselves.
void fill_in(const Call& call, std::vector<jobs::JobSpec>& specs) {
  const jobs::Trace trace = trace_of(call.request);
  for (jobs::JobSpec& spec : specs) {
    spec.created_by = call.identity.name;
    if (spec.extra.trace.parent.empty()) spec.extra.trace = trace;
  }
}

http::Response insert_jobs(ApiContext& context, const Call& call) {
  const auto key = call.request.headers.get(kKeyHeader);
  if (key && key->empty()) return to_response(wrong_parameter(kKeyHeader, "must not be empty"));
  JsonBody body(call.request, kInsertLimits);
  Insert insert = read_insert(body);
  if (auto problem = body.problem()) return to_response(*problem);
  for (const jobs::JobSpec& spec : insert.specs)
    if (auto refused = outside_of_token(call.identity, {spec.queue})) return *std::move(refused);
  fill_in(call, insert.specs);
  auto result = context.store.insert(insert.specs, context.clock.now(), key.value_or(""));
  return result ? inserted_response(insert, *result) : insert_error(insert, result.error());
}

}  // namespace

void post_jobs(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] { return insert_jobs(context, call); });
}

namespace {

// --- list and get -------------------------------------------------------------------------------

// The first parameter that none of `known` is.
std::optional<http::Response> unknown_parameter(const http::Request& request,
                                                const std::vector<std::string_view>& known) {
  for (const auto& [name, value] : request.query) {
    if (std::ranges::find(known, name) != known.end()) continue;
    const std::string_view meant = nearest(name, known);
    return to_response(wrong_parameter(
        name, meant.empty() ? "unknown parameter"
                            : fmt::format("unknown parameter; did you mean '{}'?", meant)));
  }
  return std::nullopt;
}

http::Response page_response(const jobs::JobPage& page) {
  JsonWriter json;
  json.object().key("items").array();
  for (const jobs::Job& job : page.items) write_job(json, job);
  json.end();
  if (!page.next.empty()) json.member("next", page.next);
  json.end();
  return json_response(200, std::move(json).text());
}

// What the store lists by itself, wherever it is; the rest is a search.
bool is_plain(const jobs::JobFilter& filter) {
  return filter.states.size() <= 1 &&
         filter == jobs::JobFilter{.states = filter.states, .queue = filter.queue};
}

Result<jobs::JobPage> listed(ApiContext& context, const JobPageRequest& request) {
  const jobs::JobFilter& filter = request.filter;
  jobs::JobQuery query;
  query.queue = filter.queue;
  query.limit = request.limit;
  query.after = request.after;
  if (!filter.states.empty()) query.state = filter.states.front();
  return context.store.list(query);
}

Result<jobs::JobPage> searched(ApiContext& context, const JobPageRequest& request) {
  TRY(auto* explorer, explorer_of(context));
  TRY(auto found, find_jobs(*explorer, request));
  return jobs::JobPage{.items = std::move(found.items), .next = std::move(found.next)};
}

http::Response list_jobs(ApiContext& context, const http::Request& http_request) {
  JobPageRequest request{.order = "updatedAt:DESC", .counted = false};
  QueryReader in(http_request);
  read_filter(in, request.filter);
  in.integer("limit", request.limit, 1, 1000);
  in.text("after", request.after);
  if (auto problem = in.close()) return to_response(*problem);
  auto page = is_plain(request.filter) ? listed(context, request) : searched(context, request);
  return page ? page_response(*page) : to_response(page.error());
}

void get_jobs(ApiContext& context, Call call) {
  answer(context, call.responder,
         [&context, request = std::move(call.request)] { return list_jobs(context, request); });
}

std::string with_history(const jobs::Job& job, const std::vector<jobs::JobEvent>& history) {
  JsonWriter json;
  json.object();
  write_job_members(json, job);
  json.key("history").array();
  for (const jobs::JobEvent& event : history) write_event(json, event);
  return std::move(json.end().end()).text();
}

// A job is another one with each event.
Result<Reading> one_job(ApiContext& context, const std::string& id, bool history) {
  TRY(const jobs::Job job, context.store.get(id));
  Reading reading{.json = {}, .state = std::to_string(job.version), .again = {}};
  if (history) {
    TRY(const auto events, context.store.history(id));
    reading.json = with_history(job, events);
  } else {
    JsonWriter json;
    write_job(json, job);
    reading.json = std::move(json).text();
  }
  return reading;
}

void get_job(ApiContext& context, Call call) {
  if (auto unknown = unknown_parameter(call.request, {"history"}))
    return call.responder.send(*std::move(unknown));
  const auto wanted = call.request.parameter("history");
  answer_or_hold(context, call,
                 [&context, id = call.parameter("id"), history = wanted && *wanted != "0"](
                     TimePoint) { return one_job(context, id, history); });
}

// --- result and log -----------------------------------------------------------------------------

constexpr std::int64_t kLongestWaitMs = 30'000;

// A whole number from 0 on.
std::optional<std::int64_t> number_of(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

// A number in the query; missing it is 0. What is wrong with it is noted in `problem`.
std::int64_t number_in(const http::Request& request, std::string_view name, std::int64_t most,
                       std::optional<http::Response>& problem) {
  const auto text = request.parameter(name);
  if (!text) return 0;
  const auto number = number_of(*text);
  if (number && *number <= most) return *number;
  problem =
      to_response(wrong_parameter(name, fmt::format("expected an integer from 0 to {}", most)));
  return 0;
}

Result<Reading> outcome_of(ApiContext& context, const std::string& id, TimePoint now) {
  TRY(const jobs::Outcome outcome, context.store.result(id, now));
  JsonWriter json;
  write_outcome(json, outcome);
  return Reading{.json = std::move(json).text(),
                 .state = {},
                 .unfinished = outcome.retry_after > Duration::zero()};
}

void get_result(ApiContext& context, Call call) {
  auto problem = unknown_parameter(call.request, {"wait_ms"});
  const std::int64_t wait_ms = number_in(call.request, "wait_ms", kLongestWaitMs, problem);
  if (problem) return call.responder.send(*std::move(problem));
  answer_or_wait(context, call, std::chrono::milliseconds(wait_ms),
                 [&context, id = call.parameter("id")](TimePoint now) {
                   return outcome_of(context, id, now);
                 });
}

// The least grave lines that are wanted.
jobs::LineLevel level_in(const http::Request& request, std::optional<http::Response>& problem) {
  const auto text = request.parameter("level");
  if (!text) return jobs::LineLevel::Info;
  const auto level = jobs::line_level(*text);
  if (!level && !problem)
    problem = to_response(wrong_parameter("level", "expected INFO, WARN or ERROR"));
  return level.value_or(jobs::LineLevel::Info);
}

http::Response log_response(ApiContext& context, const Call& call) {
  constexpr std::int64_t kMost = 1'000'000'000;
  auto problem = unknown_parameter(call.request, {"attempt", "after", "level"});
  const auto least = level_in(call.request, problem);
  const auto attempt = static_cast<int>(number_in(call.request, "attempt", kMost, problem));
  const std::int64_t after = number_in(call.request, "after", kMost, problem);
  if (problem) return *std::move(problem);
  auto log = context.store.log(call.parameter("id"), attempt, after);
  if (!log) return to_response(log.error());
  std::erase_if(log->lines, [&](const jobs::LogLine& line) { return line.level < least; });
  JsonWriter json;
  write_log(json, *log);
  return json_response(200, std::move(json).text());
}

}  // namespace

void get_logs(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] { return log_response(context, call); });
}

// --- changes ------------------------------------------------------------------------------------

http::Response changed(const Status& status, const std::string& job_id) {
  if (status) return no_content();
  Problem problem = to_problem(status.error());
  if (status.error().code == Code::Conflict) problem.code = "illegal_transition";
  problem.job_id = job_id;
  return to_response(problem);
}

namespace {

void delete_job(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] {
    JsonBody body(call.request);
    std::string reason;
    auto in = body.reader();
    in.text("reason", reason);
    in.close();
    if (auto problem = body.problem()) return to_response(*problem);
    const std::string& id = call.parameter("id");
    const Status status = context.store.remove(id, reason, context.clock.now());
    if (status) record(context, call, "job.delete", id);
    return changed(status, id);
  });
}

}  // namespace

void post_requeue(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] {
    JsonBody body(call.request);
    body.reader().close();
    if (auto problem = body.problem()) return to_response(*problem);
    const std::string& id = call.parameter("id");
    const Status status = context.store.requeue(id, context.clock.now());
    if (status) record(context, call, "job.requeue", id);
    return changed(status, id);
  });
}

namespace {

constexpr std::array kRoutes{
    Route{"POST", "/v1/jobs", Scope::Produce, post_jobs},
    Route{"GET", "/v1/jobs", Scope::Read, get_jobs},
    Route{"GET", "/v1/jobs/{id}", Scope::Read, get_job},
    Route{"GET", "/v1/jobs/{id}/result", Scope::Read, get_result},
    Route{"GET", "/v1/jobs/{id}/logs", Scope::Read, get_logs},
    Route{"DELETE", "/v1/jobs/{id}", Scope::Operate, delete_job},
    Route{"POST", "/v1/jobs/{id}/requeue", Scope::Operate, post_requeue},
};

}  // namespace

std::span<const Route> jobs_routes() { return kRoutes; }

}  // namespace jobmill::api
