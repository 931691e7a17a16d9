// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/ledger_store.h"

#include <limits>
#include <utility>

namespace jobmill::sqlite {

using scale::LedgerQuery;
using scale::LedgerRecord;

namespace {

constexpr Duration kKept = std::chrono::days(400);
constexpr std::int64_t kChunk = 500;

constexpr char kAddTarget[] = "INSERT OR IGNORE INTO decision_target (name) VALUES (?1)";
// A record that is there already keeps what it says.
constexpr char kAppend[] = R"sql(
  INSERT OR IGNORE INTO decision
         (target, id, at, until, repeated, kind, was, becomes, rule, sentence, document)
  SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 FROM decision_target WHERE name = ?1
)sql";
constexpr char kExtend[] = R"sql(
  UPDATE decision SET repeated = ?3, until = ?4
   WHERE target = (SELECT id FROM decision_target WHERE name = ?1) AND id = ?2
)sql";
constexpr char kTrim[] = R"sql(
  DELETE FROM decision WHERE seq IN (
    SELECT seq FROM decision
     WHERE target = (SELECT id FROM decision_target WHERE name = ?1)
     ORDER BY at DESC, seq DESC LIMIT ?3 OFFSET ?2)
)sql";
constexpr char kPrune[] = R"sql(
  DELETE FROM decision WHERE seq IN (
    SELECT d.seq FROM decision_target t JOIN decision d ON d.target = t.id AND d.at < ?1
     LIMIT ?2)
)sql";

constexpr char kPlace[] = R"sql(
  SELECT at, seq FROM decision
   WHERE target = (SELECT id FROM decision_target WHERE name = ?1) AND id = ?2
)sql";
constexpr char kList[] = R"sql(
  SELECT id, at, until, repeated, kind, was, becomes, rule, sentence,
         CASE WHEN ?7 THEN document ELSE '' END
    FROM decision
   WHERE target = (SELECT id FROM decision_target WHERE name = ?1)
     AND at >= ?2 AND at < ?3 AND (at, seq) < (?4, ?5)
   ORDER BY at DESC, seq DESC LIMIT ?6
)sql";
constexpr char kCount[] = R"sql(
  SELECT count(*) FROM decision
   WHERE target = (SELECT id FROM decision_target WHERE name = ?1) AND at >= ?2 AND at < ?3
)sql";
constexpr char kFind[] = R"sql(
  SELECT id, at, until, repeated, kind, was, becomes, rule, sentence, document FROM decision
   WHERE target = (SELECT id FROM decision_target WHERE name = ?1) AND id = ?2
)sql";
constexpr char kInForce[] = R"sql(
  SELECT id, at, until, repeated, kind, was, becomes, rule, sentence, document FROM decision
   WHERE target = (SELECT id FROM decision_target WHERE name = ?1) AND at <= ?2
   ORDER BY at DESC, seq DESC LIMIT 1
)sql";
constexpr char kLastChange[] = R"sql(
  SELECT id, at, until, repeated, kind, was, becomes, rule, sentence, document FROM decision
   WHERE target = (SELECT id FROM decision_target WHERE name = ?1) AND at <= ?2
     AND was <> becomes
   ORDER BY at DESC, seq DESC LIMIT 1
)sql";

LedgerRecord record_of(const Statement& row, const std::string& target) {
  return {.target = target,
          .id = row.text(0),
          .at = row.instant(1),
          .until = row.instant(2),
          .repeated = row.number(3),
          .kind = row.text(4),
          .from = static_cast<int>(row.number(5)),
          .to = static_cast<int>(row.number(6)),
          .rule = row.text(7),
          .sentence = row.text(8),
          .document = row.text(9)};
}

struct Place {
  TimePoint at = TimePoint::max();
  std::int64_t seq = std::numeric_limits<std::int64_t>::max();
};

Result<Place> place_before(Database& db, const LedgerQuery& query) {
  if (query.before.empty()) return Place();
  auto found = db.use(kPlace);
  TRY(const bool row, found.bind(1, query.target).bind(2, query.before).step());
  if (!row) return fail(Code::InvalidArgument, "before: no decision '" + query.before + "'");
  return Place{found.instant(0), found.number(1)};
}

