// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/document.h"
#include "base/result.h"
#include "executions/container_job.h"

namespace jobmill::executions {

enum class ExecutionStatus {
  Processing,  // accepted; no replica has run yet
  Running,
  Succeeded,  // the completion count was reached
  Failed,     // failures exceeded the retry limit, or nothing could be started
  Stopped,    // by stop, delete or suspend
  Degraded,   // the completion count can no longer be reached, but replicas still run
  Unknown,    // the runner cannot be asked
};

enum class ReplicaState {
  Pending,   // waits: for its back-off, for a message, for the runner
  Starting,  // the runner was asked
  Running,
  Stopping,  // was told to end
  Succeeded,
  Failed,
  Stopped,
  Lost,  // the server died with it; no failure
};

std::string_view to_string(ExecutionStatus status);  // as written above
std::string_view to_string(ReplicaState state);
std::optional<ExecutionStatus> execution_status_named(std::string_view text);  // in any case
std::string_view to_string(TriggerType type);                                  // "Event"
std::string_view to_string(Semantics semantics);                               // "bound"

// How a replica's process ended.
struct ReplicaEnd {
  int exit_code = 0;
  int signal = 0;  // 0: it exited by itself
  bool out_of_memory = false;
  std::int64_t peak_rss_bytes = 0;
  std::string detail = {};  // for people: what it wrote to stderr last
};

// By which a later server finds what is left of a process.
struct ProcessMark {
  std::int64_t pid = 0;
  std::int64_t start_ticks = 0;  // field 22 of /proc/PID/stat: numbers are used again
  std::string cgroup = {};       // its folder; empty: none
};

struct Replica {
  std::string name;  // <execution>-<5 characters>
  int attempt = 1;
  ReplicaState state = ReplicaState::Pending;
  // "exit 1", "signal 9", "timeout", "stalled", "oom", a start error; of Succeeded:
  // ExitedWithoutSettling.
  std::string reason;
  ProcessMark mark;
  TimePoint created{};
  std::optional<TimePoint> due;  // Pending: not before
  std::optional<TimePoint> started;
  std::optional<TimePoint> identified;  // its first token of an identity
  std::optional<TimePoint> deadline;    // of the replica time-out
  std::optional<TimePoint> ended;
  std::optional<ReplicaEnd> end;
  bool finished() const { return state >= ReplicaState::Succeeded; }
};

// A message that a replica was given, and what became of it.
struct TakenMessage {
  std::string replica{};
  std::string entity{};
  std::int64_t sequence = 0;
  std::string message_id{};
  std::uint32_t delivery_count = 0;
  TimePoint taken{};
  std::string outcome{};  // empty while it is held: completed, abandoned, deferred, dead-lettered,
                          // released, lock-lost, deleted (received and deleted)
  std::string reason{};   // of a dead letter
  std::optional<TimePoint> ended{};
  bool at_the_end = false;  // the end of its process settled it; not stored
};

struct StartedBy {
  std::string name = "manual";  // of the rule; "schedule", "manual"
  std::string type = "manual";  // of the trigger; "schedule", "manual"
  std::string decision{};       // id of the decision that created it
};

// One run of a job, with what it was started with: later changes of the job do not reach it.
struct Execution {
  std::string name;  // <job>-<7 characters>
  JobKey job;
  ExecutionStatus status = ExecutionStatus::Processing;
  // Of Failed, Stopped, Degraded, why Processing lasts, or a warning of Succeeded; plain words.
  std::string reason;
  bool stopping = false;  // stop or delete was asked for: it ends as Stopped
  StartedBy by;
  Semantics semantics = Semantics::Cloud;
  int rule = -1;     // index of its rule in `started`; -1: none
  int reserves = 0;  // messages, T; 0: none
  ContainerJob
      started;  // the job as it was, without its document and secrets; `pod` with overrides
  TimePoint created{};
  std::optional<TimePoint> began;  // its first replica ran
  std::optional<TimePoint> ended;
  int succeeded = 0;
  int failures = 0;
  std::vector<Replica> replicas;       // in the order of their making
  std::vector<TakenMessage> messages;  // the last hundred

  bool finished() const {
    return status == ExecutionStatus::Succeeded || status == ExecutionStatus::Failed ||
           status == ExecutionStatus::Stopped;
  }
};

// All of it, as the store keeps it. from_document() refuses what it does not understand.
Node to_document(const Execution& execution);
Result<Execution> execution_from(const Node& document);

// As GET …/jobs/{name}/executions/{e} shows it. `job_id`: the resource id of its job.
Node to_resource(const Execution& execution, std::string_view job_id);

}  // namespace jobmill::executions
