// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "api/job_filter.h"
#include "api/job_json.h"
#include "api/job_page.h"
#include "api/problem.h"
#include "api/route.h"

// What the dashboard's lists of jobs ask for.
namespace jobmill::api {
namespace {

constexpr int kMostLabels = 100;

JobPageRequest read_search(JsonBody& body) {
  JobPageRequest request{.order = "updatedAt:DESC"};
  auto in = body.reader();
  if (const Node* filter = in.object("filter"))
    read_filter({*filter, "filter", body.errors()}, request.filter, body.errors());
  in.text("order", request.order);
  in.integer("offset", request.offset);
  in.integer("limit", request.limit, 1, 1000);
  in.text("after", request.after);
  in.text("before", request.before);
  in.flag("last", request.last);
  in.close();
  return request;
}

Result<std::string> search(ApiContext& context, const JobPageRequest& request) {
  TRY(auto* explorer, explorer_of(context));
  TRY(const auto found, find_jobs(*explorer, request));
  TRY(const auto errors, errors_of(*explorer, found.items));
  JsonWriter json;
  json.object().key("items").array();
  for (std::size_t i = 0; i < found.items.size(); ++i)
    write_found_job(json, found.items[i], errors[i]);
  json.end();
  if (!found.next.empty()) json.member("next", found.next);
  if (!found.previous.empty()) json.member("previous", found.previous);
  json.member("total", found.total.count).member("totalIsLowerBound", !found.total.exact).end();
  return std::move(json).text();
}

void post_search(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, request = std::move(call.request)] {
    JsonBody body(request);
    const JobPageRequest wanted = read_search(body);
    if (auto problem = body.problem()) return to_response(*problem);
    return json_or_problem(search(context, wanted));
  });
}

Result<std::string> counts(ApiContext& context) {
  TRY(const auto queues, context.store.queues(context.clock.now()));
  jobs::QueueStats sum;
  for (const jobs::QueueStats& queue : queues) {
    sum.scheduled += queue.scheduled;
    sum.enqueued += queue.enqueued;
    sum.processing += queue.processing;
    sum.succeeded += queue.succeeded;
    sum.failed += queue.failed;
    sum.deleted += queue.deleted;
  }
  JsonWriter json;
  json.object()
      .member("SCHEDULED", sum.scheduled)
      .member("ENQUEUED", sum.enqueued)
      .member("PROCESSING", sum.processing)
      .member("SUCCEEDED", sum.succeeded)
      .member("FAILED", sum.failed)
      .member("DELETED", sum.deleted)
      .end();
  return std::move(json).text();
}

void get_counts(ApiContext& context, Call call) {
  answer(context, call.responder, [&context] { return json_or_problem(counts(context)); });
}

std::string list_of(const std::vector<std::string>& texts) {
  JsonWriter json;
  json.array();
  for (const std::string& text : texts) json.value(text);
  return std::move(json.end()).text();
}

Result<std::string> kinds(ApiContext& context) {
  TRY(auto* explorer, explorer_of(context));
  TRY(const auto all, explorer->kinds());
  return list_of(all);
}

void get_kinds(ApiContext& context, Call call) {
  answer(context, call.responder, [&context] { return json_or_problem(kinds(context)); });
}

Result<std::string> labels(ApiContext& context, const std::string& prefix) {
  TRY(auto* explorer, explorer_of(context));
  TRY(const auto all, explorer->labels(prefix, kMostLabels));
  return list_of(all);
}

void get_labels(ApiContext& context, Call call) {
  std::string prefix;
  QueryReader in(call.request);
  in.text("prefix", prefix);
  if (auto problem = in.close()) return call.responder.send(to_response(*problem));
  answer(context, call.responder,
         [&context, prefix] { return json_or_problem(labels(context, prefix)); });
}

constexpr std::array kRoutes{
    Route{"POST", "/api/jobs/search", Scope::Read, post_search},
    Route{"GET", "/api/jobs/counts", Scope::Read, get_counts},
    Route{"GET", "/api/kinds", Scope::Read, get_kinds},
    Route{"GET", "/api/labels", Scope::Read, get_labels},
};

}  // namespace

std::span<const Route> search_routes() { return kRoutes; }

}  // namespace jobmill::api
