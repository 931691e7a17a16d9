// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <utility>

#include "api/auth.h"
#include "api/job_json.h"
#include "api/problem.h"
#include "api/route.h"
#include "api/waiters.h"
#include "api/waiting_claim.h"
#include "api/worker_token.h"
#include "base/duration.h"

// Workers and the settlement of what they ran.
namespace jobmill::api {
namespace {

constexpr int kProtocol = 1;
constexpr int kMostSlots = 100'000;

// A worker's token speaks for that worker only.
bool speaks_for(const Identity& identity, std::string_view worker_id) {
  return identity.worker_id.empty() || identity.worker_id == worker_id;
}

http::Response not_yours() {
  return to_response(
      Problem{.status = 403, .code = "forbidden", .detail = "this token is another worker's"});
}

http::Response worker_error(const Fault& error) {
  Problem problem = to_problem(error);
  if (error.code == Code::NotFound) problem.status = 410, problem.code = "worker_gone";
  return to_response(problem);
}

// --- registration -------------------------------------------------------------------------------

http::Response protocol_unsupported() {
  JsonWriter json;
  json.object()
      .member("type", "about:blank")
      .member("title", "Upgrade Required")
      .member("status", 426)
      .member("detail", "this server speaks version 1 of the worker protocol")
      .member("code", "protocol_unsupported")
      .key("supported")
      .array()
      .value(kProtocol)
      .end()
      .end();
  auto response = json_response(426, std::move(json).text());
  response.headers.set("Content-Type", "application/problem+json");
  return response;
}

int read_worker(ObjectReader in, jobs::WorkerSpec& spec) {
  int protocol = kProtocol;
  in.text("name", spec.name, Field::Required);
  in.texts("tags", spec.tags);
  in.texts("queues", spec.queues);
  in.texts("kinds", spec.kinds);
  in.integer("concurrency", spec.concurrency, 1, kMostSlots);
  in.text("version", spec.version);
  in.integer("protocol", protocol, 0, 1'000'000);
  in.text("host", spec.host);
  in.integer("pid", spec.pid);
  in.text("runtime", spec.runtime);
  in.integer("prefetch", spec.prefetch, 0, kMostSlots);
  in.text("generation", spec.generation);
  in.text("replica", spec.replica);
  in.close();
  return protocol;
}

// Who came with a token for some queues goes on with it: the one of the registration is for all.
std::string token_of(const ApiContext& context, const Call& call, const std::string& worker_id) {
  constexpr std::string_view kBearer = "Bearer ";
  const auto shown = call.request.headers.get("Authorization").value_or("");
  if (!call.identity.queues.empty() && shown.starts_with(kBearer))
    return std::string(shown.substr(kBearer.size()));
  return worker_token(context.token_key, worker_id);
}

http::Response registered(const ApiContext& context, const Call& call,
                          const jobs::Registration& registration) {
  JsonWriter json;
  json.object()
      .member("worker_id", registration.worker_id)
      .raw_member("lease_s", seconds_json(registration.lease))
      .raw_member("beat_s", seconds_json(registration.beat))
      .member("token", token_of(context, call, registration.worker_id))
      .member("server_time", format_instant(context.clock.now()))
      .end();
  return json_response(201, std::move(json).text());
}

http::Response register_worker(ApiContext& context, const Call& call) {
  JsonBody body(call.request);
  jobs::WorkerSpec spec;
  const int protocol = read_worker(body.reader(), spec);
  if (auto problem = body.problem()) return to_response(*problem);
  if (protocol != kProtocol) return protocol_unsupported();
  if (spec.queues.empty()) spec.queues = call.identity.queues;
  if (auto refused = outside_of_token(call.identity, spec.queues)) return *std::move(refused);
  auto registration = context.store.announce(spec, context.clock.now());
  return registration ? registered(context, call, *registration)
                      : to_response(registration.error());
}

void post_worker(ApiContext& context, Call call) {
  // A worker's token speaks for that worker; it makes no other ones.
  if (!call.identity.worker_id.empty()) return call.responder.send(not_yours());
  answer(context, call.responder, [&context, call] { return register_worker(context, call); });
}

void delete_worker(ApiContext& context, Call call) {
  const std::string id = call.parameter("id");
  if (!speaks_for(call.identity, id)) return call.responder.send(not_yours());
  answer(context, call.responder, [&context, id] {
    const Status left = context.store.leave(id, context.clock.now());
    context.loop.post([&context, id] { context.waiters.end_claim(id); });
    return left ? no_content() : to_response(left.error());
  });
}

// --- reading ------------------------------------------------------------------------------------

void get_workers(ApiContext& context, Call call) {
  answer(context, call.responder, [&context] {
    auto workers = context.store.workers(context.clock.now());
    if (!workers) return to_response(workers.error());
    JsonWriter json;
    json.array();
    for (const jobs::Worker& worker : *workers) write_worker(json, worker);
    json.end();
    return json_response(200, std::move(json).text());
  });
}

void get_worker(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, id = call.parameter("id")] {
    auto workers = context.store.workers(context.clock.now());
    if (!workers) return to_response(workers.error());
    const auto worker = std::ranges::find(*workers, id, &jobs::Worker::id);
    if (worker == workers->end()) return to_response(fail(Code::NotFound, "no worker " + id));
    JsonWriter json;
    write_worker(json, *worker);
    return json_response(200, std::move(json).text());
  });
}

