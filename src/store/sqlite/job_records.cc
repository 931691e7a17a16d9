// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/job_records.h"

#include <utility>
#include <vector>

#include "store/sqlite/batch.h"

namespace jobmill::sqlite {
namespace {

using jobs::JobState;

constexpr char kPutProgress[] = R"sql(
  INSERT OR REPLACE INTO job_progress (seq, attempt, done, total, failed)
  VALUES (?1, ?2, ?3, ?4, ?5)
)sql";

constexpr char kSize[] =
    "SELECT first, next, bytes FROM job_log_size WHERE seq = ?1 AND attempt = ?2";
constexpr char kPutSize[] = R"sql(
  INSERT OR REPLACE INTO job_log_size (seq, attempt, first, next, bytes, at)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6)
)sql";
constexpr char kLatest[] =
    "SELECT attempt FROM job_log_size WHERE seq = ?1 ORDER BY at DESC, attempt DESC LIMIT 1";
constexpr char kAppend[] = R"sql(
  INSERT INTO job_log (seq, attempt, n, level, at, text) SELECT ?1, ?2, c0, c1, c2, c3 FROM batch
)sql";
constexpr char kLengths[] = R"sql(
  SELECT length(CAST(text AS BLOB)) FROM job_log
   WHERE seq = ?1 AND attempt = ?2 AND n >= ?3 ORDER BY n
)sql";
constexpr char kDrop[] = "DELETE FROM job_log WHERE seq = ?1 AND attempt = ?2 AND n < ?3";
constexpr char kLines[] = R"sql(
  SELECT level, at, text FROM job_log WHERE seq = ?1 AND attempt = ?2 AND n >= ?3 ORDER BY n
)sql";

constexpr char kPutResult[] =
    "INSERT OR REPLACE INTO job_result (seq, json, expires) VALUES (?1, ?2, ?3)";
constexpr char kResult[] = "SELECT json FROM job_result WHERE seq = ?1";
constexpr char kExpireResults[] = "DELETE FROM job_result WHERE expires <= ?1";
constexpr char kFirstResult[] =
    "SELECT expires FROM job_result WHERE expires IS NOT NULL ORDER BY expires LIMIT 1";

constexpr char kKey[] = "SELECT payload, answer FROM job_key WHERE key = ?1";
constexpr char kPutKey[] =
    "INSERT INTO job_key (key, payload, answer, job, check_at) VALUES (?1, ?2, ?3, ?4, ?5)";
constexpr char kFirstKey[] = "SELECT check_at FROM job_key ORDER BY check_at LIMIT 1";
constexpr char kDueKeys[] = R"sql(
  SELECT k.key, k.job, j.state, j.updated_at
    FROM job_key k LEFT JOIN job j ON j.seq = k.job
   WHERE k.check_at <= ?1 ORDER BY k.check_at LIMIT ?2
)sql";
constexpr char kKeepKey[] = "UPDATE job_key SET job = ?2, check_at = ?3 WHERE key = ?1";
constexpr char kForgetKey[] = "DELETE FROM job_key WHERE key = ?1";

bool has_ended(JobState state) {
  return state == JobState::Succeeded || state == JobState::Failed || state == JobState::Deleted;
}

}  // namespace

Status JobRecords::load() { return refresh(); }

Status JobRecords::refresh() {
  TRY(const auto result, first(kFirstResult));
  TRY(const auto key, first(kFirstKey));
  memory_.set_expiry(result, key);
  return {};
}

Result<std::optional<TimePoint>> JobRecords::first(const char* sql) {
  auto query = db_.use(sql);
  TRY(const bool some, query.step());
  return some ? std::optional(query.instant(0)) : std::nullopt;
}

// --- progress and lines --------------------------------------------------------------------------

Status JobRecords::put_progress(const Attempt& of, const jobs::Progress& progress) {
  auto put = db_.use(kPutProgress);
  put.bind(1, of.seq).bind(2, of.attempt).bind(3, progress.done).bind(4, progress.total);
  return put.bind(5, progress.failed).run();
}

Result<jobs::LogSize> JobRecords::size(const Attempt& of) {
  auto query = db_.use(kSize);
  TRY(const bool some, query.bind(1, of.seq).bind(2, of.attempt).step());
  if (!some) return jobs::LogSize{};
  return jobs::LogSize{query.number(0), query.number(1), query.number(2)};
}

Status JobRecords::append(const Attempt& of, std::span<const jobs::LogLine> lines, TimePoint now) {
  if (lines.empty()) return {};
  TRY(auto size, this->size(of));
  Batch batch(4);
  for (const jobs::LogLine& line : lines) {
    const auto text = jobs::shortened_line(line.text);
    batch.add(size.next).add(static_cast<int>(line.level)).add(line.at).add(text);
    size.add(static_cast<std::int64_t>(text.size()));
  }
  TRY_VOID(db_.use(kAppend, batch).bind(1, of.seq).bind(2, of.attempt).run());
  if (size.too_large()) TRY_VOID(shorten(of, size));
  auto put = db_.use(kPutSize);
  put.bind(1, of.seq).bind(2, of.attempt).bind(3, size.first).bind(4, size.next);
  return put.bind(5, size.bytes).bind(6, now).run();
}

