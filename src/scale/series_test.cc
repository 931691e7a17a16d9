// SPDX-License-Identifier: Apache-2.0
#include "scale/series.h"

#include <doctest/doctest.h>

namespace jobmill::scale {
namespace {

using namespace std::chrono_literals;
using Track = SeriesStore::Track;

const TimePoint kStart = ManualClock().now();

Track level(std::optional<double> before, std::vector<SeriesPoint> points) {
  Track out{.name = "ready", .kind = TrackKind::Level, .before = {}, .points = std::move(points)};
  if (before) out.before = SeriesPoint{kStart - 1h, *before, *before, *before};
  return out;
}

SeriesPoint point(Duration at, double value) { return {kStart + at, value, value, value}; }

// "0:3 20:4 60:-": seconds since the start, and the value.
std::string text(const std::vector<SeriesValue>& line) {
  std::string out;
  for (const SeriesValue& one : line) {
    const auto at = std::chrono::floor<std::chrono::seconds>(one.at - kStart).count();
    out += (out.empty() ? "" : " ") + std::to_string(at) + ":";
    out += one.value ? std::to_string(*one.value).substr(0, 3) : "-";
  }
  return out;
}

}  // namespace

TEST_CASE("series: what rests is not written, and nobody has to be woken for it") {
  SeriesRecorder recorder;
  CHECK_FALSE(recorder.next());
  recorder.level("queue:mail", "backlog", 3, kStart + 1s);
  REQUIRE(recorder.next());
  CHECK(*recorder.next() == kStart + 10s);
  CHECK(recorder.take(kStart + 9s).empty());
  CHECK(recorder.take(kStart + 10s).size() == 1);
  CHECK_FALSE(recorder.next());
  recorder.level("queue:mail", "backlog", 3, kStart + 1h);  // as it was
  recorder.count("queue:mail", "arrivals", 0, kStart + 1h);
  CHECK_FALSE(recorder.next());
}

TEST_CASE("series: a bucket keeps the least, the most and the last") {
  SeriesRecorder recorder;
  recorder.level("s", "t", 5, kStart);
  CHECK(recorder.take(kStart + 10s).front().point == SeriesPoint{kStart, 5, 5, 5});
  recorder.level("s", "t", 9, kStart + 11s);
  recorder.level("s", "t", 2, kStart + 12s);
  recorder.level("s", "t", 7, kStart + 19s);
  // It began with the five.
  CHECK(recorder.take(kStart + 20s).front().point == SeriesPoint{kStart + 10s, 2, 9, 7});
}

TEST_CASE("series: what is counted is summed, bucket by bucket") {
  SeriesRecorder recorder;
  recorder.count("s", "t", 2, kStart + 1s);
  recorder.count("s", "t", 3, kStart + 9s);
  recorder.count("s", "t", 4, kStart + 10s);  // before anybody took the first bucket
  const auto taken = recorder.take(kStart + 11s);
  REQUIRE(taken.size() == 1);
  CHECK(taken[0].point.value == 5);
  CHECK(*recorder.next() == kStart + 20s);
  CHECK(recorder.take(kStart + 12s, true).front().point.value == 4);  // at the end of the server
}

TEST_CASE("series: larger buckets are made of smaller ones") {
  SeriesPoint minute{kStart, 2, 5, 3};
  merge(TrackKind::Level, minute, {kStart + 10s, 1, 4, 4});
  CHECK(minute == SeriesPoint{kStart, 1, 5, 4});
  SeriesPoint counted{kStart, 2, 2, 2};
  merge(TrackKind::Rate, counted, {kStart + 10s, 3, 3, 3});
  CHECK(counted.value == 5);
}

TEST_CASE("series: as fine as is still kept, and can be drawn") {
  const TimePoint now = kStart + 500 * 24h;
  const auto step = [&](Duration ago, std::optional<Duration> wanted = {}) {
    return resolution_for(now - ago, now, wanted, now).step;
  };
  CHECK(step(5min) == 10s);
  CHECK(step(1h) == 10s);
  CHECK(step(2h) == 1min);
  CHECK(step(24h) == 1min);
  CHECK(step(7 * 24h) == 10min);
  CHECK(step(400 * 24h) == 1h);
  CHECK(step(5min, 60s) == 1min);
  CHECK(step(5min, 45s) == 1min);
  CHECK(resolution_for(now - 20h, now - 19h, 10s, now).step == 1min);  // finer ones are gone
}

TEST_CASE("series: a level goes on until it changes, and to the end") {
  const auto line = line_of(level(3, {point(20s, 4)}), kStart, kStart + 60s, 10s, {});
  CHECK(text(line) == "0:3.0 20:4.0 60:4.0");
  CHECK(line_of(level({}, {}), kStart, kStart + 60s, 10s, {}).empty());  // nobody knows
}

TEST_CASE("series: a rate is nothing where nothing was counted") {
  const Track track{
      .name = "arrivals", .kind = TrackKind::Rate, .before = {}, .points = {point(30s, 20)}};
  const auto line = line_of(track, kStart, kStart + 100s, 10s, {});
  CHECK(text(line) == "0:0.0 20:0.0 30:2.0 40:0.0 90:0.0");
}

TEST_CASE("series: what nobody saw is unknown, and never nothing") {
  const std::vector<SeriesGap> gaps{{kStart + 20s, kStart + 60s, "the server was not running"}};
  CHECK(text(line_of(level(3, {point(60s, 1)}), kStart, kStart + 90s, 10s, gaps)) ==
        "0:3.0 20:- 60:1.0 90:1.0");
  const Track track{
      .name = "arrivals", .kind = TrackKind::Rate, .before = {}, .points = {point(10s, 10)}};
  const std::string rate = text(line_of(track, kStart, kStart + 90s, 10s, gaps));
  CHECK(rate.starts_with("0:0.0 10:1.0 20:- "));
  CHECK(rate.ends_with("60:0.0 80:0.0"));
}

TEST_CASE("series: several queues are one, each with what it had") {
  const auto sum = [](double a, double b) { return a + b; };
  const Track a = level(3, {point(20s, 4), point(40s, 0)});
  const Track b = level(10, {point(30s, 1)});
  const Track both = combine("backlog", {&a, &b}, sum);
  CHECK(both.name == "backlog");
  CHECK(both.before->value == 13);
  CHECK(text(line_of(both, kStart, kStart + 50s, 10s, {})) == "0:13. 20:14. 30:5.0 40:1.0 50:1.0");
}

}  // namespace jobmill::scale
