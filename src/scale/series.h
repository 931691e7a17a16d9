// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

// Numbers over time: of queues, of what is scaled, of the whole. Sparse, since most numbers rest
// most of the time: who has nothing new writes nothing, and an idle server is not woken.
namespace jobmill::scale {

// Level: holds its last value until it changes (replicas, backlog). Rate: counted; nothing without
// a point (arrivals). Measure: known only where there is a point (p95 of waits).
enum class TrackKind { Level, Rate, Measure };

// What happened to one number within a bucket of time.
struct SeriesPoint {
  TimePoint at{};  // start of the bucket
  double low = 0;
  double high = 0;
  double value = 0;  // Level, Measure: the last one; Rate: the sum

  bool operator==(const SeriesPoint&) const = default;
};

// How `next`, which is later within the same larger bucket, adds to `into`.
void merge(TrackKind kind, SeriesPoint& into, const SeriesPoint& next);

struct Resolution {
  Duration step;
  Duration kept;
};
inline constexpr std::array<Resolution, 4> kResolutions{
    Resolution{std::chrono::seconds(10), std::chrono::hours(1)},
    Resolution{std::chrono::minutes(1), std::chrono::hours(24)},
    Resolution{std::chrono::minutes(10), std::chrono::days(30)},
    Resolution{std::chrono::hours(1), std::chrono::days(400)},
};

TimePoint bucket_of(TimePoint at, Duration step);

// The finest resolution that still has `from`, is not finer than `step`, and gives a number of
// points that can be drawn.
const Resolution& resolution_for(TimePoint from, TimePoint to, std::optional<Duration> step,
                                 TimePoint now);

// A time in which numbers are not known: [from, to); without `to` it goes on.
struct SeriesGap {
  TimePoint from{};
  std::optional<TimePoint> to{};
  std::string reason{};
};

// Collects numbers into buckets of the finest resolution. An engine: it is told the time.
class SeriesRecorder {
 public:
  struct Entry {
    std::string series;  // "queue:mail"
    std::string track;   // "backlog"
    TrackKind kind = TrackKind::Level;
    SeriesPoint point;
  };

  void level(const std::string& series, std::string_view track, double value, TimePoint now);
  void count(const std::string& series, std::string_view track, double more, TimePoint now);
  void measure(const std::string& series, std::string_view track, double value, TimePoint now);

  // When take() has something to give: the end of the oldest bucket in which anything happened.
  // None: nothing has, so nobody needs to be woken.
  std::optional<TimePoint> next() const;

  // What is complete at `now`, to be written; with `all` also what is not. Who writes it merges it
  // with what is there already.
  std::vector<Entry> take(TimePoint now, bool all = false);

  void forget(const std::string& series);  // it is gone; levels that come again are new

 private:
  struct Track {
    TrackKind kind = TrackKind::Level;
    std::optional<double> last;        // of a level
    std::optional<SeriesPoint> point;  // of the bucket that is being filled
  };
  using Name = std::pair<std::string, std::string>;

  void add(const std::string& series, std::string_view track, TrackKind kind, double value,
           TimePoint now);
  void close(const Name& name, Track& track);

  std::map<Name, Track> tracks_;
  std::set<Name> filling_;  // those with a point: what rests costs nothing
  std::vector<Entry> closed_;
  std::optional<TimePoint> oldest_;  // start of the first bucket that was not taken
};

// Where points and gaps are kept: each in all resolutions. Safe from any thread.
class SeriesStore {
 public:
  virtual ~SeriesStore() = default;

  // These return at once. What they were given is written together.
  virtual void write(std::vector<SeriesRecorder::Entry> entries, TimePoint now) = 0;
  virtual void alive(TimePoint now) = 0;  // and so what is not written has not changed
  // The numbers of a series are unknown from now on, and why; until end_gap. An empty series: all.
  virtual void begin_gap(const std::string& series, const std::string& reason, TimePoint now) = 0;
  virtual void end_gap(const std::string& series, TimePoint now) = 0;

  // These block.
  struct Track {
    std::string name;
    TrackKind kind = TrackKind::Level;
    std::optional<SeriesPoint> before;  // the last one before `from`
    std::vector<SeriesPoint> points;    // in [from, to)
  };
  virtual Result<std::vector<Track>> read(const std::string& series, TimePoint from, TimePoint to,
                                          const Resolution& resolution) = 0;
  // Those of the series and of all, by their start.
  virtual Result<std::vector<SeriesGap>> gaps(const std::string& series, TimePoint from,
                                              TimePoint to) = 0;
};

// What is drawn: the value at a time; low and high where they differ from it. No value: unknown
// from here on.
struct SeriesValue {
  TimePoint at{};
  std::optional<double> value{};
  std::optional<std::pair<double, double>> range{};
};

// A track as a line from `from` to `to`, which must not be later than now. Rates become numbers per
// second, with zeros where nothing happened; a level goes on to `to`; both end where a gap begins.
std::vector<SeriesValue> line_of(const SeriesStore::Track& track, TimePoint from, TimePoint to,
                                 Duration step, const std::vector<SeriesGap>& gaps);

// Several tracks of one kind as one: of all queues that a target looks at.
using Fold = std::function<double(double, double)>;
SeriesStore::Track combine(std::string name, const std::vector<const SeriesStore::Track*>& tracks,
                           const Fold& fold);

}  // namespace jobmill::scale
