// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/migrations.h"

#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

#include "base/id.h"
#include "jobs/job_explorer.h"
#include "store/postgres/test_connection.h"

namespace jobmill::postgres {
namespace {

using testing::Postgres;

constexpr Statement kTables{"count_tables",
                            "SELECT count(*) FROM pg_class"
                            " WHERE relnamespace = current_schema()::regnamespace"
                            "   AND relkind = 'r' AND relname LIKE 'jobmill\\_%'"};

std::int64_t tables(Connection& connection) {
  const auto rows = connection.run(kTables);
  REQUIRE_MESSAGE(rows, (rows ? "" : rows.error().message));
  return rows->int8(0, 0);
}

void must(const Status& status) { REQUIRE_MESSAGE(status, (status ? "" : status.error().message)); }

}  // namespace

TEST_CASE("postgres migrations: they are numbered from 1 without gaps") {
  int expected = 0;
  for (const Migration* migration : migrations()) CHECK(migration->number == ++expected);
  CHECK(known_schema() == expected);
}

TEST_CASE("postgres migrations: an empty database is brought to this program's schema") {
  Connection connection = connect(Postgres::shared().fresh_schema());
  CHECK(*schema_version(connection) == 0);
  const Status empty = check_schema(connection);
  REQUIRE_FALSE(empty);
  CHECK(empty.error().code == Code::Unsupported);
  CHECK(mentions(empty.error(), "run jobmill migrate"));
  CHECK(tables(connection) == 0);  // asking changes nothing

  must(migrate(connection));
  CHECK(*schema_version(connection) == known_schema());
  must(check_schema(connection));
  const std::int64_t made = tables(connection);
  CHECK(made > 1);
  must(migrate(connection));  // again: nothing to do
  CHECK(tables(connection) == made);
}

TEST_CASE("postgres migrations: a rehearsal says what would fail, and changes nothing") {
  const std::string url = Postgres::shared().fresh_schema();
  Connection connection = connect(url);
  must(rehearse_migration(connection));
  CHECK(tables(connection) == 0);
  must(connection.script("CREATE TABLE jobmill_job (of_another int4)"));
  CHECK_FALSE(rehearse_migration(connection));
  CHECK(*schema_version(connection) == 0);
}

TEST_CASE("postgres migrations: several programs at once do it once") {
  const std::string url = Postgres::shared().fresh_schema();
  std::vector<Connection> connections;
  for (int i = 0; i < 4; ++i) connections.push_back(connect(url));
  std::vector<std::optional<Fault>> faults(connections.size());
  {
    std::vector<std::jthread> programs;
    for (std::size_t i = 0; i < connections.size(); ++i) {
      programs.emplace_back([&, i] {
        if (Status done = migrate(connections[i]); !done) faults[i] = std::move(done).error();
      });
    }
  }
  for (const auto& fault : faults) CHECK_MESSAGE(!fault, (fault ? fault->message : ""));
  must(check_schema(connections.front()));
}

TEST_CASE("postgres migrations: an older and a newer schema are refused by name") {
  Connection connection = connect(Postgres::shared().fresh_schema());
  must(migrate(connection));
  must(connection.script("INSERT INTO jobmill_schema_version VALUES (999, 'of the future')"));
  for (const Status& refused : {check_schema(connection), migrate(connection)}) {
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::Unsupported);
    CHECK(mentions(refused.error(), "made by a newer jobmill (schema 999"));
  }
  must(
      connection.script("UPDATE jobmill_schema_version SET number = number - 1"
                        " WHERE number < 999; DELETE FROM jobmill_schema_version"
                        " WHERE number = 999"));
  const Status older = check_schema(connection);
  REQUIRE_FALSE(older);
  CHECK(older.error().code == Code::Unsupported);
  CHECK(mentions(older.error(), "run jobmill migrate"));
}

TEST_CASE("postgres migrations: the printed SQL makes what migrate makes") {
  Connection printed = connect(Postgres::shared().fresh_schema());
  must(printed.script(migration_script()));
  must(check_schema(printed));
  Connection migrated = connect(Postgres::shared().fresh_schema());
  must(migrate(migrated));
  CHECK(tables(printed) == tables(migrated));
  CHECK(migration_script(known_schema()).empty());
}

