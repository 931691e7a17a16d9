// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/sqlite_file.h"

#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include <doctest/doctest.h>

#include "store/sqlite/migrations.h"
#include "temporary_folder.h"

namespace jobmill::sqlite {
namespace {

std::string text_of(SqliteFile& file, const char* sql) {
  const auto text = file.run<std::string>([&](Database& db) -> Result<std::string> {
    auto query = db.use(sql);
    TRY([[maybe_unused]] const bool row, query.step());
    return query.text(0);
  });
  REQUIRE_MESSAGE(text, (text ? "" : text.error().message));
  return *text;
}

}  // namespace

TEST_CASE("sqlite file: each commit is synced, and the log is separate from the data") {
  testing::TemporaryFolder folder;
  const auto file = SqliteFile::open(folder.path() + "/jobmill.db");
  REQUIRE(file);
  CHECK(text_of(**file, "PRAGMA journal_mode") == "wal");
  CHECK(text_of(**file, "PRAGMA synchronous") == "2");
}

TEST_CASE("sqlite file: what is relaxed is not synced, and the next one is again") {
  testing::TemporaryFolder folder;
  const auto file = SqliteFile::open(folder.path() + "/jobmill.db");
  REQUIRE(file);
  const auto before = (*file)->synced_transactions();
  std::int64_t level = 0;
  const auto look = [&]() -> Status {
    auto query = (*file)->db().use("PRAGMA synchronous");
    TRY([[maybe_unused]] const bool row, query.step());
    level = query.number(0);
    return {};
  };
  REQUIRE((*file)->queue().run(look, {}, CommitQueue::Mode::ChecksFirst,
                               CommitQueue::Durability::Relaxed));
  CHECK(level == 1);
  CHECK((*file)->synced_transactions() == before);
  REQUIRE((*file)->queue().run(look));
  CHECK(level == 2);
  CHECK((*file)->synced_transactions() == before + 1);
}

TEST_CASE("sqlite file: a second opener is told who holds it") {
  testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/jobmill.db";
  auto first = SqliteFile::open(path);
  REQUIRE(first);
  // A lock belongs to the open file, so a second one conflicts in the same process, too.
  const auto second = SqliteFile::open(path);
  REQUIRE_FALSE(second);
  CHECK(second.error().code == Code::Conflict);
  CHECK(second.error().message.find(std::to_string(::getpid())) != std::string::npos);
  first->reset();
  CHECK(SqliteFile::open(path));
}

TEST_CASE("sqlite file: the lock goes with its process, however that ends") {
  testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/jobmill.db";
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const auto file = SqliteFile::open(path);
    ::_exit(file ? 0 : 1);  // without closing anything
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WEXITSTATUS(status) == 0);
  CHECK(SqliteFile::open(path));
}

TEST_CASE("sqlite file: opening again keeps the data and migrates no second time") {
  testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/jobmill.db";
  {
    auto file = SqliteFile::open(path);
    REQUIRE(file);
    REQUIRE((*file)->run<void>(
        [](Database& db) { return db.exec("INSERT INTO queue (name) VALUES ('mail')"); }));
  }
  auto file = SqliteFile::open(path);
  REQUIRE(file);
  CHECK(text_of(**file, "SELECT name FROM queue") == "mail");
}

TEST_CASE("sqlite file: data of a newer version are refused and left alone") {
  testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/jobmill.db";
  {
    auto file = SqliteFile::open(path);
    REQUIRE(file);
    REQUIRE((*file)->run<void>(
        [](Database& db) { return db.exec("INSERT INTO schema_version VALUES (999, 'later')"); }));
  }
  const auto file = SqliteFile::open(path);
  REQUIRE_FALSE(file);
  CHECK(file.error().code == Code::Unsupported);
  CHECK(file.error().message.find("newer") != std::string::npos);
}

TEST_CASE("sqlite file: what failed within a savepoint leaves no trace") {
  auto file = SqliteFile::open(":memory:");
  REQUIRE(file);
  const auto failed = (*file)->run<void>(
      [](Database& db) -> Status {
        TRY_VOID(db.exec("INSERT INTO queue (name) VALUES ('mail')"));
        return fail(Code::Conflict, "second thoughts");
      },
      CommitQueue::Mode::Savepoint);
  REQUIRE_FALSE(failed);
  CHECK(text_of(**file, "SELECT count(*) FROM queue") == "0");
}

TEST_CASE("sqlite file: a rollback is told to those who remember") {
  auto file = SqliteFile::open(":memory:");
  REQUIRE(file);
  int told = 0;
  (*file)->on_rollback(&told, [&] { ++told; });
  const auto failed = (*file)->run<void>([](Database& db) -> Status {
    TRY_VOID(db.exec("INSERT INTO queue (name) VALUES ('mail')"));
    return fail(Code::Exhausted, "disk full");
  });
  CHECK_FALSE(failed);
  CHECK(told == 1);
  CHECK(text_of(**file, "SELECT count(*) FROM queue") == "0");
  (*file)->forget(&told);
}

TEST_CASE("sqlite file: its schema is told without opening it to work with") {
  testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/jobmill.db";
  CHECK(SqliteFile::schema_of(path).error().code == Code::NotFound);
  {
    const auto file = SqliteFile::open(path);
    REQUIRE(file);
    CHECK(SqliteFile::schema_of(path).error().code == Code::Conflict);
  }
  CHECK(*SqliteFile::schema_of(path) == known_schema());
  {
    auto db = Database::open(path);
    REQUIRE(db);
    REQUIRE(db->exec("DROP TABLE schema_version"));
  }
  CHECK(*SqliteFile::schema_of(path) == 0);
}

}  // namespace jobmill::sqlite
