// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/message_tables.h"

#include <algorithm>
#include <tuple>
#include <utility>
#include <variant>

namespace jobmill::sqlite {
namespace {

using namespace broker;

#define NARROW                                                                                   \
  "queue, sequence, state, delivery_count, enqueued_at, expires_at, scheduled_for, message_id, " \
  "session_id, partition_key, enqueue_sequence, forwards, dead_letter_source"
constexpr std::size_t kColumns = 14;  // with the bytes

constexpr char kInsert[] = "INSERT INTO message (" NARROW
                           ", bytes) SELECT c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, "
                           "c13 FROM batch";
constexpr char kRemove[] = "DELETE FROM message WHERE queue = ?1 AND sequence BETWEEN ?2 AND ?3";
// c2 is the place in the order asked for.
constexpr char kRead[] =
    "SELECT c2, " NARROW ", bytes FROM batch CROSS JOIN message ON queue = c0 AND sequence = c1";
constexpr char kOrder[] = "SELECT queue, id FROM message ORDER BY queue, sequence";
// The length of a BLOB is in the beginning of its row, too.
constexpr char kByRow[] =
    "SELECT " NARROW ", id, length(bytes) FROM message WHERE id > ?1 ORDER BY id LIMIT ?2";
constexpr char kBySequence[] = "SELECT " NARROW R"sql(, id, length(bytes)
    FROM message WHERE (queue, sequence) > (?1, ?2)
   ORDER BY queue, sequence LIMIT ?3
)sql";

constexpr char kUpdate[] = R"sql(
  UPDATE message SET state = ?3, delivery_count = ?4, enqueued_at = ?5, expires_at = ?6,
         scheduled_for = ?7
   WHERE queue = ?1 AND sequence = ?2
)sql";
constexpr char kUpdateBytes[] = "UPDATE message SET bytes = ?3 WHERE queue = ?1 AND sequence = ?2";
constexpr char kCount[] =
    "UPDATE message SET delivery_count = ?3 WHERE queue = ?1 AND sequence = ?2";

constexpr char kReserve[] = "INSERT OR REPLACE INTO message_sequence (queue, next) VALUES (?1, ?2)";
constexpr char kSequences[] = "SELECT queue, next FROM message_sequence ORDER BY queue";

constexpr char kPutSession[] =
    "INSERT OR REPLACE INTO message_session (queue, session, state, at) VALUES (?1, ?2, ?3, ?4)";
constexpr char kRemoveSession[] = "DELETE FROM message_session WHERE queue = ?1 AND session = ?2";
constexpr char kSessions[] =
    "SELECT queue, session, state, at FROM message_session ORDER BY queue, session";

constexpr char kRemember[] =
    "INSERT OR REPLACE INTO message_duplicate (entity, key, until) VALUES (?1, ?2, ?3)";
constexpr char kForget[] = "DELETE FROM message_duplicate WHERE entity = ?1 AND until < ?2";
constexpr char kDuplicates[] =
    "SELECT entity, key, until FROM message_duplicate ORDER BY entity, until";

constexpr char kPutEntity[] = R"sql(
  INSERT OR REPLACE INTO message_entity (id, ns, description, created_at, updated_at)
  VALUES (?1, ?2, ?3, ?4, ?5)
)sql";
constexpr char kEntities[] =
    "SELECT id, ns, description, created_at, updated_at FROM message_entity ORDER BY id";
// ?1 is the entity, ?2 its first container and ?3 the first one of the next entity.
constexpr const char* kDeleteEntity[] = {
    "DELETE FROM message_entity WHERE id = ?1",
    "DELETE FROM message_duplicate WHERE entity = ?1",
};
constexpr const char* kDeleteContainers[] = {
    "DELETE FROM message WHERE queue >= ?1 AND queue < ?2",
    "DELETE FROM message_sequence WHERE queue >= ?1 AND queue < ?2",
    "DELETE FROM message_session WHERE queue >= ?1 AND queue < ?2",
};

