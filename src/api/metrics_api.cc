// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <array>

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

// --- values -------------------------------------------------------------------------------------

// One value of a metric. While a read is held, only `state` counts as change: a latency grows all
// the time, but nobody needs to hear each millisecond of it.
struct Reading {
  std::string json;
  std::string state;
  std::optional<TimePoint> again;  // it will be another one at this instant, without any event

  std::string etag() const {
    return fmt::format("\"{}.{}\"", plain(etag_of(state)), plain(etag_of(json)));
  }
  bool same_state(std::string_view etag) const {
    return etag.find(plain(etag_of(state)) + ".") != std::string_view::npos;
  }

 private:
  static std::string plain(const std::string& quoted) {
    return quoted.substr(1, quoted.size() - 2);
  }
};

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

http::Response bad_parameter(std::string_view name, std::string reason) {
  return to_response(Problem{.detail = fmt::format("{}: {}", name, reason),
                             .parameter = std::string(name),
                             .errors = {{std::string(name), reason}}});
}

// Two published forms have two names for some parameters; both given must mean the same.
std::optional<http::Response> read_window(const http::Request& request, Query& query) {
  std::optional<Duration> window;
  for (const std::string_view name : {"runInMax", "scheduledIn"}) {
    const auto text = request.parameter(name);
    if (!text) continue;
    auto parsed = parse_iso_duration(*text);
    if (!parsed || parsed->negative())
      return bad_parameter(name, "expected an ISO 8601 duration such as PT2M, not negative");
    const Duration value = to_duration(*parsed);
    if (window && *window != value) return bad_parameter(name, "differs from runInMax");
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
    return bad_parameter("priority", "differs from queue");
  if (!query.queue.empty()) query.priority.clear();
  return std::nullopt;
}

std::optional<http::Response> read_unit(const http::Request& request, Query& query) {
  const auto unit = request.parameter("unit");
  if (!unit) return std::nullopt;
  if (*unit != "ms" && *unit != "s") return bad_parameter("unit", "expected ms or s");
  query.seconds = *unit == "s";
  return std::nullopt;
}

// Other parameters are no error: a trigger's apiKey may come as one.
std::optional<http::Response> read_query(const http::Request& request, Query& query) {
  if (auto wrong = read_queue(request, query)) return wrong;
  if (auto wrong = read_window(request, query)) return wrong;
  return read_unit(request, query);
}

// --- the reads ----------------------------------------------------------------------------------

// One read of a metric. It belongs to the loop thread, save that the pool reads the store for it.
class MetricRead : public std::enable_shared_from_this<MetricRead> {
 public:
  MetricRead(ApiContext& context, http::Responder responder, Metric metric, Query query)
      : context_(context),
        responder_(std::move(responder)),
        metric_(metric),
        query_(std::move(query)) {}

  void start(const http::Request& request) {
    const TimePoint now = context_.clock.now();
    etag_ = request.headers.get("If-None-Match").value_or("");
    if (const auto waiting = waiting_read(request, now)) {
      waits_ = true;
      deadline_ = context_.loop.run_after(waiting->until - now, [weak = weak_from_this()] {
        if (auto self = weak.lock()) self->time_is_up();
      });
      responder_.on_gone([weak = weak_from_this()] {
        if (auto self = weak.lock()) self->finish();
      });
    }
    look();
  }

 private:
  void look() {
    seen_ = context_.waiters.changes();
    context_.pool.post([self = shared_from_this()] {
      const TimePoint now = self->context_.clock.now();
      auto reading = self->metric_(self->context_, self->query_, now);
      if (!self->waits_) return self->answer(reading);
      self->context_.loop.post(
          [self, reading = std::move(reading), now] { self->found(reading, now); });
    });
  }

  void found(const Result<Reading>& reading, TimePoint at) {
    if (done_) return;
    if (!reading || over_ || !reading->same_state(etag_)) {
      answer(reading);
      return finish();
    }
    watched_ = context_.waiters.watch([self = shared_from_this()](Waiters::Wake wake) {
      self->watched_ = 0;
      if (wake == Waiters::Wake::Stopping) self->over_ = true;
      self->look();
    });
    if (context_.waiters.changes() != seen_) context_.waiters.gather();
    if (reading->again) look_at(*reading->again - at);
  }

  void look_at(Duration from_now) {
    context_.loop.cancel(again_);
    again_ = context_.loop.run_after(std::max<Duration>(from_now, 1ms), [weak = weak_from_this()] {
      if (auto self = weak.lock()) self->look_now();
    });
  }

  void look_now() {
    if (watched_ == 0) return;  // it is looking already
    const auto self = shared_from_this();
    context_.waiters.remove(std::exchange(watched_, 0));
    look();
  }

  void time_is_up() {
    over_ = true;
    look_now();
  }

  void answer(const Result<Reading>& reading) const {
    if (!reading) return responder_.send(to_response(reading.error()));
    const std::string etag = reading->etag();
    responder_.send(etag == etag_ ? not_modified(etag) : waiting_response(reading->json, etag));
  }

  void finish() {
    done_ = true;
    context_.loop.cancel(deadline_);
    context_.loop.cancel(again_);
    const auto self = shared_from_this();
    context_.waiters.remove(std::exchange(watched_, 0));
  }

  ApiContext& context_;
  http::Responder responder_;
  const Metric metric_;
  const Query query_;
  std::string etag_;  // what the client knows
  bool waits_ = false;
  bool over_ = false;        // the time is up: the next look is the last
  bool done_ = false;        // answered, or the client is gone
  std::uint64_t seen_ = 0;   // changes before the last look
  Waiters::Id watched_ = 0;  // 0: it is looking
  net::EventLoop::TimerId deadline_ = 0;
  net::EventLoop::TimerId again_ = 0;
};

template <Metric kMetric>
void get_metric(ApiContext& context, Call call) {
  Query query;
  query.seconds = context.latency_in_seconds;
  if (auto wrong = read_query(call.request, query)) return call.responder.send(*std::move(wrong));
  std::make_shared<MetricRead>(context, call.responder, kMetric, std::move(query))
      ->start(call.request);
}

constexpr std::array kRoutes{
    Route{"GET", "/api/metrics/jobs/enqueued", Scope::Read, get_metric<enqueued>},
    Route{"GET", "/api/metrics/jobs/scheduled", Scope::Read, get_metric<scheduled>},
    Route{"GET", "/api/metrics/workers", Scope::Read, get_metric<workers>},
};

}  // namespace

std::span<const Route> metrics_routes() { return kRoutes; }

}  // namespace jobmill::api
