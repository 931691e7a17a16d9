// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <charconv>

#include "api/job_json.h"
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
  fill_in(call, insert.specs);
  auto result = context.store.insert(insert.specs, context.clock.now(), key.value_or(""));
  return result ? inserted_response(insert, *result) : insert_error(insert, result.error());
}

void post_jobs(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] { return insert_jobs(context, call); });
}

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

std::optional<int> limit_of(std::string_view text) {
  int limit = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return limit >= 1 && limit <= 1000 ? std::optional(limit) : std::nullopt;
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

http::Response list_jobs(ApiContext& context, const http::Request& request) {
  if (auto unknown = unknown_parameter(request, {"state", "queue", "limit", "after"}))
    return *std::move(unknown);
  jobs::JobQuery query;
  query.queue = request.parameter("queue").value_or("");
  query.after = request.parameter("after").value_or("");
  if (const auto state = request.parameter("state")) {
    query.state = jobs::job_state(*state);
    if (!query.state) return to_response(wrong_parameter("state", "no such state"));
  }
  if (const auto limit = request.parameter("limit")) {
    const auto number = limit_of(*limit);
    if (!number) return to_response(wrong_parameter("limit", "expected an integer from 1 to 1000"));
    query.limit = *number;
  }
  auto page = context.store.list(query);
  return page ? page_response(*page) : to_response(page.error());
}

void get_jobs(ApiContext& context, Call call) {
  answer(context, call.responder,
         [&context, request = std::move(call.request)] { return list_jobs(context, request); });
}

std::string with_history(const jobs::Job& job, const std::vector<jobs::JobEvent>& history) {
  JsonWriter job_json;
  write_job(job_json, job);
  std::string text = std::move(job_json).text();
  text.pop_back();  // its object gets one more member
  JsonWriter events;
  events.array();
  for (const jobs::JobEvent& event : history) write_event(events, event);
  events.end();
  return text + ",\"history\":" + std::move(events).text() + "}";
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

http::Response log_response(ApiContext& context, const Call& call) {
  constexpr std::int64_t kMost = 1'000'000'000;
  auto problem = unknown_parameter(call.request, {"attempt", "after"});
  const auto attempt = static_cast<int>(number_in(call.request, "attempt", kMost, problem));
  const std::int64_t after = number_in(call.request, "after", kMost, problem);
  if (problem) return *std::move(problem);
  const auto log = context.store.log(call.parameter("id"), attempt, after);
  if (!log) return to_response(log.error());
  JsonWriter json;
  write_log(json, *log);
  return json_response(200, std::move(json).text());
}

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

void delete_job(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] {
    JsonBody body(call.request);
    std::string reason;
    auto in = body.reader();
    in.text("reason", reason);
    in.close();
    if (auto problem = body.problem()) return to_response(*problem);
    const std::string& id = call.parameter("id");
    return changed(context.store.remove(id, reason, context.clock.now()), id);
  });
}

void post_requeue(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] {
    JsonBody body(call.request);
    body.reader().close();
    if (auto problem = body.problem()) return to_response(*problem);
    const std::string& id = call.parameter("id");
    return changed(context.store.requeue(id, context.clock.now()), id);
  });
}

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
