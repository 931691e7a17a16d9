// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "executions/container_job.h"
#include "executions/execution.h"

namespace jobmill::executions {

// The jobs of this server, their unfinished executions with replicas, and the reservations. An
// engine: no I/O, no clock; it is told what happened, with the time, and answers with actions at
// tick(). Owned by one thread. It knows neither processes nor brokers.
//
// An execution is like a Kubernetes Job: it succeeds when `completions` replicas exited 0, runs at
// most `parallelism` of them at once and never more than are still missing; a failed replica is
// replaced after a back-off until there were more failures than the retry limit.
//
// Reservations: an execution of a job with bound semantics reserves `reserves` messages of its rule
// from its creation until it has taken them or ends. A replica that failed gives back what it took,
// so the execution reserves again, and its retry starts only if a ready message is left that no
// other execution reserves; else it ends, reason NoMessage.
class Executions {
 public:
  struct StartReplica {
    std::string execution;
    std::string replica;
  };
  struct StopReplica {
    std::string replica;
    bool kill = false;  // else TERM
    // Ordered: we want it to end (stop, delete, enough completions), so what it holds goes back
    // uncounted. Not ordered: a time-out.
    bool ordered = true;
  };
  struct Actions {
    std::vector<std::string> changed;  // executions to be saved, before anything below is done
    std::vector<StartReplica> start;   // answer started() or start_failed()
    std::vector<StopReplica> stop;     // answer ended()
    std::vector<std::string> look;     // replicas that may have stalled: answer used()
    std::vector<JobKey> jobs;          // whose counts(), reservations or executions changed
    bool empty() const {
      return changed.empty() && start.empty() && stop.empty() && look.empty() && jobs.empty();
    }
  };

  struct StartRequest {
    StartedBy by{};
    int rule = -1;
    Semantics semantics = Semantics::Cloud;
    int reserves = 0;
    std::optional<Template> pod{};  // instead of the job's
  };

  // Of one job. Finished executions are not counted.
  struct Counts {
    int unfinished = 0;
    int pending = 0;  // of them: no replica runs yet
  };
  // Of one rule of a job.
  struct Reservation {
    std::int64_t reserved = 0;  // by unfinished executions: of each max(0, T - taken)
    std::int64_t taken = 0;
    std::int64_t ready = 0;  // as set_ready() said last
  };

  explicit Executions(std::uint64_t seed);  // for names
  ~Executions();
  Executions(const Executions&) = delete;
  Executions& operator=(const Executions&) = delete;

  // --- jobs ---
  void put(ContainerJob job, TimePoint now);  // new or changed
  // Stops its executions. The job is gone at once, they when they have ended.
  void remove(const JobKey& key, TimePoint now);
  // From now on what its schedule starts is bound to its first rule, and reserves so many messages;
  // 0: it is for none.
  void bind_schedule(const JobKey& key, int reserves);
  const ContainerJob* job(const JobKey& key) const;
  std::vector<const ContainerJob*> jobs() const;  // by key
  Counts counts(const JobKey& key) const;
  Reservation reservation(const JobKey& key, int rule) const;

  // At start, after put() of its job: an unfinished execution of a server that died. Its replicas
  // are Lost. `settled`: outcomes of messages that its replicas are known to have settled. If they
  // are all that it was for, it ends: Succeeded when one was completed, else Failed, reason
  // ServerRestarted. Every other one goes on with a new replica, not counted as a failure.
  void restore(Execution execution, const std::vector<TakenMessage>& settled, TimePoint now);

  // At start, after put() of its job: when its schedule was seen to last. However many runs were
  // missed since, one makes up for them.
  void catch_up(const JobKey& key, TimePoint since, TimePoint now);

  // --- wishes ---
  // The name of the new execution. NotFound: no such job. Its replicas start with the tick() after
  // it was saved.
  Result<std::string> start(const JobKey& key, StartRequest request, TimePoint now);
  // NotFound: no such job or unfinished execution.
  Status stop(const JobKey& key, std::string_view execution, TimePoint now);
  std::vector<std::string> stop_all(const JobKey& key, TimePoint now);  // their names
  // What could not be started for now is tried again at once.
  void hurry(const JobKey& key, TimePoint now);
  // The server ends: stops every replica as ordered, without ending executions, which go on with
  // the next server. Nothing is started any more.
  void shut_down(TimePoint now);
  bool idle() const;  // no replica runs, none was told to end

  // --- what happened to replicas ---
  void started(std::string_view replica, ProcessMark mark, TimePoint now);
  // `reason` begins with a word: "ImageNotRunnable: no entry for …". `later`: it may become
  // possible (a secret that is missing); tried again after a back-off, and no failure.
  void start_failed(std::string_view replica, std::string reason, bool later, TimePoint now);
  void identified(std::string_view replica, TimePoint now);  // it got a token of an identity
  // Signs of life, for jobs with stalledAfter: a replica without output, without a message that it
  // takes or settles, and with next to no computing time for so long is ended and has failed,
  // reason stalled. `cpu`: of all its processes until now; none: that cannot be told.
  void wrote(std::string_view replica, TimePoint now);
  void used(std::string_view replica, std::optional<Duration> cpu, TimePoint now);
  // Its process is gone; ended() follows when it is known what became of its messages. Until then
  // they are reserved for its execution, so that those that go back start no other one.
  void ending(std::string_view replica, TimePoint now);
  // To be told after settled() of everything that the replica did before its end.
  void ended(std::string_view replica, ReplicaEnd end, TimePoint now);

  // --- messages ---
  void took(TakenMessage message, TimePoint now);  // replica, entity, sequence, …
  // The replica's lock of that message ended; with `outcome`. Also for the locks that end with it.
  void settled(std::string_view replica, std::string_view entity, std::int64_t sequence,
               std::string_view outcome, std::string_view reason, TimePoint now);
  // Ready messages of a rule, or sessions with such: active, unlocked, deliverable.
  void set_ready(const JobKey& key, int rule, std::int64_t ready, TimePoint now);

  // --- time ---
  Actions tick(TimePoint now);
  std::optional<TimePoint> next() const;

  // Unfinished ones, and those that finished since the last tick. Null: unknown. Valid until the
  // next call that changes it.
  const Execution* find(std::string_view execution) const;
  const Execution* of_replica(std::string_view replica) const;
  std::vector<const Execution*> unfinished(const JobKey& key) const;  // oldest first
  // The oldest running replica of the job that took nothing: whoever took a message without saying
  // who it is, is taken to be this one. Empty: none.
  std::string likely_taker(const JobKey& key, int rule) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace jobmill::executions
