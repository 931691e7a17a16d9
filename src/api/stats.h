// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>

#include "base/clock.h"
#include "jobs/job_store.h"
#include "jobs/tally.h"

namespace jobmill::api {

// How long this many slots take for what is ready or runs now, if jobs go on taking as long as
// those of their queue have taken on average. None: nobody knows, or there is nobody to do it.
std::optional<Duration> time_left(std::span<const jobs::QueueStats> queues,
                                  std::span<const jobs::Tally> tallies, int slots);

}  // namespace jobmill::api
