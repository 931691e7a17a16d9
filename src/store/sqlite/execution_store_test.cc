// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/execution_store.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/document.h"
#include "control_queue.h"
#include "temporary_folder.h"

namespace jobmill::sqlite {
namespace {

using namespace executions;
using Names = std::vector<std::string>;

const JobKey kMail{"shop", "mail"};
const JobKey kOther{"shop", "report"};
constexpr TimePoint kStart{std::chrono::seconds(1'704'067'200)};

TimePoint at(int seconds) { return kStart + std::chrono::seconds(seconds); }

constexpr char kResource[] = R"({
  "location": "local", "tags": {"team": "a\nb"},
  "properties": {
    "environmentId": "/e",
    "configuration": {
      "triggerType": "Event", "replicaTimeout": 300, "replicaRetryLimit": 2,
      "secrets": [{"name": "connection", "value": "swordfish-1"},
                  {"name": "vault", "keyVaultUrl": "https://v.example/s", "identity": "system"}],
      "eventTriggerConfig": {"scale": {"maxExecutions": 7, "rules": [
        {"name": "queue", "type": "azure-servicebus", "metadata": {"queueName": "q"},
         "auth": [{"secretRef": "connection", "triggerParameter": "connection"}]}]}}},
    "template": {"containers": [{"name": "mail", "image": "i", "resources": {"cpu": 0.25},
                                 "env": [{"name": "A", "value": "\u00e4"}]}]}}})";

ContainerJob job_of(const JobKey& key) {
  auto resource = parse_json(kResource);
  REQUIRE(resource);
  manifest::Problems problems("test");
  ContainerJob job = decode_job(key, *resource, problems);
  REQUIRE(problems.ok());
  job.generation = 3;
  job.created = at(1);
  job.updated = at(2) + std::chrono::microseconds(7);
  return job;
}

Execution execution_of(const std::string& name, TimePoint created, const JobKey& job = kMail) {
  Execution execution;
  execution.name = name;
  execution.job = job;
  execution.created = created;
  execution.started = job_of(job);
  Replica& replica = execution.replicas.emplace_back();
  replica.name = name + "-abcde";
  replica.mark.pid = 7;
  replica.created = created;
  return execution;
}

Execution finished(Execution execution, TimePoint when,
                   ExecutionStatus status = ExecutionStatus::Succeeded) {
  execution.status = status;
  execution.ended = when;
  return execution;
}

// A data folder whose stores can be closed and opened again. The test's thread is the owner's.
class Data {
 public:
  Data() { open(); }
  void open() {
    auto file = SqliteFile::open(database());
    REQUIRE(file);
    file_ = *std::move(file);
    auto store = ExecutionStore::open(*file_, key(), control_.post());
    REQUIRE(store);
    store_ = *std::move(store);
  }
  void close() {
    store_.reset();
    file_.reset();
  }
  void reopen() {
    close();
    open();
  }

  ExecutionStore& store() { return *store_; }
  SqliteFile& file() { return *file_; }
  testing::ControlQueue& control() { return control_; }
  std::string database() const { return folder_.path() + "/jobmill.db"; }
  std::string key() const { return folder_.path() + "/secrets.key"; }

  void save(const Execution& execution) {
    wait([&](ExecutionStore::Done done) { store_->save(execution, std::move(done)); });
  }
  void save(const ContainerJob& job) {
    wait([&](ExecutionStore::Done done) { store_->save_job(job, std::move(done)); });
  }
  void remove(const JobKey& key) {
    wait([&](ExecutionStore::Done done) { store_->remove_job(key, std::move(done)); });
  }

  // As the broker writes it with a settlement.
  void settle(const std::string& replica, int sequence) {
    REQUIRE(file_->run<void>([&](Database& db) {
      return db
          .use(
              "INSERT INTO message_outcome (holder, entity, sequence, message_id, outcome, at) "
              "VALUES (?1, 'queue', ?2, 'id', 'completed', ?3)")
          .bind(1, replica)
          .bind(2, sequence)
          .bind(3, at(sequence))
          .run();
    }));
  }

  Names list(const ExecutionQuery& query) {
    const auto found = store_->list(query);
    REQUIRE(found);
    return names(*found);
  }
  static Names names(const std::vector<Execution>& executions) {
    Names names;
    for (const Execution& execution : executions) names.push_back(execution.name);
    return names;
  }

