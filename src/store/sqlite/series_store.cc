// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/series_store.h"

#include <algorithm>
#include <iterator>

namespace jobmill::sqlite {

using scale::kResolutions;
using scale::Resolution;
using scale::SeriesGap;
using scale::SeriesPoint;
using scale::TrackKind;
using Entry = scale::SeriesRecorder::Entry;

namespace {

constexpr Duration kPruneEvery = std::chrono::minutes(10);
constexpr std::size_t kChunk = 500;  // entries of one item, so that others commit in between
constexpr char kNotRunning[] = "the server was not running";

constexpr char kAdd[] = R"sql(
  INSERT INTO series (name, track, kind) VALUES (?1, ?2, ?3)
  ON CONFLICT (name, track) DO UPDATE SET kind = excluded.kind
)sql";
constexpr char kId[] = "SELECT id FROM series WHERE name = ?1 AND track = ?2";
constexpr char kPut[] = R"sql(
  INSERT INTO series_point (series, step, at, low, high, value) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
  ON CONFLICT (series, step, at) DO UPDATE
     SET low = min(low, excluded.low), high = max(high, excluded.high),
         value = CASE WHEN ?7 THEN value + excluded.value ELSE excluded.value END
)sql";
// The last point of all stays: a level that has rested for years still has its value.
constexpr char kPrune[] = R"sql(
  DELETE FROM series_point
   WHERE series = ?1 AND step = ?2 AND at < ?3
     AND at < (SELECT max(at) FROM series_point WHERE series = ?1 AND step = ?2)
)sql";

constexpr char kTracks[] = "SELECT id, track, kind FROM series WHERE name = ?1 ORDER BY track";
constexpr char kAll[] = "SELECT id FROM series";
constexpr char kPoints[] = R"sql(
  SELECT at, low, high, value FROM series_point
   WHERE series = ?1 AND step = ?2 AND at >= ?3 AND at < ?4 ORDER BY at
)sql";
constexpr char kBefore[] = R"sql(
  SELECT at, low, high, value FROM series_point
   WHERE series = ?1 AND step = ?2 AND at < ?3 ORDER BY at DESC LIMIT 1
)sql";

constexpr char kBeginGap[] = R"sql(
  INSERT INTO series_gap (series, since, reason) VALUES (?1, ?2, ?3)
  ON CONFLICT (series, since) DO UPDATE SET until = NULL, reason = excluded.reason
)sql";
constexpr char kEndGap[] = R"sql(
  UPDATE series_gap SET until = ?2 WHERE series = ?1 AND until IS NULL
)sql";
constexpr char kEndGaps[] = "UPDATE series_gap SET until = max(since, ?1) WHERE until IS NULL";
constexpr char kGap[] = R"sql(
  INSERT OR REPLACE INTO series_gap (series, since, until, reason) VALUES ('', ?1, ?2, ?3)
)sql";
constexpr char kForgetGaps[] = "DELETE FROM series_gap WHERE until < ?1";
constexpr char kGaps[] = R"sql(
  SELECT since, until, reason FROM series_gap
   WHERE series IN (?1, '') AND since < ?3 AND (until IS NULL OR until > ?2) ORDER BY since
)sql";
constexpr char kAlive[] = R"sql(
  INSERT INTO series_alive (id, at) VALUES (1, ?1)
  ON CONFLICT (id) DO UPDATE SET at = max(at, excluded.at)
)sql";
constexpr char kLastAlive[] = "SELECT at FROM series_alive";

std::int64_t seconds(Duration step) {
  return std::chrono::floor<std::chrono::seconds>(step).count();
}

SeriesPoint point_of(const Statement& row) {
  return {row.instant(0), row.real(1), row.real(2), row.real(3)};
}

Status prune(Database& db, std::int64_t series, TimePoint now) {
  for (const Resolution& one : kResolutions) {
    auto query = db.use(kPrune);
    query.bind(1, series).bind(2, seconds(one.step)).bind(3, now - one.kept - one.step);
    TRY_VOID(query.run());
  }
  return {};
}

Status prune_all(Database& db, TimePoint now) {
  std::vector<std::int64_t> ids;
  auto all = db.use(kAll);
  for (;;) {
    TRY(const bool found, all.step());
    if (!found) break;
    ids.push_back(all.number(0));
  }
  for (const std::int64_t id : ids) TRY_VOID(prune(db, id, now));
  return db.use(kForgetGaps).bind(1, now - kResolutions.back().kept).run();
}

// A server that was killed tells nothing of its end: only when it last did something.
Status end_earlier_life(Database& db, TimePoint now) {
  auto row = db.use(kLastAlive);
  TRY(const bool found, row.step());
  if (!found) return db.use(kAlive).bind(1, now).run();
  const TimePoint end = std::min(row.instant(0), now);
  TRY_VOID(db.use(kEndGaps).bind(1, end).run());
  TRY_VOID(db.use(kGap).bind(1, end).bind(2, now).bind(3, kNotRunning).run());
  return db.use(kAlive).bind(1, now).run();
}

// The finest bucket that ended before `from`: finer ones may be gone already.
Result<std::optional<SeriesPoint>> point_before(Database& db, std::int64_t series, TimePoint from,
                                                const Resolution& resolution) {
  for (const Resolution& one : kResolutions) {
    if (one.step < resolution.step) continue;
    auto row = db.use(kBefore);
    row.bind(1, series).bind(2, seconds(one.step));
    row.bind(3, one.step == resolution.step ? from : from - one.step);
    TRY(const bool found, row.step());
    if (found) return std::optional(point_of(row));
  }
  return std::optional<SeriesPoint>();
}

