// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/connection.h"

#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "store/postgres/test_connection.h"

namespace jobmill::postgres {
namespace {

using namespace std::chrono_literals;
using testing::Postgres;

constexpr Statement kOne{"one", "SELECT 1"};
constexpr Statement kInsert{"insert_t", "INSERT INTO t VALUES ($1)"};
constexpr Statement kCount{"count_t", "SELECT count(*) FROM t"};
constexpr Statement kNowhere{"nowhere", "SELECT 1 FROM nowhere"};
constexpr Statement kTerminate{"terminate", "SELECT pg_terminate_backend($1)"};
constexpr Statement kSleep{"sleep_minute", "SELECT pg_sleep(60)"};
constexpr Statement kNotify{"notify", "SELECT pg_notify($1, $2)"};

Connection with_table() {
  Connection connection = connect(Postgres::shared().fresh_schema());
  REQUIRE(connection.script("CREATE TABLE t (n int4 PRIMARY KEY)"));
  return connection;
}

std::int64_t count(Connection& connection) {
  const auto rows = connection.run(kCount);
  REQUIRE_MESSAGE(rows, (rows ? "" : rows.error().message));
  return rows->int8(0, 0);
}

}  // namespace

TEST_CASE("postgres connection: it has the settings that we count on") {
  static constexpr Statement kSettings{
      "settings",
      "SELECT current_setting('jit'), current_setting('plan_cache_mode'),"
      " current_setting('statement_timeout'), current_setting('application_name'),"
      " current_setting('client_encoding'), current_setting('TimeZone'),"
      " current_setting('enable_hashjoin'), current_setting('enable_mergejoin'),"
      " current_setting('enable_bitmapscan'), current_setting('enable_seqscan')"};
  Connection connection = connect(Postgres::shared().url());
  const auto rows = connection.run(kSettings);
  REQUIRE(rows);
  CHECK(rows->text(0, 0) == "off");
  CHECK(rows->text(0, 1) == "force_generic_plan");
  CHECK(rows->text(0, 2) == "30s");
  CHECK(rows->text(0, 3) == "jobmill");
  CHECK(rows->text(0, 4) == "UTF8");
  CHECK(rows->text(0, 5) == "UTC");
  CHECK(rows->text(0, 6) == "off");
  CHECK(rows->text(0, 7) == "off");
  CHECK(rows->text(0, 8) == "off");
  CHECK(rows->text(0, 9) == "off");
}

TEST_CASE("postgres connection: a password is used over TCP") {
  Connection connection = connect(Postgres::shared().tcp_url());
  CHECK(connection.run(kOne));
  CHECK(connection.peer().text() ==
        "database postgres at 127.0.0.1:" + std::to_string(Postgres::shared().port()));
}

TEST_CASE("postgres connection: a statement is prepared once") {
  static constexpr Statement kPrepared{
      "prepared", "SELECT count(*) FROM pg_prepared_statements WHERE name = 'one'"};
  Connection connection = connect(Postgres::shared().url());
  for (int i = 0; i < 3; ++i) REQUIRE(connection.run(kOne)->int4(0, 0) == 1);
  CHECK(connection.run(kPrepared)->int8(0, 0) == 1);
}

TEST_CASE("postgres connection: after a failed statement the next one works") {
  Connection connection = with_table();
  const auto failed = connection.run(kNowhere);
  REQUIRE_FALSE(failed);
  CHECK(connection.sqlstate() == "42P01");
  CHECK(connection.is_open());
  CHECK(connection.run(kOne));
  CHECK(connection.sqlstate().empty());
  CHECK_FALSE(connection.script("CREATE TABLE u (n int4); INSERT INTO nowhere VALUES (1)"));
  CHECK_FALSE(connection.run(kNowhere));
  CHECK(connection.script("CREATE TABLE u (n int4)"));  // a script is one transaction
}

TEST_CASE("postgres pipeline: its statements are one transaction, answered in order") {
  Connection connection = with_table();
  Pipeline pipeline(connection);
  for (int n = 0; n < 10; ++n) CHECK(pipeline.add(kInsert, Parameters().int4(n)) == std::size_t(n));
  pipeline.add(kCount);
  const auto rows = pipeline.finish();
  REQUIRE_MESSAGE(rows, (rows ? "" : rows.error().message));
  REQUIRE(rows->size() == 11);
  CHECK(rows->at(3).affected() == 1);
  CHECK(rows->at(10).int8(0, 0) == 10);
  CHECK(pipeline.empty());
  CHECK(pipeline.finish()->empty());  // nothing is no failure
}

TEST_CASE("postgres pipeline: the first failure undoes everything and is named") {
  Connection connection = with_table();
  Pipeline pipeline(connection);
  pipeline.add(kInsert, Parameters().int4(1));
  pipeline.add(kInsert, Parameters().int4(2));
  pipeline.add(kInsert, Parameters().int4(1));
  pipeline.add(kNowhere);
  const auto rows = pipeline.finish();
  REQUIRE_FALSE(rows);
  CHECK(rows.error().code == Code::AlreadyExists);
  CHECK(pipeline.failed() == 2);
  CHECK(count(connection) == 0);
  pipeline.add(kInsert, Parameters().int4(1));
  CHECK(pipeline.finish());
  CHECK_FALSE(pipeline.failed());
  CHECK(count(connection) == 1);
}

TEST_CASE("postgres pipeline: what fails at the commit fails it") {
  Connection connection = connect(Postgres::shared().fresh_schema());
  REQUIRE(connection.script("CREATE TABLE t (n int4, UNIQUE (n) DEFERRABLE INITIALLY DEFERRED)"));
  Pipeline pipeline(connection);
  pipeline.add(kInsert, Parameters().int4(1));
  pipeline.add(kInsert, Parameters().int4(1));
  const auto rows = pipeline.finish();
  REQUIRE_FALSE(rows);
  CHECK(rows.error().code == Code::AlreadyExists);
  CHECK_FALSE(pipeline.failed());
  CHECK(count(connection) == 0);
}

TEST_CASE("postgres pipeline: many megabytes both ways do not block each other") {
  static constexpr Statement kEcho{"echo_text", "SELECT $1::text"};
  Connection connection = connect(Postgres::shared().url());
  const std::string large(1 << 20, 'x');
  Pipeline pipeline(connection);
  for (int i = 0; i < 32; ++i) pipeline.add(kEcho, Parameters().text(large));
  const auto rows = pipeline.finish();
  REQUIRE_MESSAGE(rows, (rows ? "" : rows.error().message));
  for (const Rows& row : *rows) CHECK(row.text(0, 0) == large);
}

TEST_CASE("postgres transaction: committed it stays, left it is undone") {
  Connection connection = with_table();
  {
    auto tx = Transaction::begin(connection);
    REQUIRE(tx);
    REQUIRE(connection.run(kInsert, Parameters().int4(1)));
  }
  CHECK(count(connection) == 0);
  auto tx = Transaction::begin(connection);
  REQUIRE(tx);
  Pipeline pipeline(connection);
  pipeline.add(kInsert, Parameters().int4(1));
  REQUIRE(pipeline.finish());
  REQUIRE(connection.script("INSERT INTO t VALUES (2)"));
  CHECK(tx->commit());
  CHECK(count(connection) == 2);
}

TEST_CASE("postgres transaction: one with a failed statement cannot be committed") {
  Connection connection = with_table();
  auto tx = Transaction::begin(connection);
  REQUIRE(tx);
  REQUIRE(connection.run(kInsert, Parameters().int4(1)));
  CHECK_FALSE(connection.run(kInsert, Parameters().int4(1)));
  CHECK_FALSE(tx->commit());
  CHECK(count(connection) == 0);
}

TEST_CASE("postgres notifications: they reach the listener, also during other calls") {
  Connection listener = connect(Postgres::shared().url());
  Connection other = connect(Postgres::shared().url());
  const Wake wake;
  REQUIRE(listener.listen("odd \"name"));
  REQUIRE(other.run(kNotify, Parameters().text("odd \"name").text("first")));
  const auto first = listener.wait(60s, wake);
  REQUIRE(first);
  REQUIRE(first->size() == 1);
  CHECK(first->front().channel == "odd \"name");
  CHECK(first->front().payload == "first");
  CHECK(first->front().sender == other.backend());

  REQUIRE(other.run(kNotify, Parameters().text("odd \"name").text("second")));
  REQUIRE(listener.run(kOne));  // reads it on the way
  const auto second = listener.wait(60s, wake);
  REQUIRE(second);
  REQUIRE(second->size() == 1);
  CHECK(second->front().payload == "second");
  CHECK(listener.wait(Duration::zero(), wake)->empty());
}

TEST_CASE("postgres notifications: another thread ends the wait") {
  Connection listener = connect(Postgres::shared().url());
  const Wake wake;
  std::jthread waker([&] { wake.signal(); });
  const auto woken = listener.wait(60s, wake);
  REQUIRE(woken);
  CHECK(woken->empty());
  CHECK_FALSE(wake.take());  // the wait took it
}

TEST_CASE("postgres connection: another thread cancels what runs") {
  Connection connection = connect(Postgres::shared().url());
  Connection watcher = connect(Postgres::shared().url());
  static constexpr Statement kRuns{
      "runs", "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'"};
  std::jthread canceller([&, cancel = connection.canceller(), backend = connection.backend()] {
    while (watcher.run(kRuns, Parameters().int4(backend))->int8(0, 0) == 0)
      std::this_thread::yield();
    cancel.cancel();
  });
  const auto slept = connection.run(kSleep);
  REQUIRE_FALSE(slept);
  CHECK(slept.error().code == Code::Timeout);
  CHECK(connection.run(kOne));
}

TEST_CASE("postgres connection: a statement beyond its time is a timeout") {
  Connection connection =
      connect(Postgres::shared().url(), {.statement_timeout = std::chrono::milliseconds(20)});
  const auto slept = connection.run(kSleep);
  REQUIRE_FALSE(slept);
  CHECK(slept.error().code == Code::Timeout);
  CHECK(connection.sqlstate() == "57014");
  auto one = connection.run(kOne);
  while (!one && connection.sqlstate() == "57014") one = connection.run(kOne);  // a busy machine
  CHECK(one);
}

TEST_CASE("postgres connection: a server that says nothing is lost after a while") {
  Connection connection = connect(Postgres::shared().url(), {.answer_timeout = 20ms});
  const auto slept = connection.run(kSleep);
  REQUIRE_FALSE(slept);
  CHECK(slept.error().code == Code::Unavailable);
  CHECK_FALSE(connection.is_open());
  CHECK(connection.run(kOne).error().code == Code::Unavailable);  // and stays so
}

TEST_CASE("postgres connection: one that the server ended says so, and the next call too") {
  Connection victim = connect(Postgres::shared().fresh_schema());
  Connection killer = connect(Postgres::shared().url());
  const Wake wake;
  REQUIRE(killer.run(kTerminate, Parameters().int4(victim.backend())));
  const auto waited = victim.wait(60s, wake);
  REQUIRE_FALSE(waited);
  CHECK(waited.error().code == Code::Unavailable);
  CHECK_FALSE(victim.is_open());
  CHECK(victim.wait(60s, wake).error().code == Code::Unavailable);
  CHECK(victim.script("SELECT 1").error().code == Code::Unavailable);
}

TEST_CASE("postgres connection: killed in the middle of a pipeline it is unavailable") {
  Connection victim = with_table();
  static constexpr Statement kSuicide{"suicide", "SELECT pg_terminate_backend(pg_backend_pid())"};
  Pipeline pipeline(victim);
  pipeline.add(kInsert, Parameters().int4(1));
  pipeline.add(kSuicide);
  pipeline.add(kInsert, Parameters().int4(2));
  const auto rows = pipeline.finish();
  REQUIRE_FALSE(rows);
  CHECK(rows.error().code == Code::Unavailable);
  CHECK(mentions(rows.error(), "; retrying"));
  CHECK(victim.sqlstate() == "57P01");
  CHECK_FALSE(pipeline.failed());
  CHECK_FALSE(victim.is_open());
}

TEST_CASE("postgres connection: what was committed is there after the server has crashed") {
  Postgres server;
  Connection connection = connect(server.url());
  REQUIRE(connection.script("CREATE TABLE t (n int4 PRIMARY KEY)"));
  REQUIRE(connection.run(kInsert, Parameters().int4(1)));
  server.crash();
  CHECK(connection.run(kCount).error().code == Code::Unavailable);
  CHECK(refusal(server.url()).code == Code::Unavailable);
  CHECK(refusal(server.tcp_url()).code == Code::Unavailable);
  server.start();
  Connection again = connect(server.url());
  CHECK(count(again) == 1);
  server.stop();
  const auto stopped = again.run(kCount);
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().code == Code::Unavailable);
}

}  // namespace jobmill::postgres