// Drops the oldest ones until the rest is small enough.
Status JobRecords::shorten(const Attempt& of, jobs::LogSize& size) {
  {
    auto lengths = db_.use(kLengths);
    lengths.bind(1, of.seq).bind(2, of.attempt).bind(3, size.first);
    while (size.too_large()) {
      TRY(const bool some, lengths.step());
      if (!some) break;
      size.drop(lengths.number(0));
    }
  }
  return db_.use(kDrop).bind(1, of.seq).bind(2, of.attempt).bind(3, size.first).run();
}

Result<jobs::JobLog> JobRecords::log(const Attempt& of, std::int64_t after) {
  Attempt wanted = of;
  if (wanted.attempt == 0) {
    auto latest = db_.use(kLatest);
    TRY(const bool some, latest.bind(1, of.seq).step());
    if (some) wanted.attempt = static_cast<int>(latest.number(0));
  }
  TRY(const auto kept, size(wanted));
  jobs::JobLog log{
      .attempt = wanted.attempt, .lines = {}, .dropped = kept.first, .next = kept.next};
  auto query = db_.use(kLines);
  query.bind(1, wanted.seq).bind(2, wanted.attempt).bind(3, after);
  for (;;) {
    TRY(const bool some, query.step());
    if (!some) return log;
    log.lines.push_back(
        {static_cast<jobs::LineLevel>(query.number(0)), query.instant(1), query.text(2)});
  }
}

// --- results -------------------------------------------------------------------------------------

Status JobRecords::put_result(std::int64_t seq, std::string_view json,
                              std::optional<TimePoint> expires) {
  if (expires) memory_.expect_result(*expires);
  return db_.use(kPutResult).bind(1, seq).bind(2, json).bind(3, expires).run();
}

Result<std::optional<std::string>> JobRecords::result(std::int64_t seq) {
  auto query = db_.use(kResult);
  TRY(const bool some, query.bind(1, seq).step());
  return some ? std::optional(query.text(0)) : std::nullopt;
}

Result<std::int64_t> JobRecords::expire_results(TimePoint now) {
  TRY_VOID(db_.use(kExpireResults).bind(1, now).run());
  const std::int64_t count = db_.changes();
  TRY_VOID(refresh());
  return count;
}

// --- keys ----------------------------------------------------------------------------------------

Result<std::optional<JobRecords::Key>> JobRecords::key(std::string_view key) {
  auto query = db_.use(kKey);
  TRY(const bool some, query.bind(1, key).step());
  return some ? std::optional(Key{query.text(0), query.text(1)}) : std::nullopt;
}

Status JobRecords::put_key(std::string_view key, const Key& value, std::optional<std::int64_t> job,
                           TimePoint check_at) {
  auto put = db_.use(kPutKey);
  put.bind(1, key).bind(2, value.payload).bind(3, value.answer).bind(5, check_at);
  if (job) put.bind(4, *job);
  memory_.expect_key(check_at);
  return put.run();
}

Result<std::int64_t> JobRecords::expire_keys(TimePoint now, Duration keep, int page) {
  std::vector<DueKey> due;
  {
    auto query = db_.use(kDueKeys);
    query.bind(1, now).bind(2, page);
    for (;;) {
      TRY(const bool some, query.step());
      if (!some) break;
      DueKey key{.key = query.text(0), .job = {}, .state = {}};
      if (!query.null(1)) key.job = query.number(1);
      if (!query.null(2)) key.state = static_cast<JobState>(query.number(2));
      if (key.state) key.updated_at = query.instant(3);
      due.push_back(std::move(key));
    }
  }
  for (const DueKey& key : due) TRY_VOID(look_after(key, now, keep));
  TRY_VOID(refresh());
  return static_cast<std::int64_t>(due.size());
}

// Nobody notes when a job ends that has a key, so it is looked at when it may have ended long
// enough ago. Of a job that is gone meanwhile the end is not known; it was before now.
Status JobRecords::look_after(const DueKey& due, TimePoint now, Duration keep) {
  const bool gone = !due.state;
  const TimePoint end = !gone && has_ended(*due.state) ? due.updated_at : now;
  if ((gone && !due.job) || end + keep <= now) return db_.use(kForgetKey).bind(1, due.key).run();
  auto update = db_.use(kKeepKey);
  update.bind(1, due.key).bind(3, end + keep);
  if (!gone) update.bind(2, *due.job);
  return update.run();
}

}  // namespace jobmill::sqlite