constexpr char kPutNamespace[] = R"sql(
  INSERT INTO message_namespace (name, properties, rules) VALUES (?1, ?2, '[]')
  ON CONFLICT DO UPDATE SET properties = ?2
)sql";
constexpr char kPutNamespaceRules[] = R"sql(
  INSERT INTO message_namespace (name, properties, rules) VALUES (?1, '{}', ?2)
  ON CONFLICT DO UPDATE SET rules = ?2
)sql";
constexpr char kDeleteNamespace[] = "DELETE FROM message_namespace WHERE name = ?1";
constexpr char kNamespaces[] =
    "SELECT name, properties, rules FROM message_namespace ORDER BY name";

// A deferred message that a holder received again has two; the last one counts.
constexpr char kRecordOutcome[] = R"sql(
  INSERT OR REPLACE INTO message_outcome (holder, entity, sequence, message_id, outcome, at)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6)
)sql";

void add_row(Batch& rows, const InsertMessage& change) {
  const Message& message = *change.message;
  rows.add(number_of(change.queue)).add(message.sequence);
  rows.add(static_cast<int>(message.state)).add(std::int64_t{message.delivery_count});
  rows.add(message.enqueued_at).add(message.expires_at).add(message.scheduled_for);
  rows.add(message.message_id);
  for (const auto* text : {&message.session_id, &message.partition_key})
    *text ? rows.add(**text) : rows.add_null();
  rows.add(message.enqueue_sequence).add(int{message.forwards}).add(message.dead_letter_source);
  rows.add_blob(message.bytes ? std::string_view(*message.bytes) : std::string_view());
}

void add_rows(Batch& rows, const MessageWrite& write) {
  for (const Change& change : write.changes) {
    if (const auto* insert = std::get_if<InsertMessage>(&change)) add_row(rows, *insert);
  }
}

std::optional<std::string> maybe_text(const Statement& row, int column) {
  if (row.null(column)) return std::nullopt;
  return row.text(column);
}

// NARROW from column `at` on.
Message message_of(const Statement& row, int at) {
  Message message;
  message.sequence = row.number(at + 1);
  message.state = static_cast<MessageState>(row.number(at + 2));
  message.delivery_count = static_cast<std::uint32_t>(row.number(at + 3));
  message.enqueued_at = row.instant(at + 4);
  message.expires_at = row.maybe_instant(at + 5);
  message.scheduled_for = row.maybe_instant(at + 6);
  message.message_id = row.view(at + 7);
  message.session_id = maybe_text(row, at + 8);
  message.partition_key = maybe_text(row, at + 9);
  message.enqueue_sequence = row.number(at + 10);
  message.forwards = static_cast<std::uint8_t>(row.number(at + 11));
  message.dead_letter_source = row.view(at + 12);
  return message;
}

std::string owner_of(EntityId entity) { return "entity/" + std::to_string(entity); }
std::string owner_of(const std::string& name_space) { return "namespace/" + name_space; }

// All rows of a statement, each made by `read`, which answers a Result<T>.
template <class T, class F>
Result<std::vector<T>> all(Statement query, const F& read) {
  std::vector<T> rows;
  for (;;) {
    TRY(const bool some, query.step());
    if (!some) return rows;
    TRY(T row, read(query));
    rows.push_back(std::move(row));
  }
}

}  // namespace

Status MessageTables::apply(std::vector<MessageWrite>& writes) {
  TRY_VOID(insert(writes));
  for (const MessageWrite& write : writes) {
    if (!write.status) continue;
    for (const Change& change : write.changes)
      TRY_VOID(std::visit([this](const auto& one) { return make(one); }, change));
  }
  return remove(writes);
}

// Inserting is the one change that a row of its own can spoil: a number that is there already. So
// it comes first, and a statement that failed has left nothing behind.
Status MessageTables::insert(std::vector<MessageWrite>& writes) {
  Batch rows(kColumns);
  for (const MessageWrite& write : writes) add_rows(rows, write);
  if (rows.empty()) return {};
  const Status together = db_.use(kInsert, rows).run();
  if (together) return {};
  for (MessageWrite& write : writes) {
    if (!db_.in_transaction()) return together;  // the error was large enough to end it
    Batch own(kColumns);
    add_rows(own, write);
    if (!own.empty()) write.status = db_.use(kInsert, own).run();
  }
  return {};
}

