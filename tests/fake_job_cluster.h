// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/document.h"
#include "targets/kubernetes/job_cluster.h"

namespace jobmill::testing {

// A cluster that keeps what is asked of it; the test answers, and tells what happens there.
class FakeJobCluster final : public targets::JobCluster {
 public:
  struct Asked {
    std::string what;  // "create jobs", "patch secrets", "remove job", "kill pod"
    std::string ns;
    std::string name;  // of create: empty
    Node object{};
    Done done{};
    k8s::Client::Propagation propagation = k8s::Client::Propagation::Background;
  };
  struct Followed {
    std::string pod;
    std::string container;
    std::function<void(std::string_view)> piece;
    std::function<void(Status)> ended;
    std::weak_ptr<void> handle;
  };

  std::shared_ptr<void> watch(const std::string& ns, const std::string& label_selector,
                              k8s::Reflector::Events its_jobs,
                              k8s::Reflector::Events its_pods) override {
    watched = ns + "?" + label_selector;
    jobs = std::move(its_jobs);
    pods = std::move(its_pods);
    auto handle = std::make_shared<bool>(true);
    watch_handle = handle;
    return handle;
  }
  void create(const k8s::Resource& resource, const std::string& ns, Node object,
              Done done) override {
    asked.push_back({"create " + resource.plural, ns, {}, std::move(object), std::move(done)});
  }
  void patch(const k8s::Resource& resource, const std::string& ns, const std::string& name,
             Node patch, Done done) override {
    asked.push_back({"patch " + resource.plural, ns, name, std::move(patch), std::move(done)});
  }
  void remove_job(const std::string& ns, const std::string& name,
                  k8s::Client::Propagation propagation, Done done) override {
    asked.push_back({"remove job", ns, name, {}, std::move(done), propagation});
  }
  void kill_pod(const std::string& ns, const std::string& name, Done done) override {
    asked.push_back({"kill pod", ns, name, {}, std::move(done)});
  }
  std::shared_ptr<void> follow(const std::string&, const std::string& pod,
                               const std::string& container,
                               std::function<void(std::string_view)> piece,
                               std::function<void(Status)> ended) override {
    auto handle = std::make_shared<bool>(true);
    followed.push_back({pod, container, std::move(piece), std::move(ended), handle});
    return handle;
  }

  // What was asked since the last time.
  std::vector<Asked> take() { return std::exchange(asked, {}); }
  std::vector<std::string> take_names() {
    std::vector<std::string> names;
    for (const Asked& one : take())
      names.push_back(one.what + (one.name.empty() ? "" : " " + one.name));
    return names;
  }

  std::string watched;  // "namespace?selector"
  k8s::Reflector::Events jobs;
  k8s::Reflector::Events pods;
  std::weak_ptr<void> watch_handle;
  std::vector<Asked> asked;
  std::vector<Followed> followed;
};

}  // namespace jobmill::testing
