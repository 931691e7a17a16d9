// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/job_explorer.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include "conformance/job_explorer.h"
#include "store/sqlite/migrations/list.h"
#include "store/sqlite/sqlite_job_store.h"
#include "temporary_folder.h"

namespace jobmill::sqlite {
namespace {

struct Explored {
  testing::TemporaryFolder folder;
  ManualClock clock;
  std::unique_ptr<SqliteFile> file;
  std::unique_ptr<jobs::JobStoreOwner> store;
  std::unique_ptr<jobs::JobExplorer> explorer;
};

void open(Explored& made, const std::string& path) {
  auto file = SqliteFile::open(path, SqliteFile::Syncs::Never);
  REQUIRE_MESSAGE(file, (file ? "" : file.error().message));
  made.file = *std::move(file);
  auto store = open_job_store(*made.file, made.clock.now());
  REQUIRE_MESSAGE(store, (store ? "" : store.error().message));
  made.store = *std::move(store);
  auto explorer = open_job_explorer(*made.file);
  REQUIRE(explorer);
  made.explorer = *std::move(explorer);
}

jobs::JobExplorerFixture fixture(bool in_memory) {
  auto made = std::make_shared<Explored>();
  open(*made, in_memory ? ":memory:" : made->folder.path() + "/jobmill.db");
  return {{made, *made->store, *made->store, made->clock}, *made->explorer};
}

// A file as an early version wrote it: a job that succeeded, one that failed, both with labels, and
// one that runs.
void write_schema_6(const std::string& path) {
  auto db = Database::open(path);
  REQUIRE(db);
  REQUIRE(
      db->exec("CREATE TABLE schema_version (number INTEGER PRIMARY KEY, name TEXT NOT NULL)"
               " WITHOUT ROWID"));
  for (const Migration* old :
       {&kJobsMigration, &kObjectsMigration, &kMessagesMigration, &kExecutionsMigration,
        &kJobOperationsMigration, &kJobCountsMigration}) {
    REQUIRE(db->exec(old->sql));
    REQUIRE(db->use("INSERT INTO schema_version VALUES (?1, ?2)")
                .bind(1, old->number)
                .bind(2, old->name)
                .run());
  }
  REQUIRE(db->exec(R"sql(
    INSERT INTO queue (id, name, processing, succeeded, failed) VALUES (1, 'default', 1, 1, 1);
    INSERT INTO worker VALUES (7, 'worker-7', '{"name":"seven"}', 0, NULL, 0);
    INSERT INTO lane (id, queue, kind, priority) VALUES (1, 1, 'k', 0);
    INSERT INTO job (seq, id, lane, v, name, labels, state, version, attempt, failures, crashes,
                     max_attempts, max_crashes, waited, created_by, created_at, updated_at)
      VALUES (1, zeroblob(16), 1, 1, 'good', 'a' || char(31) || 'b', 5, 3, 1, 0, 0, 11, 3, 0, '',
              0, 9),
             (2, randomblob(16), 1, 1, 'bad', 'a', 6, 2, 1, 1, 0, 11, 3, 0, '', 0, 10);
    INSERT INTO job (seq, id, lane, v, name, labels, state, version, attempt, failures, crashes,
                     max_attempts, max_crashes, token, worker, waited, created_by, created_at,
                     updated_at)
      VALUES (3, x'00000000000000000000000000000003', 1, 1, 'running', '', 3, 2, 1, 0, 0, 11, 3, 5,
              7, 4, '', 4, 8);
    INSERT INTO job_payload VALUES (1, '[]', ''), (2, '[]', ''), (3, '[]', '');
    INSERT INTO job_event VALUES
      (3, 1, 2, 4, '{}'), (3, 2, 3, 8, '{"serverId":"worker-7","serverName":"seven","attempt":1}'),
      (1, 3, 5, 9, '{"latencyDuration":0.000000000,"processDuration":1.500000000}'),
      (2, 2, 6, 10, '{"exceptionType":"E","exceptionMessage":"m","stackTrace":" at f(7)\n at g"}');
  )sql"));
}

}  // namespace

TEST_CASE("sqlite job explorer: finds what was there before it could be looked for") {
  using namespace std::chrono_literals;
  Explored made;
  const std::string path = made.folder.path() + "/jobmill.db";
  write_schema_6(path);
  open(made, path);
  const auto found = [&](const jobs::JobFilter& filter) {
    const auto slice = made.explorer->slice({.filter = filter});
    REQUIRE(slice);
    std::string names;
    for (const jobs::Job& job : slice->items) names += job.name + " ";
    return names;
  };
  CHECK(found({.labels = {"a"}}) == "good bad ");
  CHECK(found({.labels = {"a", "b"}}) == "good ");
  CHECK(found({.min_duration = 1500ms}) == "good ");
  CHECK(found({.min_duration = 1501ms}).empty());
  CHECK(found({.failure_fingerprint = jobs::fingerprint_of("E", "at f(8)", "")}) == "bad ");
  const auto groups = made.explorer->failures(0, 10);
  REQUIRE(groups);
  REQUIRE(groups->size() == 1);
  CHECK(groups->front().count == 1);
  CHECK(groups->front().top_frame == "at f(7)");
  CHECK(groups->front().message == "m");
}

TEST_CASE("sqlite job explorer: a run that an earlier version began is one event of its history") {
  Explored made;
  const std::string path = made.folder.path() + "/jobmill.db";
  write_schema_6(path);
  open(made, path);
  const jobs::JobFilter running{.states = {jobs::JobState::Processing}};
  const auto slice = made.explorer->slice({.filter = running});
  REQUIRE(slice);
  REQUIRE(slice->items.size() == 1);
  const std::string id = slice->items.front().id;

  const auto states = [&] {
    const auto histories = made.explorer->histories(std::vector{id});
    const auto same = made.store->history(id);
    REQUIRE(histories);
    REQUIRE(same);
    std::string text;
    for (const jobs::JobEvent& event : histories->front())
      text +=
          fmt::format("{} {}; ", jobs::to_string(event.state), event.at.time_since_epoch().count());
    REQUIRE(same->size() == histories->front().size());
    for (std::size_t i = 0; i < same->size(); ++i) CHECK((*same)[i].at == histories->front()[i].at);
    return text;
  };
  CHECK(states() == "ENQUEUED 4; PROCESSING 8; ");
  REQUIRE(made.store->remove(id, "", TimePoint(Duration(20))));
  CHECK(states() == "ENQUEUED 4; PROCESSING 8; DELETED 20; ");
  CHECK(made.store->history(id)->at(1).data.find(R"("serverName":"seven")") != std::string::npos);
}

TEST_CASE("sqlite job explorer: people search while jobs come, and see whole transactions") {
  Explored made;
  open(made, made.folder.path() + "/jobmill.db");
  jobs::JobSpec spec;
  spec.kind = "k";
  const std::vector<jobs::JobSpec> ten(10, spec);
  std::atomic<bool> ended = false;
  std::thread producer([&] {
    for (int i = 0; i < 50; ++i) (void)made.store->insert(ten, made.clock.now());
    ended = true;
  });
  std::vector<std::thread> people;
  std::atomic<int> wrong = 0;
  for (int i = 0; i < 3; ++i) {
    people.emplace_back([&] {
      do {
        const auto slice = made.explorer->slice({.limit = 1000});
        if (!slice || slice->items.size() % 10 != 0) ++wrong;
      } while (!ended);
    });
  }
  producer.join();
  for (std::thread& each : people) each.join();
  CHECK(wrong == 0);
  const auto all = made.explorer->count({.kind = "k"}, 1000);
  REQUIRE(all);
  CHECK(all->count == 500);
}

TEST_CASE("sqlite job explorer: keeps the contract of JobExplorer") {
  jobs::exercise_job_explorer([] { return fixture(false); });
}

TEST_CASE("sqlite job explorer: and so does one of a file in memory") {
  jobs::exercise_job_explorer([] { return fixture(true); });
}

}  // namespace jobmill::sqlite