// Messages are completed about in their order, so those of many writes lie in rows: each is one
// walk through the index.
Status MessageTables::remove(const std::vector<MessageWrite>& writes) {
  std::vector<MessageKey> keys;
  for (const MessageWrite& write : writes) {
    if (!write.status) continue;
    for (const Change& change : write.changes) {
      if (const auto* one = std::get_if<DeleteMessage>(&change))
        keys.push_back({number_of(one->queue), one->sequence});
    }
  }
  std::ranges::sort(keys, [](const MessageKey& a, const MessageKey& b) {
    return std::tie(a.queue, a.sequence) < std::tie(b.queue, b.sequence);
  });
  for (auto first = keys.begin(); first != keys.end();) {
    auto last = first;
    for (auto next = first;
         next != keys.end() && next->queue == first->queue && next->sequence - last->sequence <= 1;
         ++next)
      last = next;
    auto remove = db_.use(kRemove);
    remove.bind(1, first->queue).bind(2, first->sequence).bind(3, last->sequence);
    TRY_VOID(remove.run());
    first = last + 1;
  }
  return {};
}

Status MessageTables::make(const UpdateMessage& change) {
  const Message& message = *change.message;
  const std::int64_t queue = number_of(change.queue);
  auto update = db_.use(kUpdate);
  update.bind(1, queue).bind(2, message.sequence).bind(3, static_cast<int>(message.state));
  update.bind(4, std::int64_t{message.delivery_count}).bind(5, message.enqueued_at);
  update.bind(6, message.expires_at).bind(7, message.scheduled_for);
  TRY_VOID(update.run());
  if (!change.bytes_too) return {};
  auto bytes = db_.use(kUpdateBytes);
  return bytes.bind(1, queue).bind(2, message.sequence).bind_blob(3, *message.bytes).run();
}

Status MessageTables::make(const CountDelivery& change) {
  auto count = db_.use(kCount);
  count.bind(1, number_of(change.queue)).bind(2, change.sequence);
  return count.bind(3, std::int64_t{change.delivery_count}).run();
}

Status MessageTables::make(const ReserveSequences& change) {
  return db_.use(kReserve).bind(1, number_of(change.queue)).bind(2, change.next).run();
}

Status MessageTables::make(const PutSessionState& change) {
  auto query = db_.use(change.state ? kPutSession : kRemoveSession);
  query.bind(1, number_of(change.queue)).bind(2, change.session);
  if (change.state) query.bind_blob(3, *change.state).bind(4, change.at);
  return query.run();
}

Status MessageTables::make(const RememberDuplicate& change) {
  return db_.use(kRemember).bind(1, change.entity).bind(2, change.key).bind(3, change.until).run();
}

Status MessageTables::make(const ForgetDuplicates& change) {
  return db_.use(kForget).bind(1, change.entity).bind(2, change.before).run();
}

Status MessageTables::make(const PutEntity& change) {
  const StoredEntity& entity = *change.entity;
  TRY(const std::string description, json_.text(entity.description, owner_of(entity.id)));
  auto put = db_.use(kPutEntity);
  put.bind(1, entity.id).bind(2, entity.name_space).bind(3, description);
  return put.bind(4, entity.created_at).bind(5, entity.updated_at).run();
}

Status MessageTables::make(const DeleteEntity& change) {
  for (const char* sql : kDeleteEntity) TRY_VOID(db_.use(sql).bind(1, change.id).run());
  const std::int64_t first = number_of({.entity = change.id});
  const std::int64_t end = number_of({.entity = change.id + 1});
  for (const char* sql : kDeleteContainers)
    TRY_VOID(db_.use(sql).bind(1, first).bind(2, end).run());
  return {};
}

Status MessageTables::make(const PutNamespace& change) {
  return db_.use(kPutNamespace).bind(1, change.name).bind(2, change.properties).run();
}

Status MessageTables::make(const DeleteNamespace& change) {
  return db_.use(kDeleteNamespace).bind(1, change.name).run();
}

Status MessageTables::make(const PutNamespaceRules& change) {
  TRY(const std::string rules, json_.text(change.rules, owner_of(change.name_space)));
  return db_.use(kPutNamespaceRules).bind(1, change.name_space).bind(2, rules).run();
}

