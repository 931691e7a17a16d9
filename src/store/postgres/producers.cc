// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/producers.h"

#include <libpq-fe.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/duration.h"
#include "base/id.h"
#include "base/json_writer.h"
#include "jobs/spec_json.h"

namespace jobmill::postgres {
namespace {

// --- within a transaction ------------------------------------------------------------------------

struct ClearResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using Answer = std::unique_ptr<PGresult, ClearResult>;

std::string text_of(const char* text) { return text == nullptr ? std::string() : text; }

Peer peer_of(const PGconn* connection) {
  return {text_of(PQuser(connection)), text_of(PQhost(connection)), text_of(PQdb(connection))};
}

void write_spec(JsonWriter& json, const jobs::JobSpec& spec) {
  json.object();
  write_members(json, spec);
  if (!spec.id.empty()) json.member("id", canonical_id(spec.id));
  if (spec.run_at) json.member("run_at", format_instant(*spec.run_at));
  if (spec.delay) json.member("delay", format_iso(*spec.delay));
  if (spec.count) json.member("count", *spec.count);
  if (!spec.created_by.empty()) json.member("created_by", spec.created_by);
  json.end();
}

std::string specs_json(std::span<const jobs::JobSpec> specs) {
  JsonWriter json;
  json.array();
  for (const jobs::JobSpec& spec : specs) write_spec(json, spec);
  return std::move(json.end()).text();
}

std::string call_of(std::string_view schema) {
  std::string name;
  if (!schema.empty()) {
    for (const char c : schema) name.append(c == '"' ? 2 : 1, c);
    name = '"' + name + "\".";
  }
  return "SELECT " + name + "jobmill_enqueue_many($1::jsonb)";
}

// What the function itself refuses has a message for the producer; anything else is the server's.
Fault fault_of(const PGresult* answer, const PGconn* connection) {
  const std::string state = text_of(PQresultErrorField(answer, PG_DIAG_SQLSTATE));
  const std::string message = text_of(PQresultErrorField(answer, PG_DIAG_MESSAGE_PRIMARY));
  if (state == "22023") return fail(Code::InvalidArgument, message);
  if (state == "54000") return fail(Code::Exhausted, message);
  if (state == "23505") return fail(Code::AlreadyExists, message);
  if (state == "25P02") {
    return fail(Code::InvalidArgument, "the transaction has failed before; roll it back");
  }
  if (!state.empty()) {
    const std::string detail = text_of(PQresultErrorField(answer, PG_DIAG_MESSAGE_DETAIL));
    return statement_fault({.sqlstate = state, .message = message, .detail = detail},
                           peer_of(connection));
  }
  const std::string spoken = PQerrorMessage(connection);
  return statement_fault(
      {.sqlstate = PQstatus(connection) == CONNECTION_OK ? "" : "08006", .message = spoken},
      peer_of(connection));
}

// --- settings ------------------------------------------------------------------------------------

constexpr Statement kPutRetries{"put_retry_settings", R"sql(
  WITH wanted AS (SELECT * FROM unnest($1::text[], $2::text[]) u(name, value)),
  gone AS (
    DELETE FROM jobmill_setting
    WHERE (name = 'retries' OR name LIKE 'retries of %') AND name NOT IN (SELECT name FROM wanted))
  INSERT INTO jobmill_setting AS s (name, value) SELECT name, value FROM wanted
  ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE s.value <> excluded.value)sql"};

// --- counters ------------------------------------------------------------------------------------

// A deleted shard is written no more until its writer makes it anew: it waits for this statement
// at most. Those that somebody is writing are left for the next time.
constexpr Statement kFold{"fold_counts", R"sql(
  WITH page AS (
    SELECT lane, shard FROM jobmill_count c
    WHERE shard < 0
       OR (shard > 0 AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = c.shard))
    LIMIT $1 FOR UPDATE OF c SKIP LOCKED),
  gone AS (
    DELETE FROM jobmill_count c USING page p WHERE c.lane = p.lane AND c.shard = p.shard
    RETURNING c.*),
  folded AS (
    INSERT INTO jobmill_count AS c (lane, shard, enqueued, scheduled, running, succeeded, failed,
                                    deleted)
    SELECT lane, 0, sum(enqueued), sum(scheduled), sum(running), sum(succeeded), sum(failed),
           sum(deleted)
    FROM gone GROUP BY lane ORDER BY lane
    ON CONFLICT (lane, shard) DO UPDATE SET enqueued = c.enqueued + excluded.enqueued,
      scheduled = c.scheduled + excluded.scheduled, running = c.running + excluded.running,
      succeeded = c.succeeded + excluded.succeeded, failed = c.failed + excluded.failed,
      deleted = c.deleted + excluded.deleted)
  SELECT count(*) FROM gone)sql"};

}  // namespace

Result<jobs::InsertResult> insert_within(pg_conn* connection, std::string_view schema,
                                         std::span<const jobs::JobSpec> specs) {
  const std::string encoding = text_of(PQparameterStatus(connection, "client_encoding"));
  if (!encoding.empty() && encoding != "UTF8") {
    return fail(Code::InvalidArgument, "client_encoding: must be UTF8, is " + encoding);
  }
  const std::string json = specs_json(specs);
  const char* value = json.c_str();
  const Answer answer(
      PQexecParams(connection, call_of(schema).c_str(), 1, nullptr, &value, nullptr, nullptr, 0));
  if (PQresultStatus(answer.get()) != PGRES_TUPLES_OK) return fault_of(answer.get(), connection);

  jobs::InsertResult result;
  for (const jobs::JobSpec& spec : specs) result.total += spec.count.value_or(1);
  for (int row = 0; row < PQntuples(answer.get()); ++row) {
    result.jobs.push_back({.id = PQgetvalue(answer.get(), row, 0)});
  }
  return result;
}

Status put_retry_settings(Connection& connection, const jobs::RetryRules& rules) {
  TextArray names, values;
  const auto put = [&](std::string_view name, std::string_view kind) {
    names.add(name);
    values.add(std::to_string(jobs::choose_retry(rules, {}, kind).max_retries));
  };
  put("retries", {});
  std::vector<std::string_view> kinds;
  for (const jobs::RetryRuleFor& rule : rules.list) {
    if (!rule.kind.empty() && rule.error.empty()) kinds.push_back(rule.kind);
  }
  std::ranges::sort(kinds);
  kinds.erase(std::unique(kinds.begin(), kinds.end()), kinds.end());
  for (const std::string_view kind : kinds) put("retries of " + std::string(kind), kind);
  TRY([[maybe_unused]] const Rows written,
      connection.run(kPutRetries, Parameters().array(std::move(names)).array(std::move(values))));
  return {};
}

Result<std::int64_t> fold_counts(Connection& connection, int page) {
  TRY(const Rows rows, connection.run(kFold, Parameters().int4(page)));
  return rows.int8(0, 0);
}

}  // namespace jobmill::postgres
