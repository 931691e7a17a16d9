// SPDX-License-Identifier: Apache-2.0
#include "app/kubernetes_workloads.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "kubernetes_rig.h"
#include "store/sqlite/sqlite_file.h"
#include "store/sqlite/sqlite_job_store.h"

namespace jobmill::app {
namespace {

using namespace std::chrono_literals;
using jobmill::testing::Bodies;
using jobmill::testing::FakeApiServer;
using jobmill::testing::json;
using jobmill::testing::Words;
using Key = manifest::ObjectKey;

const Key kWeb{"StatefulSet", "a", "web"};
const Key kOther{"StatefulSet", "b", "web"};

// A log whose lines can be counted.
class LogFile {
 public:
  explicit LogFile(const Clock& clock) : log(clock, {.fd = ::fileno(file_.get())}) {}

  std::ptrdiff_t count(const std::string& words) {
    std::ifstream lines(fmt::format("/proc/self/fd/{}", ::fileno(file_.get())));
    std::ptrdiff_t found = 0;
    for (std::string line; std::getline(lines, line);)
      found += line.find(words) != std::string::npos ? 1 : 0;
    return found;
  }

 private:
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_{std::tmpfile(), &std::fclose};

 public:
  Log log;
};

// StatefulSets `web` of two ready pods in the namespaces a and b, before an API server that keeps
// spec.replicas and makes or ends no pod.
class FakeCluster {
 public:
  const std::string& url() const { return server_.url(); }

  // What was set, in order: "a/web 1".
  Words writes;
  std::atomic<int> written = 0;
  // The next write is refused.
  std::atomic<bool> refusing = false;

 private:
  void answer(const http::Request& request, const http::Responder& to) {
    if (request.method == "PATCH") return patch(request, to);
    if (request.parameter("watch")) return bodies_.open(to);
    if (request.path == "/apis/apps/v1")
      return to.send(json(R"({"resources":[{"name":"statefulsets","kind":"StatefulSet",
          "namespaced":true,"verbs":["get"]}]})"));
    if (request.path.ends_with("/web")) return to.send(json(workload(namespace_in(request))));
    const bool of_pods = request.path == "/api/v1/pods";
    std::string items;
    for (const char* ns : {"a", "b"})
      items += (items.empty() ? "" : ",") + (of_pods ? pods(ns) : workload(ns));
    to.send(json(R"({"metadata":{"resourceVersion":"5"},"items":[)" + items + "]}"));
  }

  void patch(const http::Request& request, const http::Responder& to) {
    if (!request.path.ends_with("/scale")) return to.send(json("{}"));
    if (refusing) return to.send(json(R"({"kind":"Status","message":"no"})", 403));
    const Node body = *parse_json(request.body);
    const auto replicas = body.find("spec")->find("replicas")->as_int().value_or(-1);
    const std::string ns = namespace_in(request);
    to.send(json(fmt::format(
        R"({{"kind":"Scale","metadata":{{"resourceVersion":"{}"}},"spec":{{"replicas":{}}}}})",
        ++version_, replicas)));
    ++written;
    writes.tell(fmt::format("{}/web {}", ns, replicas));
  }

  static std::string namespace_in(const http::Request& request) {
    return request.path.find("/namespaces/a/") != std::string::npos ? "a" : "b";
  }
  static std::string workload(const std::string& ns) {
    return fmt::format(
        R"({{"metadata":{{"name":"web","namespace":"{}","generation":1,"resourceVersion":"5"}},
            "spec":{{"replicas":2,"selector":{{"matchLabels":{{"app":"web"}}}}}}}})",
        ns);
  }
  static std::string pods(const std::string& ns) {
    std::string all;
    for (int number : {0, 1})
      all += fmt::format(
          R"({}{{"metadata":{{"name":"web-{}","namespace":"{}","uid":"{}{}","labels":{{"app":"web"}},
              "ownerReferences":[{{"kind":"StatefulSet","uid":"s","controller":true}}]}},
              "spec":{{"nodeName":"n","containers":[{{"name":"main"}}]}},
              "status":{{"phase":"Running","conditions":[{{"type":"Ready","status":"True"}}]}}}})",
          number == 0 ? "" : ",", number, ns, ns, number);
    return all;
  }

  std::atomic<int> version_ = 10;
  Bodies bodies_;
  FakeApiServer server_{[this](const auto& request, const auto& to) { answer(request, to); }};
};

// The workloads of that cluster on a control thread, and the store of their workers. What the
// thread uses is only touched there.
class Rig {
 public:
  Rig() {
    store_->on_change([this](const jobs::Change&) { refresh(); });
    thread_ = std::jthread([this](const std::stop_token& stop) { loop_.run(stop); });
    call([this] {
      client_.emplace(k8s::Config{.server = cluster.url()}, http_, world(), k8s::Client::Limits{});
      workloads_.emplace(KubernetesWorkloadParts{.loop = loop_,
                                                 .client = *client_,
                                                 .world = world(),
                                                 .store = *store_,
                                                 .pool = pool_,
                                                 .clock = clock,
                                                 .log = log.log},
                         [](const Key&) {});
    });
  }
  ~Rig() {
    store_->on_change({});
    call([this] {
      workloads_.reset();
      client_.reset();
    });
  }

