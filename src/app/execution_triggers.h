// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "app/queue_feed.h"
#include "app/scaled_job.h"
#include "base/log.h"
#include "executions/container_job.h"
#include "net/event_loop.h"
#include "scale/job_scaler.h"
#include "scalers/table.h"

namespace jobmill::app {

// The rules of event jobs: finds out whose queue each means, chooses the semantics of the job,
// builds what reads the others, and feeds the engine that decides. On the control thread.
//
// A job is bound when each of its rules means one queue of this server; unless it asks for `cloud`.
class ExecutionTriggers {
 public:
  using JobKey = executions::JobKey;

  // Who counts for a rule: the principal of its identity.
  using PrincipalOf =
      std::function<std::string(const executions::ContainerJob&, const std::string& identity)>;

  struct Parts {
    net::EventLoop& control;
    QueueFeed* feed;  // null: without a broker
    std::function<scalers::ScalerContext()> context;
    const Clock& clock;
    Log& log;
    PrincipalOf principal_of;
    std::function<void(const JobKey& key)> begun;  // scaler() knows it, but not its executions
  };

  // `changed`: something may have to be decided now.
  ExecutionTriggers(Parts parts, std::function<void()> changed);

  // What is wrong with its rules: a type that nobody knows, parameters that cannot be read.
  static Status check(const executions::ContainerJob& job);

  // New or changed. `rules`: it is a ScaledJob, whose triggers are looked up in its own way.
  void put(const executions::ContainerJob& job, const ScaledJobRules* rules = nullptr);
  void remove(const JobKey& key);
  void entities_changed();  // queues, keys and roles: they are looked for again
  void stop();              // no reads any more

  // What scale::JobScaler asks for.
  void read(const scale::JobScaler::Read& read);
  scale::JobScaler& scaler() { return scaler_; }
  const scale::JobScaler& scaler() const { return scaler_; }

  // A rule that means a queue of this server.
  struct Rule {
    JobKey job;
    int index = 0;
  };
  const std::vector<Rule>& rules_of(const std::string& path) const;  // of bound jobs
  // What a rule's queues are together, now that one of them is so; none: not all are known yet.
  using QueueState = Result<broker::QueueState>;
  std::optional<QueueState> told(const Rule& rule, const std::string& path,
                                 const QueueState& state);
  std::vector<std::string> queues_of(const JobKey& key) const;  // of this server, by path
  // None: not known yet, or no event job.
  std::optional<executions::Semantics> semantics(const JobKey& key) const;
  int messages(const JobKey& key,
               int rule) const;  // messageCount of a bound job's rule, at least 1
  // Of what is read by polls: one for each rule, or none while one of them cannot be built.
  std::vector<std::string> metric_names(const JobKey& key) const;

  static std::string text(const JobKey& key) { return key.group + "/" + key.name; }
  static JobKey key_of(std::string_view text);

 private:
  struct Source {
    std::optional<scalers::ServiceBusTrigger> queue;  // of azure-servicebus, if it can be read
    std::optional<Result<QueueFeed::Paths>> found;
    std::map<std::string, QueueState> states{};  // of these, as far as they are known
    std::unique_ptr<scale::Scaler> scaler;       // of cloud semantics
  };
  struct Binding {
    executions::ContainerJob job;
    std::optional<ScaledJobRules> rules;  // of a ScaledJob
    std::vector<Source> sources;
    std::uint64_t round = 0;  // of looking for queues; answers to earlier ones are dropped
    std::optional<executions::Semantics> semantics;
    std::vector<std::string> watched;
  };

  void locate(Binding& binding);
  void located(const JobKey& key, std::uint64_t round, std::size_t rule,
               Result<QueueFeed::Paths> found);
  void decide(Binding& binding);
  bool can_be_bound(const Binding& binding) const;
  void bind(Binding& binding);
  void read_by_polls(Binding& binding);
  void unwatch(Binding& binding);
  Result<scale::MetricSpec> build(Binding& binding, std::size_t rule);
  scale::JobScaler::Spec spec_of(const Binding& binding) const;

  Parts parts_;
  std::function<void()> changed_;
  scale::JobScaler scaler_;
  std::map<JobKey, Binding> bindings_;
  std::map<std::string, std::vector<Rule>> rules_;  // by path
  std::uint64_t rounds_ = 0;
};

}  // namespace jobmill::app
