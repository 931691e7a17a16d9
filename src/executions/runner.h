// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"
#include "executions/execution.h"

namespace jobmill::executions {

// One container to be run, with everything looked up.
struct RunContainer {
  std::string name;
  std::string image;                 // oci; for messages elsewhere
  std::vector<std::string> command;  // oci: in place of the image's entry point; empty: that
  Texts environment;                 // all of it; oci: beside that of the image
  std::string workdir;
  std::optional<std::int64_t> cpu_milli;
  std::optional<std::int64_t> memory_bytes;
  // Of oci alone:
  std::vector<std::string> args = {};   // after the command, in place of the image's
  std::string archive = {};             // file or folder that has the image; empty: the tool's own
  std::vector<std::string> files = {};  // of this machine; at the same place in it, read-only
};

struct RunReplica {
  std::string job;
  std::string execution;
  std::string replica;
  RunContainer main;
  std::vector<RunContainer> init;        // before, one after the other; a failure is the replica's
  std::vector<RunContainer> beside;      // started with it and stopped with it
  std::vector<std::string> local_names;  // host names that must lead to 127.0.0.1
  std::vector<Secret> masked;            // texts that must not stand in its log
  std::string log;                       // path of its log file
  RunnerKind runner = RunnerKind::Process;
  // What the engine keeps to by itself; kubernetes: for its cluster, should this server be gone.
  std::optional<Duration> timeout = {};
  Duration grace = std::chrono::seconds(30);
};

// Starts replicas and tells of their ends. One implementation for processes, one for containers,
// held to one suite (tests/conformance/runner), and one for Jobs of a cluster. Belongs to one
// thread, which lives as long as the server.
class Runner {
 public:
  struct Events {
    // It runs. Once, unless ended() comes first.
    std::function<void(const std::string& replica, ProcessMark mark)> started;
    // It could not be started; nothing is left of it. The text begins with a word:
    // "NameNotResolvable: …", "ImageNotRunnable: …", "StartError: …".
    std::function<void(const std::string& replica, std::string reason)> start_failed;
    // It ended, and all that it wrote before is in its log.
    std::function<void(const std::string& replica, ReplicaEnd end)> ended;
  };
  virtual ~Runner() = default;

  // Answers by an event, on the thread of the runner, never from within the call.
  virtual void start(RunReplica replica) = 0;
  // TERM, or KILL, to all of its processes. Unknown ones are no error.
  virtual void stop(std::string_view replica, bool kill) = 0;
  // What all of its processes have computed until now; none: that cannot be told.
  virtual std::optional<Duration> cpu_time(std::string_view) { return std::nullopt; }
  // What an earlier server left of a replica is killed and waited for.
  virtual void sweep(const ProcessMark& mark) = 0;
  // This server ends: of what goes on without it, stop() tells the end at once from now on, and the
  // next server finds it.
  virtual void leave() {}
};

}  // namespace jobmill::executions