  void call(const std::function<void()>& work) {
    std::promise<void> done;
    loop_.post([&] {
      work();
      done.set_value();
    });
    done.get_future().get();
  }
  void with(const std::function<void(KubernetesWorkloads&)>& use) {
    call([&] { use(*workloads_); });
  }
  // Waits until it is true, of what the control thread sees.
  bool becomes(const std::function<bool(KubernetesWorkloads&)>& look) {
    const auto end = std::chrono::steady_clock::now() + 60s;
    bool is = false;
    while (!is && std::chrono::steady_clock::now() < end) call([&] { is = look(*workloads_); });
    return is;
  }

  void restore(const Key& key, int replicas) {
    with([&](KubernetesWorkloads& workloads) {
      workloads.restore(key, "apps/v1", replicas, [this] { told.tell("restored"); });
    });
  }

  void scale(const Key& key) {
    with([&](KubernetesWorkloads& workloads) { workloads.scaled(key, "apps/v1"); });
    CHECK(becomes([&](KubernetesWorkloads& workloads) { return bool(workloads.find(key)); }));
  }
  void scale_to(const Key& key, int replicas) {
    with([&](KubernetesWorkloads& workloads) { (*workloads.find(key))->scale_to(replicas); });
  }
  bool becomes_busy(const Key& key, int pods) {
    return becomes([&](KubernetesWorkloads& workloads) { return workloads.busy(key) == pods; });
  }
  bool becomes(const std::string& worker_id, jobs::WorkerState state) {
    const auto end = std::chrono::steady_clock::now() + 60s;
    while (state_of(worker_id) != state)
      if (std::chrono::steady_clock::now() > end) return false;
    return true;
  }

  // A worker, with a job or without.
  std::string worker(const std::string& replica, bool busy, const std::string& host = "elsewhere") {
    jobs::WorkerSpec spec;
    spec.replica = replica;
    spec.host = host;
    const std::string id = store_->announce(spec, clock.now())->worker_id;
    if (busy) start_job(id);
    return id;
  }
  void start_job(const std::string& worker_id) {
    jobs::JobSpec spec;
    spec.kind = "mail";
    spec.queue = "default";
    REQUIRE(store_->insert(std::vector{spec}, clock.now()));
    jobs::ClaimRequest request;
    request.worker_id = worker_id;
    const auto claimed = store_->claim(request, clock.now());
    REQUIRE(claimed);
    REQUIRE(claimed->jobs.size() == 1);
    held_[worker_id] = claimed->jobs.front();
  }
  void end_job(const std::string& worker_id) {
    const auto& held = held_.at(worker_id);
    const jobs::Settlement done{.job_id = held.job.id, .lock_token = held.lock_token};
    REQUIRE(store_->settle(worker_id, std::vector{done}, clock.now()));
  }
  void end(const std::string& worker_id) { REQUIRE(store_->leave(worker_id, clock.now())); }
  jobs::WorkerState state_of(const std::string& worker_id) {
    const auto workers = store_->workers(clock.now());
    REQUIRE(workers);
    const auto found = std::ranges::find(*workers, worker_id, &jobs::Worker::id);
    REQUIRE(found != workers->end());
    return found->state;
  }

  FakeCluster cluster;
  Words told;
  SystemClock clock;
  LogFile log{clock};

 private:
  void refresh() {
    loop_.post([this] {
      if (workloads_) workloads_->refresh_leases();
    });
  }
  k8s::World world() {
    return {
        .post = [this](std::function<void()> work) { loop_.post(std::move(work)); },
        .run_after = [this](Duration delay, std::function<void()> work) -> std::shared_ptr<void> {
          const auto timer = loop_.run_after(delay, std::move(work));
          return {&loop_, [timer](net::EventLoop* of) { of->cancel(timer); }};
        },
        .clock = clock};
  }

  std::unique_ptr<sqlite::SqliteFile> file_ = *sqlite::SqliteFile::open(":memory:");
  std::unique_ptr<jobs::JobStoreOwner> store_ = *sqlite::open_job_store(*file_, clock.now());
  std::map<std::string, jobs::ClaimedJob> held_;
  net::EventLoop loop_;
  http::Client http_;
  std::optional<k8s::Client> client_;
  std::optional<KubernetesWorkloads> workloads_;
  ThreadPool pool_{2};  // gone before what its work is about
  std::jthread thread_;
};

}  // namespace

TEST_CASE("kubernetes workloads: more replicas are restored at once") {
  Rig rig;
  rig.worker("web-0", true);
  rig.restore(kWeb, 4);
  CHECK(rig.cluster.writes.next() == "a/web 4");
  CHECK(rig.told.next() == "restored");
}

TEST_CASE("kubernetes workloads: fewer replicas are restored when the pods that go are drained") {
  Rig rig;
  const std::string low = rig.worker("web-0", true);
  const std::string high = rig.worker("web-1", true);
  rig.restore(kWeb, 0);
  CHECK(rig.becomes(low, jobs::WorkerState::Quiet));
  rig.end_job(high);
  CHECK(rig.cluster.writes.next() == "a/web 1");
  rig.end_job(low);
  CHECK(rig.cluster.writes.next() == "a/web 0");
  CHECK(rig.told.next() == "restored");
}

