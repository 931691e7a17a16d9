// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "store/postgres/errors.h"
#include "store/postgres/parameters.h"
#include "store/postgres/rows.h"
#include "store/postgres/url.h"
#include "store/postgres/wake.h"

struct pg_conn;
struct pg_cancel;

namespace jobmill::postgres {

// SQL with $1, $2, … that a connection prepares when it first needs it. A constant at namespace
// scope, with a name that no other one has: connections know it by its address, the server by its
// name. The first use fixes the types of the parameters.
//
//   constexpr Statement kFindJob{"find_job", "SELECT … WHERE id = $1"};
//
// Plans are made once and kept, and a table that holds a million rows now may have been empty when
// they were made. So what is joined to a list is looked up by `t.id = ANY(ARRAY[u.id])`: of
// `t.id = u.id` the server may begin with the table's side, and read all of it for each statement.
struct Statement {
  const char* name;
  const char* sql;
};

struct Notification {
  std::string channel;
  std::string payload;
  int sender;  // the process in the server, as Connection::backend says of its own
};

// Ends what a connection waits for in the server, from any thread. May outlive the connection.
class Canceller {
 public:
  Canceller() = default;
  void cancel() const;  // without effect when nothing runs

 private:
  friend class Connection;
  explicit Canceller(pg_conn* conn);
  std::shared_ptr<pg_cancel> cancel_;
};

// One connection to a PostgreSQL 15 or later, with UTF-8. For one thread at a time.
//
// When the connection is lost a call answers Unavailable, and is_open() is false from then on: open
// another one. What was sent last may or may not have been committed, so statements must bear to
// be repeated.
class Connection {
 public:
  // Unavailable: not now (a read-only standby, too). Unsupported: a server or an encoding that we
  // cannot use. PermissionDenied, NotFound: see connect_fault.
  static Result<Connection> open(const Url& url, const ConnectOptions& options = {});
  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;
  ~Connection();

  bool is_open() const;
  int socket() const;
  int backend() const;  // the process in the server
  const Peer& peer() const;
  Canceller canceller() const;

  // One statement, which is one transaction outside of a Transaction.
  Result<Rows> run(const Statement& statement, const Parameters& parameters = {});
  // The same for SQL that was put together for this one call, which is not prepared.
  Result<Rows> query(const std::string& sql, const Parameters& parameters = {});
  // Statements without parameters or answers, as one text and in one transaction: for schemas.
  Status script(const std::string& sql);
  // COPY … FROM STDIN (FORMAT binary), with what CopyRows has made.
  Status copy(const std::string& sql, std::string_view rows);

  // Asks for notifications of a channel, for as long as this connection lives.
  Status listen(std::string_view channel);
  // Waits until a notification is there, `wake` is signalled or the time is up. Empty: the latter
  // two. Notifications that came during other calls are not lost.
  Result<std::vector<Notification>> wait(Duration timeout, const Wake& wake);

  // SQLSTATE of the last call that failed; empty when the server did not say one.
  const std::string& sqlstate() const;

 private:
  friend class Pipeline;
  struct State;
  class Exchange;
  explicit Connection(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

// Statements that go out together and are one transaction: all of them or none. One round trip,
// however many they are, but for those that are prepared on the way. Within a Transaction they are
// a part of it.
//
//   Pipeline pipeline(connection);
//   pipeline.add(kInsertJobs, Parameters().array(std::move(ids)));
//   pipeline.add(kNotify, Parameters().text("queue"));
//   TRY(const auto answers, pipeline.finish());   // one Rows per add()
class Pipeline {
 public:
  explicit Pipeline(Connection& connection) : connection_(&connection) {}

  std::size_t add(const Statement& statement, Parameters parameters = {});  // its index
  std::size_t size() const { return steps_.size(); }
  bool empty() const { return steps_.empty(); }

  // Sends what was added, and starts anew. The first failure undoes everything.
  Result<std::vector<Rows>> finish();
  // Which one failed in the last finish(); none if all went well or the connection was lost.
  std::optional<std::size_t> failed() const { return failed_; }

 private:
  friend class Connection;
  struct Step {
    const Statement* statement;
    Parameters parameters;
  };
  Connection* connection_;
  std::vector<Step> steps_;
  std::optional<std::size_t> failed_;
};

// Several round trips as one transaction. Rolls back unless committed.
class Transaction {
 public:
  static Result<Transaction> begin(Connection& connection);
  Transaction(Transaction&& other) noexcept
      : connection_(std::exchange(other.connection_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  Status commit();

 private:
  explicit Transaction(Connection& connection) : connection_(&connection) {}
  Connection* connection_;
};

}  // namespace jobmill::postgres
