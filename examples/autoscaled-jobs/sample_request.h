// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "http/message.h"

namespace example {

// What /schedule-example-jobs was asked for, or which parameter is wrong and why.
struct SampleRequest {
  std::string name = "SampleJob";
  std::int64_t count = 100;
  std::int64_t execution_time_ms = 15'000;
  jobmill::Duration run_in{};  // zero: at once

  std::string parameter;
  std::string reason;
  bool ok() const { return reason.empty(); }
};

inline constexpr std::int64_t kMaxCount = 1'000'000;

SampleRequest parse_sample_request(const jobmill::http::Request& request);

}  // namespace example
