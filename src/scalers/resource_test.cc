// SPDX-License-Identifier: Apache-2.0
#include "scalers/resource.h"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "scale/desired.h"
#include "scalers/table.h"

namespace jobmill::scalers {
namespace {

using namespace std::chrono_literals;
using Phase = ClusterPod::Phase;

constexpr TimePoint kNow{1'000'000s};

scale::TriggerSpec spec_of(std::string type, std::string metric_type, std::string value,
                           std::string container = "") {
  scale::TriggerSpec spec;
  spec.type = std::move(type);
  spec.metric_type = std::move(metric_type);
  spec.metadata = {{"value", std::move(value)}, {"containerName", std::move(container)}};
  spec.ns = "shop";
  spec.target.emplace().name = "web";
  return spec;
}

ResourceTrigger trigger_of(const scale::TriggerSpec& spec) {
  auto trigger = parse_resource(spec);
  REQUIRE_MESSAGE(trigger, (trigger ? "" : trigger.error().message));
  return *std::move(trigger);
}

ResourceTrigger cpu(std::string per_cent) {
  return trigger_of(spec_of("cpu", "Utilization", std::move(per_cent)));
}

// A pod that has been ready for an hour; of each thousand requested it uses so many.
ClusterPod using_cpu(std::int64_t milli) {
  return {.name = "web-1",
          .phase = Phase::Running,
          .ready = true,
          .started = kNow - 1h,
          .ready_since = kNow - 1h,
          .containers = {{.name = "web", .requested = {{"cpu", 1000}}, .used = {{"cpu", milli}}}},
          .measured = ClusterPod::Measured{.at = kNow - 10s, .window = 15s}};
}

ClusterPod unmeasured(Duration ready_for) {
  ClusterPod pod = using_cpu(0);
  pod.containers[0].used.clear();
  pod.measured.reset();
  pod.started = pod.ready_since = kNow - ready_for;
  return pod;
}

ClusterPod starting() {
  ClusterPod pod = using_cpu(2000);
  pod.started = kNow - 20s;
  pod.ready_since = kNow - 15s;  // within the window of its numbers
  return pod;
}

ClusterPod changed(ClusterPod pod, void (*change)(ClusterPod&)) {
  change(pod);
  return pod;
}

double value(const ResourceTrigger& trigger, const std::vector<ClusterPod>& pods) {
  const auto value = resource_value(trigger, pods, kNow);
  REQUIRE_MESSAGE(value, (value ? "" : value.error().message));
  return *value;
}

std::string error(const ResourceTrigger& trigger, const std::vector<ClusterPod>& pods) {
  const auto value = resource_value(trigger, pods, kNow);
  REQUIRE_FALSE(value);
  return value.error().message;
}

// How many replicas the arithmetic makes of it.
int proposal(const ResourceTrigger& trigger, const std::vector<ClusterPod>& pods, int current) {
  scale::Reading reading;
  reading.type = trigger.metric.type;
  reading.target_milli = trigger.metric.target_milli;
  reading.value_milli = static_cast<std::int64_t>(value(trigger, pods) * 1000);
  scale::DesiredInput in;
  in.current = in.status = current;
  in.ready = static_cast<int>(pods.size());
  const auto found = scale::propose(reading, in);
  REQUIRE(found);
  return found->replicas;
}

}  // namespace

TEST_CASE("cpu: per cent of what all ready pods request, cut to a whole number") {
  CHECK(value(cpu("50"), {using_cpu(500)}) == 50);
  CHECK(value(cpu("50"), {using_cpu(800), using_cpu(205)}) == 50);
  CHECK(proposal(cpu("50"), {using_cpu(800), using_cpu(900)}, 2) == 4);
  CHECK(proposal(cpu("50"), {using_cpu(540), using_cpu(540)}, 2) == 2);  // within a tenth
  CHECK(proposal(cpu("50"), {using_cpu(100), using_cpu(150), using_cpu(110)}, 3) == 1);
}

TEST_CASE("memory: what a pod uses on average, in bytes") {
  const auto trigger = trigger_of(spec_of("memory", "AverageValue", "256Mi"));
  CHECK(trigger.metric.name == "s0-memory");
  CHECK(trigger.metric.target_milli == 256LL * 1024 * 1024 * 1000);
  auto pod = using_cpu(0);
  pod.containers[0].used = {{"memory", 384LL * 1024 * 1024 * 1000}};
  pod.containers[0].requested.clear();  // no share of anything is asked for
  CHECK(value(trigger, {pod, pod}) == 384.0 * 1024 * 1024);
  CHECK(proposal(trigger, {pod, pod}, 2) == 3);
}

TEST_CASE("cpu: containerName limits it to one container") {
  auto pod = using_cpu(100);
  pod.containers.push_back({.name = "proxy", .requested = {{"cpu", 100}}, .used = {{"cpu", 90}}});
  const auto proxy = trigger_of(spec_of("cpu", "Utilization", "50", "proxy"));
  CHECK(proxy.metric.name == "s0-cpu-proxy");
  CHECK(value(proxy, {pod}) == 90);
  CHECK(value(cpu("50"), {pod}) == 17);
  CHECK(error(trigger_of(spec_of("cpu", "Utilization", "50", "cache")), {pod}).find("cache") !=
        std::string::npos);
}

TEST_CASE("cpu: requests of the pod as a whole come before those of its containers") {
  auto pod = using_cpu(500);
  pod.requested = {{"cpu", 2000}};
  CHECK(value(cpu("50"), {pod}) == 25);
}

TEST_CASE("cpu: pods that ended, go, wait or are not ready do not count") {
  const auto busy = using_cpu(900);
  const std::vector<ClusterPod> pods{
      using_cpu(100), changed(busy, [](ClusterPod& pod) { pod.phase = Phase::Ended; }),
      changed(busy, [](ClusterPod& pod) { pod.phase = Phase::Pending; }),
      changed(busy, [](ClusterPod& pod) { pod.deleting = true; }),
      changed(busy, [](ClusterPod& pod) { pod.ready = false; })};
  CHECK(value(cpu("50"), pods) == 10);
}

TEST_CASE("cpu: an unmeasured pod uses nothing where the others want more") {
  CHECK(value(cpu("50"), {using_cpu(900), using_cpu(900), unmeasured(1h)}) == 60);
  // And where that would make it less, the size stays.
  CHECK(value(cpu("50"), {using_cpu(900), unmeasured(1h)}) == 50);
}

TEST_CASE("cpu: an unmeasured pod uses all of its request where the others want less") {
  CHECK(value(cpu("80"), {using_cpu(300), using_cpu(300), unmeasured(1h)}) == 53);
  CHECK(value(cpu("80"), {using_cpu(700), unmeasured(1h)}) == 80);
  CHECK(value(cpu("120"), {using_cpu(300), unmeasured(1h)}) == 75);  // a target above 100
  const auto average = trigger_of(spec_of("cpu", "AverageValue", "800m"));
  CHECK(value(average, {using_cpu(300), unmeasured(1h)}) == 0.55);
}

TEST_CASE("cpu: what a pod uses while it starts asks for no more pods") {
  CHECK(value(cpu("50"), {using_cpu(900), using_cpu(900), starting()}) == 60);
  CHECK(value(cpu("50"), {using_cpu(200), starting()}) == 20);
  CHECK(value(cpu("50"), {starting()}) == 50);
  // Of memory there is no such time.
  auto pod = starting();
  pod.containers[0].requested = {{"memory", 1000}};
  pod.containers[0].used = {{"memory", 900}};
  CHECK(value(trigger_of(spec_of("memory", "Utilization", "50")), {pod}) == 90);
}

TEST_CASE("cpu: without a pod nothing is used; while none was measured the size stays") {
  CHECK(value(cpu("50"), {}) == 0);
  CHECK(value(cpu("50"), {changed(using_cpu(900), [](ClusterPod& pod) { pod.deleting = true; })}) ==
        0);
  CHECK(value(cpu("50"), {changed(using_cpu(900),
                                  [](ClusterPod& pod) { pod.phase = Phase::Pending; })}) == 50);
  CHECK(value(cpu("50"), {unmeasured(4min)}) == 50);
  CHECK(error(cpu("50"), {unmeasured(5min)}).find("web-1") != std::string::npos);
}

TEST_CASE("cpu: a container without a request has no share to use") {
  auto pod = using_cpu(500);
  pod.containers.push_back({.name = "proxy", .requested = {}, .used = {{"cpu", 1}}});
  const std::string text = error(cpu("50"), {pod});
  CHECK(text.find("container proxy of pod web-1") != std::string::npos);
  CHECK(text.find("resources.requests.cpu") != std::string::npos);
  CHECK(value(trigger_of(spec_of("cpu", "AverageValue", "500m")), {pod}) == 0.501);
}

TEST_CASE("cpu: a value that is no target is refused") {
  struct Case {
    const char *metric_type, *value;
  };
  for (const auto& [metric_type, value] :
       {Case{"Utilization", "0"}, Case{"Utilization", "-5"}, Case{"Utilization", "1.5"},
        Case{"Utilization", "500m"}, Case{"AverageValue", "0"}, Case{"AverageValue", "much"},
        Case{"", "50"}}) {
    CAPTURE(metric_type);
    CAPTURE(value);
    CHECK_FALSE(parse_resource(spec_of("cpu", metric_type, value)));
  }
}

TEST_CASE("cpu: the target's pods are asked for, and never make it active") {
  ManualClock clock;
  clock.set(kNow);
  std::string asked;
  const ScalerContext context{
      .fetch = {},
      .jobs = {},
      .cluster = {.pods = {},
                  .usage =
                      [&](std::string_view ns, const scale::ScaleTargetRef& target,
                          ClusterSource::Done done) {
                        asked = std::string(ns) + "/" + target.kind + "/" + target.name;
                        done(std::vector{using_cpu(900)});
                      }},
      .run_after = {},
      .clock = clock};
  const auto scaler = make_scaler(spec_of("cpu", "Utilization", "50"), context);
  REQUIRE(scaler);
  std::optional<Result<scale::Sample>> seen;
  (*scaler)->read([&](Result<scale::Sample> sample) { seen = std::move(sample); });
  REQUIRE(seen);
  REQUIRE(*seen);
  CHECK((*seen)->value == 90);
  CHECK_FALSE((*seen)->active);
  CHECK(asked == "shop/Deployment/web");

  auto job = spec_of("cpu", "Utilization", "50");
  job.target.reset();
  CHECK_FALSE(make_scaler(job, context));
}

}  // namespace jobmill::scalers
