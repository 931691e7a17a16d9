// SPDX-License-Identifier: Apache-2.0
#include "k8s/client.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <atomic>
#include <fstream>
#include <future>
#include <optional>

#include "kubernetes_rig.h"
#include "temporary_folder.h"

using namespace std::chrono_literals;
using jobmill::testing::Bodies;
using jobmill::testing::FakeApiServer;
using jobmill::testing::json;
using jobmill::testing::QueueWorld;
using jobmill::testing::TemporaryFolder;
using jobmill::testing::Words;

namespace jobmill::k8s {
namespace {

using http::Request;
using http::Responder;
using http::Response;

// A client of a fake API server, used from the test's thread.
class Rig {
 public:
  explicit Rig(FakeApiServer::Answer answer, Config config = {}, Client::Limits limits = {})
      : server(std::move(answer)) {
    config.server = server.url();
    queue.call([&] {
      client.emplace(config, http, queue.world(), limits);
      return true;
    });
  }
  ~Rig() { drop(); }

  void drop() {
    queue.call([&] {
      client.reset();
      handles.clear();
      return true;
    });
  }

  // Begins a call; its answer comes in the future.
  template <class Begin>
  std::future<Result<Node>> begin(Begin begin) {
    auto promise = std::make_shared<std::promise<Result<Node>>>();
    queue.call([&] {
      begin(*client, [promise](Result<Node> result) { promise->set_value(std::move(result)); });
      return true;
    });
    return promise->get_future();
  }

  template <class Begin>
  Result<Node> call(Begin begin_call) {
    return begin(std::move(begin_call)).get();
  }

  std::future<Result<Node>> begin_get(const Resource& resource = resources::kPods) {
    return begin(
        [&](Client& c, Client::Done done) { c.get(resource, "default", "web", std::move(done)); });
  }
  Result<Node> get() { return begin_get().get(); }

  Client::Counts counts() {
    return queue.call([&] { return client->counts(); });
  }

