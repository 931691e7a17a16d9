// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/job_records.h"

#include <algorithm>
#include <utility>

#include "jobs/log_line.h"

namespace jobmill::postgres {
namespace {

constexpr Statement kProgress{"put_progress",
                              R"sql(
  INSERT INTO jobmill_progress (id, attempt, done, total, failed) VALUES ($1, $2, $3, $4, $5)
  ON CONFLICT (id, attempt) DO UPDATE SET done = excluded.done, total = excluded.total,
    failed = excluded.failed)sql"};

// Room for more lines: `first` is the number of the first one.
constexpr Statement kExtend{"extend_log",
                            R"sql(
  INSERT INTO jobmill_progress AS p (id, attempt, next, bytes) VALUES ($1, $2, $3, $4)
  ON CONFLICT (id, attempt) DO UPDATE SET next = p.next + $3, bytes = p.bytes + $4
  RETURNING next - $3, first, next, bytes)sql"};
constexpr Statement kAppend{"append_log",
                            R"sql(
  INSERT INTO jobmill_log (id, attempt, n, level, at, text)
  SELECT $1, $2, $3 + u.n - 1, u.level, u.at, u.text
  FROM unnest($4::integer[], $5::timestamptz[], $6::text[])
    WITH ORDINALITY u(level, at, text, n))sql"};
constexpr Statement kOldestLines{"oldest_lines",
                                 R"sql(
  SELECT n, octet_length(text) FROM jobmill_log WHERE id = $1 AND attempt = $2
  ORDER BY n LIMIT $3)sql"};
constexpr Statement kDropLines{"drop_lines",
                               "DELETE FROM jobmill_log WHERE id = $1 AND attempt = $2 AND n < $3"};
constexpr Statement kShorten{
    "shorten_log",
    "UPDATE jobmill_progress SET first = $3, bytes = $4 WHERE id = $1 AND attempt = $2"};

constexpr Statement kAttempt{"log_attempt",
                             R"sql(
  SELECT attempt, first FROM jobmill_progress
  WHERE id = $1 AND next > 0 AND ($2 = 0 OR attempt = $2) ORDER BY attempt DESC LIMIT 1)sql"};
constexpr Statement kLines{"log_lines",
                           R"sql(
  SELECT n, level::integer, at, text FROM jobmill_log
  WHERE id = $1 AND attempt = $2 AND n >= $3 ORDER BY n)sql"};

constexpr Statement kResult{"read_result", "SELECT json FROM jobmill_result WHERE id = $1"};
constexpr Statement kExpireResults{"expire_results",
                                   "DELETE FROM jobmill_result WHERE until <= jobmill_now()"};

constexpr Statement kLockKey{"lock_key", "SELECT pg_advisory_xact_lock(1785684333, hashtext($1))"};
constexpr Statement kKey{"key", "SELECT payload, answer FROM jobmill_key WHERE key = $1"};
constexpr Statement kPutKey{"put_key",
                            R"sql(
  INSERT INTO jobmill_key (key, payload, answer, job, check_at)
  VALUES ($1, $2, $3, $4, $5))sql"};
// Keys whose job is gone or ended long ago are forgotten; the others are looked at again when that
// may be the case.
constexpr Statement kExpireKeys{"expire_keys",
                                R"sql(
  WITH page AS (
    SELECT k.key, d.at, h.id IS NOT NULL OR w.id IS NOT NULL AS active, jobmill_now() AS now
    FROM (SELECT * FROM jobmill_key WHERE check_at <= (SELECT jobmill_now())
          ORDER BY check_at LIMIT $2 FOR UPDATE SKIP LOCKED) k
    LEFT JOIN jobmill_done d ON d.id = ANY(ARRAY[k.job])
    LEFT JOIN jobmill_hot h ON h.id = ANY(ARRAY[k.job])
    LEFT JOIN jobmill_due w ON w.id = ANY(ARRAY[k.job])),
  later AS (
    UPDATE jobmill_key k
    SET check_at = CASE WHEN p.active THEN p.now ELSE p.at END + $1 * interval '1 microsecond'
    FROM page p
    WHERE k.key = p.key AND (p.active OR p.at > p.now - $1 * interval '1 microsecond')
    RETURNING k.key),
  forgotten AS (
    DELETE FROM jobmill_key WHERE key IN (SELECT key FROM page EXCEPT SELECT key FROM later))
  SELECT count(*) FROM page)sql"};

Parameters of(std::string_view id, int attempt) {
  Parameters parameters;
  parameters.uuid(id).int4(attempt);
  return parameters;
}

// Of too many lines the oldest are dropped.
Status shorten(Connection& connection, std::string_view id, int attempt, jobs::LogSize size) {
  constexpr int kPage = 1000;
  while (size.too_large()) {
    TRY(const Rows oldest, connection.run(kOldestLines, std::move(of(id, attempt).int4(kPage))));
    if (oldest.empty()) return {};
    for (std::size_t i = 0; i < oldest.size() && size.too_large(); ++i) {
      size.drop(oldest.int4(i, 1));
    }
    Pipeline pipeline(connection);
    pipeline.add(kDropLines, std::move(of(id, attempt).int8(size.first)));
    pipeline.add(kShorten, std::move(of(id, attempt).int8(size.first).int8(size.bytes)));
    TRY([[maybe_unused]] const auto done, pipeline.finish());
  }
  return {};
}

Status append(Connection& connection, std::string_view id, int attempt,
              std::span<const jobs::LogLine> lines) {
  Int4Array level(lines.size());
  TimestampArray at(lines.size());
  TextArray text(lines.size());
  std::int64_t bytes = 0;
  for (const jobs::LogLine& line : lines) {
    const std::string_view kept = jobs::shortened_line(line.text);
    level.add(static_cast<std::int32_t>(line.level));
    at.add(line.at);
    text.add(kept);
    bytes += static_cast<std::int64_t>(kept.size());
  }
  const auto count = static_cast<std::int64_t>(lines.size());
  TRY(const Rows room, connection.run(kExtend, std::move(of(id, attempt).int8(count).int8(bytes))));
  Parameters parameters = of(id, attempt);
  parameters.int8(room.int8(0, 0)).array(std::move(level)).array(std::move(at));
  TRY([[maybe_unused]] const Rows added,
      connection.run(kAppend, std::move(parameters.array(std::move(text)))));
  jobs::LogSize size;
  size.first = room.int8(0, 1);
  size.next = room.int8(0, 2);
  size.bytes = room.int8(0, 3);
  return shorten(connection, id, attempt, size);
}

}  // namespace

Status put_news(Connection& connection, const jobs::Report& report, int attempt) {
  if (report.progress) {
    const jobs::Progress& told = *report.progress;
    Parameters parameters = of(report.job_id, attempt);
    parameters.int8(told.done).int8(told.total).int8(told.failed);
    TRY([[maybe_unused]] const Rows put, connection.run(kProgress, parameters));
  }
  if (report.logs.empty()) return {};
  return append(connection, report.job_id, attempt, report.logs);
}

Result<jobs::JobLog> read_log(Connection& connection, std::string_view id, int attempt,
                              std::int64_t after) {
  jobs::JobLog log;
  log.attempt = attempt;
  log.next = after;
  TRY(const Rows found, connection.run(kAttempt, of(id, attempt)));
  if (found.empty()) return log;
  log.attempt = found.int4(0, 0);
  log.dropped = found.int8(0, 1);
  TRY(const Rows lines, connection.run(kLines, std::move(of(id, log.attempt).int8(after))));
  for (std::size_t i = 0; i < lines.size(); ++i) {
    log.lines.push_back({static_cast<jobs::LineLevel>(lines.int4(i, 1)), lines.timestamp(i, 2),
                         std::string(lines.text(i, 3))});
    log.next = lines.int8(i, 0) + 1;
  }
  return log;
}

Result<std::optional<std::string>> read_result(Connection& connection, std::string_view id) {
  TRY(const Rows rows, connection.run(kResult, Parameters().uuid(id)));
  return rows.empty() ? std::nullopt : std::optional(std::string(rows.text(0, 0)));
}

Result<std::optional<RequestKey>> lock_key(Connection& connection, std::string_view key) {
  TRY([[maybe_unused]] const Rows locked, connection.run(kLockKey, Parameters().text(key)));
  TRY(const Rows rows, connection.run(kKey, Parameters().text(key)));
  if (rows.empty()) return std::optional<RequestKey>();
  return std::optional(RequestKey{std::string(rows.text(0, 0)), std::string(rows.text(0, 1))});
}

Status put_key(Connection& connection, std::string_view key, const RequestKey& value,
               std::string_view job, TimePoint check_at) {
  Parameters parameters;
  parameters.text(key).text(value.payload).text(value.answer).uuid(job).timestamp(check_at);
  TRY([[maybe_unused]] const Rows put, connection.run(kPutKey, parameters));
  return {};
}

Result<std::int64_t> expire_results(Connection& connection) {
  TRY(const Rows rows, connection.run(kExpireResults));
  return rows.affected();
}

Result<std::int64_t> expire_keys(Connection& connection, Duration keep, int page) {
  TRY(const Rows rows, connection.run(kExpireKeys, Parameters().int8(keep.count()).int4(page)));
  return rows.int8(0, 0);
}

}  // namespace jobmill::postgres
