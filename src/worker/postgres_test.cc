// SPDX-License-Identifier: Apache-2.0
#include "jobmill/postgres.h"

#include <doctest/doctest.h>
#include <libpq-fe.h>

#include <memory>
#include <string>

#include "postgres_rig.h"
#include "store/postgres/migrations.h"
#include "store/postgres/test_connection.h"

namespace jobmill {
namespace {

using namespace std::chrono_literals;
using testing::Postgres;

void send_mail(Context&, std::string, int) {}
constexpr Job<"mail.send", send_mail> SendMail{
    {.queue = "mail", .priority = 2, .labels = "to:{0}", .name = "mail {i} to {0}"}};

// An application's connection; `schema` holds jobmill's tables.
struct Application {
  std::string url = Postgres::shared().fresh_schema();
  std::unique_ptr<PGconn, decltype(&PQfinish)> connection{PQconnectdb(url.c_str()), PQfinish};
  std::string schema = run("SELECT current_schema()");
  // Nobody is there: what is written within a transaction needs no server.
  Client client{connect("http://127.0.0.1:9")};

  Application() {
    auto owner = postgres::connect(url);
    REQUIRE(postgres::migrate(owner));
  }

  std::string run(const std::string& sql) const {
    const std::unique_ptr<PGresult, decltype(&PQclear)> answer(
        PQexec(connection.get(), sql.c_str()), PQclear);
    const bool one = PQntuples(answer.get()) == 1;
    return one ? PQgetvalue(answer.get(), 0, 0) : PQresultErrorMessage(answer.get());
  }
};

template <class Call>
std::string code_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code;
  }
  return "none";
}

}  // namespace

TEST_CASE("jobs of a transaction of the application exist when it commits") {
  Application app;
  app.run("BEGIN");
  app.client.in(app.connection.get()).enqueue(SendMail, "bob", 3);
  app.run("ROLLBACK");
  CHECK(app.run("SELECT count(*) FROM jobmill_job") == "0");

  app.run("BEGIN");
  PGconn* transaction = app.connection.get();
  Client within = app.client.in(transaction);
  const JobId now = within.enqueue(SendMail, "bob", 3);
  const JobId later = within.schedule(std::chrono::system_clock::now() + 1h, SendMail, "eve", 1);
  Bulk bulk = within.bulk();
  bulk.add(Put{.id = "order-7"}, SendMail, "ann", 1).add(Put{.count = 20}, SendMail, "all", 1);
  const auto ids = bulk.commit();
  CHECK(ids.size() == 11);
  app.run("COMMIT");
  const auto of = [&](const char* column, const JobId& id) {
    return app.run(std::string("SELECT ") + column + " FROM jobmill_job WHERE id = '" + id.uuid +
                   "'");
  };
  CHECK(of("args", now) == R"(["bob",3])");
  CHECK(of("labels", now) == "{to:bob}");
  CHECK(of("name", now) == "mail 0 to bob");
  CHECK(of("max_attempts", now) == "11");
  CHECK(of("first_state", later) == "1");
  CHECK(of("name", ids[1]) == "mail 0 to all");
  CHECK(app.run("SELECT count(*) FROM jobmill_hot") == "22");
  CHECK(app.run("SELECT count(*) FROM jobmill_due") == "1");

  CHECK(within.enqueue(Put{.id = "order-7"}, SendMail, "ann", 1).uuid == ids[0].uuid);
  CHECK(code_of([&] { within.enqueue(Put{.id = "order-7"}, SendMail, "ann", 2); }) ==
        "idempotency_conflict");
}

TEST_CASE("jobs of a transaction: what is wrong is an Error, and the transaction has failed") {
  Application app;
  Client within = app.client.in(app.connection.get());
  app.run("BEGIN");
  CHECK(code_of([&] { within.enqueue(SendMail, std::string(50, 'x'), 1); }) == "invalid_argument");
  CHECK(code_of([&] { within.enqueue(SendMail, "bob", 1); }) == "invalid_argument");
  app.run("ROLLBACK");
  CHECK(code_of([&] { within.enqueue(SendMail, "bob", 1); }) == "none");  // without BEGIN: at once
  CHECK(app.run("SELECT count(*) FROM jobmill_job") == "1");

  app.run("SET search_path = pg_catalog");
  CHECK(code_of([&] { within.enqueue(SendMail, "bob", 1); }) != "none");
  app.client.in(InSchema{app.connection.get(), app.schema}).enqueue(SendMail, "bob", 1);
  CHECK(app.run("SELECT count(*) FROM \"" + app.schema + "\".jobmill_job") == "2");
}

}  // namespace jobmill
