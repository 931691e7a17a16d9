// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace date {
class time_zone;
}

namespace jobmill {

// Seconds as a wall clock of some zone shows them; not an instant until a zone is named.
using LocalSeconds = std::chrono::local_seconds;

// A zone of the system's tz database, such as "Europe/Brussels". Cheap to copy; safe to use from
// any thread.
class TimeZone {
 public:
  // A stretch of time with one offset from UTC: [begin, end).
  struct Period {
    std::chrono::sys_seconds begin;
    std::chrono::sys_seconds end;
    std::chrono::seconds offset;
  };

  // How a wall time maps to instants. In a gap (clocks were put forward over it) there is none, in
  // an overlap (clocks were put back) there are two; `first` and `second` are the periods before
  // and after the change. For a unique time only `first` has a meaning.
  struct Local {
    enum class Kind { Unique, Gap, Overlap };
    Kind kind;
    Period first;
    Period second;
  };

  TimeZone();  // UTC

  // InvalidArgument, naming the zone, when the database has no such zone.
  static Result<TimeZone> find(std::string_view name);

  const std::string& name() const;
  Period period(std::chrono::sys_seconds at) const;
  Local local(LocalSeconds wall) const;

  bool operator==(const TimeZone&) const = default;

 private:
  explicit TimeZone(const date::time_zone* zone) : zone_(zone) {}
  const date::time_zone* zone_;  // lives in the database, until the process ends
};

}  // namespace jobmill
