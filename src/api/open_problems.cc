// SPDX-License-Identifier: Apache-2.0
#include "api/open_problems.h"

#include <fmt/format.h>
#include <algorithm>
#include <utility>

#include "base/duration.h"

namespace jobmill::api {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kDismissed = "dismissed-problem";
constexpr Duration kWithoutHandler = 5min;
constexpr Duration kMeasured = 1min;
constexpr double kSlow = 0.25;  // seconds a call, on the average
constexpr std::uint64_t kFewCalls = 10;

// --- kinds that nobody runs ---------------------------------------------------------------------

bool handles(const jobs::Worker& worker, const std::string& kind) {
  const auto& kinds = worker.spec.kinds;
  return kinds.empty() || std::ranges::find(kinds, kind) != kinds.end();
}

// The oldest job of a kind that has waited for too long.
Result<std::optional<TimePoint>> waits_since(jobs::JobExplorer& explorer, const std::string& kind,
                                             TimePoint now) {
  TRY(const auto oldest, explorer.slice({.filter = {.states = {jobs::JobState::Enqueued},
                                                    .kind = kind,
                                                    .updated_before = now - kWithoutHandler},
                                         .limit = 1}));
  if (oldest.items.empty()) return std::optional<TimePoint>();
  return std::optional(oldest.items.front().updated_at);
}

// Without any worker jobs wait for one, which may be meant so; with some, none of them takes these.
Status find_unhandled(jobs::JobExplorer* explorer, const std::vector<jobs::Worker>& workers,
                      TimePoint now, std::vector<OpenProblem>& found) {
  if (explorer == nullptr || workers.empty()) return {};
  TRY(const auto kinds, explorer->kinds());
  std::vector<std::string> missing;
  TimePoint since = now;
  for (const std::string& kind : kinds) {
    if (std::ranges::any_of(workers, [&](const auto& worker) { return handles(worker, kind); }))
      continue;
    TRY(const auto waits, waits_since(*explorer, kind, now));
    if (!waits) continue;
    missing.push_back(kind);
    since = std::min(since, *waits);
  }
  if (missing.empty()) return {};
  found.push_back(
      {.type = "jobs-not-found",
       .created_at = since,
       .severity = Severity::Error,
       .title = "Jobs wait for handlers that no worker has",
       .cause = fmt::format("No live worker takes jobs of kind {}.", fmt::join(missing, ", ")),
       .fix = "Start a worker with a handler for them, or delete the jobs.",
       .dismissible = false});
  return {};
}

// --- recurring jobs -----------------------------------------------------------------------------

void find_missed(const std::vector<jobs::RecurringJob>& recurring,
                 std::vector<OpenProblem>& found) {
  std::vector<std::string> ids;
  std::int64_t runs = 0;
  TimePoint last{};
  for (const jobs::RecurringJob& one : recurring) {
    if (one.missed_runs == 0) continue;
    ids.push_back(one.spec.id);
    runs += one.missed_runs;
    last = std::max(last, one.last_skipped.value_or(one.last_run.value_or(one.created_at)));
  }
  if (ids.empty()) return;
  found.push_back(
      {.type = "recurring-missed",
       .created_at = last,
       .severity = Severity::Warning,
       .title = "Recurring jobs have missed runs",
       .cause = fmt::format("{} runs of {} fell due while no control server could make them.", runs,
                            fmt::join(ids, ", ")),
       .fix = "Look whether what they do has to be made up for; their `missed` says what was."});
}

// --- the storage --------------------------------------------------------------------------------

std::optional<OpenProblem> outage_of(const jobs::JobStoreOwner& store, TimePoint now) {
  const auto outage = store.outage();
  if (!outage) return std::nullopt;
  const auto lasted = std::chrono::steady_clock::now() - outage->since;
  return OpenProblem{.type = "storage-outage",
                     .created_at = now - std::chrono::duration_cast<Duration>(lasted),
                     .severity = Severity::Error,
                     .title = "The storage of jobs cannot be used",
                     .cause = outage->why,
                     .fix = "Bring the database back; nothing is lost, requests are refused.",
                     .dismissible = false};
}

OpenProblem slow(double seconds, TimePoint now) {
  return {.type = "storage-slow",
          .created_at = now,
          .severity = Severity::Warning,
          .title = "The storage is slow",
          .cause = fmt::format("A call took {:.0f} ms on the average of the last minutes.",
                               seconds * 1000),
          .fix = "Look at the disk below the data folder, or at the load of the database."};
}

}  // namespace