// --- claim and beat -----------------------------------------------------------------------------

void post_claim(ApiContext& context, Call call) {
  if (!speaks_for(call.identity, call.parameter("id"))) return call.responder.send(not_yours());
  claim(context, std::move(call));
}

void read_progress(ObjectReader& in, jobs::Progress& progress) {
  in.integer("done", progress.done);
  in.integer("total", progress.total);
  for (const char* name : {"done", "total"})
    if (!in.has(name)) in.wrong(name, "is required");
  in.integer("failed", progress.failed);
}

// Lines without a time of their own were written now.
void read_lines(ObjectReader& in, std::vector<jobs::LogLine>& lines,
                std::vector<FieldError>& errors, TimePoint now) {
  const Node* list = in.array("logs");
  if (list == nullptr) return;
  for (std::size_t i = 0; i < list->items.size(); ++i) {
    ObjectReader item(list->items[i], fmt::format("{}[{}]", in.path_of("logs"), i), errors);
    jobs::LogLine& line = lines.emplace_back();
    std::string level = "INFO";
    std::optional<TimePoint> at;
    item.text("level", level);
    item.instant("at", at);
    item.text("text", line.text);  // an empty line is one
    item.close();
    if (!item.has("text")) item.wrong("text", "is required");
    const auto known = jobs::line_level(level);
    if (!known) item.wrong("level", "expected INFO, WARN or ERROR");
    line.level = known.value_or(jobs::LineLevel::Info);
    line.at = at.value_or(now);
  }
}

jobs::Report read_report(ObjectReader item, std::vector<FieldError>& errors, TimePoint now) {
  jobs::Report report;
  item.text("id", report.job_id, Field::Required);
  item.text("lock_token", report.lock_token, Field::Required);
  if (const Node* progress = item.object("progress")) {
    ObjectReader in(*progress, item.path_of("progress"), errors);
    read_progress(in, report.progress.emplace());
    in.close();
  }
  read_lines(item, report.logs, errors, now);
  item.close();
  return report;
}

std::vector<jobs::Report> read_beat(JsonBody& body, TimePoint now) {
  std::vector<jobs::Report> running;
  auto in = body.reader();
  if (const Node* list = in.array("running"))
    for (std::size_t i = 0; i < list->items.size(); ++i)
      running.push_back(read_report({list->items[i], fmt::format("running[{}]", i), body.errors()},
                                    body.errors(), now));
  // What a worker says of itself; only its leases decide anything.
  std::optional<double> ignored;
  in.number("mem", ignored);
  in.number("cpu", ignored);
  std::string state;
  in.text("state", state);
  if (!state.empty() && !jobs::worker_state(state))
    in.wrong("state", "expected run, quiet or stop");
  in.close();
  return running;
}

http::Response beaten(const jobs::BeatAnswer& beat) {
  JsonWriter json;
  json.object().key("cancel").array();
  for (const jobs::Cancel& cancel : beat.cancel)
    json.object().member("id", cancel.job_id).member("reason", cancel.reason).end();
  json.end().member("state", to_string(beat.state));
  if (beat.drain_until) json.member("drain_until", format_instant(*beat.drain_until));
  json.raw_member("lease_s", seconds_json(beat.lease)).end();
  return json_response(200, std::move(json).text());
}

void post_beat(ApiContext& context, Call call) {
  const std::string id = call.parameter("id");
  if (!speaks_for(call.identity, id)) return call.responder.send(not_yours());
  answer(context, call.responder, [&context, id, request = std::move(call.request)] {
    JsonBody body(request);
    const TimePoint now = context.clock.now();
    const auto running = read_beat(body, now);
    if (auto problem = body.problem()) return to_response(*problem);
    auto beat = context.store.beat(id, running, now);
    return beat ? beaten(*beat) : worker_error(beat.error());
  });
}

