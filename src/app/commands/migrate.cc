// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include <fmt/core.h>

#include "app/commands/commands.h"
#include "app/table.h"
#include "store/postgres/migrations.h"
#include "store/sqlite/migrations.h"
#include "store/sqlite/sqlite_file.h"

// The schema of a store, apart from the server that uses it: on PostgreSQL another user may be the
// one that changes it.
namespace jobmill::app {
namespace {

constexpr std::array kModes{"status", "check", "dry-run", "show-sql", "grant"};

int exit_of(const Fault& fault) {
  switch (fault.code) {
    case Code::Unavailable:
    case Code::Timeout:
      return kTemporary;
    case Code::Conflict:
      return kDataInUse;
    case Code::PermissionDenied:
      return kPermission;
    case Code::InvalidArgument:
    case Code::NotFound:
    case Code::Unsupported:
      return kConfiguration;
    default:
      return kFailed;
  }
}

int complain_of(const Fault& fault) { return complain(exit_of(fault), fault.message); }

// The first that is set; as `jobmill serve` finds its store.
std::string store_of(const Arguments& arguments) {
  for (const std::string& url :
       {arguments.get("store"), environment("JOBMILL_STORE"), environment("DATABASE_URL")}) {
    if (!url.empty()) return url;
  }
  return "sqlite:";
}

// What the schema of a store is, and what this program makes of it.
struct Schema {
  std::string store;
  int have;
  int known;

  std::string state() const {
    if (have == known) return "current";
    if (have == 0) return "empty";
    return have < known ? "older" : "newer";
  }
};

int print_status(const Arguments& arguments, const Schema& schema) {
  const auto output = output_of(arguments);
  if (!output) return kUsage;
  Node document = Node::object();
  document.set("store", Node::string(schema.store));
  document.set("schema", Node::integer(schema.have));
  document.set("known", Node::integer(schema.known));
  document.set("state", Node::string(schema.state()));
  Table table({"STORE", "SCHEMA", "KNOWN", "STATE"});
  table.row(
      {schema.store, std::to_string(schema.have), std::to_string(schema.known), schema.state()});
  return print(*output, document, table, {fmt::format("schema/{}", schema.have)});
}

int print_done(const Schema& before) {
  if (before.have == before.known) {
    fmt::print("{}: schema {}, nothing to do\n", before.store, before.have);
  } else {
    fmt::print("{}: schema {} is now {}\n", before.store, before.have, before.known);
  }
  return kOk;
}

// --- SQLite -------------------------------------------------------------------------------------

std::string sqlite_path(const Arguments& arguments, const std::string& url) {
  const std::string path = url.substr(std::string_view("sqlite:").size());
  if (!path.empty()) return path;
  const std::string state = environment("STATE_DIRECTORY");
  return arguments.get("data", state.empty() ? "./.jobmill" : state) + "/jobmill.db";
}

Fault not_current(const Schema& schema) {
  return fail(Code::Unsupported, fmt::format("{} has schema {}, this program has {}; {}",
                                             schema.store, schema.have, schema.known,
                                             schema.have > schema.known ? "use a newer jobmill"
                                                                        : "run jobmill migrate"));
}

int migrate_sqlite(const Arguments& arguments, const std::string& url) {
  const std::string path = sqlite_path(arguments, url);
  for (const char* flag : {"dry-run", "grant", "migrate-url"}) {
    if (arguments.has(flag))
      return complain(kUsage, fmt::format("--{} is for PostgreSQL; a server brings its SQLite file "
                                          "up to date when it starts",
                                          flag));
  }
  const auto have = sqlite::SqliteFile::schema_of(path);
  if (!have) return complain_of(have.error());
  const Schema schema{"sqlite:" + path, *have, sqlite::known_schema()};
  if (arguments.has("status")) return print_status(arguments, schema);
  if (arguments.has("check"))
    return schema.have == schema.known ? print_done(schema) : complain_of(not_current(schema));
  const auto file = sqlite::SqliteFile::open(path);
  return file ? print_done(schema) : complain_of(file.error());
}

// --- PostgreSQL ---------------------------------------------------------------------------------

// A schema takes as long to change as it takes.
Result<postgres::Connection> connect(const postgres::Url& url) {
  return postgres::Connection::open(url, {.application_name = "jobmill migrate",
                                          .statement_timeout = Duration::zero(),
                                          .answer_timeout = Duration::zero()});
}

int grant(postgres::Connection& connection, const std::string& role) {
  const auto script = postgres::grant_script(connection, role);
  if (!script) return complain_of(script.error());
  if (const Status done = connection.script(*script); !done) return complain_of(done.error());
  fmt::print("{}", *script);
  return kOk;
}

int act(const Arguments& arguments, postgres::Connection& connection, const Schema& schema) {
  if (arguments.has("status")) return print_status(arguments, schema);
  Status done;
  if (arguments.has("check")) {
    done = postgres::check_schema(connection);
  } else if (arguments.has("dry-run")) {
    done = postgres::rehearse_migration(connection);
  } else {
    done = postgres::migrate(connection);
  }
  if (!done) return complain_of(done.error());
  if (arguments.has("grant")) return grant(connection, arguments.get("grant"));
  if (!arguments.has("dry-run") || schema.have == schema.known) return print_done(schema);
  fmt::print("{}: schema {} can become {}; nothing was changed\n", schema.store, schema.have,
             schema.known);
  return kOk;
}

int migrate_postgres(const Arguments& arguments, const std::string& store) {
  const std::string own = environment("JOBMILL_MIGRATE_URL");
  const auto url = postgres::Url::parse(arguments.get("migrate-url", own.empty() ? store : own));
  if (!url) return complain_of(url.error());
  auto connection = connect(*url);
  if (!connection) return complain_of(connection.error());
  const auto have = postgres::schema_version(*connection);
  if (!have) return complain_of(have.error());
  return act(arguments, *connection, {url->text(), *have, postgres::known_schema()});
}

int migrate(const Arguments& arguments) {
  if (std::ranges::count_if(kModes, [&](const char* mode) { return arguments.has(mode); }) > 1)
    return complain(kUsage, "choose one of --status, --check, --dry-run, --show-sql and --grant");
  if (arguments.has("show-sql")) {
    fmt::print("{}", postgres::migration_script());
    return kOk;
  }
  const std::string store = store_of(arguments);
  if (store.starts_with("sqlite:")) return migrate_sqlite(arguments, store);
  if (!postgres::Url::is_postgres(store))
    return complain(kConfiguration, "--store is sqlite:PATH or postgres://USER@HOST/DATABASE");
  return migrate_postgres(arguments, store);
}

constexpr std::array kFlags{
    Flag{"--store", "URL",
         "the store (else JOBMILL_STORE, DATABASE_URL, sqlite: in the data folder)"},
    Flag{"--data", "DIR", "the data folder, for sqlite: (./.jobmill)"},
    Flag{"--migrate-url", "URL", "the same database as a user that may change its schema"},
    Flag{"--status", "", "say which schema it has"},
    Flag{"--check", "", "exit 78 unless it has the schema of this program"},
    Flag{"--dry-run", "", "do it, say whether it went well, and undo it"},
    Flag{"--show-sql", "", "print the SQL of all steps, for psql, Flyway or Liquibase"},
    Flag{"--grant", "ROLE", "then give ROLE the rights that a server needs"},
    Flag{"-o,--output", "FORMAT", "table, json, yaml or name"},
};

}  // namespace

const std::array<Command, 1> kMigrateCommands{
    Command{"migrate", "", "Bring the schema of a store to this version, and say what it is.",
            kFlags, false, migrate},
};

}  // namespace jobmill::app