std::string_view to_string(Severity severity) {
  switch (severity) {
    case Severity::Info:
      return "info";
    case Severity::Warning:
      return "warning";
    case Severity::Error:
      break;
  }
  return "error";
}

void OpenProblems::report(OpenProblem problem) {
  {
    std::lock_guard lock(mutex_);
    const auto known = reported_.find(problem.type);
    if (known != reported_.end()) problem.created_at = known->second.created_at;
    const std::string type = problem.type;
    reported_.insert_or_assign(type, std::move(problem));
  }
  if (listener_) listener_();
}

void OpenProblems::resolve(std::string_view type) {
  {
    std::lock_guard lock(mutex_);
    const auto known = reported_.find(type);
    if (known == reported_.end()) return;
    reported_.erase(known);
  }
  if (listener_) listener_();
}

std::vector<OpenProblem> OpenProblems::reported() const {
  std::lock_guard lock(mutex_);
  std::vector<OpenProblem> problems;
  for (const auto& [type, problem] : reported_) problems.push_back(problem);
  return problems;
}

// Between two looks that are a minute apart or more; what was found stays until the next.
std::optional<OpenProblem> OpenProblems::slow_storage(TimePoint now) {
  if (sources_.meter == nullptr) return std::nullopt;
  Storage total{.at = now};
  for (const auto& [name, operation] : sources_.meter->meter().operations) {
    total.seconds += operation.seconds.sum;
    total.calls += operation.seconds.count();
  }
  std::lock_guard lock(mutex_);
  if (now - measured_.at < kMeasured) return slow_;
  const std::uint64_t calls = total.calls - measured_.calls;
  const double mean =
      calls == 0 ? 0 : (total.seconds - measured_.seconds) / static_cast<double>(calls);
  measured_ = total;
  if (calls < kFewCalls || mean < kSlow)
    slow_.reset();
  else if (!slow_)
    slow_ = slow(mean, now);
  return slow_;
}

// A store that is away cannot be asked what else is wrong.
Result<std::vector<OpenProblem>> OpenProblems::all(TimePoint now) {
  auto found = reported();
  if (auto outage = outage_of(sources_.store, now)) {
    found.push_back(*std::move(outage));
    return found;
  }
  if (auto problem = slow_storage(now)) found.push_back(*std::move(problem));
  TRY(const auto workers, sources_.store.workers(now));
  TRY_VOID(find_unhandled(sources_.explorer, workers, now, found));
  TRY(const auto recurring, sources_.store.recurring());
  find_missed(recurring, found);
  std::ranges::sort(found, {}, &OpenProblem::type);
  return found;
}

Result<std::vector<OpenProblem>> OpenProblems::list(TimePoint now) {
  TRY(auto found, all(now));
  if (sources_.metadata == nullptr) return found;
  TRY(const auto dismissed, sources_.metadata->list(kDismissed));
  for (const jobs::Fact& fact : dismissed)
    std::erase_if(found, [&](const OpenProblem& problem) {
      return problem.type == fact.owner && format_instant(problem.created_at) == fact.value;
    });
  return found;
}

Status OpenProblems::dismiss(std::string_view type, TimePoint now) {
  TRY(const auto open, list(now));
  const auto found = std::ranges::find(open, type, &OpenProblem::type);
  if (found == open.end()) return fail(Code::NotFound, "no open problem " + std::string(type));
  if (!found->dismissible)
    return fail(Code::Conflict, "this problem stays until its cause is gone");
  if (sources_.metadata == nullptr) return fail(Code::Unavailable, "nothing is remembered here");
  TRY_VOID(sources_.metadata->put(kDismissed, type, format_instant(found->created_at), now));
  if (listener_) listener_();
  return {};
}

}  // namespace jobmill::api
