// SPDX-License-Identifier: Apache-2.0
#include "app/cluster_source.h"

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "app/cluster_pods.h"

namespace jobmill::app {
namespace {

using scalers::ClusterPod;
using scalers::ClusterSource;

// Of a Deployment it never changes, of other kinds hardly ever.
constexpr Duration kSelectorHolds = std::chrono::minutes(10);

const k8s::Resource kPodMetrics{"metrics.k8s.io", "v1beta1", "pods", "PodMetrics", true};

// What the API server says of a group that nobody serves is not what the user has to do.
Fault explained(const Fault& fault) {
  if (fault.code == Code::NotFound)
    return fail(fault.code,
                "the cluster has no metrics.k8s.io; install metrics-server to provide it");
  if (fault.code == Code::Unavailable)
    return fail(fault.code, fmt::format("metrics.k8s.io does not answer: {}; is metrics-server "
                                        "running?",
                                        fault.message));
  return fault;
}

class Pods : public std::enable_shared_from_this<Pods> {
 public:
  Pods(k8s::Client& client, const Clock& clock, WatchedPods watched)
      : client_(client), clock_(clock), watched_(std::move(watched)) {}

  void list(std::string_view ns, std::string_view selector, ClusterSource::Done done) {
    const auto parsed = manifest::LabelSelector::parse(selector);
    auto known = watched_ && parsed ? watched_(ns, *parsed) : std::nullopt;
    if (known) return done(*std::move(known));
    client_.list(k8s::resources::kPods, ns, selector,
                 [done = std::move(done)](const Result<Node>& pods) {
                   if (!pods) return done(pods.error());
                   done(read_cluster_pods(*pods));
                 });
  }

  void usage(std::string_view ns, const scale::ScaleTargetRef& target, ClusterSource::Done done) {
    auto measure = [self = shared_from_this(), ns = std::string(ns),
                    done](const std::string& selector) { self->measure(ns, selector, done); };
    find_selector({.ns = std::string(ns),
                   .api_version = target.api_version,
                   .kind = target.kind,
                   .name = target.name},
                  std::move(measure), done);
  }

 private:
  struct Target {
    std::string ns, api_version, kind, name;
    auto operator<=>(const Target&) const = default;
  };
  struct Selector {
    std::string text;
    TimePoint until{};
  };
  // Two lists that are asked for at the same time.
  struct Both {
    std::optional<Result<std::vector<ClusterPod>>> pods{};
    std::optional<Result<Node>> metrics{};
  };

  void find_selector(Target target, std::function<void(const std::string&)> found,
                     const ClusterSource::Done& failed) {
    const auto known = selectors_.find(target);
    if (known != selectors_.end() && clock_.now() < known->second.until)
      return found(known->second.text);
    client_.discover(target.api_version, target.kind,
                     [self = shared_from_this(), target, found = std::move(found),
                      failed](const Result<k8s::Resource>& resource) {
                       if (!resource) return failed(resource.error());
                       self->read_scale(*resource, target, found, failed);
                     });
  }

  void read_scale(const k8s::Resource& resource, const Target& target,
                  std::function<void(const std::string&)> found,
                  const ClusterSource::Done& failed) {
    client_.get(
        resource, target.ns, target.name,
        [self = shared_from_this(), target, found = std::move(found),
         failed](const Result<Node>& scale) {
          if (!scale) return failed(scale.error());
          const Node* status = scale->find("status");
          const Node* selector = status != nullptr ? status->find("selector") : nullptr;
          if (selector == nullptr || selector->text.empty())
            return failed(fail(Code::Unsupported,
                               fmt::format("the scale of {} {} names no selector, so nobody knows "
                                           "its pods",
                                           target.kind, target.name)));
          self->selectors_[target] = {selector->text, self->clock_.now() + kSelectorHolds};
          found(selector->text);
        },
        "scale");
  }

  void measure(const std::string& ns, const std::string& selector,
               const ClusterSource::Done& done) {
    auto both = std::make_shared<Both>();
    list(ns, selector, [both, done](Result<std::vector<ClusterPod>> pods) {
      both->pods = std::move(pods);
      join(*both, done);
    });
    client_.list(kPodMetrics, ns, selector, [both, done](Result<Node> metrics) {
      both->metrics = std::move(metrics);
      join(*both, done);
    });
  }

  static void join(Both& both, const ClusterSource::Done& done) {
    if (!both.pods || !both.metrics) return;
    if (!*both.pods) return done(both.pods->error());
    if (!*both.metrics) return done(explained(both.metrics->error()));
    std::vector<ClusterPod> pods = **std::move(both.pods);
    add_usage(pods, **both.metrics);
    done(std::move(pods));
  }

  k8s::Client& client_;
  const Clock& clock_;
  const WatchedPods watched_;
  std::map<Target, Selector> selectors_;
};

}  // namespace

ClusterSource cluster_source(k8s::Client& client, const Clock& clock, WatchedPods watched) {
  const auto pods = std::make_shared<Pods>(client, clock, std::move(watched));
  return {.pods = [pods](std::string_view ns, std::string_view selector,
                         ClusterSource::Done done) { pods->list(ns, selector, std::move(done)); },
          .usage = [pods](std::string_view ns, const scale::ScaleTargetRef& target,
                          ClusterSource::Done done) { pods->usage(ns, target, std::move(done)); }};
}

}  // namespace jobmill::app