  FakeApiServer server;
  http::Client http;
  QueueWorld queue;
  std::optional<Client> client;
  std::vector<std::shared_ptr<void>> handles;  // of the client's thread, as the client
};

std::string text_of(Status status) { return status ? "ended" : "ended: " + status.error().message; }

void watch(Rig& rig, Words& told, Client::Watch what = {.ns = "default"}) {
  what.begun = [&told] { told.tell("begun"); };
  rig.queue.call([&] {
    rig.handles.push_back(rig.client->watch(
        resources::kPods, what, [&told](Node line) { told.tell(to_json(line)); },
        [&told](Status status) { told.tell(text_of(std::move(status))); }));
    return true;
  });
}

Node object(std::string_view json_text) { return *parse_json(json_text); }

std::string authorization(const Request& request) {
  return std::string(request.headers.get("Authorization").value_or(""));
}

void write(const std::string& path, const std::string& text) {
  std::ofstream(path + ".new", std::ios::binary) << text;
  REQUIRE(std::rename((path + ".new").c_str(), path.c_str()) == 0);
}

}  // namespace

TEST_CASE("client: each verb is the request that Kubernetes knows") {
  Rig rig([](const Request& request, const Responder& to) {
    const auto type = request.headers.get("Content-Type");
    Node answer = Node::object();
    answer.set("request", Node::string(request.method + " " + request.target));
    answer.set("type", Node::string(type.value_or("")));
    answer.set("body", Node::string(request.body));
    to.send(json(to_json(answer)));
  });
  const auto said = [&](auto begin) {
    const auto answer = rig.call(begin);
    REQUIRE(answer);
    return fmt::format("{} | {} | {}", answer->find("request")->text, answer->find("type")->text,
                       answer->find("body")->text);
  };
  using resources::kDeployments;
  using resources::kJobs;
  const std::string base = "/apis/apps/v1/namespaces/shop/deployments";
  CHECK(said([](Client& c, Client::Done d) {
          c.get(kDeployments, "shop", "web", std::move(d), "scale");
        }) == "GET " + base + "/web/scale |  | ");
  CHECK(said([](Client& c, Client::Done d) {
          c.create(kJobs, "shop", object(R"({"a":1})"), std::move(d));
        }) == R"(POST /apis/batch/v1/namespaces/shop/jobs | application/json | {"a":1})");
  CHECK(said([](Client& c, Client::Done d) {
          c.replace(kDeployments, "shop", "web", object("{}"), std::move(d), "status");
        }) == "PUT " + base + "/web/status | application/json | {}");
  CHECK(said([](Client& c, Client::Done d) {
          c.merge_patch(kDeployments, "shop", "web", object(R"({"spec":{"replicas":2}})"),
                        std::move(d), "scale");
        }) ==
        "PATCH " + base + R"(/web/scale | application/merge-patch+json | {"spec":{"replicas":2}})");
  CHECK(said([](Client& c, Client::Done d) {
          c.apply(kDeployments, "shop", "web", object("{}"), std::move(d));
        }) == "PATCH " + base +
                  "/web?fieldManager=jobmill&force=true | application/apply-patch+yaml | {}");
  const std::string options = R"({"apiVersion":"v1","kind":"DeleteOptions","propagationPolicy":)";
  CHECK(said([](Client& c, Client::Done d) {
          c.remove(kJobs, "shop", "mail", Client::Propagation::Background, std::move(d));
        }) == "DELETE /apis/batch/v1/namespaces/shop/jobs/mail | application/json | " + options +
                  R"("Background"})");
  CHECK(said([](Client& c, Client::Done d) {
          c.remove(kJobs, "shop", "mail", Client::Propagation::Foreground, std::move(d), 0s);
        }) == "DELETE /apis/batch/v1/namespaces/shop/jobs/mail | application/json | " + options +
                  R"("Foreground","gracePeriodSeconds":0})");
  CHECK(said([](Client& c, Client::Done d) { c.get_path("/version", std::move(d)); }) ==
        "GET /version |  | ");
  const auto counts = rig.counts();
  CHECK(counts.reads == 2);
  CHECK(counts.writes == 6);
  CHECK(counts.failed == 0);
}

TEST_CASE("client: without a name nothing is deleted") {
  Rig rig([](const Request&, const Responder& to) { to.send(json("{}")); });
  const auto answer = rig.call([](Client& c, Client::Done done) {
    c.remove(resources::kJobs, "shop", "", Client::Propagation::Background, std::move(done));
  });
  CHECK(answer.error().code == Code::InvalidArgument);
  CHECK(rig.server.seen().empty());
}

TEST_CASE("client: a refusal names what was asked") {
  Rig rig([](const Request&, const Responder& to) {
    to.send(
        json(R"({"kind":"Status","reason":"NotFound","message":"pods \"web\" not found"})", 404));
  });
  const auto answer = rig.get();
  CHECK(answer.error().code == Code::NotFound);
  CHECK(answer.error().message ==
        R"(cannot get pods "web" in namespace "default": pods "web" not found (404))");
  CHECK(rig.counts().failed == 1);
}

TEST_CASE("client: a token's file is read again when it changes, and after a 401") {
  const TemporaryFolder folder;
  const std::string file = folder.path() + "/token";
  write(file, "first\n");
  std::atomic<int> refusals = 0;
  Rig rig(
      [&](const Request& request, const Responder& to) {
        if (authorization(request) == "Bearer stale") {
          // Replaced while the request was on its way, by a file that looks the same.
          write(file, "fresh");
          ++refusals;
          return to.send(json("{}", 401));
        }
        to.send(json(fmt::format(R"({{"who":"{}"}})", authorization(request))));
      },
      {.token_file = file});
  CHECK(rig.get()->find("who")->text == "Bearer first");
  write(file, "second");
  CHECK(rig.get()->find("who")->text == "Bearer second");
  write(file, "stale");
  CHECK(rig.get()->find("who")->text == "Bearer fresh");
  CHECK(refusals == 1);
}

TEST_CASE("client: credentials that stay refused are refused in the end") {
  const TemporaryFolder folder;
  write(folder.path() + "/token", "wrong");
  Rig rig([](const Request&, const Responder& to) { to.send(json("{}", 401)); },
          {.token_file = folder.path() + "/token"});
  CHECK(rig.get().error().code == Code::PermissionDenied);
  CHECK(rig.server.seen().size() == 2);
}

TEST_CASE("client: a plain token is not tried twice, nor a password") {
  for (const Config& config :
       {Config{.token = Secret("abc")}, Config{.username = "jane", .password = Secret("pw")}}) {
    std::promise<std::string> sent;
    Rig rig(
        [&](const Request& request, const Responder& to) {
          sent.set_value(authorization(request));
          to.send(json("{}", 401));
        },
        config);
    CHECK(rig.get().error().code == Code::PermissionDenied);
    CHECK(sent.get_future().get() ==
          (config.token.empty() ? http::basic_authorization("jane", "pw") : "Bearer abc"));
  }
}

TEST_CASE("client: a plugin's credentials serve until they expire or are refused") {
  const TemporaryFolder folder;
  const std::string count = folder.path() + "/count";
  // The second run's token is refused, the third's expires a second from the clock's start.
  const std::string script = fmt::format(
      R"(echo x >> {0}; n=$(wc -l < {0}); expires=
         [ $n = 3 ] && expires=',"expirationTimestamp":"2024-01-01T00:00:01Z"'
         echo '{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",
               "status":{{"token":"'$n'"'$expires'}}}}')",
      count);
  std::atomic<bool> strict = false;
  Config config;
  config.exec = {
      .api_version = "client.authentication.k8s.io/v1", .command = "sh", .args = {"-c", script}};
  Rig rig(
      [&](const Request& request, const Responder& to) {
        if (strict && authorization(request) == "Bearer 1") return to.send(json("{}", 401));
        if (authorization(request) == "Bearer 2") return to.send(json("{}", 401));
        to.send(json(fmt::format(R"({{"who":"{}"}})", authorization(request))));
      },
      config);
  auto first = rig.begin_get();
  auto second = rig.begin_get();
  CHECK(first.get()->find("who")->text == "Bearer 1");
  CHECK(second.get()->find("who")->text == "Bearer 1");
  strict = true;
  CHECK(rig.get().error().code == Code::PermissionDenied);  // by 1, and then by 2
  CHECK(rig.get()->find("who")->text == "Bearer 3");
  CHECK(rig.get()->find("who")->text == "Bearer 3");
  rig.queue.advance(1s);
  CHECK(rig.get()->find("who")->text == "Bearer 4");
}