  // What a thief of the data folder sees, but for the key.
  std::string bytes() const {
    std::string all;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
      std::ifstream in(entry.path(), std::ios::binary);
      all.append(std::istreambuf_iterator<char>(in), {});
    }
    return all;
  }

 private:
  template <class F>
  void wait(const F& call) {
    std::optional<Status> outcome;
    call([&](const Status& status) { outcome = status; });
    control_.run_until([&] { return outcome.has_value(); });
    REQUIRE(*outcome);
  }

  testing::TemporaryFolder folder_;
  testing::ControlQueue control_;
  std::unique_ptr<SqliteFile> file_;
  std::unique_ptr<ExecutionStore> store_;
};

TEST_CASE("execution store: jobs survive a restart as they were, secrets included") {
  Data data;
  data.save(job_of(kOther));
  data.save(job_of(kMail));
  data.reopen();

  const auto jobs = data.store().jobs();
  REQUIRE(jobs);
  REQUIRE(jobs->size() == 2);
  const ContainerJob& kept = jobs->front();
  const ContainerJob original = job_of(kMail);
  CHECK(kept.key == kMail);
  CHECK(to_json(kept.document) == to_json(original.document));
  CHECK(kept.document.line == 0);
  CHECK(kept.secrets.size() == 1);
  CHECK(kept.secrets.at("connection").reveal() == "swordfish-1");
  CHECK(kept.generation == 3);
  CHECK(kept.created == original.created);
  CHECK(kept.updated == original.updated);
  CHECK(kept.trigger == TriggerType::Event);
  CHECK(kept.max_executions == 7);
  CHECK(kept.rules.size() == 1);
  CHECK(jobs->back().key == kOther);
}

TEST_CASE("execution store: saving a job again replaces it, removing it leaves its executions") {
  Data data;
  ContainerJob job = job_of(kMail);
  data.save(job);
  job.generation = 4;
  job.secrets["connection"] = Secret("swordfish-2");
  data.save(job);
  data.save(execution_of("mail-0000001", at(1)));
  auto jobs = data.store().jobs();
  REQUIRE(jobs->size() == 1);
  CHECK(jobs->front().generation == 4);
  CHECK(jobs->front().secrets.at("connection").reveal() == "swordfish-2");

  data.remove(kMail);
  data.remove(kMail);
  jobs = data.store().jobs();
  CHECK(jobs->empty());
  CHECK(data.list({.job = kMail}) == Names{"mail-0000001"});
}

TEST_CASE("execution store: a secret is not in the files in the clear") {
  Data data;
  data.save(job_of(kMail));
  data.save(execution_of("mail-0000001", at(1)));
  data.close();
  CHECK(data.bytes().find("https://v.example/s") != std::string::npos);
  CHECK(data.bytes().find("swordfish") == std::string::npos);
}

TEST_CASE("execution store: with another key nothing opens, and the message names the file") {
  Data data;
  data.save(job_of(kMail));
  data.close();
  std::filesystem::remove(data.key());
  const auto file = SqliteFile::open(data.database());
  REQUIRE(file);
  const auto store = ExecutionStore::open(**file, data.key(), [](const auto&) {});
  REQUIRE_FALSE(store);
  CHECK(store.error().code == Code::PermissionDenied);
  CHECK(store.error().message.find(data.key()) != std::string::npos);
  CHECK(store.error().message.find("job/shop/mail") != std::string::npos);
}

TEST_CASE("execution store: one job's secrets cannot be passed off as another's") {
  Data data;
  data.save(job_of(kMail));
  REQUIRE(data.file().run<void>(
      [](Database& db) { return db.exec("UPDATE container_job SET name = 'admin'"); }));
  CHECK(data.store().jobs().error().code == Code::PermissionDenied);
}

TEST_CASE("execution store: executions survive a restart, and are found by job and name") {
  Data data;
  Execution execution = finished(execution_of("mail-0000001", at(1)), at(9));
  TakenMessage& message = execution.messages.emplace_back();
  message.replica = "mail-0000001-abcde";
  message.entity = "queue";
  message.sequence = 4;
  message.taken = at(2);
  message.outcome = "completed";
  data.save(execution);
  data.reopen();
  const auto found = data.store().find(kMail, "mail-0000001");
  REQUIRE(found);
  CHECK(to_json(to_document(*found)) == to_json(to_document(execution)));
  CHECK(found->messages.front().outcome == "completed");

  const auto other = data.store().find(kOther, "mail-0000001");
  REQUIRE_FALSE(other);
  CHECK(other.error().code == Code::NotFound);
  CHECK(data.store().find(kMail, "mail-0000002").error().code == Code::NotFound);
}

TEST_CASE("execution store: only unfinished executions are read at start, in order") {
  Data data;
  data.save(execution_of("mail-0000002", at(1)));
  data.save(finished(execution_of("mail-0000001", at(1)), at(2)));
  data.save(execution_of("report-000001", at(1), kOther));
  Execution running = execution_of("mail-0000002", at(1));
  running.status = ExecutionStatus::Running;
  data.save(running);
  const auto unfinished = data.store().unfinished();
  REQUIRE(unfinished);
  CHECK(Data::names(*unfinished) == Names{"mail-0000002", "report-000001"});
  CHECK(unfinished->front().status == ExecutionStatus::Running);
}

TEST_CASE("execution store: of several saves the last one counts, and answers come in order") {
  Data data;
  std::vector<int> answers;
  Execution execution = execution_of("mail-0000001", at(1));
  for (int i = 0; i < 50; ++i) {
    execution.failures = i;
    if (i == 49) execution = finished(execution, at(50), ExecutionStatus::Failed);
    data.store().save(execution, [&answers, i](const Status& status) {
      CHECK(status);
      answers.push_back(i);
    });
  }
  CHECK(answers.empty());  // only on our thread
  data.control().run_until([&] { return answers.size() == 50; });
  CHECK(std::ranges::is_sorted(answers));
  const auto kept = data.store().find(kMail, "mail-0000001");
  CHECK(kept->failures == 49);
  CHECK(kept->status == ExecutionStatus::Failed);
  CHECK(data.store().unfinished()->empty());
}

TEST_CASE("execution store: what was saved is written although nobody waits for the answer") {
  Data data;
  bool told = false;
  data.store().save(execution_of("mail-0000001", at(1)), [&](const Status&) { told = true; });
  data.store().save(execution_of("mail-0000002", at(2)), {});
  data.reopen();
  bool later = false;
  data.control().post()([&] { later = true; });
  data.control().run_until([&] { return later; });
  CHECK_FALSE(told);
  CHECK(data.list({.job = kMail}).size() == 2);
}

TEST_CASE("execution store: a list is the newest first, page by page") {
  Data data;
  Names all;
  for (int i = 0; i < 10; ++i) {
    const std::string name = "mail-000000" + std::to_string(i);
    data.save(execution_of(name, at(i / 3)));  // several of one instant
    all.insert(all.begin(), name);
  }
  data.save(execution_of("report-000001", at(5), kOther));
  CHECK(data.list({.job = kMail}) == all);

  Names paged;
  ExecutionQuery query{.job = kMail, .limit = 4};
  for (;;) {
    const Names page = data.list(query);
    if (page.empty()) break;
    CHECK(page.size() <= 4);
    paged.insert(paged.end(), page.begin(), page.end());
    query.after = page.back();
    data.save(execution_of("mail-new" + std::to_string(paged.size()), at(100)));  // as time goes by
  }
  CHECK(paged == all);

  query.after = "report-000001";
  CHECK(data.store().list(query).error().code == Code::InvalidArgument);
  CHECK(data.list({.job = {"shop", "nobody"}}).empty());
}

TEST_CASE("execution store: a list can be of all jobs, and a name is enough to find one") {
  Data data;
  data.save(execution_of("mail-0000001", at(1)));
  data.save(finished(execution_of("report-000001", at(2), kOther), at(3)));
  data.save(execution_of("mail-0000002", at(3)));
  CHECK(data.list({}) == Names{"mail-0000002", "report-000001", "mail-0000001"});
  CHECK(data.list({.limit = 1, .after = "mail-0000002"}) == Names{"report-000001"});
  CHECK(data.list({.status = ExecutionStatus::Succeeded}) == Names{"report-000001"});
  CHECK(data.list({.since = at(3)}) == Names{"mail-0000002"});
  CHECK(data.store().find({}, "report-000001")->job == kOther);
  CHECK(data.store().find({}, "nobody").error().code == Code::NotFound);
}

TEST_CASE("execution store: a list can be of one status, and of what is young") {
  Data data;
  data.save(finished(execution_of("mail-0000001", at(1)), at(9)));
  data.save(finished(execution_of("mail-0000002", at(2)), at(9), ExecutionStatus::Failed));
  data.save(execution_of("mail-0000003", at(3)));
  CHECK(data.list({.job = kMail, .status = ExecutionStatus::Failed}) == Names{"mail-0000002"});
  CHECK(data.list({.job = kMail, .since = at(2)}) == Names{"mail-0000003", "mail-0000002"});
  CHECK(data.list({.job = kMail, .status = ExecutionStatus::Succeeded, .since = at(2)}).empty());
}

TEST_CASE("execution store: history goes by number and by age, with the outcomes of messages") {
  Data data;
  for (int i = 0; i < 6; ++i) {
    const std::string name = "mail-000000" + std::to_string(i);
    data.save(finished(execution_of(name, at(i)), at(100 + i)));
    data.settle(name + "-abcde", i);
  }
  data.save(execution_of("mail-running", at(0)));
  data.save(finished(execution_of("report-000001", at(0), kOther), at(0)));
  // A job may have the name of an execution; its replicas are others.
  data.settle("mail-0000000-1234567-abcde", 7);
  const auto prune = [&](History history, TimePoint now, std::size_t limit = 100) {
    auto names = data.store().prune(kMail, history, now, limit);
    REQUIRE(names);
    std::ranges::sort(*names);
    return *names;
  };
  constexpr Duration kDay = std::chrono::hours(24);

  CHECK(prune({.keep = 6, .age = kDay}, at(200)).empty());
  CHECK(prune({.keep = 4, .age = kDay}, at(200)) == Names{"mail-0000000", "mail-0000001"});
  CHECK(data.store().outcomes("mail-0000000-abcde")->empty());
  CHECK(data.store().outcomes("mail-0000000-1234567-abcde")->size() == 1);
  CHECK(data.store().outcomes("mail-0000002-abcde")->size() == 1);
  CHECK(data.store().find(kMail, "mail-0000000").error().code == Code::NotFound);

  CHECK(prune({.keep = {}, .age = std::chrono::seconds(97)}, at(200), 1) == Names{"mail-0000002"});
  CHECK(prune({.keep = 0, .age = kDay}, at(200), 2).size() == 2);
  CHECK(prune({.keep = 0, .age = Duration::max()}, at(200)).size() == 1);
  CHECK(data.list({.job = kMail}) == Names{"mail-running"});
  CHECK(data.list({.job = kOther}) == Names{"report-000001"});
}

TEST_CASE("execution store: the outcomes of a replica's messages are what the broker wrote") {
  Data data;
  data.settle("mail-0000001-abcde", 2);
  data.settle("mail-0000001-abcde", 1);
  data.settle("mail-0000001-other", 3);
  data.reopen();
  const auto outcomes = data.store().outcomes("mail-0000001-abcde");
  REQUIRE(outcomes);
  REQUIRE(outcomes->size() == 2);
  const TakenMessage& first = outcomes->front();
  CHECK(first.replica == "mail-0000001-abcde");
  CHECK(first.entity == "queue");
  CHECK(first.sequence == 1);
  CHECK(first.message_id == "id");
  CHECK(first.outcome == "completed");
  CHECK(first.ended == at(1));
}

TEST_CASE("execution store: a full disk is told to whoever saved, and what was kept stays") {
  Data data;
  data.save(execution_of("mail-0000001", at(1)));
  const auto pages = [&](const char* sql) {
    REQUIRE(data.file().run<void>([&](Database& db) { return db.exec(sql); }));
  };
  pages("PRAGMA max_page_count = 1");  // SQLite takes the present size instead
  Execution large = execution_of("mail-0000002", at(2));
  large.reason = std::string(1u << 20, 'x');
  std::optional<Status> outcome;
  data.store().save(large, [&](const Status& status) { outcome = status; });
  data.control().run_until([&] { return outcome.has_value(); });
  REQUIRE_FALSE(*outcome);
  CHECK(outcome->error().code == Code::Exhausted);
  pages("PRAGMA max_page_count = 1000000");
  CHECK(data.list({.job = kMail}) == Names{"mail-0000001"});
  data.save(large);
}

}  // namespace
}  // namespace jobmill::sqlite
