// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"

namespace jobmill::postgres {

// What is the same for all connections of one purpose. Zero turns a limit off.
struct ConnectOptions {
  std::string application_name = "jobmill";  // pg_stat_activity shows it
  Duration connect_timeout = std::chrono::seconds(10);
  Duration statement_timeout = std::chrono::seconds(30);  // the server ends the statement
  Duration idle_in_transaction_timeout = std::chrono::seconds(60);
  // How long a server may say nothing before the connection counts as lost: for networks that
  // swallow packets. Longer than the statements' own limit, which is the kinder one.
  Duration answer_timeout = std::chrono::seconds(45);
  // Plans each statement for its values: for searches, which differ and take longer than that.
  bool plan_for_values = false;
  // Rows come in the order of an index, as claims and pages need them. Of a table without
  // statistics the server would believe a lane to hold few, and collect and sort all of them for
  // the first.
  bool rows_in_order = true;
};

// One of libpq's keywords and its value.
struct Setting {
  std::string keyword;
  Secret value;  // of which only some are secret; none of them is to be printed
};

// Where a database is: postgres://user:password@host:port/database?keyword=value, with several
// hosts and all keywords of libpq. What it leaves out comes from the environment (PGPASSWORD,
// PGPASSFILE, …) as for psql.
class Url {
 public:
  static bool is_postgres(std::string_view text);  // by its scheme
  static Result<Url> parse(std::string_view text);

  std::string text() const;  // for people: without passwords and keywords
  // Of the URL itself; empty where it leaves them out. Several hosts are one text.
  std::string host() const { return value_of("host"); }
  std::string user() const { return value_of("user"); }
  std::string database() const { return value_of("dbname"); }

  // What PQconnectdbParams is given: our defaults, then the URL's own, which win.
  std::vector<Setting> settings(const ConnectOptions& options) const;

 private:
  std::string value_of(std::string_view keyword) const;
  std::vector<Setting> own_;
};

}  // namespace jobmill::postgres