TEST_CASE("client: a plugin that fails fails all that wait for it") {
  Config config;
  config.exec = {.api_version = "client.authentication.k8s.io/v1",
                 .command = "sh",
                 .args = {"-c", "echo please log in >&2; exit 1"}};
  Rig rig([](const Request&, const Responder& to) { to.send(json("{}")); }, config);
  auto first = rig.begin_get();
  auto second = rig.begin_get();
  CHECK(first.get().error().message == "the credential plugin 'sh' failed: please log in");
  CHECK(second.get().error().code == Code::PermissionDenied);
  CHECK(rig.server.seen().empty());
}

TEST_CASE("client: 429 is waited for as the server says, also by writes") {
  std::atomic<int> asked = 0;
  Rig rig([&](const Request&, const Responder& to) {
    if (++asked > 2) return to.send(json("{}"));
    Response busy = json("{}", 429);
    if (asked == 1) busy.headers.add("Retry-After", "7");
    to.send(std::move(busy));
  });
  auto answer = rig.begin([](Client& c, Client::Done done) {
    c.create(resources::kPods, "default", object("{}"), std::move(done));
  });
  CHECK(rig.queue.next_timer() == 7s);
  rig.queue.advance(7s);
  CHECK(rig.queue.next_timer() == 1s);
  rig.queue.advance(1s);
  CHECK(answer.get());
  CHECK(asked == 3);
}

TEST_CASE("client: a server that stays busy is given up") {
  std::atomic<int> asked = 0;
  Rig rig([&](const Request&, const Responder& to) {
    ++asked;
    to.send(json("{}", 429));
  });
  auto answer = rig.begin_get();
  for (int i = 0; i < 4; ++i) rig.queue.advance(rig.queue.next_timer());
  CHECK(answer.get().error().code == Code::Exhausted);
  CHECK(asked == 5);
}

