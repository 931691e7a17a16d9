// SPDX-License-Identifier: Apache-2.0
#include "targets/process/process_target.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include "base/document.h"
#include "conformance/scale_target.h"
#include "control_queue.h"
#include "temporary_folder.h"

namespace jobmill::targets {
namespace {

using namespace std::chrono_literals;

// A server around one ProcessTarget. Its store is a list.
class Server final : public scale::ScaleTargetWorld {
 public:
  explicit Server(const std::string& script, std::optional<manifest::Probe> readiness = {})
      : definition_(define(script, std::move(readiness))) {}

  scale::ScaleTarget& target() override { return processes(); }
  void run_until(const std::function<bool()>& come_true) override { control.run_until(come_true); }

  // Made at its first use, so that a test can change the definition before.
  ProcessTarget& processes() {
    if (!target_) target_ = std::make_unique<ProcessTarget>(definition_, world());
    return *target_;
  }
  ProcessDefinition& definition() { return definition_; }
  std::string folder() const { return folder_.path(); }
  std::string log(const std::string& replica) const {
    std::ifstream file(folder() + "/mill/" + replica + ".log");
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string only_replica() { return processes().replicas().at(0).name; }
  void run_until_ready(int count) {
    run_until([this, count] { return processes().counts().ready == count; });
  }
  void run_until_empty() {
    run_until([this] { return processes().empty(); });
  }
  // Until all has arrived that is on its way now.
  void run_what_waits() {
    bool passed = false;
    control.run_after({}, [&] { passed = true; });
    run_until([&] { return passed; });
  }
  void register_worker(const std::string& replica, int occupied) {
    store = {{.replica = replica, .worker_id = "w1", .occupied = occupied}};
    processes().workers_changed(store);
  }

  testing::ControlQueue control;
  std::vector<LeaseView> store;
  struct Death {
    std::string worker_id;
    ProcessExit exit;
    bool ordered;
  };
  std::vector<Death> deaths;
  std::vector<std::string> gone;
  int changes = 0;

 private:
  ProcessDefinition define(const std::string& script, std::optional<manifest::Probe> readiness) {
    ProcessDefinition definition;
    definition.deployment.key.kind = "Deployment";
    definition.deployment.key.name = "mill";
    definition.deployment.containers.emplace_back();
    definition.deployment.containers[0].readiness = std::move(readiness);
    definition.command = {"sh", "-c", script};
    definition.working_directory = folder_.path();
    return definition;
  }

  ProcessTarget::World world() {
    ProcessTargetHooks hooks{
        .now = [this] { return clock_.now(); },
        .run_after = [this](Duration delay,
                            auto work) { control.run_after(delay, std::move(work)); },
        .set_worker_state =
            [this](const std::string& id, bool quiet, const auto& done) {
              for (LeaseView& view : store) {
                if (view.worker_id == id) view.quiet = quiet;
              }
              control.run_after({}, [done] { done({}); });
            },
        .read_workers = [this] { target_->workers_changed(store); },
        .worker_died =
            [this](const std::string& id, const ProcessExit& exit, bool ordered) {
              std::erase_if(store, [&](const LeaseView& v) { return v.worker_id == id; });
              deaths.push_back({id, exit, ordered});
            },
        .environment =
            [](const std::string& replica) {
              return Texts{{"JOBMILL_URL", "http://127.0.0.1:1"}, {"TOKEN_OF", replica}};
            },
        .replica_gone = [this](const std::string& replica) { gone.push_back(replica); },
        .changed = [this] { ++changes; }};
    return {.hooks = std::move(hooks),
            .catalog = catalog_,
            .watcher = watcher_,
            .cgroups = cgroups_,
            .log = log_,
            .log_folder = folder_.path(),
            .drain_limit = {}};
  }

  SystemClock clock_;
  Log log_{clock_, {.level = LogLevel::Off}};
  manifest::Catalog catalog_;
  testing::TemporaryFolder folder_;
  Cgroups cgroups_{folder_.path()};
  ProcessWatcher watcher_{control.post()};
  ProcessDefinition definition_;
  std::unique_ptr<ProcessTarget> target_;
};

manifest::Probe port_probe(manifest::Probe::Kind kind, int port) {
  manifest::Probe probe;
  probe.kind = kind;
  probe.port = port;
  probe.path = "/health";
  return probe;
}

// A port of this machine that takes connections.
class Listener {
 public:
  Listener() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    socklen_t size = sizeof address;
    ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  int port() const { return port_; }
  void listen() { REQUIRE(::listen(socket_.get(), 5) == 0); }
  void stop() { ::shutdown(socket_.get(), SHUT_RDWR); }  // also for who waits in answer()

