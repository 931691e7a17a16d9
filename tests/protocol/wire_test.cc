// SPDX-License-Identifier: Apache-2.0
#include "wire/remote_job_store.h"

#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "conformance/job_store.h"
#include "postgres_rig.h"
#include "protocol/control_server.h"

namespace jobmill::testing {
namespace {

using namespace std::chrono_literals;

// A store behind a server, with a clock that all of them go by.
struct Remote {
  explicit Remote(ControlServerOptions options = {}, wire::RemoteOptions remote = {})
      : server(clock, std::move(options)), store(pointed_to(server, std::move(remote)), clock) {}

  static wire::RemoteOptions pointed_to(const ControlServer& server, wire::RemoteOptions options) {
    options.url = server.url() + "/";
    return options;
  }

  ManualClock clock;
  ControlServer server;
  wire::RemoteJobStore store;
};

}  // namespace

TEST_CASE("wire: a remote store keeps the contract of JobStore") {
  jobs::exercise_job_store([] {
    auto remote = std::make_shared<Remote>();
    return jobs::JobStoreFixture{remote, remote->store, remote->server.store(), remote->clock};
  });
}

TEST_CASE("wire: and so does one whose server keeps its jobs in PostgreSQL") {
  jobs::exercise_job_store([] {
    auto remote = std::make_shared<Remote>(
        ControlServerOptions{.postgres = Postgres::shared().fresh_schema()});
    return jobs::JobStoreFixture{remote, remote->store, remote->server.store(), remote->clock};
  });
}

TEST_CASE("wire: a wait for jobs can be given up, and what came for it goes back") {
  Remote remote;
  jobs::WorkerSpec spec;
  spec.name = "w";
  const auto worker = remote.store.announce(spec, remote.clock.now());
  REQUIRE(worker);

  std::stop_source stop;
  jobs::ClaimRequest request;
  request.worker_id = worker->worker_id;
  request.wait = 30s;
  request.stop = stop.get_token();
  std::jthread waiting([&] {
    const auto claimed = remote.store.claim(request, remote.clock.now());
    REQUIRE(claimed);
    CHECK(claimed->jobs.empty());
  });
  stop.request_stop();
  waiting.join();

  // The server may still hold the request, or may have ended it. Either way nobody has the job.
  jobs::JobSpec job;
  job.kind = "k";
  const auto inserted = remote.store.insert({&job, 1}, remote.clock.now());
  REQUIRE(inserted);
  const std::string id = inserted->jobs.front().id;
  REQUIRE(remote.store.leave(worker->worker_id, remote.clock.now()));
  remote.server.wait_until([&] {
    const auto found = remote.server.store().get(id);
    return found && found->state == jobs::JobState::Enqueued;
  });
}

TEST_CASE("wire: a worker goes on with its credentials when the server has another key") {
  ControlServerOptions options;
  options.users = {{"root", access::Password::plain("pw"), "admin"}};
  wire::RemoteOptions credentials;
  credentials.user = "root";
  credentials.password = Secret("pw");
  Remote remote(options, credentials);
  jobs::WorkerSpec spec;
  spec.name = "w";
  const auto worker = remote.store.announce(spec, remote.clock.now());
  REQUIRE(worker);
  REQUIRE(remote.store.beat(worker->worker_id, {}, remote.clock.now()));
  remote.server.change_token_key("another one");
  REQUIRE(remote.store.beat(worker->worker_id, {}, remote.clock.now()));
  REQUIRE(remote.store.beat(worker->worker_id, {}, remote.clock.now()));
}

TEST_CASE("wire: without a server every call is Unavailable") {
  ManualClock clock;
  wire::RemoteOptions options;
  options.url = "http://127.0.0.1:1";
  wire::RemoteJobStore store(options, clock);
  jobs::ClaimRequest request;
  request.worker_id = "w";
  CHECK(store.get("x").error().code == Code::Unavailable);
  CHECK(store.claim(request, clock.now()).error().code == Code::Unavailable);
  request.wait = 30s;
  CHECK(store.claim(request, clock.now()).error().code == Code::Unavailable);
}

}  // namespace jobmill::testing
