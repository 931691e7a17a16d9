// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "executions/executions.h"
#include "executions/reservations.h"

namespace jobmill::executions {

// One unfinished execution: it is told what happens to its replicas, and says in step() what is to
// be done. Knows nothing of other executions; a part of Executions.
class Run {
 public:
  // What a step needs to know of the world around.
  struct World {
    TimePoint now{};
    std::function<bool()> message_left;   // for a retry
    std::function<std::string()> suffix;  // for the name of a replica
  };

  explicit Run(Execution execution);

  const Execution& execution() const { return execution_; }
  const Replica* replica(std::string_view name) const;
  Reservations::Share share() const;
  // The first running replica that took nothing; null: none.
  const Replica* idle_replica() const;
  bool all_quiet() const;  // no replica runs, starts, or was told to end

  // What happened. What cannot be, such as the second end of a replica, changes nothing.
  void started(std::string_view name, ProcessMark mark, TimePoint now);
  void start_failed(std::string_view name, std::string reason, bool later, TimePoint now);
  void identified(std::string_view name, TimePoint now);
  void wrote(std::string_view name, TimePoint now);
  void used(std::string_view name, std::optional<Duration> cpu, TimePoint now);
  void ended(std::string_view name, ReplicaEnd end, TimePoint now);
  void ending(std::string_view name);
  void took(TakenMessage message);
  void settled(std::string_view replica, std::string_view entity, std::int64_t sequence,
               std::string_view outcome, std::string_view reason, TimePoint now);

  void hurry(TimePoint now);  // what could not be started may be possible now
  void stop(std::string reason);
  void halt();  // the server ends: replicas are stopped, the execution is not
  // Its server died, and its replicas with it.
  void restore(const std::vector<TakenMessage>& settled, TimePoint now);

  // Does what is due, and says whether anything changed since the step before.
  bool step(const World& world, Executions::Actions& actions);
  std::optional<TimePoint> next() const;

 private:
  // What is known of a replica beside what is stored.
  struct Track {
    int taken = 0;        // different messages
    bool ending = false;  // its process is gone, and what it took may go back
    int tries = 0;        // that failed for now
    bool ordered = false;
    std::optional<TimePoint> kill_at{};
    // Only with stalledAfter:
    TimePoint alive{};     // the last sign of life
    TimePoint measured{};  // when its computing time was
    Duration computed{};   // this much
    bool asked = false;    // for it
    bool stalled = false;  // and is to be ended
  };
  // A replica to be made in the place of one that ended.
  struct Successor {
    int attempt = 1;
    std::optional<TimePoint> due{};
  };
  // How it will end when no replica is left.
  struct Verdict {
    ExecutionStatus status;
    std::string reason;
    bool stop_rest = true;
  };

  std::optional<std::size_t> index_of(std::string_view name) const;
  bool is_out(std::size_t i) const;
  bool bound() const { return execution_.semantics == Semantics::Bound && execution_.rule >= 0; }
  bool complete() const { return execution_.succeeded >= execution_.started.completions; }

  void add_replica(int attempt, std::optional<TimePoint> due, const World& world);
  void leave(std::size_t i, ReplicaState state, std::string reason, TimePoint now);
  void succeed(std::size_t i, TimePoint now);
  void fail_replica(std::size_t i, std::string reason, TimePoint now);
  void end_as_told(std::size_t i, TimePoint now);
  void lose(std::size_t i, TimePoint now);
  void try_later(std::size_t i, std::string reason, TimePoint now);
  void conclude(Verdict verdict);

  void learn(const TakenMessage& message);
  std::vector<const TakenMessage*> last_deliveries(std::size_t i) const;
  bool left_unsettled(std::size_t i) const;
  enum class Work { None, Open, Settled, Completed };
  Work work_of(std::size_t i) const;
  std::string message_words(std::size_t i) const;
  std::string nothing_left_words(std::size_t i) const;
  std::string too_many_words(std::size_t i) const;

  void judge(std::size_t i, const World& world);
  void fill(const World& world);
  void start_due(const World& world, Executions::Actions& actions);
  void time_out(const World& world, Executions::Actions& actions);
  void look_for_life(const World& world, Executions::Actions& actions);
  void stop_rest(const World& world, Executions::Actions& actions);
  void kill_late(const World& world, Executions::Actions& actions);
  void tell_to_end(std::size_t i, bool ordered, const World& world, Executions::Actions& actions);
  void drop_pending(const World& world);
  void update_status(TimePoint now);
  Duration pause_between_looks() const;

  Execution execution_;
  std::vector<Track> tracks_;  // of execution_.replicas
  std::map<std::string, std::size_t, std::less<>> by_name_;
  std::vector<std::size_t> active_;    // replicas that have not finished
  std::vector<std::size_t> unjudged_;  // replicas that failed since the last step
  std::vector<Successor> successors_;
  std::optional<Verdict> verdict_;
  int taken_ = 0;  // by replicas that did not fail
  bool halted_ = false;
  bool changed_ = true;
};

}  // namespace jobmill::executions