TEST_CASE("client: reads are repeated when the server is ill, writes are not") {
  std::atomic<int> asked = 0;
  Rig rig(
      [&](const Request&, const Responder& to) { to.send(json("{}", ++asked < 3 ? 503 : 200)); });
  auto read = rig.begin_get();
  CHECK(rig.queue.next_timer() == 200ms);
  rig.queue.advance(200ms);
  CHECK(rig.queue.next_timer() == 400ms);
  rig.queue.advance(400ms);
  CHECK(read.get());
  asked = 0;
  const auto write = rig.call([](Client& c, Client::Done done) {
    c.merge_patch(resources::kPods, "default", "web", object("{}"), std::move(done));
  });
  CHECK(write.error().code == Code::Unavailable);
  CHECK(asked == 1);
}

TEST_CASE("client: nobody at the address is Unavailable, after the tries of a read") {
  Rig rig([](const Request&, const Responder& to) { to.send(json("{}")); });
  rig.queue.call([&] {
    rig.client.emplace(Config{.server = "http://127.0.0.1:1"}, rig.http, rig.queue.world(),
                       Client::Limits{});
    return true;
  });
  auto answer = rig.begin_get();
  for (int i = 0; i < 2; ++i) rig.queue.advance(rig.queue.next_timer());
  CHECK(answer.get().error().code == Code::Unavailable);
}

TEST_CASE("client: requests wait for their turn in order, those for leases do not wait") {
  Rig rig([](const Request&, const Responder& to) { to.send(json("{}")); }, {},
          {.per_second = 20, .burst = 2});
  std::vector<std::future<Result<Node>>> answers;
  for (int i = 0; i < 4; ++i) answers.push_back(rig.begin_get());
  auto lease = rig.begin_get(resources::kLeases);
  CHECK(answers[0].get());
  CHECK(answers[1].get());
  CHECK(lease.get());
  CHECK(answers[2].wait_for(0s) == std::future_status::timeout);
  rig.queue.advance(50ms);
  CHECK(answers[2].get());
  CHECK(answers[3].wait_for(0s) == std::future_status::timeout);
  rig.queue.advance(50ms);
  CHECK(answers[3].get());
}

TEST_CASE("client: events let all others pass") {
  Rig rig([](const Request&, const Responder& to) { to.send(json("{}")); }, {},
          {.per_second = 20, .burst = 1});
  CHECK(rig.begin_get().get());
  auto event = rig.begin_get(resources::kEvents);
  auto pod = rig.begin_get();
  rig.queue.advance(50ms);
  CHECK(pod.get());
  CHECK(event.wait_for(0s) == std::future_status::timeout);
  rig.queue.advance(50ms);
  CHECK(event.get());
}

TEST_CASE("client: a list is all pages, and its items say what they are") {
  Rig rig([](const Request& request, const Responder& to) {
    const auto from = request.parameter("continue");
    CHECK(request.parameter("limit") == "500");
    CHECK(request.parameter("labelSelector") == "app in (web,mail)");
    CHECK(request.parameter("fieldSelector") == "status.phase!=Failed");
    to.send(json(from
                     ? R"({"metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":"b"}}]})"
                     : R"({"metadata":{"resourceVersion":"7","continue":"x=/1"},
                            "items":[{"metadata":{"name":"a"}}]})"));
  });
  const auto list = rig.call([](Client& c, Client::Done done) {
    c.list(resources::kPods, "", "app in (web,mail)", std::move(done), "status.phase!=Failed");
  });
  REQUIRE(list);
  CHECK(to_json(*list) ==
        R"({"apiVersion":"v1","kind":"PodList","metadata":{"resourceVersion":"7"},"items":[)"
        R"({"metadata":{"name":"a"},"apiVersion":"v1","kind":"Pod"},)"
        R"({"metadata":{"name":"b"},"apiVersion":"v1","kind":"Pod"}]})");
  CHECK(rig.server.seen().size() == 2);
}

