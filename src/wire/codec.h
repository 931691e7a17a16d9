// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/document.h"
#include "base/result.h"
#include "http/message.h"
#include "jobs/job_store.h"

// The worker protocol's JSON, seen from the client. Members that it does not know are ignored, so
// that an older worker can talk to a newer server.
namespace jobmill::wire {

std::string encode_jobs(std::span<const jobs::JobSpec> specs);
std::string encode_worker(const jobs::WorkerSpec& worker);
std::string encode_claim(const jobs::ClaimRequest& request);
std::string encode_beat(std::span<const jobs::Report> running);
std::string encode_progress(const jobs::Report& report);  // for its job's own path
std::string encode_lines(const jobs::Report& report);     // the same
std::string encode_settlements(std::span<const jobs::Settlement> settlements);
std::string encode_settlement(const jobs::Settlement& settlement);  // for its job's own path
std::string_view verb_of(jobs::Settlement::Kind kind);              // "complete"
std::string encode_recurring(const jobs::RecurringSpec& spec);

jobs::InsertResult decode_inserted(const Node& node);
jobs::Registration decode_registration(const Node& node);
jobs::Claimed decode_claimed(const Node& node);
jobs::BeatAnswer decode_beat(const Node& node);
jobs::Job decode_job(const Node& node);
std::vector<jobs::JobEvent> decode_history(const Node& node);
jobs::JobPage decode_page(const Node& node);
jobs::JobLog decode_log(const Node& node);
jobs::Outcome decode_outcome(const Node& node);
std::vector<jobs::Worker> decode_workers(const Node& node);
std::vector<jobs::QueueStats> decode_queues(const Node& node, TimePoint now);
std::vector<jobs::RecurringJob> decode_recurring(const Node& node);

// One result per settlement, in the order in which they were given.
Result<std::vector<jobs::Settled>> decode_settled(const Node& node,
                                                  std::span<const jobs::Settlement> settlements);

// The answer to one settlement; its own outcome may be that it was refused.
Result<jobs::Settled> decode_settled(const http::Response& response,
                                     const jobs::Settlement& settlement);

// An answer that is not 2xx.
Fault decode_problem(const http::Response& response);

// What the protocol calls such a failure: "not_found".
std::string_view problem_name(Code code);

}  // namespace jobmill::wire
