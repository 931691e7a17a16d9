// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "executions/runner.h"
#include "targets/kubernetes/job_cluster.h"
#include "targets/kubernetes/replica_job.h"
#include "targets/process/output_sink.h"
#include "targets/process/readiness.h"
#include "targets/process/replica_log.h"

namespace jobmill::targets {

// Replicas of executions as Jobs of a cluster: one Job, one pod, once. A replica has started when a
// container of its pod has; it has ended when its pod has and all that the containers wrote is in
// its log. Then its Job is deleted: what is kept of it is kept by this server.
//
// What an earlier server left is known by the label of the server, and nothing is started before it
// is. It goes on as the replica that its execution starts in the place of the one that was lost,
// with all its output; what no execution wants within kLeftFor is deleted.
class JobRunner final : public executions::Runner {
 public:
  struct World {
    std::unique_ptr<JobCluster> cluster;
    Log& log;
    std::function<TimePoint()> now;                   // times of log lines
    std::function<void(std::function<void()>)> post;  // to the thread that owns us
    RunAfter run_after;                               // the same
    ReplicaJobOptions jobs;
    // A replica's log has new lines. Must not block.
    std::function<void(const std::string& replica)> on_written = {};
  };

  static constexpr Duration kLeftFor = std::chrono::seconds(30);

  // May be called on another thread than the one that owns it from then on.
  JobRunner(Events events, World world);
  ~JobRunner() override;  // what runs is the next server's to find

  void start(executions::RunReplica replica) override;
  void stop(std::string_view replica, bool kill) override;
  // Nothing: what is left is known by its label.
  void sweep(const executions::ProcessMark&) override {}
  void leave() override { leaving_ = true; }

 private:
  // What one container writes. A connection that breaks is made anew; what was seen is passed over.
  struct Stream {
    std::unique_ptr<OutputSink> sink;
    std::shared_ptr<void> handle;
    std::size_t seen = 0;                         // bytes
    std::size_t passed = 0;                       // of this connection
    bool closed = false;                          // by the other side, which had no more
    bool over = false;                            // its container has ended
    bool read() const { return closed && over; }  // to the end
  };
  enum class Stage {
    Waits,  // until it is known what an earlier server left
    Asked,  // its Job is being created
    Created,
  };
  struct Running {
    executions::RunReplica replica;
    std::shared_ptr<ReplicaLog> log = {};
    std::map<std::string, Stream> streams = {};  // by container
    Stage stage = Stage::Waits;
    std::string job = {};  // its name, which pods have for a label
    std::string pod = {};
    bool told = false;  // that it started
    int stopped_by = 0;
    std::optional<executions::ReplicaEnd> end = {};
  };

  void begin();
  void jobs_listed(const std::vector<Node>& jobs);
  void pods_listed(const std::vector<Node>& pods);
  void job_put(const Node& job);
  void job_removed(const Node& job);
  void job_gone(const std::string& name);
  void pod_put(const Node& pod);
  void pod_removed(const Node& pod);
  void pod_gone(const std::string& replica);
  void known();
  void take_over(Running& running, const std::string& job);
  void sweep_left();

  Status open(Running& running);
  void launch(Running& running);
  void create_job(const std::string& replica, Node job, bool has_secret);
  void created(const std::string& replica, const Result<Node>& job, bool has_secret);
  void end_in_cluster(Running& running);
  void follow(Running& running, const std::string& container);
  void wrote(const std::string& replica, const std::string& container, std::string_view piece);
  void stream_ended(const std::string& replica, const std::string& container, const Status& how);
  void conclude(Running& running, executions::ReplicaEnd end);
  void give_up(Running& running, std::string reason);
  void finish_if_read(Running& running);
  void finish(Running& running);
  void tell_end(Running& running, executions::ReplicaEnd end);
  void forget(const Running& running);
  void remove_job(const std::string& name);
  Running* find(std::string_view replica);
  Running* of_job(std::string_view job);
  // Later, unless we are gone by then.
  std::function<void()> unless_gone(std::function<void()> work) const;

  const Events events_;
  World world_;
  std::map<std::string, Running, std::less<>> running_;     // by replica
  std::map<std::string, std::string, std::less<>> by_job_;  // replicas
  // What an earlier server left, until an execution wants it: by the name of the Job.
  std::map<std::string, Node, std::less<>> left_;
  std::map<std::string, Node, std::less<>> left_pods_;
  bool jobs_known_ = false;
  bool pods_known_ = false;
  bool leaving_ = false;
  std::shared_ptr<void> watch_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace jobmill::targets
