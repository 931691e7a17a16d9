// SPDX-License-Identifier: Apache-2.0
//
// Jobs that are enqueued in the application's own PostgreSQL transaction: they exist if and only
// if it commits.
//
//   #include "jobmill/postgres.h"
//
//   jobmill::Client client;
//   PQclear(PQexec(connection, "BEGIN"));
//   PQclear(PQexec(connection, "UPDATE account SET …"));
//   client.in(connection).enqueue(SendMail, "bob@example.org", 3);
//   PQclear(PQexec(connection, "COMMIT"));  // from now on a worker may run it
//
// The connection is the application's own, of libpq: jobmill sends one plain statement over it, and
// leaves nothing in its session. Its database is the one where the servers keep their jobs, and its
// user needs nothing but EXECUTE on the function jobmill_enqueue_many.
#pragma once

#include <memory>
#include <string>

#include "jobmill/jobs.h"

struct pg_conn;  // PGconn is another name of it

namespace jobmill {

template <>
struct Transaction<pg_conn*> {
  static std::shared_ptr<Store> join(const std::shared_ptr<Store>& store, pg_conn* connection);
};

// client.in(jobmill::InSchema{connection, "jobs"}): where the connection's search path does not
// lead to jobmill's tables.
struct InSchema {
  pg_conn* connection;
  std::string schema;
};

template <>
struct Transaction<InSchema> {
  static std::shared_ptr<Store> join(const std::shared_ptr<Store>& store, const InSchema& tx);
};

}  // namespace jobmill
