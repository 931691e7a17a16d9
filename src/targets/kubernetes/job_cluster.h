// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/document.h"
#include "base/result.h"
#include "k8s/client.h"
#include "k8s/reflector.h"

namespace jobmill::targets {

// Of a cluster, what those need who start Jobs there: a client of its API server, or a test. On one
// thread; answers come there, later.
class JobCluster {
 public:
  using Done = std::function<void(Result<Node>)>;

  virtual ~JobCluster() = default;

  // Jobs, and pods, that have these labels; an empty namespace: of all. Silent after the handle was
  // dropped.
  [[nodiscard]] virtual std::shared_ptr<void> watch(const std::string& ns,
                                                    const std::string& label_selector,
                                                    k8s::Reflector::Events jobs,
                                                    k8s::Reflector::Events pods) = 0;

  virtual void create(const k8s::Resource& resource, const std::string& ns, Node object,
                      Done done) = 0;
  virtual void patch(const k8s::Resource& resource, const std::string& ns, const std::string& name,
                     Node patch, Done done) = 0;
  // With its pods, which get their grace.
  virtual void remove_job(const std::string& ns, const std::string& name,
                          k8s::Client::Propagation propagation, Done done) = 0;
  virtual void kill_pod(const std::string& ns, const std::string& name, Done done) = 0;

  // What a container writes, from its first byte until it ends. NotFound, InvalidArgument: it has
  // not begun.
  [[nodiscard]] virtual std::shared_ptr<void> follow(const std::string& ns, const std::string& pod,
                                                     const std::string& container,
                                                     std::function<void(std::string_view)> piece,
                                                     std::function<void(Status)> ended) = 0;
};

// Both outlive it.
std::unique_ptr<JobCluster> make_job_cluster(k8s::Client& client, const k8s::World& world);

}  // namespace jobmill::targets
