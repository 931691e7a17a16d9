// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/execution_store.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>

#include "base/json_writer.h"
#include "base/seal.h"
#include "store/json_fields.h"

namespace jobmill::sqlite {

using namespace store;

using namespace executions;

namespace {

constexpr char kPutJob[] = R"sql(
  INSERT OR REPLACE INTO container_job (grp, name, document, secrets, generation, created, updated)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
)sql";
constexpr char kRemoveJob[] = "DELETE FROM container_job WHERE grp = ?1 AND name = ?2";
constexpr char kJobs[] = R"sql(
  SELECT grp, name, document, secrets, generation, created, updated
    FROM container_job ORDER BY grp, name
)sql";

constexpr char kPut[] = R"sql(
  INSERT INTO execution (name, grp, job, status, created, finished, document)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
  ON CONFLICT (name) DO UPDATE
     SET status = excluded.status, finished = excluded.finished, document = excluded.document
)sql";
constexpr char kUnfinished[] = R"sql(
  SELECT document FROM execution WHERE finished IS NULL ORDER BY id
)sql";
constexpr char kFind[] = R"sql(
  SELECT document FROM execution WHERE name = ?1 AND grp = ?2 AND job = ?3
)sql";
constexpr char kFindAny[] = "SELECT document FROM execution WHERE name = ?1";
constexpr char kPlaceOfAny[] = "SELECT created, id FROM execution WHERE name = ?1";
// Ids are given in the order of creation.
constexpr char kListAll[] = R"sql(
  SELECT document FROM execution
   WHERE created >= ?1 AND id < ?2 AND (?3 = '' OR status = ?3)
   ORDER BY id DESC LIMIT ?4
)sql";
constexpr char kPlace[] = R"sql(
  SELECT created, id FROM execution WHERE name = ?1 AND grp = ?2 AND job = ?3
)sql";
constexpr char kList[] = R"sql(
  SELECT document FROM execution
   WHERE grp = ?1 AND job = ?2 AND created >= ?3 AND (created, id) < (?4, ?5)
     AND (?6 = '' OR status = ?6)
   ORDER BY created DESC, id DESC LIMIT ?7
)sql";

// The two reasons to forget an execution, each with its own way through the index: of many that
// are kept none is read.
constexpr char kTooOld[] = R"sql(
  SELECT name FROM execution
   WHERE grp = ?1 AND job = ?2 AND finished < ?3 ORDER BY finished LIMIT ?4
)sql";
constexpr char kTooMany[] = R"sql(
  SELECT name FROM execution
   WHERE grp = ?1 AND job = ?2 AND finished IS NOT NULL
   ORDER BY finished DESC LIMIT ?4 OFFSET ?3
)sql";
constexpr char kForget[] = "DELETE FROM execution WHERE name = ?1";
// A replica is <execution>-<5 characters>; '.' comes after '-'. Without the length, replicas of a
// job that has the name of this execution would be meant too.
constexpr char kForgetOutcomes[] = R"sql(
  DELETE FROM message_outcome
   WHERE holder > ?1 || '-' AND holder < ?1 || '.' AND length(holder) = length(?1) + 6
)sql";
constexpr char kOutcomes[] = R"sql(
  SELECT entity, sequence, message_id, outcome, at
    FROM message_outcome WHERE holder = ?1 ORDER BY at, sequence
)sql";

using Column = std::vector<std::string>;  // one text of each row

std::string full_name(const JobKey& key) { return "job/" + key.group + "/" + key.name; }

Result<Column> first_column(Statement query) {
  Column texts;
  for (;;) {
    TRY(const bool found, query.step());
    if (!found) return texts;
    texts.push_back(query.text(0));
  }
}

Result<Execution> parse_execution(const std::string& json) {
  TRY(const Node document, parse_kept(json));
  return execution_from(document);
}

// Outside of the commit thread, which others wait for.
Result<std::vector<Execution>> parse_executions(const Column& documents) {
  std::vector<Execution> list;
  for (const std::string& document : documents) {
    TRY(Execution execution, parse_execution(document));
    list.push_back(std::move(execution));
  }
  return list;
}

struct Place {
  TimePoint created = TimePoint::max();
  std::int64_t id = std::numeric_limits<std::int64_t>::max();
};

