// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/access_store.h"

#include <limits>
#include <utility>

#include "base/document.h"
#include "base/json_writer.h"

namespace jobmill::sqlite {

using access::AccessToken;
using access::AuditEntry;
using access::AuditQuery;
using access::Session;

namespace {

constexpr char kSessions[] =
    "SELECT id, key, user, role, address, foreign_user, started, seen FROM session";
constexpr char kPutSession[] = R"sql(
  INSERT OR REPLACE INTO session (id, key, user, role, address, foreign_user, started, seen)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
)sql";
constexpr char kRemoveSession[] = "DELETE FROM session WHERE id = ?1";
constexpr char kSessionSeen[] = "UPDATE session SET seen = ?2 WHERE id = ?1";

constexpr char kTokens[] =
    "SELECT id, key, name, scopes, queues, creator, created, expires, used FROM access_token";
constexpr char kPutToken[] = R"sql(
  INSERT OR REPLACE INTO access_token
    (id, key, name, scopes, queues, creator, created, expires, used)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
)sql";
constexpr char kRemoveToken[] = "DELETE FROM access_token WHERE id = ?1";
constexpr char kTokenUsed[] = "UPDATE access_token SET used = ?2 WHERE id = ?1";

constexpr char kAppend[] = R"sql(
  INSERT INTO audit (at, user, address, action, target, before, after, status)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
)sql";
// Walks back from one entry: pages do not shift while others are appended.
constexpr char kAudit[] = R"sql(
  SELECT id, at, user, address, action, target, before, after, status FROM audit
   WHERE id < ?1 AND (?2 = '' OR user = ?2)
     AND (?3 = '' OR action = ?3) AND (?4 = '' OR substr(action, 1, length(?4)) = ?4)
     AND (?5 = '' OR instr(target, ?5) > 0) AND at >= ?6 AND at < ?7
   ORDER BY id DESC LIMIT ?8
)sql";
constexpr char kForgetAudit[] = "DELETE FROM audit WHERE at < ?1";

std::string queues_json(const std::vector<std::string>& queues) {
  JsonWriter json;
  json.array();
  for (const std::string& queue : queues) json.value(queue);
  return std::move(json.end()).text();
}

std::vector<std::string> read_queues(std::string_view json) {
  std::vector<std::string> queues;
  const auto list = parse_json(json);
  if (!list) return queues;  // written above
  for (const Node& item : list->items) queues.push_back(item.text);
  return queues;
}

Session read_session(const Statement& row) {
  return {.id = row.text(0),
          .key = row.text(1),
          .user = row.text(2),
          .role = row.text(3),
          .address = row.text(4),
          .foreign_user = row.number(5) != 0,
          .started = row.instant(6),
          .seen = row.instant(7)};
}

AccessToken read_token(const Statement& row) {
  return {.id = row.text(0),
          .key = row.text(1),
          .name = row.text(2),
          .scopes = static_cast<unsigned>(row.number(3)),
          .queues = read_queues(row.view(4)),
          .creator = row.text(5),
          .created = row.instant(6),
          .expires = row.maybe_instant(7),
          .used = row.maybe_instant(8)};
}

AuditEntry read_entry(const Statement& row) {
  return {.id = row.number(0),
          .at = row.instant(1),
          .user = row.text(2),
          .address = row.text(3),
          .action = row.text(4),
          .target = row.text(5),
          .before = row.text(6),
          .after = row.text(7),
          .status = static_cast<int>(row.number(8))};
}

template <class T>
Result<std::vector<T>> read_all(Statement query, T (*read)(const Statement&)) {
  std::vector<T> all;
  for (;;) {
    TRY(const bool row, query.step());
    if (!row) return all;
    all.push_back(read(query));
  }
}

}  // namespace

Result<std::vector<Session>> AccessStore::sessions() {
  return file_.run<std::vector<Session>>(
      [](Database& db) { return read_all(db.use(kSessions), read_session); });
}

