// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <utility>
#include <vector>

#include "api/arm_resources.h"
#include "api/execution_query.h"
#include "api/image_api.h"
#include "api/json.h"
#include "api/vault_api.h"
#include "base/json_writer.h"

// What Azure Resource Manager has no paths for: logs of executions, why there are executions or
// none, and waiting for the next change.
namespace jobmill::api {
namespace {

executions::JobKey key_of(const Call& call) {
  return job_key(call.parameter("group"), call.parameter("job"));
}

void log(ApiContext& context, Call call) {
  auto query = log_query(call.request);
  if (!query) return call.responder.send(to_response(query.error()));
  context.executions->log(key_of(call), *std::move(query), [call](const Result<LogPage>& page) {
    if (!page) return call.responder.send(to_response(page.error()));
    JsonWriter json;
    json.object()
        .member("text", page->text)
        .member("next", page->next)
        .member("ended", page->ended)
        .end();
    call.responder.send(json_response(200, std::move(json).text()));
  });
}

void explain(ApiContext& context, Call call) {
  context.executions->explain(
      key_of(call),
      {.execution = std::string(call.request.parameter("execution").value_or("")),
       .why_not = call.request.parameter("why_not") == "true"},
      [call](const Result<Node>& text) {
        call.responder.send(text ? json_response(200, to_json(*text)) : to_response(text.error()));
      });
}

// Answers after the next change of the job's executions, or when the time is up.
void watch(ApiContext& context, Call call) {
  const auto wait = wait_in(call.request);
  if (!wait) return call.responder.send(to_response(wait.error()));
  context.executions->watch(key_of(call), *wait, [call] { call.responder.send(no_content()); });
}

constexpr std::array kRoutes{
    Route{"GET", "/v1/executions/{group}/{job}/logs", Scope::Read, with_executions<log>},
    Route{"GET", "/v1/executions/{group}/{job}/explain", Scope::Read, with_executions<explain>},
    Route{"GET", "/v1/executions/{group}/{job}/watch", Scope::Read, with_executions<watch>},
};

}  // namespace

std::span<const Route> execution_routes() {
  static const std::vector<Route> all = [] {
    std::vector<Route> routes(kRoutes.begin(), kRoutes.end());
    const auto images = image_routes();
    routes.insert(routes.end(), images.begin(), images.end());
    const auto secrets = vault_routes();
    routes.insert(routes.end(), secrets.begin(), secrets.end());
    const auto pages = execution_page_routes();
    routes.insert(routes.end(), pages.begin(), pages.end());
    return routes;
  }();
  return all;
}

}  // namespace jobmill::api
