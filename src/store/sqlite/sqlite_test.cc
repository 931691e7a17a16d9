// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/sqlite.h"

#include <sys/stat.h>

#include <chrono>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "temporary_folder.h"

namespace jobmill::sqlite {
namespace {

Database open() {
  auto db = Database::open(":memory:");
  REQUIRE(db);
  REQUIRE(db->exec("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT, c BLOB)"));
  return *std::move(db);
}

}  // namespace

TEST_CASE("sqlite: values come back as they went in") {
  Database db = open();
  const std::string_view blob("\0\x01\xff", 3);
  REQUIRE(db.use("INSERT INTO t VALUES (?1, ?2, ?3)")
              .bind(1, std::int64_t{1})
              .bind(2, std::string_view("text"))
              .bind_blob(3, blob)
              .run());
  REQUIRE(db.use("INSERT INTO t VALUES (2, ?1, NULL)").bind(1, std::string_view()).run());
  auto query = db.use("SELECT a, b, c FROM t ORDER BY a");
  REQUIRE(*query.step());
  CHECK(query.number(0) == 1);
  CHECK(query.text(1) == "text");
  CHECK(query.blob(2) == blob);
  REQUIRE(*query.step());
  CHECK_FALSE(query.null(1));  // an empty text is a text
  CHECK(query.null(2));
  CHECK_FALSE(*query.step());
}

TEST_CASE("sqlite: the files of a new database are their user's alone") {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/t.db";
  auto db = Database::open(path);
  REQUIRE(db);
  REQUIRE(db->exec("PRAGMA journal_mode=WAL; CREATE TABLE t (a)"));
  for (const char* suffix : {"", "-wal", "-shm"}) {
    CAPTURE(suffix);
    struct stat info {};
    REQUIRE(::stat((path + suffix).c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0600);
  }
}

TEST_CASE("sqlite: a statement begins anew each time it is used") {
  Database db = open();
  constexpr char kInsert[] = "INSERT INTO t VALUES (?1, ?2, NULL)";
  for (int i = 0; i < 3; ++i) {
    auto insert = db.use(kInsert);
    insert.bind(1, i);
    if (i == 0) insert.bind(2, std::string_view("first"));
    REQUIRE(insert.run());
  }
  auto query = db.use("SELECT count(*), count(b) FROM t");
  REQUIRE(*query.step());
  CHECK(query.number(0) == 3);
  CHECK(query.number(1) == 1);  // what was bound once does not stay
}

TEST_CASE("sqlite: a batch of the program's rows is read like a table") {
  Database db = open();
  Batch batch(3);
  for (int i = 1; i <= 3; ++i) batch.add(i).add("text").add_blob("ab");
  batch.add(4).add_null().add_null();
  REQUIRE(db.use("INSERT INTO t SELECT c0, c1, c2 FROM batch", batch).run());
  Batch keys(1);
  keys.add(4).add(2).add(9);
  auto query = db.use("SELECT t.a, t.b FROM batch CROSS JOIN t ON t.a = batch.c0", keys);
  REQUIRE(*query.step());
  CHECK(query.number(0) == 4);
  CHECK(query.null(1));
  REQUIRE(*query.step());
  CHECK(query.number(0) == 2);
  CHECK(query.text(1) == "text");
  CHECK_FALSE(*query.step());
}

TEST_CASE("sqlite: a statement that cannot be prepared says so when it is stepped") {
  Database db = open();
  const auto result = db.use("SELECT nonsense FROM nowhere").step();
  REQUIRE_FALSE(result);
  CHECK(result.error().message.find("nowhere") != std::string::npos);
}

TEST_CASE("sqlite: a statement that takes too long is ended, and the next one is not") {
  constexpr char kEndless[] =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
  Database db = open();
  db.limit(std::chrono::steady_clock::now());
  const auto ended = db.once(kEndless).step();
  REQUIRE_FALSE(ended);
  CHECK(ended.error().code == Code::Timeout);
  db.limit(std::nullopt);
  CHECK(db.once("SELECT count(*) FROM t").step());
}

TEST_CASE("sqlite: a transaction that is not committed is rolled back") {
  Database db = open();
  {
    auto tx = Transaction::begin(db);
    REQUIRE(tx);
    REQUIRE(db.exec("INSERT INTO t VALUES (1, 'a', NULL)"));
    CHECK(db.in_transaction());
  }
  CHECK_FALSE(db.in_transaction());
  auto query = db.use("SELECT count(*) FROM t");
  REQUIRE(*query.step());
  CHECK(query.number(0) == 0);
}

}  // namespace jobmill::sqlite
