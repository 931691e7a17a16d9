// SPDX-License-Identifier: Apache-2.0
#include "api/stats.h"

#include <doctest/doctest.h>

using namespace jobmill;
using namespace jobmill::api;
using namespace std::chrono_literals;

namespace {

jobs::QueueStats queue(const char* name, std::int64_t enqueued, std::int64_t processing) {
  jobs::QueueStats stats;
  stats.queue = name;
  stats.enqueued = enqueued;
  stats.processing = processing;
  return stats;
}

jobs::Tally runs_of(const char* queue, int runs, Duration each) {
  jobs::Tally tally{.queue = queue, .kind = "k"};
  for (int i = 0; i < runs; ++i) tally.run.add(each);
  return tally;
}

}  // namespace

TEST_CASE("what is left takes as long as jobs of its queue took so far") {
  const std::vector queues{queue("a", 9, 1), queue("b", 2, 0), queue("idle", 0, 0)};
  const std::vector tallies{runs_of("a", 4, 2s), runs_of("b", 2, 5s)};
  CHECK(time_left(queues, tallies, 3) == 10s);
  CHECK_FALSE(time_left(queues, tallies, 0));              // nobody there
  CHECK_FALSE(time_left(queues, {tallies.data(), 1}, 3));  // nobody has seen a job of b
}

TEST_CASE("nothing left takes no time, whoever is there") {
  const std::vector queues{queue("a", 0, 0)};
  CHECK(time_left(queues, {}, 0) == 0s);
  CHECK(time_left({}, {}, 4) == 0s);
}
