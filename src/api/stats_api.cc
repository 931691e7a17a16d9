// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>

#include "api/problem.h"
#include "api/route.h"
#include "api/stats.h"
#include "base/duration.h"
#include "base/host.h"
#include "base/json_writer.h"
#include "jobs/job_explorer.h"

// What the overview shows: maintained counters, nothing that is counted for it.
namespace jobmill::api {
namespace {

constexpr std::int64_t kMostRecentFailures = 10'000;

struct Counts {
  std::int64_t scheduled = 0, enqueued = 0, processing = 0, succeeded = 0, failed = 0, deleted = 0;
  std::optional<TimePoint> oldest;

  std::int64_t total() const {
    return scheduled + enqueued + processing + succeeded + failed + deleted;
  }
};

Counts count(std::span<const jobs::QueueStats> queues) {
  Counts counts;
  for (const jobs::QueueStats& queue : queues) {
    counts.scheduled += queue.scheduled;
    counts.enqueued += queue.enqueued;
    counts.processing += queue.processing;
    counts.succeeded += queue.succeeded;
    counts.failed += queue.failed;
    counts.deleted += queue.deleted;
    if (queue.oldest)
      counts.oldest = std::min(counts.oldest.value_or(*queue.oldest), *queue.oldest);
  }
  return counts;
}

std::int64_t milliseconds(Duration duration) {
  return std::chrono::floor<std::chrono::milliseconds>(duration).count();
}

void write_counts(JsonWriter& json, const Counts& counts, std::span<const jobs::Tally> tallies) {
  std::int64_t succeeded = 0;
  std::int64_t failed = 0;
  std::int64_t quarantined = 0;
  for (const jobs::Tally& tally : tallies) {
    succeeded += static_cast<std::int64_t>(tally.succeeded);
    failed += static_cast<std::int64_t>(tally.failed);
    quarantined += static_cast<std::int64_t>(tally.quarantined);
  }
  json.member("total", counts.total())
      .member("awaiting", 0)
      .member("scheduled", counts.scheduled)
      .member("enqueued", counts.enqueued)
      .member("processing", counts.processing)
      .member("processed", 0)
      .member("failed", counts.failed)
      .member("succeeded", counts.succeeded)
      .member("allTimeSucceeded", std::max(succeeded, counts.succeeded))
      .member("deleted", counts.deleted)
      .member("quarantined", quarantined)
      .member("amountSucceeded", succeeded)
      .member("amountFailed", failed);
}

void write_estimation(JsonWriter& json, const Counts& counts, std::optional<Duration> left,
                      TimePoint now) {
  json.key("estimation").object();
  json.member("processingDone", counts.enqueued + counts.processing == 0);
  json.member("estimatedProcessingTimeAvailable", left.has_value());
  if (left) {
    json.member("estimatedProcessingTimeMs", milliseconds(*left));
    json.member("estimatedProcessingFinishedAt", format_instant(now + *left));
  }
  json.end();
}

struct Slots {
  int total = 0;
  int occupied = 0;
};

Slots slots_of(std::span<const jobs::Worker> workers) {
  Slots slots;
  for (const jobs::Worker& worker : workers) {
    slots.total += worker.spec.concurrency;
    slots.occupied += worker.occupied;
  }
  return slots;
}

// None: nobody can look.
Result<std::optional<std::int64_t>> failed_last_hour(ApiContext& context, TimePoint now) {
  if (context.explorer == nullptr) return std::nullopt;
  jobs::JobFilter filter;
  filter.states = {jobs::JobState::Failed};
  filter.updated_after = now - std::chrono::hours(1);
  TRY(const auto recent, context.explorer->count(filter, kMostRecentFailures));
  return recent.count;
}

Result<std::string> stats(ApiContext& context) {
  const TimePoint now = context.clock.now();
  TRY(const auto queues, context.store.queues(now));
  TRY(const auto workers, context.store.workers(now));
  TRY(const auto recurring, context.store.recurring());
  TRY(const auto tallies, context.store.tallies());
  TRY(const auto recent, failed_last_hour(context, now));
  const Counts counts = count(queues);
  const Slots slots = slots_of(workers);
  const HostFacts host = host_facts();

  JsonWriter json;
  json.object().member("timeStamp", format_instant(now));
  json.member("queryDurationInMillis", milliseconds(context.clock.now() - now));
  write_counts(json, counts, tallies);
  json.member("recurringJobs", recurring.size());
  json.member("backgroundJobServers", workers.size());
  write_estimation(json, counts, time_left(queues, tallies, slots.total), now);
  if (recent) json.member("failedLastHour", *recent);
  if (counts.oldest)
    json.member("oldestWaitMs", std::max<std::int64_t>(0, milliseconds(now - *counts.oldest)));
  json.member("occupiedWorkers", slots.occupied)
      .member("totalWorkers", slots.total)
      .member("uptimeMs", milliseconds(host.uptime))
      .key("systemCpuLoad")
      .raw(Node::number(std::min(1.0, host.load)).text)
      .member("processMemory", host.process_memory)
      .member("freeMemory", host.memory_available)
      .end();
  return std::move(json).text();
}

void get_stats(ApiContext& context, Call call) {
  answer(context, call.responder, [&context] { return json_or_problem(stats(context)); });
}

constexpr std::array kRoutes{Route{"GET", "/api/stats", Scope::Read, get_stats}};

}  // namespace

std::optional<Duration> time_left(std::span<const jobs::QueueStats> queues,
                                  std::span<const jobs::Tally> tallies, int slots) {
  double work = 0;  // seconds of one slot
  for (const jobs::QueueStats& queue : queues) {
    const std::int64_t waiting = queue.enqueued + queue.processing;
    if (waiting == 0) continue;
    double seconds = 0;
    std::uint64_t runs = 0;
    for (const jobs::Tally& tally : tallies) {
      if (tally.queue != queue.queue) continue;
      seconds += tally.run.sum;
      runs += tally.run.count();
    }
    if (runs == 0) return std::nullopt;
    work += static_cast<double>(waiting) * seconds / static_cast<double>(runs);
  }
  if (work > 0 && slots == 0) return std::nullopt;
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(slots == 0 ? 0 : work / slots));
}

std::span<const Route> stats_routes() { return kRoutes; }

}  // namespace jobmill::api
