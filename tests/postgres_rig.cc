// SPDX-License-Identifier: Apache-2.0
#include "postgres_rig.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <random>
#include <thread>

namespace jobmill::testing {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void give_up(const std::string& why) {
  std::cerr << "private PostgreSQL: " << why << '\n';
  std::_Exit(1);
}

// Where Debian keeps the server's programs, the newest release first; elsewhere they are named by
// JOBMILL_POSTGRES_BIN.
std::string programs() {
  if (const char* named = std::getenv("JOBMILL_POSTGRES_BIN")) return named;
  int newest = 0;
  std::error_code none;
  for (const auto& release : fs::directory_iterator("/usr/lib/postgresql", none)) {
    if (!fs::exists(release.path() / "bin/postgres")) continue;
    newest = std::max(newest, std::atoi(release.path().filename().c_str()));
  }
  if (newest < 15) give_up("no PostgreSQL 15 or later is installed; ./dev setup installs one");
  return "/usr/lib/postgresql/" + std::to_string(newest) + "/bin";
}

// Whom the server runs as: it refuses to run as root.
const passwd* other_user() {
  if (::geteuid() != 0) return nullptr;
  const passwd* user = ::getpwnam("postgres");
  if (user == nullptr) user = ::getpwnam("nobody");
  if (user == nullptr) give_up("no user to run it as");
  return user;
}

void give_to_server(const std::string& path) {
  const passwd* user = other_user();
  if (user != nullptr && ::chown(path.c_str(), user->pw_uid, user->pw_gid) != 0)
    give_up("chown " + path);
}

// A child as the server's user that ends when this thread does: by `parting`. Its output goes to a
// file.
pid_t run_program(const std::vector<std::string>& arguments, const std::string& output,
                  int parting) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const passwd* user = other_user();
  const int log = ::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child != 0) {
    ::close(log);
    return child;
  }
  ::setpgid(0, 0);  // a Ctrl-C is for the test; the server ends with it
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  if (user != nullptr && (::setgroups(0, nullptr) != 0 || ::setgid(user->pw_gid) != 0 ||
                          ::setuid(user->pw_uid) != 0)) {
    ::_exit(126);
  }
  ::prctl(PR_SET_PDEATHSIG, parting);  // after the change of user, which forgets it
  if (::getppid() != parent || ::chdir("/") != 0) ::_exit(126);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

std::string contents(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool is_free(int port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool bound = ::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  ::close(socket);
  return bound;
}

// One that can be taken again after a stop: the system gives none of these to whoever asks for any.
int free_port() {
  std::random_device random;
  std::uniform_int_distribution<int> ports(22'000, 31'999);
  for (int tries = 0; tries < 1000; ++tries)
    if (const int port = ports(random); is_free(port)) return port;
  give_up("no free port");
}

// %XX for whatever could mean something in a URL.
std::string escaped(const std::string& text) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      out += c;
    } else {
      out += {'%', kDigits[static_cast<unsigned char>(c) >> 4], kDigits[c & 15]};
    }
  }
  return out;
}

}  // namespace

Postgres::Postgres(const Options& options) {
  std::string name = "/tmp/jobmill-pg-XXXXXX";  // short: a socket's path has 107 characters
  if (::mkdtemp(name.data()) == nullptr) give_up("no temporary folder");
  folder_ = name;
  give_to_server(folder_);
  make_cluster(options);
  start();
}

Postgres::~Postgres() {
  if (running()) end_with(SIGQUIT);  // nothing of it is needed any more
  std::error_code ignored;           // what cannot be deleted harms no test
  fs::remove_all(folder_, ignored);
}

Postgres& Postgres::shared() {
  static Postgres server;
  return server;
}

void Postgres::make_cluster(const Options& options) {
  const std::string password = folder_ + "/password";
  std::ofstream(password) << kPassword << '\n';
  give_to_server(password);
  const std::string output = folder_ + "/initdb.log";
  const pid_t initdb = run_program(
      {programs() + "/initdb", "--pgdata=" + folder_ + "/data", "--username=" + std::string(kUser),
       "--pwfile=" + password, "--encoding=UTF8", "--locale=C", "--auth-local=trust",
       "--auth-host=scram-sha-256", "--no-sync", "--no-instructions"},
      output, SIGKILL);
  if (initdb < 0 || wait_for(initdb) != 0) give_up("initdb: " + contents(output));
  std::ofstream file(folder_ + "/data/postgresql.conf", std::ios::app);
  file << "listen_addresses = '127.0.0.1'\nunix_socket_directories = '" << folder_ << "'\n"
       << "shared_buffers = 64MB\nmax_connections = 100\nlogging_collector = off\n";
  if (!options.fsync) file << "fsync = off\nfull_page_writes = off\n";
  for (const std::string& line : options.settings) file << line << '\n';
}

void Postgres::spawn() {
  server_ =
      run_program({programs() + "/postgres", "-D", folder_ + "/data", "-p", std::to_string(port_)},
                  folder_ + "/server.log", SIGQUIT);
  if (server_ < 0) give_up("fork");
}

bool Postgres::alive() const { return ::waitpid(server_, nullptr, WNOHANG) == 0; }

// Nothing tells that a server takes connections but a connection.
bool Postgres::wait_until_ready() const {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (PQping(url().c_str()) != PQPING_OK) {
    if (!alive()) return false;
    if (std::chrono::steady_clock::now() > deadline) give_up(contents(folder_ + "/server.log"));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

void Postgres::start() {
  const bool first = port_ == 0;
  for (int attempts = 1;; ++attempts) {
    if (first) port_ = free_port();
    spawn();
    if (wait_until_ready()) return;
    // Another process may have been faster to take the port.
    if (!first || attempts == 5) give_up(contents(folder_ + "/server.log"));
  }
}

void Postgres::end_with(int signal) {
  ::kill(server_, signal);
  wait_for(server_);
  server_ = 0;
}

void Postgres::stop() { end_with(SIGINT); }
void Postgres::crash() { end_with(SIGQUIT); }

void Postgres::restart_as_standby() {
  stop();
  const std::string sign = folder_ + "/data/standby.signal";
  std::ofstream{sign};
  give_to_server(sign);
  start();
}

std::string Postgres::fresh_schema() {
  const std::string name = "s" + std::to_string(++schemas_);
  execute("CREATE SCHEMA " + name);
  return url() + "&options=-csearch_path%3D" + name;
}

std::string Postgres::fresh_database(const std::string& options) {
  const std::string name = "d" + std::to_string(++databases_);
  execute("CREATE DATABASE " + name + ' ' + options);
  return url(name);
}

void Postgres::execute(const std::string& sql) const {
  const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(PQconnectdb(url().c_str()),
                                                                &PQfinish);
  PQsetNoticeProcessor(
      connection.get(), [](void*, const char*) {}, nullptr);
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection.get(), sql.c_str()),
                                                             &PQclear);
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
    give_up(sql + ": " + PQerrorMessage(connection.get()));
}

std::string Postgres::url(const std::string& database) const {
  return "postgres://" + std::string(kUser) + "@/" + database + "?host=" + escaped(folder_) +
         "&port=" + std::to_string(port_);
}

std::string Postgres::tcp_url(const std::string& database, const std::string& user,
                              const std::string& password) const {
  return "postgres://" + user + ':' + escaped(password) + "@127.0.0.1:" + std::to_string(port_) +
         '/' + database;
}

}  // namespace jobmill::testing
