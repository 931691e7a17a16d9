// SPDX-License-Identifier: Apache-2.0
#include "jobs/recurring.h"

#include <algorithm>
#include <span>

#include <fmt/core.h>

#include "base/duration.h"
#include "jobs/job_template.h"

namespace jobmill::jobs {
namespace {

constexpr Duration kOnTime = std::chrono::seconds(10);
constexpr std::size_t kMaxIdBytes = 127;
constexpr int kMostMissed = 100'000;
// Who was away for longer than this many runs need not learn their exact number.
constexpr std::size_t kMostRuns = 100'000;

Fault wrong(std::string_view field, std::string_view reason) {
  return fail(Code::InvalidArgument, fmt::format("{}: {}", field, reason));
}

bool is_id_letter(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("-_(),.").find(c) != std::string_view::npos;
}

Status check_id(const std::string& id) {
  if (id.empty() || id.size() > kMaxIdBytes || !std::all_of(id.begin(), id.end(), is_id_letter)) {
    return wrong("id", "must be 1 to 127 of 0-9 A-Z a-z - _ ( ) , .");
  }
  return {};
}

Status check_job(const JobSpec& job) {
  if (!job.id.empty()) return wrong("spec.id", "each run has its own");
  if (job.count) return wrong("spec.count", "each run is one job");
  if (job.run_at) return wrong("spec.run_at", "the schedule says when");
  if (job.delay) return wrong("spec.delay", "the schedule says when");
  if (const auto compiled = JobTemplate::compile(job); !compiled) {
    return fail(compiled.error().code, "spec." + compiled.error().message);
  }
  return {};
}

Status check_missed(const RecurringSpec& spec) {
  if (spec.missed == Missed::Within && spec.missed_within <= Duration::zero()) {
    return wrong("missed_within", "must be positive");
  }
  if (spec.missed_max < 1 || spec.missed_max > kMostMissed) {
    return wrong("missed_max", "must be 1 to 100000");
  }
  if (spec.max_concurrent != 1) {
    return wrong("max_concurrent", "must be 1; more are not supported");
  }
  return {};
}

// The distance of two runs can differ (cron); the shortest of a few shows what is too often.
Status check_period(const Timetable& times, Duration min_period) {
  TimePoint at{};  // any anchor will do
  for (int i = 0; i < 5; ++i) {
    const auto next = times.next(TimePoint{}, at);
    if (!next) break;
    if (i > 0 && *next - at < min_period) {
      return wrong("schedule", "runs more often than every " + format_iso(min_period));
    }
    at = *next;
  }
  return {};
}

// All runs that are due, the one made ahead first.
std::vector<TimePoint> due_runs(const Timetable& times, const DueRun& due, TimePoint now) {
  std::vector<TimePoint> runs{due.ahead};
  while (runs.size() < kMostRuns) {
    const auto next = times.next(due.created, runs.back());
    if (!next || *next > now) break;
    runs.push_back(*next);
  }
  return runs;
}

class Planner {
 public:
  Planner(const RecurringSpec& spec, const DueRun& due, TimePoint now)
      : spec_(spec), due_(due), now_(now) {}

  RecurringPlan plan(std::vector<TimePoint> runs) {
    // Handled by hand: neither to be run nor to be recorded.
    if (!due_.ahead_waits) runs.erase(runs.begin());
    const bool on_time = !runs.empty() && now_ - runs.back() <= kOnTime;
    const std::size_t missed = runs.size() - (on_time ? 1 : 0);
    plan_.missed = static_cast<std::int64_t>(missed);
    catch_up(std::span(runs).first(missed), on_time);
    if (on_time) start_if_room(runs.back());
    return std::move(plan_);
  }

 private:
  void catch_up(std::span<const TimePoint> missed, bool followed) {
    if (missed.empty()) return;
    switch (spec_.missed) {
      case Missed::Skip:
        return skip(missed, "missed");
      case Missed::Once:
        return catch_up_once(missed, followed);
      case Missed::All:
        return start_all(missed);
      case Missed::Within: {
        const auto first =
            std::lower_bound(missed.begin(), missed.end(), now_ - spec_.missed_within);
        const auto old = static_cast<std::size_t>(first - missed.begin());
        skip(missed.first(old), "missed for longer than " + format_iso(spec_.missed_within));
        return start_all(missed.subspan(old));
      }
    }
  }

  // One run makes up for all; one that is on time does, too.
  void catch_up_once(std::span<const TimePoint> missed, bool followed) {
    if (followed) return skip(missed, "missed");
    skip(missed.first(missed.size() - 1), "missed");
    start_if_room(missed.back());
  }

  void start_all(std::span<const TimePoint> missed) {
    const auto most = std::min(missed.size(), static_cast<std::size_t>(spec_.missed_max));
    for (const TimePoint run : missed.first(most)) start(run);
    skip(missed.subspan(most), fmt::format("more than {} missed", spec_.missed_max));
  }

  void start_if_room(TimePoint run) {
    const int active = due_.active + started_;
    if (active < spec_.max_concurrent) return start(run);
    skip(std::span(&run, 1), fmt::format("{} of {} runs active", active, spec_.max_concurrent));
  }

  // The job that was made ahead takes the place of the first run to start.
  void start(TimePoint run) {
    if (due_.ahead_waits && !plan_.run_ahead) {
      plan_.run_ahead = true;
    } else {
      plan_.catch_up.push_back(run);
    }
    plan_.last_run = run;
    ++started_;
  }

  void skip(std::span<const TimePoint> runs, std::string reason) {
    if (runs.empty()) return;
    plan_.skipped += static_cast<std::int64_t>(runs.size());
    if (!plan_.first_skipped) plan_.first_skipped = runs.front();
    plan_.last_skipped = runs.back();
    plan_.reason = std::move(reason);
  }

  const RecurringSpec& spec_;
  const DueRun& due_;
  const TimePoint now_;
  int started_ = 0;
  RecurringPlan plan_;
};

}  // namespace

std::string to_text(Missed missed, Duration within) {
  switch (missed) {
    case Missed::Skip:
      return "skip";
    case Missed::Once:
      return "once";
    case Missed::All:
      return "all";
    case Missed::Within:
      break;
  }
  return "within=" + format_iso(within);
}

Status validate(const RecurringSpec& spec, Duration min_period) {
  TRY_VOID(check_id(spec.id));
  TRY_VOID(check_job(spec.job));
  TRY_VOID(check_missed(spec));
  TRY(const auto times, Timetable::make(spec));
  return check_period(times, min_period);
}

Result<Timetable> Timetable::make(const RecurringSpec& spec) {
  auto schedule = Schedule::parse(spec.schedule);
  if (!schedule) return wrong("schedule", schedule.error().message);
  if (schedule->margin()) return wrong("schedule", "margins are not known here");
  auto zone = TimeZone::find(spec.zone);
  if (!zone) return wrong("zone", zone.error().message);
  const auto dst = spec.dst.empty() ? DstPolicy::RealTime : dst_policy(spec.dst);
  if (!dst) return wrong("dst", "must be real-time or java-shift");
  return Timetable(*std::move(schedule), *zone, *dst);
}

RecurringPlan plan_due(const RecurringSpec& spec, const Timetable& times, const DueRun& due,
                       TimePoint now) {
  RecurringPlan plan = Planner(spec, due, now).plan(due_runs(times, due, now));
  plan.next = times.next(due.created, now);
  return plan;
}

}  // namespace jobmill::jobs
