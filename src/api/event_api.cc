// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <utility>

#include <fmt/core.h>

#include "api/event_api.h"
#include "api/event_hub.h"
#include "api/problem.h"

// Server-sent events: GET /sse/events?topics=stats,servers, and the streams that other dashboards
// know.
namespace jobmill::api {
namespace {

// Catches the answer of a handler that is called without a client.
class Caught final : public http::Responder::Sink {
 public:
  explicit Caught(EventHub::Answered answered) : answered_(std::move(answered)) {}
  ~Caught() override { send({.status = 500}); }
  void send(http::Response response) override {
    if (auto answered = std::exchange(answered_, nullptr)) answered(std::move(response));
  }
  std::shared_ptr<http::Body> stream(http::Response) override { return nullptr; }
  void on_gone(std::function<void()>) override {}

 private:
  EventHub::Answered answered_;
};

http::Response refuse(std::string field, std::string reason) {
  return to_response(wrong_parameter(field, std::move(reason)));
}

http::Response too_many() {
  http::Response response = to_response(
      fail(Code::Unavailable, "this server has as many event streams as it can; poll instead"));
  response.headers.set("Retry-After", "30");
  return response;
}

std::vector<std::string> topics_of(std::string_view list) {
  std::vector<std::string> topics;
  while (!list.empty()) {
    const auto comma = list.find(',');
    const std::string_view one = list.substr(0, comma);
    if (!one.empty() && std::ranges::find(topics, one) == topics.end()) topics.emplace_back(one);
    list.remove_prefix(comma == list.npos ? list.size() : comma + 1);
  }
  return topics;
}

void open(ApiContext& context, const Call& call, EventHub::Listener listener) {
  if (context.events->full()) return call.responder.send(too_many());
  http::Response head{.status = 200};
  head.headers.set("Content-Type", "text/event-stream");
  head.headers.set("Cache-Control", "no-store");
  head.headers.set("X-Accel-Buffering", "no");
  if (const auto last = call.request.headers.get("Last-Event-ID"))
    listener.last_event_id = std::string(*last);
  auto body = call.responder.stream(std::move(head));
  if (body == nullptr)
    return call.responder.send(
        to_response(fail(Code::Unsupported, "events need a connection of their own")));
  context.events->listen(std::move(listener), std::move(body));
}

// ?topics=…&interval_ms=…
void events(ApiContext& context, Call call) {
  EventHub::Listener listener{.topics = topics_of(call.request.parameter("topics").value_or(""))};
  if (listener.topics.empty() || listener.topics.size() > EventHub::kMostTopics)
    return call.responder.send(
        refuse("topics", fmt::format("expected 1 to {} topics", EventHub::kMostTopics)));
  for (const std::string& topic : listener.topics)
    if (!path_of_topic(topic))
      return call.responder.send(
          refuse("topics", fmt::format("'{}' is none; there are stats, servers, problems, job:ID, "
                                       "logs:ID:ATTEMPT, queue:NAME, target:NAME, execution:ID, "
                                       "operation:ID",
                                       topic)));
  if (const auto text = call.request.parameter("interval_ms")) {
    int value = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    const Duration interval = std::chrono::milliseconds(value);
    if (error != std::errc() || end != text->data() + text->size() ||
        interval < EventHub::kFastest || interval > EventHub::kSlowest)
      return call.responder.send(refuse("interval_ms", "expected 250 to 10000"));
    listener.interval = interval;
  }
  listener.session = call.identity.session;
  open(context, call, std::move(listener));
}

template <Handler Serve>
void with_events(ApiContext& context, Call call) {
  if (context.events == nullptr)
    return call.responder.send(to_response(fail(Code::NotFound, "this server tells no events")));
  Serve(context, std::move(call));
}

void plain(ApiContext& context, const Call& call, std::string topic) {
  open(context, call,
       {.topics = {std::move(topic)}, .session = call.identity.session, .plain = true});
}

void job_stats(ApiContext& context, Call call) { plain(context, call, "stats"); }
void servers(ApiContext& context, Call call) { plain(context, call, "servers"); }
void job(ApiContext& context, Call call) {
  plain(context, call, "compatible-job:" + call.parameter("id"));
}

constexpr std::array kRoutes{
    Route{"GET", "/sse/events", Scope::Read, with_events<events>},
    Route{"GET", "/sse/jobstats", Scope::Read, with_events<job_stats>},
    Route{"GET", "/sse/servers", Scope::Read, with_events<servers>},
    Route{"GET", "/sse/jobs/{id}", Scope::Read, with_events<job>},
};

}  // namespace

std::span<const Route> event_routes() { return kRoutes; }

void fetch(ApiContext& context, const std::string& target, EventHub::Answered answered) {
  static const std::vector<Route> routes = all_routes();
  http::Responder responder(std::make_shared<Caught>(std::move(answered)));
  http::Request request{.method = "GET", .target = target};
  http::parse_target(request);
  Match found = match(routes, request.method, request.target);
  if (found.route == nullptr) return responder.send(no_route(found, request));
  Identity reader;
  reader.scopes = static_cast<unsigned>(Scope::Read);
  found.route->handler(context,
                       {std::move(request), std::move(responder), reader, std::move(found.path)});
}

}  // namespace jobmill::api
