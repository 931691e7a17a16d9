// SPDX-License-Identifier: Apache-2.0
#include "app/cluster_scaled_jobs.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <stop_token>
#include <string>
#include <vector>

#include "fake_job_cluster.h"
#include "manifest/reader.h"

namespace jobmill::app {
namespace {

using namespace std::chrono_literals;
using manifest::Object;
using manifest::ObjectKey;
using testing::FakeJobCluster;
using Names = std::vector<std::string>;

const ObjectKey kMail{"ScaledJob", "shop", "mail"};

// `more`: lines of the spec.
std::string mail(const std::string& more = "", const std::string& annotations = "") {
  return "apiVersion: keda.sh/v1alpha1\nkind: ScaledJob\n"
         "metadata: {name: mail, namespace: shop, uid: u-1, annotations: {" +
         annotations +
         "}}\n"
         "spec:\n"
         "  jobTargetRef: {template: {spec: {containers: [{name: main, image: i}]}}}\n" +
         more +
         "  triggers:\n"
         "  - type: metrics-api\n"
         "    metadata: {url: 'http://queue/length', valueLocation: n, targetValue: '1'}\n";
}

Node job(const std::string& name, const std::string& end = "", const std::string& generation = "1",
         const std::string& at = "2026-01-01T00:00:00Z") {
  const std::string condition =
      end.empty() ? "" : "{type: " + end + ", status: 'True', lastTransitionTime: '" + at + "'}";
  auto nodes = parse_yaml("metadata: {namespace: shop, name: " + name +
                          ", labels: {scaledjob.keda.sh/name: mail}, annotations: "
                          "{scaledjob.keda.sh/generation: '" +
                          generation + "'}}\nstatus: {conditions: [" + condition + "]}\n");
  REQUIRE(nodes);
  return nodes->front();
}

Node pod(const std::string& of, const std::string& phase) {
  auto nodes = parse_yaml("metadata: {namespace: shop, name: " + of +
                          "-1, labels: {job-name: " + of + "}}\nstatus: {phase: " + phase + "}\n");
  REQUIRE(nodes);
  return nodes->front();
}

struct NoRecorder final : Recorder {
  void changed(const ObjectKey&) override {}
  void decided(const ObjectKey&, const scale::Decision&) override {}
  void repeated(const ObjectKey&, const scale::Decision&) override {}
  Last last(const ObjectKey&) override { return {}; }
  void decided(const ObjectKey& key, const scale::ExecutionsDecision& decision) override {
    CHECK(key == kMail);
    sentences.push_back(decision.sentence);
  }
  Names sentences;
};

// The parts around ScaledJobs of a cluster; the thread of the test is the control thread.
class Rig {
 public:
  explicit Rig(bool dry_run = false) {
    auto cluster = std::make_unique<FakeJobCluster>();
    kube = cluster.get();
    jobs = std::make_unique<ClusterScaledJobs>(ClusterScaledJobParts{
        .control = loop,
        .catalog = catalog,
        .clock = clock,
        .log = log,
        .recorder = recorder,
        .scaler_context = [this] { return context(); },
        .cluster = std::move(cluster),
        .dry_run = dry_run,
        .event =
            [this](const ObjectKey&, bool warning, std::string_view reason, const std::string&) {
              events.push_back((warning ? "Warning " : "") + std::string(reason));
            },
        .status_changed = [this](const ObjectKey&) { ++statuses; }});
  }

  void apply(const std::string& manifest, std::int64_t generation = 1) {
    manifest::Manifests manifests;
    read_manifests(manifest, "m.yaml", manifest::kDefaultNamespace, manifests);
    REQUIRE(manifests.errors.empty());
    for (Object& object : manifests.objects) {
      object.generation = generation;
      catalog.restore(object);
      jobs->reconcile({object.key});
    }
    settle();
  }

  // As the cluster tells them at first.
  void begin(std::vector<Node> its_jobs = {}) {
    kube->jobs.listed(std::move(its_jobs));
    kube->pods.listed({});
    settle();
  }

  void settle() {
    for (int i = 0; i < 8; ++i) {
      std::stop_source stop;
      stop.request_stop();
      loop.run(stop.get_token());  // what was posted until now
    }
  }

  void poll() {
    clock.advance(30s);
    kube->pods.put(pod("nobody's", "Running"));  // any news
    settle();
  }

  // The cluster makes what it was asked for. Answers how many that were.
  std::size_t make() {
    const auto asked = kube->take();
    for (const auto& one : asked) {
      CHECK(one.what == "create jobs");
      CHECK(one.ns == "shop");
      const Node made = job("mail-" + std::to_string(++made_), "", generation_of(one.object));
      one.done(made);
      kube->jobs.put(made);
    }
    settle();
    return asked.size();
  }

  Node status() { return jobs->status(kMail); }
  std::string condition(const std::string& type) {
    const Node now = status();
    for (const Node& one : now.find("conditions")->items)
      if (one.find("type")->text == type)
        return one.find("status")->text + " " + one.find("reason")->text;
    return {};
  }