Result<Place> place_after(Database& db, const ExecutionQuery& query) {
  if (query.after.empty()) return Place();
  auto found = db.use(query.job.name.empty() ? kPlaceOfAny : kPlace);
  found.bind(1, query.after);
  if (!query.job.name.empty()) found.bind(2, query.job.group).bind(3, query.job.name);
  TRY(const bool row, found.step());
  if (!row) return fail(Code::InvalidArgument, "no execution '" + query.after + "' to go on after");
  return Place{found.instant(0), found.number(1)};
}

Result<Column> list_documents(Database& db, const ExecutionQuery& query) {
  TRY(const Place after, place_after(db, query));
  const std::string status(query.status ? to_string(*query.status) : "");
  if (query.job.name.empty()) {
    auto all = db.use(kListAll);
    all.bind(1, query.since.value_or(TimePoint::min())).bind(2, after.id).bind(3, status);
    all.bind(4, static_cast<std::int64_t>(query.limit));
    return first_column(std::move(all));
  }
  auto list = db.use(kList);
  list.bind(1, query.job.group).bind(2, query.job.name);
  list.bind(3, query.since.value_or(TimePoint::min()));
  list.bind(4, after.created).bind(5, after.id).bind(6, status);
  list.bind(7, static_cast<std::int64_t>(query.limit));
  return first_column(std::move(list));
}

Result<Column> names_to_forget(Database& db, const JobKey& job, const History& history,
                               TimePoint now, std::size_t limit) {
  auto old = db.use(kTooOld);
  old.bind(1, job.group).bind(2, job.name).bind(3, now - history.age);
  old.bind(4, static_cast<std::int64_t>(limit));
  TRY(Column names, first_column(std::move(old)));
  if (!history.keep) return names;
  auto many = db.use(kTooMany);
  many.bind(1, job.group).bind(2, job.name).bind(3, *history.keep);
  many.bind(4, static_cast<std::int64_t>(limit));
  TRY(const Column more, first_column(std::move(many)));
  for (const std::string& name : more) {
    if (names.size() < limit && std::ranges::find(names, name) == names.end())
      names.push_back(name);
  }
  return names;
}

std::string secrets_json(const ContainerJob& job) {
  JsonWriter json;
  json.object();
  for (const auto& [name, value] : job.secrets) json.key_text(name).value(value.reveal());
  return std::move(json.end()).text();
}

}  // namespace

struct ExecutionStore::JobRow {
  JobKey key;
  std::string document;
  std::string secrets;
  std::int64_t generation = 1;
  TimePoint created{};
  TimePoint updated{};
};

Result<std::unique_ptr<ExecutionStore>> ExecutionStore::open(SqliteFile& file,
                                                             const std::string& key_path,
                                                             Post post) {
  TRY(Secret key, load_or_create_key(key_path));
  std::unique_ptr<ExecutionStore> store(
      new ExecutionStore(file, std::move(key), key_path, std::move(post)));
  // Found out now, a lost key is an error at start. Later it would be replicas without passwords.
  TRY([[maybe_unused]] const auto readable, store->jobs());
  return store;
}

// --- saving ------------------------------------------------------------------------------------

void ExecutionStore::submit(std::function<Status(Database&)> work, Done done) {
  file_.queue().submit(
      [&file = file_, work = std::move(work)] { return work(file.db()); },
      [post = post_, done = std::move(done), alive = std::weak_ptr(alive_)](const Status& status) {
        if (!done) return;
        post([done, status, alive] {
          if (!alive.expired()) done(status);
        });
      });
}

void ExecutionStore::save_job(const ContainerJob& job, Done done) {
  auto secrets = sealed_secrets(job);
  submit(
      [key = job.key, document = to_json(job.document), secrets = std::move(secrets),
       generation = job.generation, created = job.created,
       updated = job.updated](Database& db) -> Status {
        if (!secrets) return secrets.error();
        auto put = db.use(kPutJob);
        put.bind(1, key.group).bind(2, key.name).bind(3, document).bind_blob(4, *secrets);
        return put.bind(5, generation).bind(6, created).bind(7, updated).run();
      },
      std::move(done));
}

void ExecutionStore::remove_job(const JobKey& key, Done done) {
  submit(
      [key](Database& db) { return db.use(kRemoveJob).bind(1, key.group).bind(2, key.name).run(); },
      std::move(done));
}

void ExecutionStore::save(const Execution& execution, Done done) {
  std::optional<TimePoint> finished;
  if (execution.finished()) finished = execution.ended.value_or(execution.created);
  submit(
      [name = execution.name, job = execution.job,
       status = std::string(to_string(execution.status)), created = execution.created, finished,
       document = to_json(to_document(execution))](Database& db) {
        auto put = db.use(kPut);
        put.bind(1, name).bind(2, job.group).bind(3, job.name).bind(4, status);
        return put.bind(5, created).bind(6, finished).bind(7, document).run();
      },
      std::move(done));
}

