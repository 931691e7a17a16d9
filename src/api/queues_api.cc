// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "api/problem.h"
#include "api/route.h"
#include "base/json_writer.h"

namespace jobmill::api {
namespace {

std::int64_t age_ms(const std::optional<TimePoint>& since, TimePoint now) {
  if (!since || *since >= now) return 0;
  return std::chrono::floor<std::chrono::milliseconds>(now - *since).count();
}

void get_queues(ApiContext& context, Call call) {
  answer(context, call.responder, [&context] {
    const TimePoint now = context.clock.now();
    auto queues = context.store.queues(now);
    if (!queues) return to_response(queues.error());
    JsonWriter json;
    json.array();
    for (const jobs::QueueStats& queue : *queues)
      json.object()
          .member("queue", queue.queue)
          .member("priority", queue.priority)
          .member("enqueued", queue.enqueued)
          .member("scheduled", queue.scheduled)
          .member("processing", queue.processing)
          .member("succeeded", queue.succeeded)
          .member("failed", queue.failed)
          .member("deleted", queue.deleted)
          .member("oldestMs", age_ms(queue.oldest, now))
          .member("paused", queue.paused)
          .end();
    json.end();
    return json_response(200, std::move(json).text());
  });
}

constexpr std::array kRoutes{Route{"GET", "/v1/queues", Scope::Read, get_queues}};

}  // namespace

std::span<const Route> queues_routes() { return kRoutes; }

}  // namespace jobmill::api