TEST_CASE("client: a list that expires between pages begins anew, whole") {
  Rig rig([](const Request& request, const Responder& to) {
    if (request.parameter("continue")) return to.send(json("{}", 410));
    to.send(json(request.parameter("limit")
                     ? R"({"metadata":{"resourceVersion":"7","continue":"x"},"items":[{}]})"
                     : R"({"metadata":{"resourceVersion":"9"},"items":[{},{}]})"));
  });
  const auto list = rig.call([](Client& c, Client::Done done) {
    c.list(resources::kPods, "default", "", std::move(done));
  });
  REQUIRE(list);
  CHECK(list->find("items")->items.size() == 2);
  CHECK(list->find("metadata")->find("resourceVersion")->text == "9");
}

TEST_CASE("client: a watch gives objects as they come, however they are cut") {
  Bodies bodies;
  Words told;
  Rig rig([&](const Request&, const Responder& to) { bodies.open(to); });
  watch(rig, told, {.ns = "default", .label_selector = "a=b", .resource_version = "42"});
  const auto body = bodies.next();
  CHECK(told.next() == "begun");
  CHECK(rig.server.seen().front() ==
        "GET /api/v1/namespaces/default/pods?watch=true&allowWatchBookmarks=true"
        "&labelSelector=a%3Db&resourceVersion=42&timeoutSeconds=300");
  body->write("{\"n\"");
  body->write(":1}\n{\"n\":2}\n{\"n\":");
  CHECK(told.next() == R"({"n":1})");
  CHECK(told.next() == R"({"n":2})");
  body->write("3}\n");
  CHECK(told.next() == R"({"n":3})");
  body->end();
  CHECK(told.next() == "ended");
  CHECK(rig.counts().watches == 1);
}

TEST_CASE("client: how a watch can fail") {
  Words told;
  Bodies bodies;
  std::atomic<int> status = 410;
  Rig rig([&](const Request&, const Responder& to) {
    if (status == 200) return bodies.open(to);
    to.send(json(R"({"kind":"Status","message":"too old"})", status));
  });
  const std::string what = R"(ended: cannot watch pods in namespace "default": )";
  watch(rig, told);
  CHECK(told.next() == what + "too old (410)");
  status = 200;
  watch(rig, told);
  CHECK(told.next() == "begun");
  const auto body = bodies.next();
  body->write("what?\n");
  CHECK(told.next().starts_with(what + "line 1"));
  watch(rig, told);
  bodies.next()->write("{}\n");
  CHECK(told.next() == "begun");
  CHECK(told.next() == "{}");
  CHECK(told.next().starts_with(what));
  CHECK(rig.counts().failed == 3);
}

TEST_CASE("client: a watch is begun again when its credentials were refused") {
  const TemporaryFolder folder;
  const std::string file = folder.path() + "/token";
  write(file, "old");
  Bodies bodies;
  Words told;
  Rig rig(
      [&](const Request& request, const Responder& to) {
        if (authorization(request) == "Bearer new") return bodies.open(to);
        write(file, "new");
        to.send(json("{}", 401));
      },
      {.token_file = file});
  watch(rig, told);
  CHECK(told.next() == "begun");
  bodies.next()->write("{}\n");
  CHECK(told.next() == "{}");
}

TEST_CASE("client: dropping a watch ends it, also from what it tells") {
  Bodies bodies;
  Words told;
  Rig rig([&](const Request&, const Responder& to) { bodies.open(to); });
  std::shared_ptr<void> handle;
  rig.queue.call([&] {
    handle = rig.client->watch(
        resources::kPods, {},
        [&](const Node&) {
          told.tell("line");
          handle.reset();
        },
        [&](const Status&) { told.tell("ended"); });
    return true;
  });
  const auto body = bodies.next();
  std::promise<void> gone;
  body->on_gone([&] { gone.set_value(); });
  body->write("{}\n{}\n");
  CHECK(told.next() == "line");
  gone.get_future().get();
  rig.queue.call([] { return true; });  // all that came before has been told
  rig.queue.post([&] { told.tell("nothing else"); });
  CHECK(told.next() == "nothing else");
}