// --- settlement ---------------------------------------------------------------------------------

using Kind = jobs::Settlement::Kind;

constexpr double kFarthest = 1e9;  // seconds

// `after_s`, which must be there.
void read_after(ObjectReader& in, Duration& after) {
  std::optional<double> seconds;
  in.number("after_s", seconds);
  if (!seconds) return in.wrong("after_s", "is required");
  if (*seconds > kFarthest) return in.wrong("after_s", "is too far away");
  after = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(*seconds));
}

void read_retry(ObjectReader& in, jobs::Failure& failure, std::vector<FieldError>& errors) {
  const Node* retry = in.any("retry");
  if (retry == nullptr) return;
  if (retry->is_object()) {
    ObjectReader rule(*retry, in.path_of("retry"), errors);
    failure.retry = jobs::RetryRule::After;
    read_after(rule, failure.after);
    rule.close();
  } else if (retry->as_string() == "never") {
    failure.retry = jobs::RetryRule::Never;
  } else if (retry->as_string() != "default") {
    in.wrong("retry", R"(expected "default", "never" or {"after_s": seconds})");
  }
}

void read_failure(ObjectReader& in, jobs::Failure& failure, std::vector<FieldError>& errors) {
  in.text("type", failure.type, Field::Required);
  in.text("message", failure.message);
  in.text("cause_type", failure.cause_type);
  in.text("cause_message", failure.cause_message);
  in.text("stack", failure.stack);
  read_retry(in, failure, errors);
}

// How the process ended that ran this job and nothing else.
void read_crash(ObjectReader& in, jobs::Settlement& settlement, std::vector<FieldError>& errors) {
  const Node* node = in.object("crash");
  if (node == nullptr) return;
  jobs::Crash& crash = settlement.crash.emplace();
  ObjectReader how(*node, in.path_of("crash"), errors);
  how.integer("signal", crash.signal, 0, 127);
  how.integer("exit_code", crash.exit_code, 0, 255);
  how.integer("peak_rss_bytes", crash.peak_rss_bytes);
  how.flag("out_of_memory", crash.out_of_memory);
  how.text("detail", crash.detail);
  how.close();
}

// The fields of one settlement beside its job's id; closes the reader.
void read_settlement(ObjectReader& in, jobs::Settlement& settlement,
                     std::vector<FieldError>& errors) {
  in.text("lock_token", settlement.lock_token, Field::Required);
  if (settlement.kind == Kind::Fail) {
    read_failure(in, settlement.failure, errors);
    read_crash(in, settlement, errors);
  }
  if (settlement.kind == Kind::Release) in.text("reason", settlement.reason);
  if (settlement.kind == Kind::Snooze) read_after(in, settlement.after);
  if (settlement.kind == Kind::Complete)
    if (const Node* result = in.any("result")) settlement.result = to_json(*result);
  in.close();
}

Problem settle_problem(const Fault& error, const std::string& job_id) {
  Problem problem = to_problem(error);
  if (error.code == Code::Conflict) problem.code = "lease_lost";
  problem.job_id = job_id;
  return problem;
}

void write_retry(JsonWriter& json, const jobs::Settled& settled) {
  json.member("state", to_string(settled.state));
  if (settled.run_at) json.member("run_at", format_instant(*settled.run_at));
}

// The other two can only go one way.
bool tells_state(Kind kind) { return kind == Kind::Fail || kind == Kind::Snooze; }

http::Response settled_response(Kind kind, const jobs::Settled& settled) {
  if (!settled.status) return to_response(settle_problem(settled.status.error(), settled.job_id));
  if (!tells_state(kind)) return no_content();
  JsonWriter json;
  json.object();
  write_retry(json, settled);
  json.end();
  return json_response(200, std::move(json).text());
}

template <Kind kKind>
void settle_one(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] {
    JsonBody body(call.request);
    jobs::Settlement settlement{.kind = kKind, .job_id = call.parameter("id"), .lock_token = {}};
    auto in = body.reader();
    read_settlement(in, settlement, body.errors());
    if (auto problem = body.problem()) return to_response(*problem);
    auto settled = context.store.settle({}, {&settlement, 1}, context.clock.now());
    return settled ? settled_response(kKind, settled->front()) : to_response(settled.error());
  });
}

