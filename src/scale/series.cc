// SPDX-License-Identifier: Apache-2.0
#include "scale/series.h"

#include <algorithm>

namespace jobmill::scale {
namespace {

constexpr std::int64_t kMostPoints = 2000;

double per_second(double sum, Duration step) {
  return sum / std::chrono::duration<double>(step).count();
}

bool in_gap(TimePoint at, const std::vector<SeriesGap>& gaps) {
  return std::ranges::any_of(
      gaps, [&](const SeriesGap& gap) { return gap.from <= at && (!gap.to || at < *gap.to); });
}

SeriesValue drawn(const SeriesPoint& point) {
  SeriesValue out{.at = point.at, .value = point.value, .range = {}};
  if (point.low != point.high) out.range = {point.low, point.high};
  return out;
}

// Zeros at both ends of a stretch in which nothing happened: lines are drawn from point to point.
void rest(std::vector<SeriesValue>& line, TimePoint from, TimePoint to, Duration step,
          const std::vector<SeriesGap>& gaps) {
  bool unknown = false;
  for (TimePoint at = from; at < to; at += step) {
    const bool gap = in_gap(at, gaps);
    const bool edge =
        at == from || at + step >= to || gap != unknown || in_gap(at + step, gaps) != gap;
    unknown = gap;
    if (!edge) continue;
    line.push_back({.at = at, .value = gap ? std::nullopt : std::optional(0.0), .range = {}});
  }
}

std::vector<SeriesValue> rate_line(const SeriesStore::Track& track, TimePoint from, TimePoint to,
                                   Duration step, const std::vector<SeriesGap>& gaps) {
  std::vector<SeriesValue> line;
  TimePoint at = bucket_of(from, step);
  for (const SeriesPoint& point : track.points) {
    rest(line, at, point.at, step, gaps);
    line.push_back({.at = point.at, .value = per_second(point.value, step), .range = {}});
    at = point.at + step;
  }
  rest(line, at, to, step, gaps);
  return line;
}

std::vector<SeriesValue> level_line(const SeriesStore::Track& track, TimePoint from, TimePoint to,
                                    const std::vector<SeriesGap>& gaps) {
  std::vector<SeriesValue> line;
  std::vector<TimePoint> ends;
  for (const SeriesGap& gap : gaps)
    if (gap.from > from && gap.from < to) ends.push_back(gap.from);
  if (track.before && !in_gap(from, gaps))
    line.push_back({.at = from, .value = track.before->value, .range = {}});
  auto end = ends.begin();
  for (const SeriesPoint& point : track.points) {
    for (; end != ends.end() && *end <= point.at; ++end)
      if (!line.empty()) line.push_back({.at = *end, .value = std::nullopt, .range = {}});
    line.push_back(drawn(point));
  }
  for (; end != ends.end(); ++end)
    if (!line.empty()) line.push_back({.at = *end, .value = std::nullopt, .range = {}});
  if (!line.empty() && line.back().value && line.back().at < to)
    line.push_back({.at = to, .value = line.back().value, .range = {}});
  return line;
}

// Goes through the points of a track; a level keeps its value where there is none.
class Cursor {
 public:
  explicit Cursor(const SeriesStore::Track& track) : track_(track) {
    if (track.kind == TrackKind::Level && track.before) hold(track.before->value);
  }

  std::optional<TimePoint> next() const {
    if (next_ == track_.points.size()) return std::nullopt;
    return track_.points[next_].at;
  }

  // What there was in the bucket that begins at `at`; none: nothing is known of it.
  std::optional<SeriesPoint> take(TimePoint at) {
    if (next() == at) {
      const SeriesPoint& point = track_.points[next_++];
      if (track_.kind == TrackKind::Level) hold(point.value);
      return point;
    }
    if (!holds_) return std::nullopt;
    return SeriesPoint{at, held_, held_, held_};
  }

 private:
  void hold(double value) {
    holds_ = true;
    held_ = value;
  }

