// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/execution_plane.h"
#include "api/identity.h"
#include "app/execution_explain.h"
#include "app/execution_triggers.h"
#include "app/queue_feed.h"
#include "app/recorder.h"
#include "app/replica_plan.h"
#include "app/running_replicas.h"
#include "app/scaled_job.h"
#include "base/log.h"
#include "base/thread_pool.h"
#include "executions/execution_store.h"
#include "executions/executions.h"
#include "executions/runner.h"
#include "executions/start_backoff.h"
#include "net/event_loop.h"

namespace jobmill::app {

// What executions are run with; all of it outlives them.
struct ExecutionParts {
  net::EventLoop& control;
  net::EventLoop& loop;
  executions::ExecutionStore& store;  // tells on the control thread that something is durable
  executions::Resources& resources;
  ThreadPool& pool;
  const Clock& clock;
  Log& log;
  RunningReplicas& running;
  api::Identities& identities;  // the loop thread's
  QueueFeed* feed = nullptr;    // null: no broker
  // On the loop thread: a replica's process ended. Its connections are read to their end, then its
  // locks end: counted as a failed delivery, or given back. Null: no broker.
  std::function<void(const std::string& replica, bool count, std::function<void()> done)>
      end_holder{};
  std::function<scalers::ScalerContext()> scaler_context;
  std::function<ReplicaFacts()> facts;
  Recorder& recorder;
  std::function<std::unique_ptr<executions::Runner>(executions::Runner::Events)> runner;
  LocalImages images;
  std::string data;                                             // folder
  std::function<void(const std::string& execution)> changed{};  // it is another one now, durably
};

// Jobs of Container Apps on this machine: keeps them, starts and stops what the engines say, tells
// the engines what happened. Owner of the executions, their reservations and processes: everything
// happens on the control thread, but where api::ExecutionPlane says otherwise.
class ExecutionControl final : public api::ExecutionPlane {
 public:
  explicit ExecutionControl(ExecutionParts parts);
  ~ExecutionControl() override;

  // On the control thread. Everything that an earlier server left unfinished is settled first.
  void start();
  // Stops all replicas; their executions go on with the next server. `done` when none is left.
  void shutdown(Duration grace, std::function<void()> done);
  void log_grew(const std::string& replica);  // from any thread

  // ScaledJobs, on the control thread: jobs that belong to their manifests. They are not stored, so
  // those of the catalog have to be put before start().
  void put_scaled_job(executions::ContainerJob job, ScaledJobRules rules);
  void remove_scaled_job(const JobKey& key);
  bool has_stored_job(const JobKey& key) const;  // of that name, which is none of these
  std::optional<JobPicture> picture(const JobKey& key) const;
  bool is_scaled_job(const JobKey& key) const { return scaled_.contains(key); }
  std::vector<JobKey> event_jobs() const;  // that triggers start, and no ScaledJobs
  void suspend(const JobKey& key, bool suspended, Done<void> done);  // durable; no ScaledJob

  void put_job(JobKey key, std::string id, Node resource, bool patch, Done<Put> done) override;
  void get_job(JobKey key, Done<Node> done) override;
  void list_jobs(std::string group, Done<Node> done) override;
  void delete_job(JobKey key, Done<void> done) override;
  void secrets(JobKey key, Done<Node> done) override;
  void start(JobKey key, Node pod, Done<Node> done) override;
  void stop(JobKey key, std::string execution, Done<Node> done) override;
  void list_executions(JobKey key, List query, Done<Node> done) override;
  void get_execution(JobKey key, std::string execution, Done<Node> done) override;
  void find_executions(executions::ExecutionQuery query,
                       Done<std::vector<executions::Execution>> done) override;
  void find_execution(std::string name, Done<executions::Execution> done) override;
  void job_facts(Done<std::vector<JobFacts>> done) override;
  void log(JobKey key, Log query, Done<api::LogPage> done) override;
  void explain(JobKey key, Explain query, Done<Node> done) override;
  void watch(JobKey key, Duration wait, std::function<void()> changed) override;
  void resources_changed() override;
  Node fixed_images() override { return app::fixed_images(parts_.images); }
  executions::Resources& resources() override { return parts_.resources; }

 private:
  using Execution = executions::Execution;
  using ContainerJob = executions::ContainerJob;

  // Somebody who waits: for an execution to change, a log to grow, processes to end.
  struct Waiter {
    std::uint64_t id = 0;
    net::EventLoop::TimerId timer = 0;
    std::function<void()> wake;
  };
  using Waiters = std::map<std::string, std::vector<Waiter>, std::less<>>;
  // Holds an answer until the condition is true.
  struct Pending {
    std::function<bool()> ready;
    std::function<void()> answer;
  };
  struct Ended {  // its process has, and its locks are being ended
    executions::ReplicaEnd end;
    bool released = false;  // the broker was told
  };