  ManualClock clock;
  Log log{clock, {.level = LogLevel::Off}};
  net::EventLoop loop;
  manifest::Catalog catalog;
  NoRecorder recorder;
  FakeJobCluster* kube = nullptr;
  std::string length = "0";  // of the queue
  int status_code = 200;
  Names events;
  int statuses = 0;
  std::unique_ptr<ClusterScaledJobs> jobs;

 private:
  static std::string generation_of(const Node& object) {
    return object.find("metadata")->find("annotations")->find("scaledjob.keda.sh/generation")->text;
  }

  scalers::ScalerContext context() {
    return {.fetch =
                [this](const http::ClientRequest&, const auto& done) {
                  http::Response response{.status = status_code};
                  response.body = "{\"n\": " + length + "}";
                  done(std::move(response));
                },
            .jobs = {},
            .run_after = [](Duration, const auto&) { return std::make_shared<int>(); },
            .clock = clock};
  }

  int made_ = 0;
};

bool has(const Names& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

TEST_CASE("scaled jobs of a cluster: as many Jobs start as there is work for") {
  Rig rig;
  rig.length = "3";
  rig.apply(mail());
  CHECK(rig.kube->watched == "?scaledjob.keda.sh/name");
  rig.begin();
  CHECK(rig.make() == 3);
  CHECK(has(rig.events, "KEDAJobsCreated"));
  CHECK(has(rig.events, "ScaledJobActive"));
  CHECK(rig.status().find("executions")->as_int() == 3);
  CHECK(rig.condition("Ready") == "True ScaledJobReady");
  CHECK(rig.condition("Active") == "True ScalerActive");
  CHECK(rig.recorder.sentences.size() == 1);

  rig.poll();  // those that are there are for what is there
  CHECK(rig.make() == 0);
  rig.length = "5";
  rig.poll();
  CHECK(rig.make() == 2);
}

TEST_CASE("scaled jobs of a cluster: nothing is decided before Jobs and pods were listed") {
  Rig rig;
  rig.length = "3";
  rig.apply(mail());
  rig.kube->jobs.listed({job("a"), job("b")});
  rig.settle();
  CHECK(rig.make() == 0);
  rig.kube->pods.listed({});
  rig.settle();
  CHECK(rig.make() == 1);
}

TEST_CASE("scaled jobs of a cluster: a Job waits until a pod of it runs") {
  Rig rig;
  rig.apply(mail());
  rig.begin({job("a"), job("b")});
  CHECK(rig.status().find("pending")->as_int() == 2);
  rig.kube->pods.put(pod("a", "Running"));
  CHECK(rig.status().find("pending")->as_int() == 1);
}

TEST_CASE("scaled jobs of a cluster: what was not created is missing at the next poll") {
  Rig rig;
  rig.length = "2";
  rig.apply(mail());
  rig.begin();
  for (const auto& one : rig.kube->take()) one.done(fail(Code::PermissionDenied, "not allowed"));
  rig.settle();
  CHECK(has(rig.events, "Warning KEDAJobCreateFailed"));
  CHECK_FALSE(has(rig.events, "KEDAJobsCreated"));
  rig.poll();
  CHECK(rig.make() == 2);
}

TEST_CASE("scaled jobs of a cluster: finished Jobs beyond the limits are deleted once") {
  Rig rig;
  rig.apply(mail("  successfulJobsHistoryLimit: 1\n  failedJobsHistoryLimit: 0\n"));
  rig.begin({job("a", "Complete", "1", "2026-01-01T00:00:00Z"), job("b", "Failed")});
  CHECK(rig.kube->take_names() == Names{"remove job b"});
  rig.kube->jobs.put(job("c", "Complete", "1", "2026-01-02T00:00:00Z"));
  const auto asked = rig.kube->take();
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].name == "a");