Result<std::vector<AccessToken>> AccessStore::tokens() {
  return file_.run<std::vector<AccessToken>>(
      [](Database& db) { return read_all(db.use(kTokens), read_token); });
}

void AccessStore::save(const Session& session, Done done) {
  file_.queue().submit(
      [this, s = session]() -> Status {
        return file_.db()
            .use(kPutSession)
            .bind(1, s.id)
            .bind(2, s.key)
            .bind(3, s.user)
            .bind(4, s.role)
            .bind(5, s.address)
            .bind(6, s.foreign_user ? 1 : 0)
            .bind(7, s.started)
            .bind(8, s.seen)
            .run();
      },
      std::move(done));
}

void AccessStore::remove_session(const std::string& id, Done done) {
  file_.queue().submit([this, id] { return file_.db().use(kRemoveSession).bind(1, id).run(); },
                       std::move(done));
}

void AccessStore::save(const AccessToken& token, Done done) {
  file_.queue().submit(
      [this, t = token]() -> Status {
        const std::string queues = queues_json(t.queues);
        return file_.db()
            .use(kPutToken)
            .bind(1, t.id)
            .bind(2, t.key)
            .bind(3, t.name)
            .bind(4, static_cast<std::int64_t>(t.scopes))
            .bind(5, queues)
            .bind(6, t.creator)
            .bind(7, t.created)
            .bind(8, t.expires)
            .bind(9, t.used)
            .run();
      },
      std::move(done));
}

void AccessStore::remove_token(const std::string& id, Done done) {
  file_.queue().submit([this, id] { return file_.db().use(kRemoveToken).bind(1, id).run(); },
                       std::move(done));
}

void AccessStore::touch(const char* sql, const std::string& id, TimePoint at) {
  file_.queue().submit(
      [this, sql, id, at] { return file_.db().use(sql).bind(1, id).bind(2, at).run(); }, {},
      CommitQueue::Mode::ChecksFirst, CommitQueue::Durability::Relaxed);
}

void AccessStore::session_seen(const std::string& id, TimePoint at) { touch(kSessionSeen, id, at); }
void AccessStore::token_used(const std::string& id, TimePoint at) { touch(kTokenUsed, id, at); }

void AccessStore::append(const AuditEntry& entry, Done done) {
  file_.queue().submit(
      [this, e = entry]() -> Status {
        return file_.db()
            .use(kAppend)
            .bind(1, e.at)
            .bind(2, e.user)
            .bind(3, e.address)
            .bind(4, e.action)
            .bind(5, e.target)
            .bind(6, e.before)
            .bind(7, e.after)
            .bind(8, e.status)
            .run();
      },
      std::move(done));
}

Result<std::vector<AuditEntry>> AccessStore::audit(const AuditQuery& query) {
  constexpr auto kEver = std::numeric_limits<std::int64_t>::max();
  return file_.run<std::vector<AuditEntry>>([&](Database& db) {
    const bool family = query.action.ends_with('*');
    const std::string exact = family ? std::string() : query.action;
    const std::string begin = family ? query.action.substr(0, query.action.size() - 1) : "";
    auto statement = db.use(kAudit);
    statement.bind(1, query.before_id > 0 ? query.before_id : kEver)
        .bind(2, query.user)
        .bind(3, exact)
        .bind(4, begin)
        .bind(5, query.target)
        .bind(6, query.from.value_or(TimePoint(Duration(0))))
        .bind(7, query.to.value_or(TimePoint(Duration(kEver))))
        .bind(8, static_cast<std::int64_t>(query.limit));
    return read_all(std::move(statement), read_entry);
  });
}

Status AccessStore::forget_audit(TimePoint before) {
  return file_.run<void>(
      [before](Database& db) { return db.use(kForgetAudit).bind(1, before).run(); });
}

}  // namespace jobmill::sqlite
