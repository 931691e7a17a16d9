// SPDX-License-Identifier: Apache-2.0
#include "app/series_json.h"

#include <doctest/doctest.h>

#include "base/document.h"

namespace jobmill::app {
namespace {

using namespace std::chrono_literals;
using scale::SeriesPoint;
using scale::SeriesStore;
using scale::TrackKind;

const TimePoint kStart = ManualClock().now();  // 1704067200 s since 1970

SeriesStore::Track track(std::string name, TrackKind kind, std::vector<SeriesPoint> points) {
  return {.name = std::move(name), .kind = kind, .before = {}, .points = std::move(points)};
}

SeriesPoint point(Duration at, double value) { return {kStart + at, value, value, value}; }

SeriesAnswer answer() {
  SeriesAnswer out;
  out.span = {kStart, kStart + 60s, scale::kResolutions[0]};
  return out;
}

Node told(const SeriesAnswer& answer) {
  auto document = parse_json(to_json(answer));
  REQUIRE(document);
  return *std::move(document);
}

std::string line(const Node& document, std::string_view name) {
  const Node* found = document.find("tracks")->find(name);
  return found == nullptr ? "none" : to_json(*found);
}

double since(Duration at) { return static_cast<double>((kStart + at).time_since_epoch() / 1ms); }

}  // namespace

TEST_CASE("series json: points are times and values, with the range where there is one") {
  SeriesAnswer in = answer();
  in.own = {track("ready", TrackKind::Level, {point(0s, 2), {kStart + 20s, 1, 5, 3}})};
  const Node out = told(in);
  CHECK(out.find("from")->text == "2024-01-01T00:00:00Z");
  CHECK(out.find("step")->text == "10");
  CHECK(line(out, "ready") == "[[1704067200000,2],[1704067220000,3,1,5],[1704067260000,3]]");
  CHECK(out.find("decisions") == nullptr);
}

TEST_CASE("series json: what waits gets older until something else is the oldest") {
  SeriesAnswer in = answer();
  in.queues = {{track("oldestSince", TrackKind::Level,
                      {point(10s, since(5s)), point(30s, since(25s)), point(40s, 0)})}};
  CHECK(line(told(in), "oldestWaitMs") ==
        "[[1704067210000,5000],[1704067230000,25000],[1704067230000,5000],[1704067240000,15000],"
        "[1704067240000,0],[1704067260000,0]]");
}

TEST_CASE("series json: of several queues the sum, and the oldest of all") {
  SeriesAnswer in = answer();
  for (const double n : {1.0, 2.0})
    in.queues.push_back(
        {track("backlog", TrackKind::Level, {point(0s, n)}),
         track("oldestSince", TrackKind::Level, {point(0s, since(-1000ms * int(n)))}),
         track("p95WaitMs", TrackKind::Measure, {point(0s, 100 * n)})});
  in.own = {track("backlog", TrackKind::Level, {point(0s, 77)})};  // theirs is better
  const Node out = told(in);
  CHECK(line(out, "backlog") == "[[1704067200000,3],[1704067260000,3]]");
  CHECK(line(out, "oldestWaitMs") == "[[1704067200000,2000],[1704067260000,62000]]");
  CHECK(line(out, "p95WaitMs") == "[[1704067200000,200]]");
}

TEST_CASE("series json: only what was asked for") {
  SeriesAnswer in = answer();
  in.own = {track("ready", TrackKind::Level, {point(0s, 2)}),
            track("busy", TrackKind::Level, {point(0s, 2)})};
  in.wanted = {"busy"};
  CHECK(line(told(in), "ready") == "none");
  CHECK(line(told(in), "busy") != "none");
}

TEST_CASE("series json: gaps end where the picture ends") {
  SeriesAnswer in = answer();
  in.gaps = {{kStart - 10s, kStart + 10s, "a"},
             {kStart + 50s, {}, "b"},
             {kStart + 70s, kStart + 80s, "c"}};
  CHECK(to_json(*told(in).find("gaps")) ==
        R"([[1704067200000,1704067210000,"a"],[1704067250000,1704067260000,"b"]])");
}

TEST_CASE("series json: no decision is left out, however many there are") {
  SeriesAnswer in = answer();
  in.decisions.emplace();
  constexpr int kMany = 3000;
  for (int i = kMany; i > 0; --i)
    in.decisions->push_back({.target = "t",
                             .id = std::to_string(i),
                             .at = kStart + i * 10ms,
                             .until = {},
                             .repeated = 0,
                             .kind = "up",
                             .from = i - 1,
                             .to = i,
                             .rule = "none",
                             .sentence = "s",
                             .document = {}});
  const Node out = told(in);
  const Node& markers = *out.find("decisions");
  CHECK(markers.items.size() <= 500);
  std::int64_t all = 0;
  std::int64_t expected_from = 0;
  for (const Node& marker : markers.items) {
    CHECK(marker.find("from")->as_int() == expected_from);  // from the first of its decisions
    expected_from = *marker.find("to")->as_int();           // to the last one
    const Node* count = marker.find("count");
    all += count != nullptr ? *count->as_int() : 1;
  }
  CHECK(all == kMany);

  in.decisions->resize(3);
  CHECK(told(in).find("decisions")->items.size() == 3);
}

TEST_CASE("series json: a record tells how often it was repeated since it was written") {
  scale::LedgerRecord record;
  record.document = R"({"id":"1","repeated":0,"until":"2024-01-01T00:00:00Z"})";
  record.repeated = 4;
  record.until = kStart + 1min;
  CHECK(record_json(record) == R"({"id":"1","repeated":4,"until":"2024-01-01T00:01:00Z"})");
}

}  // namespace jobmill::app