  // What could not be deleted is tried again with the next change.
  asked[0].done(fail(Code::Unavailable, "away"));
  rig.kube->jobs.put(job("c", "Complete", "1", "2026-01-02T00:00:00Z"));
  CHECK(rig.kube->take_names() == Names{"remove job a"});
}

TEST_CASE("scaled jobs of a cluster: a new spec ends the Jobs of the one before") {
  struct Case {
    std::string rollout;
    Names removed;
    k8s::Client::Propagation propagation;
  };
  using Propagation = k8s::Client::Propagation;
  for (const Case& one :
       {Case{"", {"a", "b"}, Propagation::Background},
        Case{"  rollout: {propagationPolicy: foreground}\n", {"a", "b"}, Propagation::Foreground},
        Case{"  rollout: {strategy: gradual}\n", {}, Propagation::Background}}) {
    CAPTURE(one.rollout);
    Rig rig;
    rig.apply(mail(one.rollout));
    rig.begin({job("a"), job("b", "Complete")});
    CHECK(rig.kube->asked.empty());
    rig.events.clear();
    rig.apply(mail(one.rollout + "  pollingInterval: 7\n"), 2);
    Names removed;
    const auto asked = rig.kube->take();
    for (const auto& remove : asked) {
      removed.push_back(remove.name);
      CHECK(remove.propagation == one.propagation);
      remove.done(Node());
    }
    CHECK(removed == one.removed);
    CHECK(has(rig.events, "Warning ScaledJobRolloutCleanupStarted") == !removed.empty());
    CHECK(has(rig.events, "ScaledJobRolloutCleanupCompleted") == !removed.empty());
  }
}

TEST_CASE("scaled jobs of a cluster: a Job that was on its way when the spec changed ends too") {
  Rig rig;
  rig.length = "1";
  rig.apply(mail());
  rig.begin();
  CHECK(rig.kube->take().size() == 1);
  rig.apply(mail("  pollingInterval: 7\n"), 2);
  CHECK(rig.kube->asked.empty());
  rig.kube->jobs.put(job("late", "", "1"));
  CHECK(rig.kube->take_names() == Names{"remove job late"});
}

TEST_CASE("scaled jobs of a cluster: a paused one starts nothing, and keeps what it has") {
  Rig rig;
  rig.length = "3";
  rig.apply(mail("  successfulJobsHistoryLimit: 0\n", "autoscaling.keda.sh/paused: 'true'"));
  rig.begin({job("a", "Complete")});
  CHECK(rig.kube->asked.empty());
  CHECK(rig.condition("Paused") == "True ScaledJobPaused");
  rig.apply(mail("  successfulJobsHistoryLimit: 0\n"));
  CHECK(rig.kube->asked.size() == 4);  // one goes, three come
}

TEST_CASE("scaled jobs of a cluster: bound semantics are refused, and said so") {
  Rig rig;
  rig.apply(mail("", "jobmill/semantics: bound"));
  CHECK(rig.condition("Ready") == "False ScaledJobCheckFailed");
  CHECK(rig.statuses > 0);
  CHECK_FALSE(rig.jobs->picture(kMail));
  bool failed = false;
  rig.jobs->explain(kMail, [&](const Result<Node>& document) { failed = !document; });
  CHECK(failed);
}

TEST_CASE("scaled jobs of a cluster: a trigger that fails starts nothing") {
  Rig rig;
  rig.length = "3";
  rig.status_code = 500;
  rig.apply(mail());
  rig.begin();
  CHECK(rig.kube->asked.empty());
  CHECK(rig.condition("Ready").starts_with("False"));
  rig.status_code = 200;
  rig.poll();
  CHECK(rig.make() == 3);
}

TEST_CASE("scaled jobs of a cluster: whoever waits for a change hears of it") {
  Rig rig;
  rig.apply(mail());
  rig.begin();
  int heard = 0;
  rig.jobs->watch(kMail, 1h, [&] { ++heard; });
  rig.settle();
  CHECK(heard == 0);
  rig.kube->jobs.put(job("a"));
  rig.settle();
  CHECK(heard == 1);
  Node explained;
  rig.jobs->explain(kMail, [&](const Result<Node>& document) { explained = *document; });
  CHECK(explained.find("name")->text == "mail");
  CHECK(explained.find("revision")->text.ends_with("-1-1"));
}

TEST_CASE("scaled jobs of a cluster: one that is gone starts nothing, its Jobs are left alone") {
  Rig rig;
  rig.apply(mail());
  rig.begin({job("a")});
  rig.length = "9";
  rig.catalog.remove(kMail);
  rig.jobs->reconcile({kMail});
  rig.poll();
  CHECK(rig.kube->asked.empty());
  CHECK(rig.kube->watch_handle.expired());

  // Should it come again, what there is has to be listed again.
  rig.apply(mail());
  CHECK(rig.kube->asked.empty());
  rig.begin({job("a")});
  CHECK(rig.make() == 8);
}

TEST_CASE("scaled jobs of a cluster: what triggers refer to is read again only when one fails") {
  Rig rig;
  rig.length = "1";
  rig.apply(mail());
  rig.begin();
  CHECK(rig.make() == 1);
  rig.length = "2";
  const ObjectKey secret{"Secret", "shop", "any"};
  rig.jobs->reconcile({secret});
  rig.settle();
  CHECK(rig.make() == 0);
  rig.status_code = 500;
  rig.poll();
  rig.status_code = 200;
  rig.jobs->reconcile({secret});
  rig.settle();
  CHECK(rig.make() == 1);
}

TEST_CASE("scaled jobs of a cluster: of one that is unknown nothing is said") {
  Rig rig;
  CHECK(rig.status().members.empty());
  CHECK_FALSE(rig.jobs->knows(kMail));
}

TEST_CASE("scaled jobs of a cluster: a dry run decides, and changes nothing") {
  Rig rig(true);
  rig.length = "3";
  rig.apply(mail("  successfulJobsHistoryLimit: 0\n"));
  rig.begin({job("a", "Complete"), job("b", "", "0")});
  CHECK(rig.kube->asked.empty());
  CHECK(rig.recorder.sentences.size() == 1);
}

}  // namespace jobmill::app
