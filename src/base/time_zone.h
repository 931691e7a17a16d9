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
    std::chrono::seconds offset_before;  // of the period that `begin` ended

    // Wall times that do not exist because clocks were put forward at `begin`, or that come twice
    // because they were put back.
    std::chrono::seconds gap() const { return offset - offset_before; }
    std::chrono::seconds overlap() const { return offset_before - offset; }
  };

  TimeZone() = default;  // UTC, also on a machine without a tz database

  // InvalidArgument, naming the zone, when the database has no such zone.
  static Result<TimeZone> find(std::string_view name);

  const std::string& name() const;
  Period period(std::chrono::sys_seconds at) const;

  bool operator==(const TimeZone&) const = default;

 private:
  explicit TimeZone(const date::time_zone* zone) : zone_(zone) {}
  const date::time_zone* zone_ =
      nullptr;  // null: UTC. Lives in the database until the process ends
};

}  // namespace jobmill
