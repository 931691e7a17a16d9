// SPDX-License-Identifier: Apache-2.0
#include "app/series_json.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/duration.h"
#include "base/json_writer.h"

namespace jobmill::app {
namespace {

using scale::LedgerRecord;
using scale::SeriesGap;
using scale::SeriesStore;
using scale::SeriesValue;
using Track = SeriesStore::Track;
using Line = std::vector<SeriesValue>;

// Kept instead of the age of the oldest item, which grows while nothing happens.
constexpr std::string_view kOldestSince = "oldestSince";
constexpr std::string_view kOldestWait = "oldestWaitMs";
constexpr std::size_t kMostMarkers = 500;

std::int64_t millis(TimePoint at) {
  return std::chrono::floor<std::chrono::milliseconds>(at.time_since_epoch()).count();
}

std::string number(double value) {
  if (!std::isfinite(value)) return "null";
  if (value == std::floor(value) && std::abs(value) < 1e15)
    return std::to_string(static_cast<std::int64_t>(value));
  return fmt::format("{:.6g}", value);
}

// --- several queues as one ----------------------------------------------------------------------

double earlier(double a, double b) {
  if (a == 0 || b == 0) return std::max(a, b);
  return std::min(a, b);
}

scale::Fold fold_of(const Track& track) {
  if (track.name == kOldestSince) return earlier;
  if (track.kind == scale::TrackKind::Measure)
    return [](double a, double b) { return std::max(a, b); };
  return [](double a, double b) { return a + b; };
}

std::vector<Track> combined(const std::vector<std::vector<Track>>& queues) {
  std::map<std::string, std::vector<const Track*>> by_name;
  for (const auto& queue : queues)
    for (const Track& track : queue) by_name[track.name].push_back(&track);
  std::vector<Track> out;
  for (const auto& [name, tracks] : by_name)
    out.push_back(scale::combine(name, tracks, fold_of(*tracks.front())));
  return out;
}

// --- lines --------------------------------------------------------------------------------------

// The age of what waits, from when it began to: it grows until something else is the oldest.
Line wait_line(const Line& since, TimePoint to) {
  const auto age = [](double began, TimePoint at) {
    return began > 0 ? std::max(0.0, static_cast<double>(millis(at)) - began) : 0.0;
  };
  Line out;
  for (std::size_t i = 0; i < since.size(); ++i) {
    const SeriesValue& one = since[i];
    if (!one.value) {
      out.push_back({.at = one.at, .value = std::nullopt, .range = {}});
      continue;
    }
    const double now = age(*one.value, one.at);
    const bool there = !out.empty() && out.back().at == one.at && out.back().value == now;
    if (!there) out.push_back({.at = one.at, .value = now, .range = {}});
    const TimePoint next = i + 1 < since.size() ? since[i + 1].at : to;
    if (*one.value > 0 && next > one.at)
      out.push_back({.at = next, .value = age(*one.value, next), .range = {}});
  }
  return out;
}

void write_line(JsonWriter& json, const Line& line) {
  json.array();
  std::string item;
  for (const SeriesValue& one : line) {
    item = "[" + std::to_string(millis(one.at)) + "," + (one.value ? number(*one.value) : "null");
    if (one.range) item += "," + number(one.range->first) + "," + number(one.range->second);
    json.raw(item + "]");
  }
  json.end();
}

void write_track(JsonWriter& json, const Track& track, const SeriesAnswer& answer) {
  const TimeSpan& span = answer.span;
  const std::string_view name = track.name == kOldestSince ? kOldestWait : track.name;
  if (!answer.wanted.empty() && std::ranges::find(answer.wanted, name) == answer.wanted.end())
    return;
  Line line = scale::line_of(track, span.from, span.to, span.resolution.step, answer.outages);
  if (track.name == kOldestSince) line = wait_line(line, span.to);
  json.key_text(name);
  write_line(json, line);
}

void write_tracks(JsonWriter& json, const SeriesAnswer& answer) {
  json.key("tracks").object();
  const std::vector<Track> queues = combined(answer.queues);
  for (const Track& track : queues) write_track(json, track, answer);
  for (const Track& track : answer.own)
    if (std::ranges::find(queues, track.name, &Track::name) == queues.end())
      write_track(json, track, answer);
  json.end();
}

void write_gaps(JsonWriter& json, const SeriesAnswer& answer) {
  json.key("gaps").array();
  for (const SeriesGap& gap : answer.gaps) {
    const TimePoint from = std::max(gap.from, answer.span.from);
    const TimePoint to = std::min(gap.to.value_or(answer.span.to), answer.span.to);
    if (to > from) json.array().value(millis(from)).value(millis(to)).value(gap.reason).end();
  }
  json.end();
}

// --- markers ------------------------------------------------------------------------------------

struct Marker {
  const LedgerRecord* last = nullptr;
  int from = 0;
  std::size_t count = 0;
};

// Where there are too many to be seen apart, several become one that says how many they are.
std::vector<Marker> markers_of(const std::vector<LedgerRecord>& records, const TimeSpan& span) {
  const bool apart = records.size() <= kMostMarkers;
  const Duration step =
      std::max((span.to - span.from) / static_cast<int>(kMostMarkers), Duration(1));
  std::vector<Marker> out;
  for (auto it = records.rbegin(); it != records.rend(); ++it) {
    const bool same = !apart && !out.empty() &&
                      scale::bucket_of(out.back().last->at, step) == scale::bucket_of(it->at, step);
    if (!same) out.push_back({.last = nullptr, .from = it->from, .count = 0});
    out.back().last = &*it;
    ++out.back().count;
  }
  return out;
}

void write_markers(JsonWriter& json, const SeriesAnswer& answer) {
  json.key("decisions").array();
  for (const Marker& marker : markers_of(*answer.decisions, answer.span)) {
    const LedgerRecord& record = *marker.last;
    json.object()
        .member("id", record.id)
        .member("at", format_instant(record.at))
        .member("kind", record.kind)
        .member("from", marker.from)
        .member("to", record.to)
        .member("summary", record.sentence);
    if (marker.count > 1) json.member("count", marker.count);
    json.end();
  }
  json.end();
}

}  // namespace

std::string to_json(const SeriesAnswer& answer) {
  const TimeSpan& span = answer.span;
  JsonWriter json;
  json.object()
      .member("from", format_instant(span.from))
      .member("to", format_instant(span.to))
      .member("step", std::chrono::floor<std::chrono::seconds>(span.resolution.step).count());
  write_tracks(json, answer);
  write_gaps(json, answer);
  if (answer.decisions) write_markers(json, answer);
  return std::move(json.end()).text();
}

std::string record_json(const LedgerRecord& record) {
  // What changed since the document was written.
  auto document = parse_json(record.document);
  if (!document) return record.document;
  document->set("repeated", Node::integer(record.repeated));
  document->set("until", Node::string(format_instant(record.until)));
  return to_json(*document);
}

}  // namespace jobmill::app
