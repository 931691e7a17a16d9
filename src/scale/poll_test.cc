// SPDX-License-Identifier: Apache-2.0
#include "scale/poll.h"

#include <doctest/doctest.h>

namespace jobmill::scale {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kStart{std::chrono::seconds(1'704'067'200)};

Poll::Source source(Duration interval = 30s) {
  return {"", "metrics-api", MetricSpec{"s0-metric-api-count", MetricType::AverageValue, 8000},
          interval, 3s};
}

Fault refused() { return fail(Code::Unavailable, "connection refused"); }

}  // namespace

TEST_CASE("poll: the first read is at once, the others lie on a grid with the trigger's phase") {
  Poll poll(source(), 0.5, kStart);
  REQUIRE(poll.due(kStart));
  CHECK_FALSE(poll.start(kStart, 1));
  CHECK_FALSE(poll.due(kStart + 1h));  // reads never overlap
  CHECK(poll.answer(Sample{1, true}, kStart + 1s) == Poll::Heard::Changed);
  CHECK(poll.next() == kStart + 15s);
  poll.start(kStart + 15s, 2);
  CHECK(poll.answer(Sample{1, true}, kStart + 16s) == Poll::Heard::Same);
  CHECK(poll.next() == kStart + 45s);
}

TEST_CASE("poll: a read that took longer than the interval is followed at once") {
  Poll poll(source(10s), 0, kStart);
  poll.start(kStart, 1);
  (void)poll.answer(Sample{}, kStart + 12s);
  CHECK(poll.due(kStart + 12s));
}

TEST_CASE("poll: a shorter interval moves the next read forward, a longer one not back") {
  Poll poll(source(30s), 0, kStart);
  poll.start(kStart, 1);
  (void)poll.answer(Sample{}, kStart);
  CHECK(poll.next() == kStart + 30s);
  poll.pace(15s);
  CHECK(poll.next() == kStart + 15s);
  poll.pace(30s);
  CHECK(poll.next() == kStart + 15s);
}

TEST_CASE("poll: a failed read is tried once more with a new scaler before it counts") {
  Poll poll(source(), 0, kStart);
  poll.start(kStart, 1);
  CHECK(poll.answer(refused(), kStart) == Poll::Heard::Retry);
  CHECK(poll.failures() == 0);
  CHECK_FALSE(poll.known());
  REQUIRE(poll.due(kStart));
  CHECK(poll.start(kStart, 2));  // rebuild
  CHECK(poll.answer(Sample{7, true}, kStart) == Poll::Heard::Changed);
  CHECK(poll.reading(kStart).value == 7);
}

TEST_CASE("poll: the second failure counts, and is no zero") {
  Poll poll(source(), 0, kStart);
  poll.start(kStart, 1);
  (void)poll.answer(refused(), kStart);
  poll.start(kStart, 2);
  CHECK(poll.answer(refused(), kStart + 1s) == Poll::Heard::Changed);
  CHECK(poll.failures() == 1);
  CHECK(poll.reading(kStart + 1s).error == "connection refused");
  CHECK(poll.next() == kStart + 30s);
  CHECK(poll.start(kStart + 30s, 3));  // secrets may have changed in the meantime
}

TEST_CASE("poll: a scaler that cannot be built is built again at the interval") {
  Poll::Source broken = source();
  broken.metric = fail(Code::InvalidArgument, "metrics-api: url is missing");
  Poll poll(broken, 0, kStart);
  CHECK(poll.known());
  CHECK_FALSE(poll.due(kStart));
  CHECK(poll.reading(kStart).error == "metrics-api: url is missing");
  CHECK(poll.name() == "metrics-api");
  CHECK(poll.next() == kStart + 30s);
  CHECK(poll.start(kStart + 30s, 1));
  poll.rebuilt({"s0-metric-api-count", MetricType::Value, 800});
  (void)poll.answer(Sample{1, true}, kStart + 30s);
  CHECK(poll.reading(kStart + 30s).target_milli == 800);
}

TEST_CASE("poll: a source that waits is read again at once, news come every 100 ms at most") {
  Poll poll(source(), 0, kStart);
  poll.start(kStart, 1);
  (void)poll.answer(Sample{1, true, true}, kStart);
  CHECK(poll.next() == kStart + 100ms);
  poll.start(kStart + 100ms, 2);
  (void)poll.answer(Sample{1, true, true}, kStart + 25s);  // only the wait was over
  CHECK(poll.due(kStart + 25s));
  poll.start(kStart + 25s, 3);
  (void)poll.answer(Sample{1, true, true}, kStart + 25s + 10ms);  // a server that does not wait
  CHECK(poll.next() == kStart + 25s + 100ms);
}

TEST_CASE("poll: an answer is trusted for two intervals and the timeout") {
  Poll poll(source(30s), 0, kStart);
  poll.start(kStart, 1);
  (void)poll.answer(Sample{5, true}, kStart);
  poll.start(kStart + 30s, 2);  // never answered
  CHECK_FALSE(poll.expire(kStart + 63s));
  CHECK(poll.next() == kStart + 63s + 1us);
  CHECK(poll.expire(kStart + 63s + 1us));
  CHECK_FALSE(poll.expire(kStart + 64s));  // told once
  CHECK(poll.reading(kStart + 64s).error == "no answer for 1m4s");
  CHECK_FALSE(poll.reading(kStart + 64s).active);
  CHECK(poll.answer(Sample{5, true}, kStart + 70s) == Poll::Heard::Changed);
  CHECK(poll.reading(kStart + 70s).error.empty());
}

TEST_CASE("poll: a read that the source holds keeps its last answer fresh") {
  Poll poll(source(5s), 0, kStart);
  poll.start(kStart, 1);
  (void)poll.answer(Sample{5, true, true}, kStart);
  poll.start(kStart + 12s, 2);
  CHECK_FALSE(poll.expire(kStart + 20s));  // 2 x 5 s + 3 s are over, the 5 s hold + 3 s are not
  CHECK(poll.expire(kStart + 20s + 1us));
}

TEST_CASE("poll: nobody waits for ever for a first answer") {
  Poll poll(source(), 0, kStart);
  poll.start(kStart, 1);
  CHECK_FALSE(poll.known());
  CHECK(poll.expire(kStart + 4s + 1us));
  CHECK(poll.known());
  CHECK(poll.reading(kStart + 5s).error == "no answer yet");
}

TEST_CASE("poll: the metric has three decimals, activity has them all") {
  Poll poll(source(), 0, kStart);
  poll.start(kStart, 1);
  (void)poll.answer(Sample{0.0004, true}, kStart);
  CHECK(poll.reading(kStart).value_milli == 0);
  CHECK(poll.reading(kStart).active);
}

}  // namespace jobmill::scale
