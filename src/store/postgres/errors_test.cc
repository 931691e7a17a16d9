// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/errors.h"

#include <doctest/doctest.h>

#include "store/postgres/test_connection.h"

namespace jobmill::postgres {
namespace {

using testing::Postgres;

const Peer kPeer{.user = "app", .host = "db:5432", .database = "jobs"};

constexpr Statement kRead{"read_secret", "SELECT n FROM secret"};
constexpr Statement kSelectOne{"select_one", "SELECT 1"};

// A user who may log in, and nothing more.
std::string stranger() {
  static const bool made = [] {
    Postgres::shared().execute("CREATE ROLE stranger LOGIN PASSWORD 'pass'");
    return true;
  }();
  return Postgres::shared().tcp_url("postgres", "stranger", made ? "pass" : "");
}

}  // namespace

TEST_CASE("postgres errors: each SQLSTATE is what the caller can do about it") {
  struct Case {
    const char* sqlstate;
    Code code;
    const char* says;
  };
  for (const Case& c : {Case{"08006", Code::Unavailable, "; retrying"},
                        {"57P01", Code::Unavailable, "; retrying"},
                        {"57P03", Code::Unavailable, "; retrying"},
                        {"53300", Code::Unavailable, "no more connections"},
                        {"25006", Code::Unavailable, "read-only standby"},
                        {"53100", Code::Exhausted, "the disk of database jobs at db:5432 is full"},
                        {"53200", Code::Exhausted, "no room"},
                        {"40001", Code::Conflict, "try again"},
                        {"40P01", Code::Conflict, "try again"},
                        {"55P03", Code::Timeout, "gave up"},
                        {"57014", Code::Timeout, "gave up"},
                        {"23505", Code::AlreadyExists, "the server's words"},
                        {"22021", Code::InvalidArgument, "cannot hold"},
                        {"42P01", Code::Unsupported, "run jobmill migrate"},
                        {"3F000", Code::PermissionDenied, "GRANT USAGE ON SCHEMA"},
                        {"28P01", Code::PermissionDenied, "user app"},
                        {"28000", Code::PermissionDenied, "user app"},
                        {"3D000", Code::NotFound, "CREATE DATABASE \"jobs\""},
                        {"XX000", Code::Internal, "SQLSTATE XX000"}}) {
    CAPTURE(c.sqlstate);
    const Fault fault =
        statement_fault({.sqlstate = c.sqlstate, .message = "the server's words"}, kPeer);
    CHECK(fault.code == c.code);
    CHECK_MESSAGE(mentions(fault, c.says), fault.message);
  }
}

TEST_CASE("postgres errors: a missing right is told as the GRANT that gives it") {
  struct Case {
    const char* message;
    const char* grant;
  };
  for (const Case& c :
       {Case{"permission denied for table jobmill_job",
             "GRANT SELECT, INSERT, UPDATE, DELETE ON jobmill_job TO app"},
        {"permission denied for schema jobs", "GRANT USAGE ON SCHEMA jobs TO app"},
        {"permission denied for sequence s", "GRANT USAGE, SELECT ON SEQUENCE s TO app"},
        {"permission denied for function f", "GRANT EXECUTE ON FUNCTION f TO app"},
        {"permission denied for database d", "GRANT CONNECT ON DATABASE d TO app"},
        {"permission denied for ", "--grant app"},
        {"must be owner of table jobmill_job", "--grant app"}}) {
    CAPTURE(c.message);
    const Fault fault = statement_fault({.sqlstate = "42501", .message = c.message}, kPeer);
    CHECK(fault.code == Code::PermissionDenied);
    CHECK_MESSAGE(mentions(fault, c.grant), fault.message);
  }
}

TEST_CASE("postgres faults: a wrong password names the user and the host, not the password") {
  const Fault fault = refusal(Postgres::shared().tcp_url("postgres", "owner", "hunter2"));
  CHECK(fault.code == Code::PermissionDenied);
  CHECK(mentions(fault, "user owner"));
  CHECK(mentions(fault, "127.0.0.1:"));
  CHECK_FALSE(mentions(fault, "hunter2"));
  const Fault none = refusal(Postgres::shared().tcp_url("postgres", "owner", ""));
  CHECK(none.code == Code::PermissionDenied);
  CHECK(mentions(none, "PGPASSWORD"));
}

TEST_CASE("postgres faults: an unknown database, an unknown user") {
  const Fault database = refusal(Postgres::shared().url("nowhere"));
  CHECK(database.code == Code::NotFound);
  CHECK(mentions(database, "CREATE DATABASE \"nowhere\""));
  const Fault user = refusal(Postgres::shared().tcp_url("postgres", "nobody", "x"));
  CHECK(user.code == Code::PermissionDenied);
  CHECK(mentions(user, "user nobody"));
}

TEST_CASE("postgres faults: nobody there is unavailable, nonsense in the URL is not") {
  const Fault refused = refusal("postgres://someone@127.0.0.1:1/jobs");
  CHECK(refused.code == Code::Unavailable);
  CHECK_MESSAGE(mentions(refused, "127.0.0.1:1 cannot be reached (Connection refused"),
                refused.message);
  CHECK(mentions(refused, "; retrying"));
  CHECK(refusal("postgres://someone@127.0.0.1:1/jobs?sslmode=odd").code == Code::InvalidArgument);
  CHECK(refusal("postgres://someone@127.0.0.1:123456/jobs").code == Code::InvalidArgument);
}

TEST_CASE("postgres faults: a database with another encoding is refused with the way out") {
  const Fault fault = refusal(Postgres::shared().fresh_database(
      "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"));
  CHECK(fault.code == Code::Unsupported);
  CHECK(mentions(fault, "LATIN1"));
  CHECK(mentions(fault, "ENCODING 'UTF8' TEMPLATE template0"));
}

TEST_CASE("postgres faults: a missing right names the GRANT, which then helps") {
  Postgres::shared().execute("CREATE TABLE public.secret (n int4)");
  Connection connection = connect(stranger());
  const auto denied = connection.run(kRead);
  REQUIRE_FALSE(denied);
  CHECK(denied.error().code == Code::PermissionDenied);
  const std::string grant = "GRANT SELECT, INSERT, UPDATE, DELETE ON secret TO stranger";
  REQUIRE_MESSAGE(mentions(denied.error(), grant), denied.error().message);
  Postgres::shared().execute(grant);
  CHECK(connection.run(kRead));
  Postgres::shared().execute("DROP TABLE public.secret");
}

TEST_CASE("postgres faults: a server full of connections is unavailable") {
  Postgres server({.settings = {"max_connections = 4", "superuser_reserved_connections = 0"}});
  std::vector<Connection> all;
  auto url = Url::parse(server.url());
  REQUIRE(url);
  for (auto next = Connection::open(*url);; next = Connection::open(*url)) {
    if (next) {
      REQUIRE(all.size() < 4);
      all.push_back(*std::move(next));
      continue;
    }
    CHECK(next.error().code == Code::Unavailable);
    CHECK(mentions(next.error(), "no more connections"));
    break;
  }
  CHECK(!all.empty());  // the one that asked whether the server is up may not be gone yet
}

TEST_CASE("postgres faults: a read-only standby is said to be one until it is promoted") {
  Postgres server;
  Connection connection = connect(server.url());
  REQUIRE(connection.script("CREATE TABLE t (n int4)"));
  server.restart_as_standby();
  const Fault fault = refusal(server.url());
  CHECK(fault.code == Code::Unavailable);
  CHECK(mentions(fault, "is a read-only standby"));
  server.execute("SELECT pg_promote()");
  Connection again = connect(server.url());
  CHECK(again.script("INSERT INTO t VALUES (1)"));
}

TEST_CASE("postgres faults: a connection that takes no writes any more is given up") {
  Connection connection = connect(Postgres::shared().fresh_schema());
  REQUIRE(connection.script("CREATE TABLE t (n int4); SET default_transaction_read_only = on"));
  static constexpr Statement kWrite{"write_t", "INSERT INTO t VALUES (1)"};
  const auto refused = connection.run(kWrite);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::Unavailable);
  CHECK_FALSE(connection.is_open());
}

TEST_CASE("postgres faults: a schema that changes under a prepared statement ends the connection") {
  const std::string url = Postgres::shared().fresh_schema();
  Connection connection = connect(url);
  static constexpr Statement kAll{"all_of_t", "SELECT * FROM t"};
  REQUIRE(connection.script("CREATE TABLE t (n int4)"));
  REQUIRE(connection.run(kAll));
  REQUIRE(connect(url).script("ALTER TABLE t ADD COLUMN m int4"));
  REQUIRE_FALSE(connection.run(kAll));
  CHECK_FALSE(connection.is_open());  // a new one prepares it anew
  CHECK(connect(url).run(kAll));
}

TEST_CASE("postgres faults: a full disk is Exhausted and names the database") {
  Connection connection = connect(Postgres::shared().url());
  const Status full = connection.script(
      "DO $$ BEGIN RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$");
  REQUIRE_FALSE(full);
  CHECK(full.error().code == Code::Exhausted);
  CHECK(mentions(full.error(), "the disk of database postgres"));
  CHECK(connection.run(kSelectOne));
}

}  // namespace jobmill::postgres
