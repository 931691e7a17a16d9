// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/document.h"

// How many executions a ScaledJob, or a job of Container Apps, starts now. Pure functions; the
// rules are KEDA's, but for decide_bound().
namespace jobmill::scale {

enum class JobStrategy { Default, Custom, Accurate, Eager };
enum class JobCombination { Max, Min, Avg, Sum };

// The bounds that count: max includes the min executions unless it is unset, or below min.
struct JobBounds {
  std::int64_t min = 0;
  std::int64_t max = 100;
};
JobBounds job_bounds(std::optional<std::int64_t> min, std::optional<std::int64_t> max);

// One trigger of a job as it was read. `target`: per execution; 0: none.
struct JobTrigger {
  std::string name;  // of the rule; for explanations and the executions that it starts
  std::string type;
  double queue_length = 0;
  double target = 0;
  bool active = false;
  std::string error{};  // not empty: this read failed and is left out
};

// T of a trigger with several metric specs: the mean of their AverageValue targets, 0 for one
// without.
double job_target(const std::vector<std::optional<double>>& targets);

struct JobDemand {
  bool active = false;
  double queue_length = 0;
  double max_scale = 0;  // min(q / T, effMax), 0 without a target
  int chosen = -1;       // index of the trigger that max or min took; -1: none, or all of them
};
JobDemand combine(JobCombination combination, const std::vector<JobTrigger>& triggers,
                  const JobBounds& bounds);

struct StrategyInput {
  JobStrategy strategy = JobStrategy::Default;
  std::int64_t max_scale = 0;
  std::int64_t running = 0;  // beyond min
  std::int64_t pending = 0;
  std::int64_t max = 100;  // of the bounds
  std::int64_t scale_to = 0;
  std::optional<std::int64_t> deduction{};  // custom
  std::string percentage{};  // custom, as written; not a number: default's arithmetic
};
struct StrategyResult {
  std::int64_t effective = 0;
  std::int64_t scale_to = 0;
};
StrategyResult apply_strategy(const StrategyInput& input);

// --- one decision ------------------------------------------------------------------------------

enum class JobSemantics { Bound, Keda };

// A rule under bound semantics: its queue and what is reserved of it.
struct BoundRule {
  std::string name;
  std::string type = "azure-servicebus";
  std::int64_t ready = 0;  // messages, or sessions with messages: active, unlocked, deliverable
  std::int64_t locked = 0;
  std::int64_t reserved = 0;
  std::int64_t backing_off = 0;  // of `reserved`: for executions that wait before a retry
  std::int64_t messages = 1;     // T; below 1 counts as 1
  std::int64_t activation = 0;   // nothing starts while ready + locked are not more
  bool sessions = false;         // ready and locked are sessions
  bool receivable = true;        // its entity is neither disabled nor receive-disabled
  std::string error{};           // its entity is missing, its key is wrong
};

struct ExecutionsInput {
  TimePoint at{};
  JobSemantics semantics = JobSemantics::Bound;
  std::optional<std::int64_t> min{};
  std::optional<std::int64_t> max{};
  std::int64_t unfinished = 0;
  std::int64_t pending = 0;  // of them
  bool suspended = false;

  std::vector<BoundRule> bound{};  // Bound
  bool keep_min = true;            // Bound: min executions are looked at, as at each poll

  std::vector<JobTrigger> triggers{};  // Keda
  JobCombination combination = JobCombination::Max;
  JobStrategy strategy = JobStrategy::Default;
  std::optional<std::int64_t> deduction{};
  std::string percentage{};
};

// Why there are not more; the last rule that changed the number.
enum class JobLimit {
  None,  // as many as are wanted
  MaxExecutions,
  Reserved,  // what is ready is spoken for by executions that have not taken it yet
  Locked,    // all that is there is in the hands of receivers
  Activation,
  Suspended,
  Stale,     // a trigger could not be read: nothing is started on its account
  Disabled,  // the entity is disabled
  SessionsLocked,
  BackOff,
};
std::string_view to_string(JobLimit limit);  // "max-executions", "sessions locked", …

struct ExecutionsDecision {
  struct Create {
    // Index. Under bound semantics min executions are the first rule's that can be read, since
    // they reserve too. -1: min executions otherwise, or a combination of several.
    int rule = -1;
    int count = 0;
  };
  std::vector<Create> create;  // in the order of the rules
  std::int64_t wanted = 0;     // before the bounds
  JobLimit limit = JobLimit::None;
  std::string sentence;  // "max-executions (1 of 1 running); 3 ready"
  std::string formula;   // "ceil((5 ready - 2 reserved) / 1) = 3; max 1 - 1 unfinished = 0"
  // What KEDA's default strategy would have created from the same state.
  std::int64_t keda_would_create = 0;

  std::string id{};  // set by who keeps it
  ExecutionsInput input;
  int total() const {
    int sum = 0;
    for (const Create& one : create) sum += one.count;
    return sum;
  }
};

ExecutionsDecision decide_executions(const ExecutionsInput& input);

Node to_document(const ExecutionsDecision& decision);

// --- of a ScaledJob in a cluster ----------------------------------------------------------------

struct JobPod {
  std::string phase;                    // Pending, Running, …
  std::vector<std::string> conditions;  // those that are True
};
// Without conditions: pending unless a pod is Running or Succeeded. With: unless one pod has them
// all.
bool is_pending(const std::vector<std::string>& conditions, const std::vector<JobPod>& pods,
                bool finished);

struct FinishedJob {
  std::string name;
  std::string completed_at;  // sorts as text
  enum class Result { Complete, Failed, Running } result = Result::Complete;
};
// Names of those beyond the limits (100 where not set), oldest first.
std::vector<std::string> jobs_to_delete(const std::vector<FinishedJob>& jobs,
                                        std::optional<std::int64_t> keep_succeeded,
                                        std::optional<std::int64_t> keep_failed);

}  // namespace jobmill::scale
