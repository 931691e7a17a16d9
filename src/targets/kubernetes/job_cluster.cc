// SPDX-License-Identifier: Apache-2.0
#include "targets/kubernetes/job_cluster.h"

#include <utility>

#include <fmt/core.h>

#include "k8s/resource.h"

namespace jobmill::targets {
namespace {

using k8s::Reflector;
using k8s::resources::kJobs;
using k8s::resources::kPods;

struct Watches {
  Reflector jobs;
  Reflector pods;
};

class ClientJobCluster final : public JobCluster {
 public:
  ClientJobCluster(k8s::Client& client, const k8s::World& world) : client_(client), world_(world) {}

  std::shared_ptr<void> watch(const std::string& ns, const std::string& label_selector,
                              Reflector::Events jobs, Reflector::Events pods) override {
    const auto what = [&](const k8s::Resource& resource) {
      return Reflector::What{
          .resource = resource, .ns = ns, .label_selector = label_selector, .field_selector = {}};
    };
    return std::shared_ptr<Watches>(
        new Watches{.jobs = Reflector(client_, world_, what(kJobs), std::move(jobs)),
                    .pods = Reflector(client_, world_, what(kPods), std::move(pods))});
  }

  void create(const k8s::Resource& resource, const std::string& ns, Node object,
              Done done) override {
    client_.create(resource, ns, std::move(object), std::move(done));
  }

  void patch(const k8s::Resource& resource, const std::string& ns, const std::string& name,
             Node patch, Done done) override {
    client_.merge_patch(resource, ns, name, std::move(patch), std::move(done));
  }

  void remove_job(const std::string& ns, const std::string& name,
                  k8s::Client::Propagation propagation, Done done) override {
    client_.remove(kJobs, ns, name, propagation, std::move(done));
  }

  void kill_pod(const std::string& ns, const std::string& name, Done done) override {
    client_.remove(kPods, ns, name, k8s::Client::Propagation::Background, std::move(done),
                   Duration(0));
  }

  std::shared_ptr<void> follow(const std::string& ns, const std::string& pod,
                               const std::string& container,
                               std::function<void(std::string_view)> piece,
                               std::function<void(Status)> ended) override {
    return client_.get_text(
        fmt::format("{}?container={}&follow=true", kPods.path(ns, pod, "log"), container),
        std::move(piece), std::move(ended));
  }

 private:
  k8s::Client& client_;
  const k8s::World world_;
};

}  // namespace

std::unique_ptr<JobCluster> make_job_cluster(k8s::Client& client, const k8s::World& world) {
  return std::make_unique<ClientJobCluster>(client, world);
}

}  // namespace jobmill::targets