Status MessageTables::make(const RecordOutcome& change) {
  const HolderOutcome& record = *change.outcome;
  auto put = db_.use(kRecordOutcome);
  put.bind(1, record.holder).bind(2, record.entity).bind(3, record.sequence);
  return put.bind(4, record.message_id).bind(5, record.outcome).bind(6, record.at).run();
}

Result<std::vector<std::shared_ptr<const Message>>> MessageTables::read(
    const std::vector<MessageKey>& keys) {
  std::vector<std::shared_ptr<const Message>> found(keys.size());
  Batch wanted(3);
  for (const MessageKey& key : keys)
    wanted.add(key.queue).add(key.sequence).add(static_cast<std::int64_t>(wanted.rows()));
  auto query = db_.use(kRead, wanted);
  for (;;) {
    TRY(const bool some, query.step());
    if (!some) return found;
    auto message = std::make_shared<Message>(message_of(query, 1));
    message->bytes = std::make_shared<const std::string>(query.blob(kColumns));
    message->size = static_cast<std::uint32_t>(message->bytes->size());
    found[static_cast<std::size_t>(query.number(0))] = std::move(message);
  }
}

// Reads the index only.
Result<bool> MessageTables::rows_in_order() {
  auto query = db_.use(kOrder);
  std::int64_t queue = -1, row = 0;
  for (;;) {
    TRY(const bool some, query.step());
    if (!some) return true;
    if (query.number(0) == queue && query.number(1) < row) return false;
    queue = query.number(0);
    row = query.number(1);
  }
}

Result<MessageTables::Page> MessageTables::by_row(std::int64_t after, int limit) {
  auto query = db_.use(kByRow);
  query.bind(1, after).bind(2, limit);
  return page(std::move(query));
}

Result<MessageTables::Page> MessageTables::by_sequence(const MessageKey& after, int limit) {
  auto query = db_.use(kBySequence);
  query.bind(1, after.queue).bind(2, after.sequence).bind(3, limit);
  return page(std::move(query));
}

Result<MessageTables::Page> MessageTables::page(Statement query) {
  Page page;
  for (;;) {
    TRY(const bool some, query.step());
    if (!some) return page;
    page.messages.push_back({queue_of(query.number(0)), message_of(query, 0)});
    page.last_row = query.number(kColumns - 1);
    page.messages.back().message.size = static_cast<std::uint32_t>(query.number(kColumns));
  }
}

Result<std::vector<StoredEntity>> MessageTables::entities() {
  return all<StoredEntity>(db_.use(kEntities),
                           [this](const Statement& row) -> Result<StoredEntity> {
                             const EntityId id = row.number(0);
                             TRY(auto description, json_.queue(row.view(2), owner_of(id)));
                             return StoredEntity{.id = id,
                                                 .name_space = row.text(1),
                                                 .description = std::move(description),
                                                 .created_at = row.instant(3),
                                                 .updated_at = row.instant(4)};
                           });
}

Result<std::vector<StoredNamespace>> MessageTables::namespaces() {
  return all<StoredNamespace>(db_.use(kNamespaces),
                              [this](const Statement& row) -> Result<StoredNamespace> {
                                const std::string name = row.text(0);
                                TRY(auto rules, json_.rules(row.view(2), owner_of(name)));
                                return StoredNamespace{name, row.text(1), std::move(rules)};
                              });
}

Result<std::vector<StoredSequence>> MessageTables::sequences() {
  return all<StoredSequence>(db_.use(kSequences),
                             [](const Statement& row) -> Result<StoredSequence> {
                               return StoredSequence{queue_of(row.number(0)), row.number(1)};
                             });
}

Result<std::vector<StoredSession>> MessageTables::sessions() {
  return all<StoredSession>(db_.use(kSessions), [](const Statement& row) -> Result<StoredSession> {
    return StoredSession{queue_of(row.number(0)), row.text(1), std::string(row.blob(2)),
                         row.instant(3)};
  });
}

Result<std::vector<RememberDuplicate>> MessageTables::duplicates() {
  return all<RememberDuplicate>(
      db_.use(kDuplicates), [](const Statement& row) -> Result<RememberDuplicate> {
        return RememberDuplicate{row.number(0), row.text(1), row.instant(2)};
      });
}

}  // namespace jobmill::sqlite