  void on_control(std::function<void()> work);
  static JobKey lower(const JobKey& key);

  // --- execution_control.cc: the engines ---
  void restore();
  void catch_up(const JobKey& key);
  void roll_out(const JobKey& key);
  void drive();
  bool carry_out(const executions::Executions::Actions& actions);
  bool carry_out(const scale::JobScaler::Actions& actions);
  void save(const std::string& execution, std::vector<std::string> starts);
  void start_replica(const std::string& replica);
  void stop_replica(const executions::Executions::StopReplica& stop);
  void create(const scale::JobScaler::Create& wish);
  void put_triggers(const ContainerJob& job);
  void tell_scaler(const JobKey& key);
  std::string principal_of(const ContainerJob& job, const std::string& identity) const;
  void forget_roles(const std::vector<std::string>& queues);
  ContainerJob with_vault(const ContainerJob& job) const;
  void triggers_begun(const JobKey& key);
  void job_changed(const JobKey& key);
  manifest::ObjectKey target_key(const JobKey& key) const;
  void answer_pending();
  void end_backoffs();

  executions::Runner::Events runner_events();
  const LocalImages& images();
  std::string admit(const ContainerJob& job, const Execution& execution,
                    const std::string& replica);
  void replica_started(const std::string& replica, executions::ProcessMark mark);
  void replica_failed(const std::string& replica, std::string reason, bool later);
  void replica_ended(const std::string& replica, executions::ReplicaEnd end);
  void finish_ended();
  void give_up_on(const std::string& replica);
  void forget_replica(const std::string& replica);

  void on_news(const QueueFeed::News& news);
  void on_message(const broker::MessageEvent& event);
  std::string taker_of(const broker::MessageEvent& event);

  void prune_later(const JobKey& key);
  void prune(const JobKey& key);

  // --- execution_requests.cc: what people ask for ---
  Result<ContainerJob> decode(const JobKey& key, const std::string& id, Node resource, bool patch);
  void put_now(const JobKey& key, const std::string& id, Node resource, bool patch, Done<Put> done);
  void keep(ContainerJob job, bool created, Done<Put> done);
  void start_now(const JobKey& key, const Node& pod, Done<Node> done);
  void stop_now(const JobKey& key, const std::string& execution, Done<Node> done);
  void log_now(const JobKey& key, const Log& query, Done<api::LogPage> done);
  void read_log(const Execution& execution, const Log& query, Done<api::LogPage> done);
  void with_queues(const JobKey& key,
                   std::function<void(std::vector<broker::QueueDescription>)> done);
  Result<Node> explained(const JobKey& key, const Explain& query,
                         std::vector<broker::QueueDescription> queues);
  Status check_not_scaled(const JobKey& key) const;
  Result<const ContainerJob*> known(const JobKey& key) const;
  std::string job_id(const JobKey& key) const;
  Node reference(const JobKey& key, const std::string& execution) const;
  void wait(Waiters& waiters, const std::string& key, Duration wait, std::function<void()> wake);
  void wake(Waiters& waiters, const std::string& key);
  std::string log_path(const Execution& execution, std::string_view replica) const;
  std::string log_folder(const JobKey& key, std::string_view execution) const;

  ExecutionParts parts_;
  executions::Executions engine_;
  executions::StartBackoff backoff_;
  ExecutionTriggers triggers_;
  std::map<JobKey, ScaledJobRules> scaled_;
  std::unique_ptr<executions::Runner> runner_;

  std::set<std::string, std::less<>> starting_;  // wait for their execution to be saved
  std::set<std::string, std::less<>> ordered_;   // told to end by us
  std::set<std::string, std::less<>> alive_;     // given to the runner, and not ended
  std::map<std::string, Ended, std::less<>> ended_;
  // Messages that replicas hold: how many each; and, by entity and number, who is taken to have
  // those that nobody gave his name for.
  std::map<std::string, std::set<std::pair<std::string, std::int64_t>>, std::less<>> held_;
  std::map<std::pair<std::string, std::int64_t>, std::string> guessed_;
  // Queues that are watched for a replica, since its job may turn to others or go before it ends.
  std::map<std::string, std::set<std::string>, std::less<>> watched_;

  std::mutex grown_mutex_;  // guards grown_
  std::set<std::string> grown_;
  std::optional<LocalImages> images_;  // as the resources of that revision have them
  std::uint64_t images_revision_ = 0;

  Waiters job_waiters_;
  Waiters log_waiters_;
  std::vector<Pending> pending_;
  std::set<JobKey> pruning_;
  std::uint64_t last_waiter_ = 0;
  std::optional<net::EventLoop::TimerId> timer_;
  bool started_ = false;
  bool driving_ = false;
  bool again_ = false;
  bool stopping_ = false;
  std::function<void()> when_idle_;
};

}  // namespace jobmill::app