TEST_CASE("postgres migrations: grants give a server what it needs, and no more") {
  Postgres::shared().execute("CREATE ROLE \"run time\" LOGIN");
  const std::string url = Postgres::shared().fresh_schema();
  Connection owner = connect(url);
  must(migrate(owner));
  must(owner.script("CREATE TABLE of_others (n int4)"));
  const std::string runtime_url = "postgres://run%20time@/" + url.substr(url.find("@/") + 2);

  Connection runtime = connect(runtime_url);
  const auto blind = schema_version(runtime);
  REQUIRE_FALSE(blind);
  CHECK(blind.error().code == Code::PermissionDenied);
  CHECK(mentions(blind.error(), "GRANT USAGE ON SCHEMA"));

  const auto script = grant_script(owner, "run time");
  REQUIRE(script);
  must(owner.script(*script));
  {
    Connection checked = connect(runtime_url);
    must(check_schema(checked));
  }
  static constexpr Statement kSteps{"steps", "SELECT number FROM jobmill_schema_version"};
  static constexpr Statement kOthers{"others", "SELECT n FROM of_others"};
  Connection granted = connect(runtime_url);
  CHECK(granted.run(kSteps));
  CHECK(granted.run(kOthers).error().code == Code::PermissionDenied);

  const auto unknown = grant_script(owner, "nobody here");
  REQUIRE(unknown);
  CHECK(owner.script(*unknown).error().code == Code::NotFound);
}

TEST_CASE("postgres migrations: failures from before are grouped as those to come") {
  Connection connection = connect(Postgres::shared().fresh_schema());
  must(connection.script(
      "CREATE TABLE jobmill_schema_version (number integer PRIMARY KEY, name text NOT NULL,"
      " applied_at timestamptz NOT NULL DEFAULT now());"));
  for (const Migration* migration : migrations().first(2)) {
    must(connection.script(migration->sql + ("INSERT INTO jobmill_schema_version VALUES (" +
                                             std::to_string(migration->number) + ", 'x')")));
  }
  struct Old {
    const char* type;
    const char* stack;
    const char* message;
  };
  const Old all[] = {{"mail.Ünknown", "\r\n \t at load(0x7fA3, 0007x1)  \t\r\n at main", "m"},
                     {"E", "", "row 17 at 0X and 00x1 is bad"},
                     {"", " \n", ""}};
  constexpr Statement kDone{"old_done", R"sql(
    INSERT INTO jobmill_done (id, at, waited, lane, worker, version, attempt, failures, crashes, state)
    VALUES ($1, now(), 0, 1, 0, 3, 1, 1, 0, 6))sql"};
  constexpr Statement kEvent{"old_event", R"sql(
    INSERT INTO jobmill_event (id, n, state, at, data) VALUES ($1, 3, 6, now(), json_build_object(
      'exceptionType', $2, 'exceptionMessage', $3, 'stackTrace', $4)::text))sql"};
  std::vector<std::string> ids;
  for (const Old& old : all) {
    ids.push_back(new_id(TimePoint{}));
    REQUIRE(connection.run(kDone, Parameters().uuid(ids.back())));
    REQUIRE(connection.run(
        kEvent, Parameters().uuid(ids.back()).text(old.type).text(old.message).text(old.stack)));
  }
  must(migrate(connection));
  constexpr Statement kNote{"old_note",
                            "SELECT fingerprint, type, frame, message, final, quarantined"
                            " FROM jobmill_failure WHERE id = $1"};
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto note = connection.run(kNote, Parameters().uuid(ids[i]));
    REQUIRE(note);
    REQUIRE(note->size() == 1);
    CHECK(note->text(0, 0) == jobs::fingerprint_of(all[i].type, all[i].stack, all[i].message));
    CHECK(note->text(0, 1) == all[i].type);
    CHECK(note->text(0, 2) == jobs::top_frame(all[i].stack));
    CHECK(note->text(0, 3) == all[i].message);
    CHECK(note->boolean(0, 4));
    CHECK_FALSE(note->boolean(0, 5));
  }
}

TEST_CASE("postgres migrations: who worked with the tables works with the new ones") {
  Connection connection = connect(Postgres::shared().fresh_schema());
  must(
      connection.script("CREATE TABLE jobmill_schema_version (number integer PRIMARY KEY,"
                        " name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());"));
  must(connection.script(migrations()[0]->sql));
  must(connection.script(
      "INSERT INTO jobmill_schema_version VALUES (1, 'jobs');"
      "CREATE ROLE \"the runner\"; GRANT INSERT ON jobmill_job TO \"the runner\""));
  must(migrate(connection));
  constexpr Statement kMay{"may",
                           "SELECT has_table_privilege('the runner', 'jobmill_failure', 'DELETE'),"
                           "       has_table_privilege('the runner', 'jobmill_pause', 'INSERT')"};
  const auto may = connection.run(kMay);
  REQUIRE(may);
  CHECK(may->boolean(0, 0));
  CHECK(may->boolean(0, 1));
}

}  // namespace jobmill::postgres
