// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/document.h"
#include "base/result.h"
#include "broker/entity.h"
#include "executions/container_job.h"
#include "executions/execution.h"
#include "executions/executions.h"
#include "scale/executions.h"

namespace jobmill::app {

// What is known of a job when somebody asks why it does what it does.
struct JobPicture {
  const executions::ContainerJob& job;
  std::optional<executions::Semantics> semantics;  // none: no event job, or not known yet
  executions::Executions::Counts counts;
  const scale::ExecutionsDecision* latest = nullptr;
  const scale::ExecutionsDecision* last_create = nullptr;
  std::vector<broker::QueueDescription> queues{};  // of this server, that its rules mean
  std::vector<std::string> metrics{};              // names of what its triggers measure
};

// Each answers {text, …}: the text for people, beside it what it was made from.
Node explain_job(const JobPicture& picture, TimePoint now);
// What a decision said, with its numbers; also one that was kept, which is made anew from what it
// looked at. Internal: what was kept cannot be read.
std::string explain_decision(const scale::ExecutionsDecision& decision);
Result<std::string> explain_kept_decision(const Node& record);
// The one reason why there are no more executions: "max-executions (1 of 1 running); 3 ready".
Node explain_why_not(const JobPicture& picture, TimePoint now);
// From its creation to its end: replicas, messages, what became of them.
Node explain_execution(const executions::Execution& execution);

// Settings of a job and its queues that will surprise: each in one sentence.
std::vector<std::string> warnings_of(const JobPicture& picture);

}  // namespace jobmill::app