Result<std::string> ExecutionStore::sealed_secrets(const ContainerJob& job) const {
  return seal(key_, secrets_json(job), full_name(job.key));
}

// --- reading -----------------------------------------------------------------------------------

Result<std::vector<ContainerJob>> ExecutionStore::jobs() {
  TRY(const auto rows,
      file_.run<std::vector<JobRow>>([](Database& db) -> Result<std::vector<JobRow>> {
        std::vector<JobRow> found;
        auto query = db.use(kJobs);
        for (;;) {
          TRY(const bool row, query.step());
          if (!row) return found;
          found.push_back({.key = {query.text(0), query.text(1)},
                           .document = query.text(2),
                           .secrets = std::string(query.blob(3)),
                           .generation = query.number(4),
                           .created = query.instant(5),
                           .updated = query.instant(6)});
        }
      }));
  std::vector<ContainerJob> jobs;
  for (const JobRow& row : rows) {
    TRY(ContainerJob job, read_job(row));
    jobs.push_back(std::move(job));
  }
  return jobs;
}

Result<ContainerJob> ExecutionStore::read_job(const JobRow& row) const {
  const std::string name = full_name(row.key);
  auto opened = open_seal(key_, row.secrets, name);
  if (!opened) {
    return fail(opened.error().code,
                key_path_ + " does not open " + name + ": " + opened.error().message);
  }
  TRY(const Node secrets, parse_json(*opened));
  TRY(const Node document, parse_kept(row.document));
  manifest::Problems problems(name);
  ContainerJob job = decode_job(row.key, document, problems);
  if (!problems.ok()) {
    return fail(Code::Internal, "kept " + name + ": " + problems.errors()[0].text);
  }
  for (const Node::Member& secret : secrets.members) {
    job.secrets.insert_or_assign(secret.key, Secret(secret.value.text));
  }
  job.generation = row.generation;
  job.created = row.created;
  job.updated = row.updated;
  return job;
}

Result<std::vector<Execution>> ExecutionStore::unfinished() {
  TRY(const Column documents,
      file_.run<Column>([](Database& db) { return first_column(db.use(kUnfinished)); }));
  return parse_executions(documents);
}

Result<std::vector<Execution>> ExecutionStore::list(const ExecutionQuery& query) {
  TRY(const Column documents,
      file_.run<Column>([&](Database& db) { return list_documents(db, query); }));
  return parse_executions(documents);
}

Result<Execution> ExecutionStore::find(const JobKey& job, std::string_view name) {
  TRY(const Column documents, file_.run<Column>([&](Database& db) {
    auto query = db.use(job.name.empty() ? kFindAny : kFind);
    query.bind(1, name);
    if (!job.name.empty()) query.bind(2, job.group).bind(3, job.name);
    return first_column(std::move(query));
  }));
  if (documents.empty()) {
    const std::string whose = job.name.empty() ? "there is" : "the job '" + job.name + "' has";
    return fail(Code::NotFound, whose + " no execution '" + std::string(name) + "'");
  }
  return parse_execution(documents.front());
}

Result<std::vector<std::string>> ExecutionStore::prune(const JobKey& job, const History& history,
                                                       TimePoint now, std::size_t limit) {
  return file_.run<Column>([&](Database& db) -> Result<Column> {
    TRY(Column names, names_to_forget(db, job, history, now, limit));
    for (const std::string& name : names) {
      TRY_VOID(db.use(kForget).bind(1, name).run());
      TRY_VOID(db.use(kForgetOutcomes).bind(1, name).run());
    }
    return names;
  });
}

Result<std::vector<TakenMessage>> ExecutionStore::outcomes(std::string_view replica) {
  using Messages = std::vector<TakenMessage>;
  return file_.run<Messages>([&](Database& db) -> Result<Messages> {
    Messages messages;
    auto query = db.use(kOutcomes);
    query.bind(1, replica);
    for (;;) {
      TRY(const bool row, query.step());
      if (!row) return messages;
      TakenMessage& message = messages.emplace_back();
      message.replica = replica;
      message.entity = query.text(0);
      message.sequence = query.number(1);
      message.message_id = query.text(2);
      message.outcome = query.text(3);
      message.ended = query.instant(4);
    }
  });
}

}  // namespace jobmill::sqlite
