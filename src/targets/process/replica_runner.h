// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "executions/runner.h"
#include "targets/process/masks.h"
#include "targets/process/process.h"
#include "targets/process/process_table.h"
#include "targets/process/process_watcher.h"
#include "targets/process/readiness.h"
#include "targets/process/replica_log.h"
#include "targets/process/socket_owner.h"

namespace jobmill::targets {

// The course of a replica, whatever its containers are: init containers run one after the other,
// then the main one with those beside it. When the main one has ended, the others get TERM, after
// kBesideGrace KILL, and then the replica has ended. What they write is in its log before that.
//
// A replica has a folder FOLDER/<replica> while it lives. What an earlier server left there is
// ended and deleted at the beginning: its processes are known by the variable JOBMILL_REPLICA,
// which the environment of every container is to name.
//
// Belongs to a thread that lives as long as the server (see Process). Going away kills what runs.
class ReplicaRunner : public executions::Runner {
 public:
  struct World {
    ProcessWatcher& watcher;
    Log& log;
    std::function<TimePoint()> now;                   // from any thread: times of log lines
    std::function<void(std::function<void()>)> post;  // to the thread that owns us
    RunAfter run_after;                               // the same
    std::string folder;
    // A replica's log has new lines. Called by the watcher's thread; must not block.
    std::function<void(const std::string& replica)> on_written = {};
  };

  static constexpr Duration kBesideGrace = std::chrono::seconds(5);

  void start(executions::RunReplica replica) final;
  void stop(std::string_view replica, bool kill) final;
  std::optional<Duration> cpu_time(std::string_view replica) final;
  void sweep(const executions::ProcessMark& mark) final;

  // All processes by which we see containers now.
  std::vector<ReplicaLeader> leaders() const;

 protected:
  // One container that was launched. Going away ends it, with all that is left of it.
  class Container {
   public:
    virtual ~Container() = default;
    // The child of ours by which it is seen: it ends with the container.
    virtual Process& process() = 0;
    virtual bool runs() const = 0;  // its program does; false: that is still to come
    virtual executions::ProcessMark mark() const = 0;
    virtual void signal(int number) = 0;
    // How it ended, but for the detail. The process has ended. An error: it never ran.
    virtual Result<executions::ReplicaEnd> reap() = 0;
  };

  ReplicaRunner(Events events, World world);
  // To be called first of all by the destructor of each kind.
  void end_all();

  // Makes ready what the containers of a replica need; its folder and its log are there. Errors
  // begin with their word: "StartError: …".
  virtual void prepare(const executions::RunReplica& replica, std::function<void(Status)> done) = 0;
  virtual Result<std::unique_ptr<Container>> launch(const executions::RunReplica& replica,
                                                    const executions::RunContainer& container) = 0;
  // The replica's containers have all gone; `end` is what is told, if it is.
  virtual void complete(const executions::RunReplica& replica, executions::ReplicaEnd& end) = 0;
  // After that, and also of what did not start: what was made ready may go.
  virtual void forget(const std::string& replica) = 0;
  // Those of them that are not children of ours too. By their environment, unless there is a better
  // way; those that are older than the replica need not be looked at.
  virtual std::vector<ListedProcess> processes_of(const std::string& replica,
                                                  std::int64_t since_ticks) const;

  // A container's program runs now.
  void came_up(const std::string& replica);
  std::string folder_of(std::string_view replica) const;
  // The event is lost when we are gone.
  void post(std::function<void()> event);
  std::weak_ptr<bool> alive() const { return alive_; }
  World& world() { return world_; }

 private:
  enum class Role { Init, Beside, Main };
  struct Child {
    Role role;
    std::string name;
    std::unique_ptr<Container> container;
  };
  struct Running {
    executions::RunReplica replica;
    Masks masks;
    std::shared_ptr<ReplicaLog> log = nullptr;
    std::vector<Child> children = {};
    std::int64_t since_ticks = 0;                    // when its first process started
    std::size_t inits = 0;                           // that have run
    bool beside = false;                             // those beside were launched
    bool all = false;                                // and the main one
    bool told = false;                               // started()
    int stopped_by = 0;                              // the last signal that it was to get
    std::optional<executions::ReplicaEnd> end = {};  // of the main container, or instead of it
  };

  Status open(Running& running);
  void prepared(const std::string& replica, const Status& status);
  void go_on(Running& running);
  Status launch_next(Running& running);
  Status launch_one(Running& running, const executions::RunContainer& container, Role role);
  void tell_started(Running& running);
  void could_not_start(Running& running, const std::string& reason);

  void ended(const std::string& replica, pid_t pid, const std::string& last_errors);
  void child_ended(Running& running, const Child& child, executions::ReplicaEnd end);
  void init_ended(Running& running, const std::string& container, executions::ReplicaEnd end);
  void conclude(Running& running, executions::ReplicaEnd end);
  void finish(Running& running);
  void remove(Running& running);
  static void signal(const Running& running, int number);

  void end_strays() const;

  const Events events_;
  World world_;
  std::map<std::string, Running, std::less<>> running_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace jobmill::targets