Result<std::vector<SeriesPoint>> points_between(Database& db, std::int64_t series, TimePoint from,
                                                TimePoint to, const Resolution& resolution) {
  std::vector<SeriesPoint> points;
  auto rows = db.use(kPoints);
  rows.bind(1, series).bind(2, seconds(resolution.step)).bind(3, from).bind(4, to);
  for (;;) {
    TRY(const bool found, rows.step());
    if (!found) return points;
    points.push_back(point_of(rows));
  }
}

}  // namespace

SeriesStore::SeriesStore(SqliteFile& file, std::function<void(const Fault&)> failed)
    : file_(file), failed_(std::move(failed)) {
  file_.on_rollback(this, [this] { known_.clear(); });
}

SeriesStore::~SeriesStore() { file_.forget(this); }

Result<std::unique_ptr<SeriesStore>> SeriesStore::open(SqliteFile& file, TimePoint now,
                                                       std::function<void(const Fault&)> failed) {
  std::unique_ptr<SeriesStore> store(new SeriesStore(file, std::move(failed)));
  const Status begun = file.run<void>([&](Database& db) -> Status {
    TRY_VOID(end_earlier_life(db, now));
    return prune_all(db, now);
  });
  if (!begun) return begun.error();
  return store;
}

void SeriesStore::submit(std::function<Status(Database&)> work) {
  file_.queue().submit([&file = file_, work = std::move(work)] { return work(file.db()); },
                       [failed = failed_](const Status& status) {
                         if (!status && failed) failed(status.error());
                       },
                       CommitQueue::Mode::Savepoint, CommitQueue::Durability::Relaxed);
}

Result<SeriesStore::Known*> SeriesStore::known(Database& db, const Entry& entry) {
  const auto [it, is_new] = known_.try_emplace({entry.series, entry.track});
  if (!is_new) return &it->second;
  auto add = db.use(kAdd);
  add.bind(1, entry.series).bind(2, entry.track).bind(3, static_cast<int>(entry.kind));
  auto id = db.use(kId);
  Status status = add.run();
  Result<bool> found =
      status ? id.bind(1, entry.series).bind(2, entry.track).step() : Result<bool>(status.error());
  if (!found) {
    known_.erase(it);
    return found.error();
  }
  it->second.id = id.number(0);
  return &it->second;
}

Status SeriesStore::write_entry(Database& db, const Entry& entry, TimePoint now) {
  TRY(Known* const series, known(db, entry));
  for (const Resolution& one : kResolutions) {
    auto put = db.use(kPut);
    put.bind(1, series->id).bind(2, seconds(one.step));
    put.bind(3, scale::bucket_of(entry.point.at, one.step));
    put.bind_real(4, entry.point.low).bind_real(5, entry.point.high);
    put.bind_real(6, entry.point.value).bind(7, entry.kind == TrackKind::Rate ? 1 : 0);
    TRY_VOID(put.run());
  }
  if (now - series->pruned < kPruneEvery) return {};
  series->pruned = now;
  return prune(db, series->id, now);
}

void SeriesStore::write(std::vector<Entry> entries, TimePoint now) {
  for (std::size_t begin = 0; begin < entries.size(); begin += kChunk) {
    const auto first = entries.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto last =
        entries.begin() + static_cast<std::ptrdiff_t>(std::min(begin + kChunk, entries.size()));
    std::vector<Entry> part(std::make_move_iterator(first), std::make_move_iterator(last));
    submit([this, part = std::move(part), now](Database& db) -> Status {
      for (const Entry& entry : part) TRY_VOID(write_entry(db, entry, now));
      return db.use(kAlive).bind(1, now).run();
    });
  }
}

void SeriesStore::alive(TimePoint now) {
  submit([now](Database& db) { return db.use(kAlive).bind(1, now).run(); });
}

void SeriesStore::begin_gap(const std::string& series, const std::string& reason, TimePoint now) {
  submit([=](Database& db) {
    return db.use(kBeginGap).bind(1, series).bind(2, now).bind(3, reason).run();
  });
}

void SeriesStore::end_gap(const std::string& series, TimePoint now) {
  submit([=](Database& db) { return db.use(kEndGap).bind(1, series).bind(2, now).run(); });
}

Result<std::vector<SeriesStore::Track>> SeriesStore::read(const std::string& series, TimePoint from,
                                                          TimePoint to,
                                                          const Resolution& resolution) {
  return file_.run<std::vector<Track>>([&](Database& db) -> Result<std::vector<Track>> {
    std::vector<Track> tracks;
    std::vector<std::int64_t> ids;
    auto rows = db.use(kTracks);
    rows.bind(1, series);
    for (;;) {
      TRY(const bool found, rows.step());
      if (!found) break;
      ids.push_back(rows.number(0));
      tracks.push_back({.name = rows.text(1),
                        .kind = static_cast<TrackKind>(rows.number(2)),
                        .before = {},
                        .points = {}});
    }
    for (std::size_t i = 0; i < tracks.size(); ++i) {
      if (tracks[i].kind == TrackKind::Level) {
        TRY(tracks[i].before, point_before(db, ids[i], from, resolution));
      }
      TRY(tracks[i].points, points_between(db, ids[i], from, to, resolution));
    }
    return tracks;
  });
}

Result<std::vector<SeriesGap>> SeriesStore::gaps(const std::string& series, TimePoint from,
                                                 TimePoint to) {
  return file_.run<std::vector<SeriesGap>>([&](Database& db) -> Result<std::vector<SeriesGap>> {
    std::vector<SeriesGap> gaps;
    auto rows = db.use(kGaps);
    rows.bind(1, series).bind(2, from).bind(3, to);
    for (;;) {
      TRY(const bool found, rows.step());
      if (!found) return gaps;
      gaps.push_back({rows.instant(0), rows.maybe_instant(1), rows.text(2)});
    }
  });
}

}  // namespace jobmill::sqlite
