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
#include "scale/activate.h"
#include "scale/desired.h"

namespace jobmill::scale {

// What a decision did. Steady: the number stayed and nothing held it back; Blocked: it stayed
// because a rule held it.
enum class DecisionKind { Activate, Up, Down, Zero, Steady, Blocked, Paused, Error, Manual };

std::string_view to_string(DecisionKind kind);

// Everything a decision looks at. decide() reads nothing else, so a stored input can be decided
// again, or decided differently: what if the window were shorter?
struct DecisionInput {
  TimePoint at{};
  std::int64_t generation = 0;
  Semantics semantics = Semantics::Direct;
  bool run_activate = true;  // Keda runs one of the two at a time
  bool run_desired = true;
  ActivateInput activate;       // bounds, cooldowns, annotations, activity
  DesiredInput desired;         // readings, rules, memory
  std::optional<int> pause_at;  // paused-replicas that are still to be set
  std::optional<int> set_to;    // what somebody set by hand, once
  int draining = 0;
  int busy = 0;  // replicas that run a job
};

// The record of one decision: what was seen, what was decided, which rule limited it.
struct Decision {
  struct Trigger {
    Reading reading;
    std::optional<double> per_replica;  // only where the target is
    std::optional<double> ratio;
    std::optional<int> proposal;  // none: a failed read does not vote
  };
  struct Counterfactual {
    Rule rule = Rule::None;
    int replicas = 0;  // the number without that rule
  };

  std::string id;
  std::string target;  // name of the ScaledObject
  TimePoint at{};
  DecisionKind kind = DecisionKind::Steady;
  int from = 0;
  int to = 0;
  std::vector<Trigger> triggers;
  Rule limiting_rule = Rule::None;  // the last rule that changed the number
  std::string sentence;             // the limiting rule in one sentence
  std::optional<Counterfactual> counterfactual;
  std::optional<TimePoint> next_check;  // when time alone could change the number
  std::string inputs_hash;              // equal inputs, equal text
  DecisionInput input;
  Activation activation;              // what activate() said
  std::optional<int> recommendation;  // what the windows are to remember
  std::int64_t repeated = 0;          // equal evaluations since
  TimePoint until{};                  // the last of them
};

// Runs activate and desired as the semantics say. Pure: equal inputs give equal decisions. Leaves
// id and target empty.
Decision decide(const DecisionInput& input);

// The record as the HTTP API and `scale explain -o json` give it.
Node to_document(const Decision& decision);
Node to_document(const DecisionInput& input);

// What was written by to_document(DecisionInput). Deciding it again gives what was decided then.
Result<DecisionInput> decision_input_from(const Node& document);
// The whole record again, from its `inputs`.
Result<Decision> decision_from(const Node& document);

// Whether the ledger needs a record of its own for `next`, or only raises `repeated` of `last`.
bool same_record(const Decision& last, const Decision& next);

}  // namespace jobmill::scale
