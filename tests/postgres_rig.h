// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace jobmill::testing {

// A PostgreSQL of its own, from the distribution's package: data in a temporary folder, a Unix
// socket there, TCP on a free loopback port. It never runs as root and ends with its owner, also
// when that is killed. Local users are trusted; those of TCP give a password.
//
// Whatever goes wrong with it ends the program: without a database there is nothing to test.
class Postgres {
 public:
  struct Options {
    bool fsync = false;                   // on where a test is about power cuts, or about speed
    std::vector<std::string> settings{};  // lines of postgresql.conf: "max_connections = 5"
  };
  static constexpr char kUser[] = "owner";  // a superuser
  static constexpr char kPassword[] = "p@ss/word";

  explicit Postgres(const Options& options);
  Postgres() : Postgres(Options()) {}
  ~Postgres();
  Postgres(const Postgres&) = delete;
  Postgres& operator=(const Postgres&) = delete;

  // The one that all cases of a test program share; started when it is first asked for.
  static Postgres& shared();

  // Faults. What was committed is there after start().
  void stop();   // in order: connections are ended
  void crash();  // the server and all of its processes at once
  void start();
  void restart_as_standby();  // of nobody: read-only until pg_promote()
  bool running() const { return server_ > 0; }

  // An empty schema that is its connections' own, in the database "postgres": the quick way to a
  // fresh store.
  std::string fresh_schema();
  // A database, for what is about databases. `options` as after CREATE DATABASE name.
  std::string fresh_database(const std::string& options = {});

  // A superuser's word, in the database "postgres".
  void execute(const std::string& sql) const;

  // The URL of a database by the Unix socket, and by TCP.
  std::string url(const std::string& database = "postgres") const;
  std::string tcp_url(const std::string& database = "postgres", const std::string& user = kUser,
                      const std::string& password = kPassword) const;
  int port() const { return port_; }

 private:
  void make_cluster(const Options& options);
  void spawn();
  bool wait_until_ready() const;
  bool alive() const;
  void end_with(int signal);

  std::string folder_;
  int port_ = 0;
  pid_t server_ = 0;
  int schemas_ = 0;
  int databases_ = 0;
};

}  // namespace jobmill::testing
