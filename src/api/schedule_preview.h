// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace jobmill::api {

// A schedule, and from when on its runs are wanted.
struct ScheduleQuestion {
  std::string schedule;
  std::string zone{"UTC"};
  std::string dst{};
  TimePoint created{};  // the anchor of an interval
  TimePoint from{};
  int count = 20;
};

inline constexpr int kMostRunsShown = 1000;

// {"canonical","human","next":[{"utc","local","note"?}]}; a note says that the clocks have changed
// since the run before. InvalidArgument "<field>: <reason>".
Result<std::string> preview(const ScheduleQuestion& question);

}  // namespace jobmill::api
