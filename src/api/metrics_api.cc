// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <array>

#include "api/job_page.h"
#include "api/metrics_text.h"
#include "api/problem.h"
#include "api/route.h"
#include "api/waiters.h"
#include "api/waiting_read.h"
#include "base/duration.h"
#include "base/json_writer.h"
#include "jobs/metrics.h"

// The numbers that autoscalers read. A read may wait for another value (waiting_read.h).
namespace jobmill::api {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kMostCounted = 1'000'000;

// --- values -------------------------------------------------------------------------------------

struct Query {
  std::string queue;     // empty: all
  std::string priority;  // instead of queue
  Duration window = 1min;
  bool seconds = false;
};

std::string decimal(double value) {
  std::string text = fmt::format("{}", value);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

std::string latency_json(Duration latency, bool seconds) {
  if (seconds) return decimal(std::chrono::duration<double>(latency).count());
  return std::to_string(std::chrono::floor<std::chrono::milliseconds>(latency).count());
}

Result<std::string> queue_of(ApiContext& context, const Query& query, TimePoint now) {
  if (query.priority.empty()) return query.queue;
  TRY(auto queue, jobs::queue_of_priority(context.store, query.priority, now));
  // Of a rank that nothing has, nothing waits.
  return queue.value_or("priority " + query.priority);
}

Result<Reading> enqueued(ApiContext& context, const Query& query, TimePoint now) {
  TRY(const std::string queue, queue_of(context, query, now));
  TRY(const auto metric, jobs::enqueued_metric(context.store, queue, now));
  const std::string latency = latency_json(metric.latency, query.seconds);
  const bool young = metric.count > 0 && metric.latency < 1ms;
  return Reading{fmt::format(R"({{"latency":{},"count":{}}})", latency, metric.count),
                 fmt::format("{} {}", metric.count, young || metric.count == 0),
                 young ? std::optional(now - metric.latency + 1ms) : std::nullopt};
}

Result<Reading> scheduled(ApiContext& context, const Query& query, TimePoint now) {
  TRY(const std::string queue, queue_of(context, query, now));
  TRY(const auto count, jobs::scheduled_metric(context.store, queue, query.window, now));
  TRY(const auto next, context.store.next_due(queue, now + query.window));
  const std::string json = fmt::format(R"({{"count":{}}})", count);
  return Reading{json, json, next ? std::optional(*next - query.window) : std::nullopt};
}

Result<Reading> workers(ApiContext& context, const Query&, TimePoint now) {
  TRY(const auto metric, jobs::workers_metric(context.store, now));
  const std::string json = fmt::format(R"({{"usage":{},"totalWorkers":{},"occupiedWorkers":{}}})",
                                       decimal(metric.usage), metric.total, metric.occupied);
  return Reading{json, json, std::nullopt};
}

using Metric = Result<Reading> (*)(ApiContext&, const Query&, TimePoint);

// --- queries ------------------------------------------------------------------------------------

// Two published forms have two names for some parameters; both given must mean the same.
std::optional<http::Response> read_window(const http::Request& request, Query& query) {
  std::optional<Duration> window;
  for (const std::string_view name : {"runInMax", "scheduledIn"}) {
    const auto text = request.parameter(name);
    if (!text) continue;
    auto parsed = parse_iso_duration(*text);
    if (!parsed || parsed->negative())
      return to_response(
          wrong_parameter(name, "expected an ISO 8601 duration such as PT2M, not negative"));
    const Duration value = to_duration(*parsed);
    if (window && *window != value)
      return to_response(wrong_parameter(name, "differs from runInMax"));
    window = value;
  }
  // Beyond any instant that can be written; what is due then is due by any measure.
  query.window = std::min<Duration>(window.value_or(query.window), std::chrono::years(100));
  return std::nullopt;
}

std::optional<http::Response> read_queue(const http::Request& request, Query& query) {
  query.queue = request.parameter("queue").value_or("");
  query.priority = request.parameter("priority").value_or("");
  if (!query.queue.empty() && !query.priority.empty() && query.queue != query.priority)
    return to_response(wrong_parameter("priority", "differs from queue"));
  if (!query.queue.empty()) query.priority.clear();
  return std::nullopt;
}

std::optional<http::Response> read_unit(const http::Request& request, Query& query) {
  const auto unit = request.parameter("unit");
  if (!unit) return std::nullopt;
  if (*unit != "ms" && *unit != "s")
    return to_response(wrong_parameter("unit", "expected ms or s"));
  query.seconds = *unit == "s";
  return std::nullopt;
}

// Other parameters are no error: a trigger's apiKey may come as one.
std::optional<http::Response> read_query(const http::Request& request, Query& query) {
  if (auto wrong = read_queue(request, query)) return wrong;
  if (auto wrong = read_window(request, query)) return wrong;
  return read_unit(request, query);
}

// Elsewhere HEAD is a GET without a body; these are read by GET and nothing else.
http::Response only_get(const http::Request& request) {
  Match match;
  match.allowed = {"GET"};
  return no_route(match, request);
}

template <Metric kMetric>
void get_metric(ApiContext& context, Call call) {
  if (call.request.method != "GET") return call.responder.send(only_get(call.request));
  Query query;
  query.seconds = context.latency_in_seconds;
  if (auto wrong = read_query(call.request, query)) return call.responder.send(*std::move(wrong));
  answer_or_hold(context, call, [&context, query = std::move(query)](TimePoint now) {
    return kMetric(context, query, now);
  });
}

// --- more numbers -------------------------------------------------------------------------------

constexpr std::string_view kQuarantined = "jobmill.CrashLimit";  // what such jobs failed with

Result<std::string> failed(ApiContext& context) {
  const TimePoint now = context.clock.now();
  TRY(const auto queues, context.store.queues(now));
  TRY(auto* explorer, explorer_of(context));
  std::int64_t count = 0;
  for (const jobs::QueueStats& queue : queues) count += queue.failed;
  TRY(const auto lately,
      explorer->count({.states = {jobs::JobState::Failed}, .updated_after = now - 5min},
                      kMostCounted));
  TRY(const auto quarantined,
      explorer->count({.states = {jobs::JobState::Failed}, .error_type = std::string(kQuarantined)},
                      kMostCounted));
  return fmt::format(R"({{"count":{},"last5m":{},"quarantined":{}}})", count, lately.count,
                     quarantined.count);
}

Result<std::string> processing(ApiContext& context) {
  const TimePoint now = context.clock.now();
  TRY(const auto queues, context.store.queues(now));
  TRY(const auto workers, context.store.workers(now));
  std::int64_t count = 0;
  for (const jobs::QueueStats& queue : queues) count += queue.processing;
  Duration oldest{};
  for (const jobs::Worker& worker : workers)
    if (worker.oldest_start) oldest = std::max(oldest, now - *worker.oldest_start);
  return fmt::format(R"({{"count":{},"oldestMs":{}}})", count,
                     std::chrono::floor<std::chrono::milliseconds>(oldest).count());
}

template <Result<std::string> (*kNumbers)(ApiContext&)>
void get_numbers(ApiContext& context, Call call) {
  answer(context, call.responder, [&context] { return json_or_problem(kNumbers(context)); });
}

// --- for Prometheus -----------------------------------------------------------------------------

Result<std::string> all_metrics(ApiContext& context) {
  MetricsFacts facts;
  facts.now = context.clock.now();
  facts.version = context.version;
  facts.leads = context.store.leads();
  facts.healthy = !context.store.outage();
  TRY(facts.queues, context.store.queues(facts.now));
  TRY(facts.workers, context.store.workers(facts.now));
  TRY(facts.tallies, context.store.tallies());
  TRY(facts.recurring, context.store.recurring());
  if (context.meter != nullptr) facts.storage = context.meter->meter();
  return metrics_text(facts, context.jobrunr_metrics);
}

void get_text(ApiContext& context, Call call) {
  answer(context, call.responder, [&context] {
    auto text = all_metrics(context);
    if (!text) return to_response(text.error());
    http::Response response{.status = 200, .headers = {}, .body = *std::move(text)};
    response.headers.add("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    return response;
  });
}

constexpr std::array kRoutes{
    Route{"GET", "/metrics", Scope::Read, get_text},
    Route{"GET", "/api/metrics/jobs/enqueued", Scope::Read, get_metric<enqueued>},
    Route{"GET", "/api/metrics/jobs/scheduled", Scope::Read, get_metric<scheduled>},
    Route{"GET", "/api/metrics/workers", Scope::Read, get_metric<workers>},
    Route{"GET", "/api/metrics/jobs/failed", Scope::Read, get_numbers<failed>},
    Route{"GET", "/api/metrics/jobs/processing", Scope::Read, get_numbers<processing>},
};

}  // namespace

std::span<const Route> metrics_routes() { return kRoutes; }

}  // namespace jobmill::api
