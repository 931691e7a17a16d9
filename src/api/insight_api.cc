// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "api/audit_record.h"
#include "api/insight.h"
#include "api/json.h"
#include "api/problem.h"
#include "api/query_reader.h"
#include "api/route.h"
#include "base/duration.h"

// Scaling over time: what is scaled, why, and how it went.
namespace jobmill::api {
namespace {

constexpr int kMostDecisions = 500;

void send_node(const http::Responder& responder, const Result<Node>& document) {
  responder.send(document ? json_response(200, to_json(*document)) : to_response(document.error()));
}

void send_text(const http::Responder& responder, const Result<std::string>& json) {
  responder.send(json ? json_response(200, *json) : to_response(json.error()));
}

// Where no autoscaler runs there is nothing to see.
template <void (*handler)(ApiContext&, Call)>
void with_insight(ApiContext& context, Call call) {
  if (context.insight == nullptr)
    return call.responder.send(to_response(fail(Code::NotFound, "this server scales nothing")));
  handler(context, std::move(call));
}

// --- what there is ------------------------------------------------------------------------------

void list_targets(ApiContext& context, Call call) {
  context.insight->targets(
      [responder = call.responder](const Result<Node>& list) { send_node(responder, list); });
}

void get_target(ApiContext& context, Call call) {
  context.insight->target(
      call.parameter("target"),
      [responder = call.responder](const Result<Node>& one) { send_node(responder, one); });
}

// --- numbers ------------------------------------------------------------------------------------

// "10s", "PT1M", or seconds.
void read_step(QueryReader& in, std::optional<Duration>& step) {
  std::string text;
  in.text("step", text);
  if (text.empty()) return;
  const bool bare = text.find_first_not_of("0123456789") == std::string::npos;
  const auto parsed = parse_duration(bare ? text + "s" : text);
  if (!parsed || *parsed <= Duration(0))
    return in.wrong("step", "expected a duration such as 60s or PT1M");
  step = *parsed;
}

std::optional<Problem> read_range(const http::Request& request, Insight::Range& range) {
  QueryReader in(request);
  std::string tracks;
  in.instant("from", range.from);
  in.instant("to", range.to);
  in.text("tracks", tracks);
  read_step(in, range.step);
  if (range.from && range.to && *range.to <= *range.from) in.wrong("to", "must be later than from");
  for (std::size_t begin = 0; begin < tracks.size();) {
    const std::size_t comma = std::min(tracks.find(',', begin), tracks.size());
    if (comma > begin) range.tracks.push_back(tracks.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return in.close();
}

void get_target_series(ApiContext& context, Call call) {
  Insight::Range range;
  if (auto problem = read_range(call.request, range))
    return call.responder.send(to_response(*problem));
  context.insight->target_series(call.parameter("target"), std::move(range),
                                 [responder = call.responder](const Result<std::string>& json) {
                                   send_text(responder, json);
                                 });
}

void get_series(ApiContext& context, Call call) {
  Insight::Range range;
  if (auto problem = read_range(call.request, range))
    return call.responder.send(to_response(*problem));
  context.insight->series(call.parameter("name"), std::move(range),
                          [responder = call.responder](const Result<std::string>& json) {
                            send_text(responder, json);
                          });
}

// --- decisions ----------------------------------------------------------------------------------

void list_decisions(ApiContext& context, Call call) {
  Insight::Page page;
  QueryReader in(call.request);
  in.instant("from", page.from);
  in.instant("to", page.to);
  in.text("before", page.before);
  in.integer("limit", page.limit, 1, kMostDecisions);
  if (auto problem = in.close()) return call.responder.send(to_response(*problem));
  context.insight->decisions(call.parameter("target"), std::move(page),
                             [responder = call.responder](const Result<std::string>& json) {
                               send_text(responder, json);
                             });
}

void get_decision(ApiContext& context, Call call) {
  context.insight->decision(call.parameter("target"), call.parameter("id"),
                            [responder = call.responder](const Result<std::string>& json) {
                              send_text(responder, json);
                            });
}

void why_not(ApiContext& context, Call call) {
  std::optional<TimePoint> at;
  QueryReader in(call.request);
  in.instant("at", at);
  if (auto problem = in.close()) return call.responder.send(to_response(*problem));
  context.insight->why_not(
      call.parameter("target"), at.value_or(context.clock.now()),
      [responder = call.responder](const Result<Node>& answer) { send_node(responder, answer); });
}

// --- a hand on the wheel ------------------------------------------------------------------------

Insight::Done<void> changed(ApiContext& context, const Call& call, std::string_view action,
                            std::string after) {
  return [&context, call, action, after = std::move(after)](const Status& status) {
    if (!status) return call.responder.send(to_response(status.error()));
    record(context, call, action, call.parameter("target"), {}, after);
    call.responder.send(no_content());
  };
}

std::string replicas_json(std::optional<int> replicas) {
  return replicas ? fmt::format(R"({{"replicas":{}}})", *replicas) : std::string();
}

void pause(ApiContext& context, Call call) {
  std::optional<int> replicas;
  JsonBody body(call.request);
  auto in = body.reader();
  in.integer("replicas", replicas, 0, 100'000);
  in.close();
  if (auto problem = body.problem()) return call.responder.send(to_response(*problem));
  context.insight->pause(call.parameter("target"), replicas,
                         changed(context, call, "target.pause", replicas_json(replicas)));
}

void resume(ApiContext& context, Call call) {
  JsonBody body(call.request);
  body.reader().close();
  if (auto problem = body.problem()) return call.responder.send(to_response(*problem));
  context.insight->resume(call.parameter("target"), changed(context, call, "target.resume", {}));
}

void set(ApiContext& context, Call call) {
  std::optional<int> replicas;
  JsonBody body(call.request);
  auto in = body.reader();
  in.integer("replicas", replicas, 0, 100'000);
  if (!replicas && body.errors().empty()) in.wrong("replicas", "is required");
  in.close();
  if (auto problem = body.problem()) return call.responder.send(to_response(*problem));
  context.insight->set(call.parameter("target"), *replicas,
                       changed(context, call, "target.set", replicas_json(replicas)));
}

constexpr std::array kRoutes{
    Route{"GET", "/api/autoscaling", Scope::Read, with_insight<list_targets>},
    Route{"GET", "/api/autoscaling/{target}", Scope::Read, with_insight<get_target>},
    Route{"GET", "/api/autoscaling/{target}/series", Scope::Read, with_insight<get_target_series>},
    Route{"GET", "/api/autoscaling/{target}/decisions", Scope::Read, with_insight<list_decisions>},
    Route{"GET", "/api/autoscaling/{target}/decisions/{id}", Scope::Read,
          with_insight<get_decision>},
    Route{"GET", "/api/autoscaling/{target}/why-not", Scope::Read, with_insight<why_not>},
    Route{"POST", "/api/autoscaling/{target}/pause", Scope::Operate, with_insight<pause>},
    Route{"POST", "/api/autoscaling/{target}/resume", Scope::Operate, with_insight<resume>},
    Route{"POST", "/api/autoscaling/{target}/set", Scope::Operate, with_insight<set>},
    Route{"GET", "/api/series/{name}", Scope::Read, with_insight<get_series>},
};

}  // namespace

std::span<const Route> insight_routes() { return kRoutes; }

}  // namespace jobmill::api