TEST_CASE("client: a text is given as it comes") {
  Bodies bodies;
  Words told;
  Rig rig([&](const Request&, const Responder& to) { bodies.open(to); });
  const std::string path = "/api/v1/namespaces/default/pods/web/log?follow=true";
  rig.queue.call([&] {
    rig.handles.push_back(rig.client->get_text(
        path, [&](std::string_view piece) { told.tell(std::string(piece)); },
        [&](Status status) { told.tell(text_of(std::move(status))); }));
    return true;
  });
  const auto body = bodies.next();
  body->write("one\ntw");
  CHECK(told.next() == "one\ntw");
  body->write("o\n");
  CHECK(told.next() == "o\n");
  body->end();
  CHECK(told.next() == "ended");
  CHECK(rig.server.seen().front() == "GET " + path);
}

TEST_CASE("client: a destroyed client tells nothing") {
  std::promise<Responder> asked;
  Bodies bodies;
  Words told;
  Rig rig([&](const Request& request, const Responder& to) {
    if (request.parameter("watch")) return bodies.open(to);
    asked.set_value(to);
  });
  watch(rig, told);
  CHECK(told.next() == "begun");
  rig.queue.call([&] {
    rig.client->get(resources::kPods, "default", "web", [&](const auto&) { told.tell("answer"); });
    return true;
  });
  const Responder responder = asked.get_future().get();
  const auto body = bodies.next();
  std::promise<void> gone;
  body->on_gone([&] { gone.set_value(); });
  rig.drop();
  gone.get_future().get();
  responder.send(json("{}"));
  // The same connection pool: when this answer is there, the other has been passed over.
  CHECK(rig.http.fetch({.url = rig.server.url() + "/api?watch=true", .timeout = 100ms})
            .error()
            .code == Code::Timeout);
  rig.queue.post([&] { told.tell("nothing else"); });
  CHECK(told.next() == "nothing else");
}

TEST_CASE("client: a kind is found by the server's own list, which is kept") {
  std::atomic<bool> installed = false;
  Rig rig([&](const Request& request, const Responder& to) {
    if (request.path == "/api/v1")
      return to.send(json(R"({"resources":[
        {"name":"pods","kind":"Pod","namespaced":true},{"name":"pods/log","kind":"Pod"},
        {"name":"nodes","kind":"Node","namespaced":false}]})"));
    if (!installed) return to.send({.status = 404, .body = "404 page not found\n"});
    to.send(json(R"({"resources":[{"name":"rollouts","kind":"Rollout","namespaced":true}]})"));
  });
  const auto find = [&](const std::string& version, const std::string& kind) {
    std::promise<Result<Resource>> found;
    rig.queue.call([&] {
      rig.client->discover(version, kind,
                           [&](Result<Resource> result) { found.set_value(std::move(result)); });
      return true;
    });
    return found.get_future().get();
  };
  CHECK(*find("v1", "Pod") == resources::kPods);
  CHECK(*find("v1", "Node") == Resource{"", "v1", "nodes", "Node", false});
  CHECK(rig.server.seen().size() == 1);
  const auto missing = find("argoproj.io/v1alpha1", "Rollout");
  CHECK(missing.error().code == Code::NotFound);
  CHECK(missing.error().message == "the API server knows no argoproj.io/v1alpha1 Rollout");
  CHECK_FALSE(find("argoproj.io/v1alpha1", "Rollout"));
  CHECK(rig.server.seen().size() == 2);
  installed = true;
  rig.queue.advance(10s);
  CHECK(*find("argoproj.io/v1alpha1", "Rollout") ==
        Resource{"argoproj.io", "v1alpha1", "rollouts", "Rollout", true});
  rig.queue.advance(9min);
  CHECK(find("argoproj.io/v1alpha1", "Rollout"));
  CHECK(rig.server.seen().size() == 3);
  rig.queue.advance(1min);
  CHECK(find("argoproj.io/v1alpha1", "Rollout"));
  CHECK(rig.server.seen().size() == 4);
}

}  // namespace jobmill::k8s
