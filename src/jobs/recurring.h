// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/cron.h"
#include "base/result.h"
#include "base/schedule.h"
#include "base/time_zone.h"
#include "jobs/job.h"

namespace jobmill::jobs {

// What happens to runs that fell due while nobody could make them.
enum class Missed { Skip, Once, All, Within };

struct RecurringSpec {
  std::string id;            // 1..127 characters of [0-9A-Za-z-_(),.]
  std::string schedule;      // cron, or an ISO-8601 interval anchored at creation
  std::string zone = "UTC";  // IANA name; cron only
  std::string dst;           // empty = real-time; java-shift
  JobSpec job;
  Missed missed = Missed::Once;
  Duration missed_within{};  // with Missed::Within
  int missed_max = 1000;
  int max_concurrent = 1;  // runs at one time; more are recorded as skipped. validate: only 1
  bool paused = false;
  std::string created_by;
};

struct RecurringJob {
  RecurringSpec spec;
  int version = 1;
  TimePoint created_at{};             // the anchor of an interval
  std::optional<TimePoint> next_run;  // of the run that exists ahead of time
  std::optional<TimePoint> last_run;
  std::int64_t runs = 0;          // that started, those triggered by hand among them
  std::int64_t missed_runs = 0;   // that fell due while nobody could start them
  std::int64_t skipped_runs = 0;  // that did not start
  std::optional<TimePoint> first_skipped;
  std::optional<TimePoint> last_skipped;
  std::string last_skip_reason;
};

// "skip", "once", "all", "within=PT15M"
std::string to_text(Missed missed, Duration within);

// The rules of a spec: its id, schedule, zone, policy and job. InvalidArgument "<field>: <reason>".
Status validate(const RecurringSpec& spec, Duration min_period);

// When the runs of one recurring job are.
class Timetable {
 public:
  static Result<Timetable> make(const RecurringSpec& spec);

  // Strictly later than `after`. `created` anchors an interval.
  std::optional<TimePoint> next(TimePoint created, TimePoint after) const {
    return schedule_.next(created, after, zone_, dst_);
  }

 private:
  Timetable(Schedule schedule, TimeZone zone, DstPolicy dst)
      : schedule_(std::move(schedule)), zone_(zone), dst_(dst) {}
  Schedule schedule_;
  TimeZone zone_;
  DstPolicy dst_;
};

// What is known of a recurring job when a run of it falls due.
struct DueRun {
  TimePoint created;        // of the recurring job
  TimePoint ahead;          // the run that was made ahead of time; not later than now
  bool ahead_waits = true;  // false: somebody ran or deleted it by hand
  int active = 0;           // instances that wait or run, the one made ahead excluded
};

// What to do then.
struct RecurringPlan {
  bool run_ahead = false;             // the run made ahead goes on; else it is deleted
  std::vector<TimePoint> catch_up;    // further runs that were missed, to start now, oldest first
  std::optional<TimePoint> next;      // the run to make ahead now; none: there is no further one
  std::optional<TimePoint> last_run;  // the latest of the runs that start
  std::int64_t missed = 0;            // runs that nobody could start when they fell due
  std::int64_t skipped = 0;           // runs that do not start
  std::optional<TimePoint> first_skipped;
  std::optional<TimePoint> last_skipped;
  std::string reason;  // why not

  std::int64_t started() const {
    return (run_ahead ? 1 : 0) + static_cast<std::int64_t>(catch_up.size());
  }
};

// A run counts as missed when it is more than 10 s late or the one after it is due as well; what
// then happens is for spec.missed to say. Runs caught up by All and Within are exempt from
// max_concurrent, as they were asked for one by one.
RecurringPlan plan_due(const RecurringSpec& spec, const Timetable& times, const DueRun& due,
                       TimePoint now);

}  // namespace jobmill::jobs