Status write(Database& db, const LedgerRecord& record) {
  TRY_VOID(db.use(kAddTarget).bind(1, record.target).run());
  auto append = db.use(kAppend);
  append.bind(1, record.target).bind(2, record.id).bind(3, record.at).bind(4, record.until);
  append.bind(5, record.repeated).bind(6, record.kind).bind(7, record.from).bind(8, record.to);
  append.bind(9, record.rule).bind(10, record.sentence).bind(11, record.document);
  TRY_VOID(append.run());
  if (db.last_insert_rowid() % kChunk != 0) return {};
  auto trim = db.use(kTrim);
  return trim.bind(1, record.target).bind(2, LedgerStore::kMostRecords).bind(3, 2 * kChunk).run();
}

}  // namespace

void LedgerStore::submit(std::function<Status(Database&)> work) {
  file_.queue().submit([&file = file_, work = std::move(work)] { return work(file.db()); },
                       [failed = failed_](const Status& status) {
                         if (!status && failed) failed(status.error());
                       },
                       CommitQueue::Mode::Savepoint, CommitQueue::Durability::Relaxed);
}

void LedgerStore::append(LedgerRecord record) {
  submit([record = std::move(record)](Database& db) { return write(db, record); });
}

void LedgerStore::extend(const std::string& target, const std::string& id, std::int64_t repeated,
                         TimePoint until) {
  submit([=](Database& db) {
    return db.use(kExtend).bind(1, target).bind(2, id).bind(3, repeated).bind(4, until).run();
  });
}

Result<std::vector<LedgerRecord>> LedgerStore::list(const LedgerQuery& query) {
  return file_.run<std::vector<LedgerRecord>>(
      [&](Database& db) -> Result<std::vector<LedgerRecord>> {
        TRY(const Place before, place_before(db, query));
        auto rows = db.use(kList);
        rows.bind(1, query.target).bind(2, query.from.value_or(TimePoint::min()));
        rows.bind(3, query.to.value_or(TimePoint::max())).bind(4, before.at).bind(5, before.seq);
        rows.bind(6, query.limit).bind(7, query.documents ? 1 : 0);
        std::vector<LedgerRecord> out;
        for (;;) {
          TRY(const bool found, rows.step());
          if (!found) return out;
          out.push_back(record_of(rows, query.target));
        }
      });
}

Result<std::int64_t> LedgerStore::count(const LedgerQuery& query) {
  return file_.run<std::int64_t>([&](Database& db) -> Result<std::int64_t> {
    auto rows = db.use(kCount);
    rows.bind(1, query.target).bind(2, query.from.value_or(TimePoint::min()));
    TRY([[maybe_unused]] const bool row, rows.bind(3, query.to.value_or(TimePoint::max())).step());
    return rows.number(0);
  });
}

Result<LedgerRecord> LedgerStore::find(const std::string& target, const std::string& id) {
  return file_.run<LedgerRecord>([&](Database& db) -> Result<LedgerRecord> {
    auto row = db.use(kFind);
    TRY(const bool found, row.bind(1, target).bind(2, id).step());
    if (!found) return fail(Code::NotFound, "there is no decision '" + id + "' (any more)");
    return record_of(row, target);
  });
}

Result<std::optional<LedgerRecord>> LedgerStore::in_force(const std::string& target, TimePoint at,
                                                          bool changed) {
  return file_.run<std::optional<LedgerRecord>>(
      [&](Database& db) -> Result<std::optional<LedgerRecord>> {
        auto row = db.use(changed ? kLastChange : kInForce);
        TRY(const bool found, row.bind(1, target).bind(2, at).step());
        if (!found) return std::optional<LedgerRecord>();
        return std::optional(record_of(row, target));
      });
}

Result<bool> LedgerStore::prune(TimePoint now, std::int64_t limit) {
  return file_.run<bool>([&](Database& db) -> Result<bool> {
    TRY_VOID(db.use(kPrune).bind(1, now - kKept).bind(2, limit).run());
    return db.changes() == limit;
  });
}

}  // namespace jobmill::sqlite