  const SeriesStore::Track& track_;
  std::size_t next_ = 0;
  bool holds_ = false;  // no optional: g++ 12 takes its value for uninitialized at -O2
  double held_ = 0;
};

SeriesPoint folded(const std::optional<SeriesPoint>& a, const std::optional<SeriesPoint>& b,
                   const Fold& fold) {
  if (!a || !b) return a ? *a : *b;
  return {a->at, fold(a->low, b->low), fold(a->high, b->high), fold(a->value, b->value)};
}

SeriesStore::Track both(const SeriesStore::Track& a, const SeriesStore::Track& b,
                        const Fold& fold) {
  SeriesStore::Track out{.name = a.name, .kind = a.kind, .before = {}, .points = {}};
  if (a.before || b.before) out.before = folded(a.before, b.before, fold);
  Cursor left(a);
  Cursor right(b);
  for (;;) {
    const auto l = left.next();
    const auto r = right.next();
    if (!l && !r) return out;
    const TimePoint at = std::min(l.value_or(TimePoint::max()), r.value_or(TimePoint::max()));
    const auto of_left = left.take(at);  // each of the two moves on
    out.points.push_back(folded(of_left, right.take(at), fold));
  }
}

}  // namespace

TimePoint bucket_of(TimePoint at, Duration step) {
  const Duration::rep count = at.time_since_epoch().count();
  return TimePoint(Duration(count - count % step.count()));
}

void merge(TrackKind kind, SeriesPoint& into, const SeriesPoint& next) {
  into.low = std::min(into.low, next.low);
  into.high = std::max(into.high, next.high);
  into.value = kind == TrackKind::Rate ? into.value + next.value : next.value;
}

const Resolution& resolution_for(TimePoint from, TimePoint to, std::optional<Duration> step,
                                 TimePoint now) {
  for (const Resolution& one : kResolutions) {
    const bool too_fine = (step && one.step < *step) || (to - from) / one.step > kMostPoints;
    if (!too_fine && from >= now - one.kept - one.step) return one;
  }
  return kResolutions.back();
}

// --- collecting ---------------------------------------------------------------------------------

void SeriesRecorder::level(const std::string& series, std::string_view track, double value,
                           TimePoint now) {
  add(series, track, TrackKind::Level, value, now);
}

void SeriesRecorder::count(const std::string& series, std::string_view track, double more,
                           TimePoint now) {
  if (more != 0) add(series, track, TrackKind::Rate, more, now);
}

void SeriesRecorder::measure(const std::string& series, std::string_view track, double value,
                             TimePoint now) {
  add(series, track, TrackKind::Measure, value, now);
}

void SeriesRecorder::add(const std::string& series, std::string_view track, TrackKind kind,
                         double value, TimePoint now) {
  const Name name(series, track);
  Track& one = tracks_[name];
  one.kind = kind;
  if (kind == TrackKind::Level && one.last == value) return;
  const TimePoint bucket = bucket_of(now, kResolutions.front().step);
  if (one.point && one.point->at != bucket) close(name, one);
  const SeriesPoint point{bucket, value, value, value};
  if (one.point) {
    merge(kind, *one.point, point);
  } else {
    one.point = point;
    filling_.insert(name);
    if (!oldest_) oldest_ = bucket;
    // The bucket began with the value that the level had.
    if (one.last) {
      one.point->low = std::min(*one.last, value);
      one.point->high = std::max(*one.last, value);
    }
  }
  if (kind == TrackKind::Level) one.last = value;
}

void SeriesRecorder::close(const Name& name, Track& track) {
  closed_.push_back({name.first, name.second, track.kind, *track.point});
  track.point.reset();
  filling_.erase(name);
}

std::optional<TimePoint> SeriesRecorder::next() const {
  if (!oldest_) return std::nullopt;
  return *oldest_ + kResolutions.front().step;
}

std::vector<SeriesRecorder::Entry> SeriesRecorder::take(TimePoint now, bool all) {
  const Duration step = kResolutions.front().step;
  oldest_.reset();
  for (auto it = filling_.begin(); it != filling_.end();) {
    const Name name = *it++;  // closing it takes it out
    Track& track = tracks_.at(name);
    if (all || track.point->at + step <= now)
      close(name, track);
    else
      oldest_ = std::min(oldest_.value_or(track.point->at), track.point->at);
  }
  return std::exchange(closed_, {});
}

void SeriesRecorder::forget(const std::string& series) {
  auto it = tracks_.lower_bound({series, {}});
  while (it != tracks_.end() && it->first.first == series) {
    if (it->second.point) close(it->first, it->second);
    it = tracks_.erase(it);
  }
}

// --- drawing ------------------------------------------------------------------------------------

std::vector<SeriesValue> line_of(const SeriesStore::Track& track, TimePoint from, TimePoint to,
                                 Duration step, const std::vector<SeriesGap>& gaps) {
  if (track.kind == TrackKind::Rate) return rate_line(track, from, to, step, gaps);
  if (track.kind == TrackKind::Level) return level_line(track, from, to, gaps);
  std::vector<SeriesValue> line;
  for (const SeriesPoint& point : track.points) line.push_back(drawn(point));
  return line;
}

SeriesStore::Track combine(std::string name, const std::vector<const SeriesStore::Track*>& tracks,
                           const Fold& fold) {
  SeriesStore::Track out = *tracks.front();
  out.name = std::move(name);
  for (std::size_t i = 1; i < tracks.size(); ++i) out = both(out, *tracks[i], fold);
  return out;
}

}  // namespace jobmill::scale
