// SPDX-License-Identifier: Apache-2.0
#include "jobs/tally.h"

#include <doctest/doctest.h>

namespace jobmill::jobs {

using namespace std::chrono_literals;

TEST_CASE("tally: a duration counts in the first bucket that reaches it") {
  CHECK(Histogram::bucket_of(0s) == 0);
  CHECK(Histogram::bucket_of(1ms) == 0);
  CHECK(Histogram::bucket_of(1001us) == 1);
  CHECK(Histogram::bucket_of(1h) == Histogram::kBounds.size() - 1);
  CHECK(Histogram::bucket_of(2h) == Histogram::kBounds.size());

  Histogram histogram;
  histogram.add(2s);
  histogram.add(500ms);
  histogram.add(-3s);  // clocks of others
  CHECK(histogram.count() == 3);
  CHECK(histogram.sum == doctest::Approx(2.5));
  CHECK(histogram.buckets[0] == 1);
}

TEST_CASE("tally: tallies of one queue and kind add up") {
  Tallies all;
  all.of("q", "b").runs = 1;
  all.of("q", "a").enqueued = 2;
  Tally more{.queue = "q", .kind = "a", .enqueued = 3, .in_progress = -1};
  more.run.add(1s);
  all.merge(more);
  const auto tallies = all.all();
  REQUIRE(tallies.size() == 2);
  CHECK(tallies[0].kind == "a");
  CHECK(tallies[0].queue == "q");
  CHECK(tallies[0].enqueued == 5);
  CHECK(tallies[0].in_progress == -1);
  CHECK(tallies[0].run.count() == 1);
  CHECK(tallies[1].runs == 1);
}

TEST_CASE("tally: a result is expected when jobs of its kind usually have ended") {
  Tally tally;
  CHECK(expected_rest(tally, 0s, 0s) == Duration(1s));  // nobody has seen one yet
  tally.run.add(10s);
  tally.run.add(20s);
  CHECK(expected_rest(tally, 0s, 0s) == Duration(15s));
  CHECK(expected_rest(tally, 5s, 0s) == Duration(20s));
  CHECK(expected_rest(tally, 0s, 12s) == Duration(3s));
  CHECK(expected_rest(tally, 0s, 1h) == Duration(100ms));
  CHECK(expected_rest(tally, 24h, 0s) == Duration(5min));
}

}  // namespace jobmill::jobs
