// SPDX-License-Identifier: Apache-2.0
#include "k8s/elector.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <atomic>
#include <future>
#include <mutex>
#include <optional>

#include "kubernetes_rig.h"

using namespace std::chrono_literals;
using jobmill::testing::FakeApiServer;
using jobmill::testing::json;
using jobmill::testing::QueueWorld;
using jobmill::testing::Words;

namespace jobmill::k8s {
namespace {

// An API server that holds one Lease.
class LeaseServer {
 public:
  std::string lease() {
    const std::lock_guard lock(mutex_);
    return lease_ ? to_json(*lease_) : "none";
  }
  void put(std::string_view text) {
    const std::lock_guard lock(mutex_);
    store(*parse_json(text));
  }

  std::atomic<bool> refusing = false;
  FakeApiServer http{[this](const auto& request, const auto& to) { answer(request, to); }};

 private:
  void answer(const http::Request& request, const http::Responder& to) {
    const std::lock_guard lock(mutex_);
    if (refusing) return to.send(json(R"({"kind":"Status","message":"no"})", 403));
    if (request.method == "GET" && !lease_) return to.send(json("{}", 404));
    if (request.method == "POST") store(*parse_json(request.body));
    if (request.method == "PUT") {
      Node object = *parse_json(request.body);
      if (version_in(object) != version_in(*lease_)) return to.send(json("{}", 409));
      store(std::move(object));
    }
    to.send(json(to_json(*lease_)));
  }

  static std::string version_in(const Node& object) {
    const Node* version = object.find("metadata")->find("resourceVersion");
    return version ? version->text : "";
  }

  void store(Node object) {
    object.find("metadata")->set("resourceVersion", Node::string(std::to_string(++version_)));
    lease_ = std::move(object);
  }

  std::mutex mutex_;  // guards the rest
  std::optional<Node> lease_;
  int version_ = 0;
};

class Rig {
 public:
  Rig() {
    queue.call([&] {
      client.emplace(Config{.server = server.http.url()}, http, queue.world(), Client::Limits{});
      return true;
    });
  }
  ~Rig() {
    queue.call([&] {
      elector.reset();
      client.reset();
      return true;
    });
  }

  void stand() {
    queue.call([&] {
      elector.emplace(
          *client, queue.world(),
          Elector::Options{.ns = "jobs", .identity = "me", .since_start = &queue.clock},
          [&](bool leads) { told.tell(leads ? "leads" : "leads no more"); },
          [&](const Fault& why) { told.tell("ill: " + why.message); });
      return true;
    });
  }

  // Waits until the lease is `text`, which an answer on its way will make it.
  void await_lease(const std::string& text) {
    const auto end = std::chrono::steady_clock::now() + 60s;
    while (server.lease() != text && std::chrono::steady_clock::now() < end)
      queue.call([] { return true; });
    CHECK(server.lease() == text);
  }

  LeaseServer server;
  http::Client http;
  QueueWorld queue;
  Words told;
  std::optional<Client> client;
  std::optional<Elector> elector;
};

std::string lease(const std::string& spec, int version, const std::string& more = "") {
  return fmt::format(
      R"({{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{{"name":"jobmill"{},)"
      R"("resourceVersion":"{}"}},"spec":{{{}}}}})",
      more, version, spec);
}

}  // namespace

TEST_CASE("elector: makes the lease, renews it and gives it back") {
  Rig rig;
  rig.stand();
  CHECK(rig.told.next() == "leads");
  CHECK(rig.server.lease() ==
        lease(R"("holderIdentity":"me","leaseDurationSeconds":4,)"
              R"("renewTime":"2024-01-01T00:00:00.000000Z","leaseTransitions":0,)"
              R"("acquireTime":"2024-01-01T00:00:00.000000Z")",
              1));
  CHECK(rig.queue.call([&] { return rig.elector->leads() && rig.elector->leader() == "me"; }));
  rig.queue.advance(1s + 5us);
  rig.await_lease(lease(R"("leaseDurationSeconds":4,)"
                        R"("renewTime":"2024-01-01T00:00:01.000005Z","leaseTransitions":0,)"
                        R"("acquireTime":"2024-01-01T00:00:00.000000Z","holderIdentity":"me")",
                        2));
  std::promise<void> resigned;
  rig.queue.call([&] {
    rig.elector->resign([&] { resigned.set_value(); });
    return true;
  });
  CHECK(rig.told.next() == "leads no more");
  resigned.get_future().get();
  CHECK(rig.server.lease() ==
        lease(R"("leaseDurationSeconds":4,"renewTime":"2024-01-01T00:00:01.000005Z",)"
              R"("leaseTransitions":0,"acquireTime":"2024-01-01T00:00:00.000000Z")",
              3));
}

TEST_CASE("elector: takes over a lease that is not renewed, and keeps what else it says") {
  Rig rig;
  rig.server.put(lease(R"("holderIdentity":"other","leaseDurationSeconds":4,"leaseTransitions":2)",
                       1, R"(,"labels":{"team":"a"})"));
  rig.stand();
  for (int second = 0; second < 4; ++second) {
    while (rig.queue.call([&] { return rig.elector->leader(); }) != "other") continue;
    rig.queue.advance(1s);
  }
  CHECK(rig.told.next() == "leads");
  CHECK(rig.server.lease() ==
        lease(R"("leaseDurationSeconds":4,"leaseTransitions":3,"holderIdentity":"me",)"
              R"("renewTime":"2024-01-01T00:00:04.000000Z",)"
              R"("acquireTime":"2024-01-01T00:00:04.000000Z")",
              2, R"(,"labels":{"team":"a"})"));
}

TEST_CASE("elector: one that cannot renew says that it leads no more") {
  Rig rig;
  rig.stand();
  CHECK(rig.told.next() == "leads");
  rig.server.refusing = true;
  rig.queue.advance(2s);
  CHECK(rig.told.next() == R"(ill: cannot update leases "jobmill" in namespace "jobs": no (403))");
  CHECK(rig.queue.call([&] { return rig.elector->leads(); }));
  rig.queue.advance(1s);
  CHECK(rig.told.next() == "leads no more");
  CHECK_FALSE(rig.queue.call([&] { return rig.elector->leads(); }));
  rig.server.refusing = false;
  rig.queue.advance(1s);
  CHECK(rig.told.next() == "leads");
}

TEST_CASE("elector: it may be destroyed by what it tells") {
  Rig rig;
  rig.queue.call([&] {
    rig.elector.emplace(
        *rig.client, rig.queue.world(),
        Elector::Options{.ns = "jobs", .identity = "me", .since_start = &rig.queue.clock},
        [&](bool) {
          rig.elector.reset();
          rig.told.tell("gone");
        });
    return true;
  });
  CHECK(rig.told.next() == "gone");
}

}  // namespace jobmill::k8s