  // Takes one connection, reads its request and answers it. Returns the request; nothing: it stops.
  std::optional<std::string> answer(const std::string& response) {
    const Fd peer(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!peer) return {};
    char buffer[1024];
    const ssize_t got = ::recv(peer.get(), buffer, sizeof buffer, 0);
    ::send(peer.get(), response.data(), response.size(), MSG_NOSIGNAL);
    return std::string(buffer, static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  }

 private:
  Fd socket_;
  int port_ = 0;
};

// Ready when the file is there; for scripts that say so with `touch ready`.
manifest::Probe file_probe() {
  manifest::Probe probe;
  probe.command = {"test", "-e", "ready"};
  return probe;
}

}  // namespace

TEST_CASE("process target: it does what every scale target does") {
  scale::exercise_scale_target([] { return std::make_unique<Server>("exec sleep 1000"); });
}

TEST_CASE("process target: a child sees its name and its output is kept") {
  Server server("echo $JOBMILL_REPLICA $TOKEN_OF $JOBMILL_URL $A; touch ready; exec sleep 1000",
                file_probe());
  server.definition().deployment.containers[0].env.emplace_back().name = "A";
  server.definition().deployment.containers[0].env[0].value = "at $(JOBMILL_URL)";
  server.processes().scale_to(1);
  const std::string name = server.only_replica();
  CHECK(server.processes().owns(name));
  server.run_until_ready(1);
  server.processes().scale_to(0);
  server.run_until_empty();
  CHECK(server.log(name) == name + " " + name + " http://127.0.0.1:1 at http://127.0.0.1:1\n");
}

TEST_CASE("process target: TERM lets a program end by itself, and its name is given back") {
  Server server("trap 'echo bye; exit 0' TERM; touch ready; while :; do sleep 0.02; done",
                file_probe());
  server.processes().scale_to(1);
  const std::string name = server.only_replica();
  server.run_until_ready(1);
  server.processes().scale_to(0);
  CHECK(server.processes().pods()[0].status == "Terminating");
  server.run_until_empty();
  CHECK(server.log(name).ends_with("bye\n"));
  CHECK(server.gone == std::vector{name});
  CHECK_FALSE(server.processes().owns(name));
}

TEST_CASE("process target: KILL after the grace") {
  Server server("trap '' TERM; touch ready; while :; do sleep 0.02; done", file_probe());
  server.definition().deployment.grace = 20ms;
  server.processes().scale_to(1);
  server.run_until_ready(1);
  server.processes().scale_to(0);
  server.run_until_empty();
  CHECK(server.processes().interruptions() == 0);
}

TEST_CASE("process target: a busy worker ends only after its job") {
  Server server("exec sleep 1000");
  server.processes().scale_to(1);
  server.register_worker(server.only_replica(), 1);
  server.processes().scale_to(0);
  server.run_what_waits();
  CHECK(server.store[0].quiet);
  CHECK(server.processes().counts().draining == 1);
  CHECK(server.deaths.empty());

  server.store[0].occupied = 0;
  server.processes().workers_changed(server.store);
  server.run_until_empty();
  REQUIRE(server.deaths.size() == 1);
  CHECK(server.deaths[0].ordered);
}

TEST_CASE("process target: a crash is told at once, with how and its last words") {
  // In commands $$ stands for $, as in Kubernetes.
  Server server(
      "test -e once && exec sleep 1000; touch once; echo 'out of cheese' >&2; kill -SEGV $$$$");
  server.processes().scale_to(1);
  server.register_worker(server.only_replica(), 1);
  server.run_until([&] { return !server.deaths.empty(); });

  CHECK(server.deaths[0].worker_id == "w1");
  CHECK(server.deaths[0].exit.signal == SIGSEGV);
  CHECK_FALSE(server.deaths[0].ordered);
  CHECK(server.deaths[0].exit.peak_rss_bytes > 100'000);
  CHECK(server.deaths[0].exit.detail.find("out of cheese") != std::string::npos);
  server.run_until_ready(1);  // started again
  CHECK(server.processes().replicas()[0].restarts == 1);
  CHECK(server.processes().pods()[0].restarts == 1);
}

TEST_CASE("process target: what crashes again and again waits, and says so as kubectl does") {
  Server server("exit 3");
  server.processes().scale_to(1);
  server.run_until([&] { return server.processes().pods()[0].status == "CrashLoopBackOff"; });
  CHECK(server.processes().pods()[0].detail == "waits 10 s before it starts again (exit code 3)");
  CHECK_FALSE(server.processes().pods()[0].ready);
  CHECK(server.processes().counts().starting == 1);

  server.processes().scale_to(0);
  CHECK(server.processes().empty());
}

TEST_CASE("process target: what cannot be started says why") {
  Server server("");
  server.definition().command = {"jobmill-nothing"};
  server.processes().scale_to(1);
  CHECK(server.processes().pods()[0].status == "RunContainerError");
  CHECK(server.processes().pods()[0].detail.find("cannot start 'jobmill-nothing' (no such file)") !=
        std::string::npos);
}

TEST_CASE("process target: a missing Secret is a replica that does not start, and names it") {
  Server server("exec sleep 1000");
  auto& variable = server.definition().deployment.containers[0].env.emplace_back();
  variable.name = "A";
  variable.source = manifest::EnvVar::Source::Secret;
  variable.object = "db";
  variable.key = "password";
  server.processes().scale_to(1);
  CHECK(server.processes().counts().starting == 1);
  CHECK(server.processes().pods()[0].detail.find("db") != std::string::npos);
}

TEST_CASE("process target: another revision replaces the replicas") {
  Server server("exec sleep 1000");
  server.processes().scale_to(2);
  server.run_until_ready(2);
  const std::string old[] = {server.processes().replicas()[0].name,
                             server.processes().replicas()[1].name};
  ProcessDefinition next = server.definition();
  next.revision = "2";
  server.processes().define(next);
  server.run_until([&] {
    return server.processes().counts().ready == 2 && !server.processes().owns(old[0]) &&
           !server.processes().owns(old[1]);
  });
}

TEST_CASE("process target: an exec probe says when it is ready") {
  Server server("exec sleep 1000", file_probe());
  server.processes().scale_to(1);
  CHECK(server.processes().counts().starting == 1);
  std::ofstream(server.folder() + "/ready") << "yes";
  server.run_until_ready(1);
}

TEST_CASE("process target: an exec probe that hangs counts as failed, and is ended") {
  manifest::Probe probe;
  probe.command = {"sh", "-c", "test -e second && exit 0; touch second; exec sleep 1000"};
  probe.timeout = 200ms;
  Server server("exec sleep 1000", probe);
  server.processes().scale_to(1);
  server.run_until_ready(1);
}

TEST_CASE("process target: one that fails its probe long enough is no longer ready") {
  manifest::Probe probe = file_probe();
  probe.period = 5ms;
  Server server("exec sleep 1000", probe);
  std::ofstream(server.folder() + "/ready") << "yes";
  server.processes().scale_to(1);
  server.run_until_ready(1);
  std::filesystem::remove(server.folder() + "/ready");
  server.run_until([&] { return server.processes().counts().starting == 1; });
}

TEST_CASE("process target: alone, it is ready when its port takes a connection") {
  Listener listener;
  Server server("exec sleep 1000", port_probe(manifest::Probe::Kind::Tcp, listener.port()));
  server.definition().alone = true;
  server.processes().scale_to(1);
  CHECK(server.processes().counts().starting == 1);
  listener.listen();
  server.run_until_ready(1);
}

TEST_CASE("process target: alone, it is ready when a GET is answered well") {
  Listener listener;
  listener.listen();
  Server server("exec sleep 1000", port_probe(manifest::Probe::Kind::Http, listener.port()));
  server.definition().alone = true;
  server.processes().scale_to(1);
  std::vector<std::string> requests;
  std::jthread web([&] {
    // The last one again and again: a probe that was held up has not heard it.
    const char* answers[] = {"HTTP/1.1 503 Busy\r\n\r\n", "nonsense\r\n\r\n",
                             "HTTP/1.1 200 OK\r\n\r\n"};
    while (const auto request = listener.answer(answers[std::min<std::size_t>(requests.size(), 2)]))
      requests.push_back(*request);
  });
  server.run_until_ready(1);
  listener.stop();
  web.join();
  CHECK(requests.size() >= 3);
  CHECK(std::ranges::any_of(requests, [](const std::string& request) {
    return request.starts_with("GET /health HTTP/1.1\r\n");
  }));
}

TEST_CASE("process target: with a port probe and company it is ready when it registers") {
  Server server("exec sleep 1000", port_probe(manifest::Probe::Kind::Http, 1));
  server.processes().scale_to(1);
  CHECK(server.processes().counts().starting == 1);
  server.register_worker(server.only_replica(), 0);
  CHECK(server.processes().counts().ready == 1);
}

TEST_CASE("process target: one that is alone from now on is probed on its port") {
  Listener listener;
  listener.listen();
  Server server("exec sleep 1000", port_probe(manifest::Probe::Kind::Tcp, listener.port()));
  server.processes().scale_to(1);
  const std::string name = server.only_replica();
  CHECK(server.processes().counts().starting == 1);

  ProcessDefinition alone = server.definition();
  alone.alone = true;
  server.processes().define(alone);
  server.run_until_ready(1);
  CHECK(server.only_replica() == name);
}

TEST_CASE("process target: a server that stops waits for its grace at most") {
  Server server("trap '' TERM; touch ready; while :; do sleep 0.02; done", file_probe());
  server.processes().scale_to(2);
  server.run_until_ready(2);
  server.processes().shutdown(30ms);
  server.run_until_empty();
  CHECK(server.gone.size() == 2);
}

TEST_CASE("process target: a limit that cannot be set does not keep it from running") {
  Server server("exec sleep 1000");
  server.definition().deployment.containers[0].limits.memory_bytes = 64 << 20;
  server.processes().scale_to(1);
  server.run_until_ready(1);
}

TEST_CASE("process target: logs of replicas that are gone do not pile up") {
  Server server("exec sleep 1000");
  std::filesystem::create_directories(server.folder() + "/mill");
  for (int i = 0; i < 60; ++i) {
    std::ofstream(server.folder() + "/mill/mill-old" + std::to_string(i) + ".log") << "x";
  }
  server.processes().scale_to(1);
  server.processes().scale_to(0);
  server.run_until_empty();
  const auto files = std::filesystem::directory_iterator(server.folder() + "/mill");
  CHECK(std::distance(begin(files), end(files)) == 50);
}

}  // namespace jobmill::targets