TEST_CASE("kubernetes workloads: what was scaled until now is drained, not set back to work") {
  Rig rig;
  const std::string low = rig.worker("web-0", true);
  rig.worker("web-1", true);
  rig.scale(kWeb);
  rig.restore(kWeb, 0);
  rig.with([](auto& workloads) { workloads.not_scaled(kWeb); });
  CHECK(rig.becomes(low, jobs::WorkerState::Quiet));
  rig.end_job(low);
  CHECK(rig.becomes_busy(kWeb, 1));
  CHECK(rig.state_of(low) == jobs::WorkerState::Quiet);
}

TEST_CASE(
    "kubernetes workloads: nobody waits for a target that is gone, or that we may not scale") {
  Rig rig;
  rig.restore({"StatefulSet", "a", "gone"}, 0);
  CHECK(rig.told.next() == "restored");
  rig.restore({"Mill", "a", "web"}, 0);  // nor for a kind
  CHECK(rig.told.next() == "restored");
  rig.cluster.refusing = true;
  rig.restore(kWeb, 4);
  CHECK(rig.told.next() == "restored");
}

TEST_CASE("kubernetes workloads: what is scaled again is no longer restored") {
  Rig rig;
  const std::string worker = rig.worker("web-0", true);
  rig.restore(kWeb, 0);
  CHECK(rig.becomes(worker, jobs::WorkerState::Quiet));
  rig.with([](auto& workloads) { workloads.scaled(kWeb, "apps/v1"); });
  CHECK(rig.told.next() == "restored");
  rig.scale_to(kWeb, 3);
  CHECK(rig.cluster.writes.next() == "a/web 3");
}

TEST_CASE("kubernetes workloads: of two that restore the same target none waits for ever") {
  Rig rig;
  rig.worker("web-0", true);
  rig.restore(kWeb, 0);
  rig.restore(kWeb, 3);
  CHECK(rig.told.next() == "restored");
  CHECK(rig.cluster.writes.next() == "a/web 3");
  CHECK(rig.told.next() == "restored");
}

TEST_CASE("kubernetes workloads: NAMESPACE/POD is that pod, and no other of its name") {
  Rig rig;
  const std::string ours = rig.worker("a/web-1", false);
  const std::string others = rig.worker("b/web-1", true);
  rig.scale(kWeb);
  rig.scale(kOther);
  CHECK(rig.becomes_busy(kOther, 1));
  CHECK(rig.becomes_busy(kWeb, 0));

  rig.scale_to(kWeb, 1);
  CHECK(rig.cluster.writes.next() == "a/web 1");
  CHECK(rig.state_of(ours) == jobs::WorkerState::Quiet);
  CHECK(rig.state_of(others) == jobs::WorkerState::Run);
}

TEST_CASE("kubernetes workloads: a worker of which nobody knows the namespace is busy in each") {
  Rig rig;
  const std::string ours = rig.worker("web-1", false);
  const std::string others = rig.worker("", false, "web-1");  // by its host
  rig.scale(kWeb);
  rig.scale(kOther);
  CHECK(rig.becomes_busy(kWeb, 1));
  CHECK(rig.becomes_busy(kOther, 1));

  // Its pod is not taken, and what may be another group's worker is not quieted for it.
  rig.scale_to(kWeb, 1);
  CHECK(
      rig.becomes([](auto& workloads) { return (*workloads.find(kWeb))->counts().draining == 1; }));
  for (const std::string& worker : {ours, others})
    CHECK(rig.state_of(worker) == jobs::WorkerState::Run);
  for (const std::string& worker : {ours, others}) rig.end(worker);
  const std::string exact = rig.worker("a/web-1", true);
  CHECK(rig.becomes(exact, jobs::WorkerState::Quiet));
  CHECK(rig.cluster.written == 0);
  rig.end_job(exact);
  CHECK(rig.cluster.writes.next() == "a/web 1");
  CHECK(rig.log.count("pods of two namespaces have the name") == 2);  // each workload once
}

TEST_CASE("kubernetes workloads: a bare name is enough where only one namespace has it") {
  Rig rig;
  const std::string worker = rig.worker("web-1", false);
  rig.scale(kWeb);
  rig.scale_to(kWeb, 1);
  CHECK(rig.cluster.writes.next() == "a/web 1");
  CHECK(rig.state_of(worker) == jobs::WorkerState::Quiet);
}

TEST_CASE("kubernetes workloads: what need not be restored any more goes back to work") {
  Rig rig;
  const std::string worker = rig.worker("web-0", true);
  rig.restore(kWeb, 0);
  CHECK(rig.becomes(worker, jobs::WorkerState::Quiet));
  rig.with([](auto& workloads) { workloads.stop_restoring(kWeb); });
  CHECK(rig.becomes(worker, jobs::WorkerState::Run));
}

}  // namespace jobmill::app
