// SPDX-License-Identifier: Apache-2.0
#include "k8s/reflector.h"

#include <doctest/doctest.h>

#include <atomic>
#include <optional>

#include "kubernetes_rig.h"

using namespace std::chrono_literals;
using jobmill::testing::FakeApiServer;
using jobmill::testing::json;
using jobmill::testing::QueueWorld;
using jobmill::testing::Words;

namespace jobmill::k8s {
namespace {

std::string name_of(const Node& node) { return node.find("metadata")->find("name")->text; }

// A reflector of pods, whose list is `a` at first and `b` ever after, and whose watches the test
// writes.
class Rig {
 public:
  Rig() {
    queue.call([&] {
      client.emplace(Config{.server = server.url()}, http, queue.world(), Client::Limits{});
      reflector.emplace(*client, queue.world(),
                        Reflector::What{.resource = resources::kPods, .label_selector = "x=y"},
                        events());
      return true;
    });
  }
  ~Rig() {
    queue.call([&] {
      reflector.reset();
      client.reset();
      return true;
    });
  }

  Reflector::Events events() {
    return {.listed =
                [this](const std::vector<Node>& items) {
                  std::string text = "listed";
                  for (const Node& item : items) text += " " + name_of(item);
                  told.tell(text);
                },
            .put = [this](const Node& one) { told.tell("put " + name_of(one)); },
            .removed = [this](const Node& one) { told.tell("removed " + name_of(one)); },
            .ill = [this](const Fault& why) { told.tell("ill: " + why.message); },
            .well = [this] { told.tell("well"); }};
  }

  void answer(const http::Request& request, const http::Responder& to) {
    if (refusing) return to.send(json(R"({"kind":"Status","message":"not now"})", 403));
    if (request.parameter("watch")) return bodies.open(to);
    const std::string name = lists++ == 0 ? "a" : "b";
    to.send(json(R"({"metadata":{"resourceVersion":"5"},"items":[{"metadata":{"name":")" + name +
                 R"("}}]})"));
  }

  Words told;
  jobmill::testing::Bodies bodies;
  std::atomic<bool> refusing = false;
  std::atomic<int> lists = 0;
  FakeApiServer server{[this](const auto& request, const auto& to) { answer(request, to); }};
  http::Client http;
  QueueWorld queue;
  std::optional<Client> client;
  std::optional<Reflector> reflector;
};

std::string line(const std::string& type, const std::string& name, int version) {
  return R"({"type":")" + type + R"(","object":{"metadata":{"name":")" + name +
         R"(","resourceVersion":")" + std::to_string(version) + "\"}}}\n";
}

}  // namespace

TEST_CASE("reflector: a list, its changes, and a watch that goes on where it was") {
  Rig rig;
  CHECK(rig.told.next() == "listed a");
  auto body = rig.bodies.next();
  body->write(line("ADDED", "c", 6) + line("DELETED", "a", 7) + line("BOOKMARK", "", 30));
  CHECK(rig.told.next() == "put c");
  CHECK(rig.told.next() == "removed a");
  rig.queue.advance(1min);
  body->end();
  body = rig.bodies.next();
  body->write(line("MODIFIED", "c", 31));
  CHECK(rig.told.next() == "put c");
  const auto seen = rig.server.seen();
  REQUIRE(seen.size() == 3);
  CHECK(seen[0] == "GET /api/v1/pods?labelSelector=x%3Dy&limit=500");
  CHECK(seen[1] ==
        "GET /api/v1/pods?watch=true&allowWatchBookmarks=true&labelSelector=x%3Dy"
        "&resourceVersion=5&timeoutSeconds=300");
  CHECK(seen[2].find("resourceVersion=30&") != std::string::npos);
}

TEST_CASE("reflector: a resourceVersion that is too old means a new list") {
  Rig rig;
  CHECK(rig.told.next() == "listed a");
  rig.bodies.next()->write(
      R"({"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}})"
      "\n");
  CHECK(rig.told.next() == "listed b");
  const auto body = rig.bodies.next();
  body->write(line("ADDED", "c", 6));
  CHECK(rig.told.next() == "put c");
}

TEST_CASE("reflector: what cannot be read is told once, and when it can be again") {
  Rig rig;
  CHECK(rig.told.next() == "listed a");
  auto body = rig.bodies.next();
  body->write(line("ADDED", "c", 7));
  CHECK(rig.told.next() == "put c");
  rig.refusing = true;
  rig.queue.advance(1min);
  body->end();
  CHECK(rig.told.next() == "ill: cannot watch pods in all namespaces: not now (403)");
  rig.queue.call([] { return true; });  // the timer is set after it was told
  CHECK(rig.queue.next_timer() == 1s);
  rig.queue.advance(1s);
  CHECK(rig.queue.next_timer() == 2s);  // the list was refused, too, and that was not told
  rig.refusing = false;
  rig.queue.advance(2s);
  CHECK(rig.told.next() == "listed b");
  CHECK(rig.told.next() == "well");
  CHECK(rig.queue.call([&] { return rig.reflector->listed(); }));
}

TEST_CASE("reflector: a watch that stays silent is begun anew") {
  Rig rig;
  CHECK(rig.told.next() == "listed a");
  const auto silent = rig.bodies.next();
  silent->write(line("ADDED", "c", 6));
  CHECK(rig.told.next() == "put c");
  rig.queue.advance(5min + 10s);
  rig.bodies.next()->write(line("ADDED", "d", 7));
  CHECK(rig.told.next() == "put d");
}

TEST_CASE("reflector: it may be destroyed by what it tells") {
  Rig rig;
  CHECK(rig.told.next() == "listed a");
  rig.queue.call([&] {
    auto events = rig.events();
    events.listed = [&](const auto&) {
      rig.told.tell("last");
      rig.reflector.reset();
    };
    rig.reflector.emplace(*rig.client, rig.queue.world(),
                          Reflector::What{.resource = resources::kPods}, std::move(events));
    return true;
  });
  CHECK(rig.told.next() == "last");
  CHECK(rig.queue.call([&] { return !rig.reflector.has_value(); }));
}

}  // namespace jobmill::k8s