void read_settlements(JsonBody& body, ObjectReader& in, std::string_view name, Kind kind,
                      std::vector<jobs::Settlement>& settlements) {
  const Node* list = in.array(name);
  if (list == nullptr) return;
  for (std::size_t i = 0; i < list->items.size(); ++i) {
    ObjectReader item(list->items[i], fmt::format("{}[{}]", name, i), body.errors());
    jobs::Settlement& settlement = settlements.emplace_back();
    settlement.kind = kind;
    item.text("id", settlement.job_id, Field::Required);
    read_settlement(item, settlement, body.errors());
  }
}

void write_settled(JsonWriter& json, Kind kind, const jobs::Settled& settled) {
  json.object().member("id", settled.job_id);
  if (!settled.status) {
    const Problem problem = settle_problem(settled.status.error(), settled.job_id);
    json.member("status", problem.status).member("code", problem.code);
  } else {
    json.member("status", tells_state(kind) ? 200 : 204);
    write_retry(json, settled);
  }
  json.end();
}

http::Response settle_many(ApiContext& context, const std::string& worker_id,
                           const http::Request& request) {
  JsonBody body(request);
  auto in = body.reader();
  std::vector<jobs::Settlement> settlements;
  read_settlements(body, in, "complete", Kind::Complete, settlements);
  read_settlements(body, in, "fail", Kind::Fail, settlements);
  read_settlements(body, in, "release", Kind::Release, settlements);
  read_settlements(body, in, "snooze", Kind::Snooze, settlements);
  in.close();
  if (auto problem = body.problem()) return to_response(*problem);

  auto settled = context.store.settle(worker_id, settlements, context.clock.now());
  if (!settled) return worker_error(settled.error());
  JsonWriter json;
  json.object().key("results").array();
  for (std::size_t i = 0; i < settled->size(); ++i)
    write_settled(json, settlements[i].kind, (*settled)[i]);
  json.end().end();
  return json_response(200, std::move(json).text());
}

void post_settle(ApiContext& context, Call call) {
  const std::string id = call.parameter("id");
  if (!speaks_for(call.identity, id)) return call.responder.send(not_yours());
  answer(context, call.responder, [&context, id, request = std::move(call.request)] {
    return settle_many(context, id, request);
  });
}

// --- progress and lines -------------------------------------------------------------------------

http::Response reported(ApiContext& context, const jobs::Report& report, TimePoint now) {
  const Status status = context.store.report(report, now);
  if (status) return no_content();
  return to_response(settle_problem(status.error(), report.job_id));
}

void post_progress(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] {
    JsonBody body(call.request);
    jobs::Report report{.job_id = call.parameter("id"), .lock_token = {}};
    auto in = body.reader();
    in.text("lock_token", report.lock_token, Field::Required);
    read_progress(in, report.progress.emplace());
    in.close();
    if (auto problem = body.problem()) return to_response(*problem);
    return reported(context, report, context.clock.now());
  });
}

void post_logs(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] {
    JsonBody body(call.request);
    const TimePoint now = context.clock.now();
    jobs::Report report{.job_id = call.parameter("id"), .lock_token = {}};
    auto in = body.reader();
    in.text("lock_token", report.lock_token, Field::Required);
    read_lines(in, report.logs, body.errors(), now);
    in.close();
    if (auto problem = body.problem()) return to_response(*problem);
    return reported(context, report, now);
  });
}

constexpr std::array kRoutes{
    Route{"POST", "/v1/workers", Scope::Work, post_worker},
    Route{"GET", "/v1/workers", Scope::Read, get_workers},
    Route{"GET", "/v1/workers/{id}", Scope::Read, get_worker},
    Route{"DELETE", "/v1/workers/{id}", Scope::Work, delete_worker},
    Route{"POST", "/v1/workers/{id}/claim", Scope::Work, post_claim},
    Route{"POST", "/v1/workers/{id}/beat", Scope::Work, post_beat},
    Route{"POST", "/v1/workers/{id}/settle", Scope::Work, post_settle},
    Route{"POST", "/v1/jobs/{id}/complete", Scope::Work, settle_one<Kind::Complete>},
    Route{"POST", "/v1/jobs/{id}/fail", Scope::Work, settle_one<Kind::Fail>},
    Route{"POST", "/v1/jobs/{id}/release", Scope::Work, settle_one<Kind::Release>},
    Route{"POST", "/v1/jobs/{id}/snooze", Scope::Work, settle_one<Kind::Snooze>},
    Route{"POST", "/v1/jobs/{id}/progress", Scope::Work, post_progress},
    Route{"POST", "/v1/jobs/{id}/logs", Scope::Work, post_logs},
};

}  // namespace

std::span<const Route> worker_routes() { return kRoutes; }

}  // namespace jobmill::api
