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
#include "scale/decision.h"
#include "scale/executions.h"

// What is kept of decisions, so that "why were there four at ten past two?" has an answer months
// later. A record says what changed and why, and holds all that the decision looked at.
namespace jobmill::scale {

struct LedgerRecord {
  std::string target;  // "ScaledObject/default/mail"; also ScaledJob and ContainerJob
  std::string id;      // unique for its target
  TimePoint at{};
  TimePoint until{};          // the last evaluation that said the same
  std::int64_t repeated = 0;  // how many did, after the first
  std::string kind;           // "up", "blocked", …
  int from = 0;
  int to = 0;
  std::string rule;      // that limited the number: "scale-down-window"
  std::string sentence;  // the same for people
  std::string document;  // the whole record as JSON, `inputs` and all; may be left out in lists
};

LedgerRecord to_record(std::string target, const Decision& decision);

// How many executions there are and will be: `from` are unfinished, `to` those with the new ones.
LedgerRecord to_record(std::string target, const ExecutionsDecision& decision);
// Whether `next` only repeats what `last` says.
bool same_record(const LedgerRecord& last, const LedgerRecord& next);

// The inputs of an ExecutionsDecision that to_record() kept.
Result<ExecutionsInput> executions_input_from(const Node& document);

struct LedgerQuery {
  std::string target;
  std::optional<TimePoint> from{};  // [from, to)
  std::optional<TimePoint> to{};
  std::string before{};  // id of a record: only older ones
  int limit = 100;
  bool documents = true;
};

// Where records are kept, across restarts. Safe from any thread.
class Ledger {
 public:
  virtual ~Ledger() = default;

  // These return at once; what they were given is written with what else waits, in this order.
  virtual void append(LedgerRecord record) = 0;
  virtual void extend(const std::string& target, const std::string& id, std::int64_t repeated,
                      TimePoint until) = 0;

  // These block.
  virtual Result<std::vector<LedgerRecord>> list(const LedgerQuery& query) = 0;  // newest first
  virtual Result<std::int64_t> count(const LedgerQuery& query) = 0;
  virtual Result<LedgerRecord> find(const std::string& target, const std::string& id) = 0;
  // The one that was in force: the last at or before `at`. `changed`: that changed the number.
  virtual Result<std::optional<LedgerRecord>> in_force(const std::string& target, TimePoint at,
                                                       bool changed) = 0;
  // Forgets what is too old, at most `limit` records. True: there is more.
  virtual Result<bool> prune(TimePoint now, std::int64_t limit) = 0;
};

}  // namespace jobmill::scale
