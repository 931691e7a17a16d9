// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/document.h"
#include "base/result.h"
#include "jobmill/server.h"
#include "jobs/retry_policy.h"

namespace jobmill::app {

// `retry` of the configuration file: one entry, or a list of which the first one that matches wins.
//
//   retry:
//     - {kind: mail.send, if_error: smtp.Refused, do_not_retry: true}
//     - {kind: mail.send, delays: "5,5,60,120"}
//     - {base: 2}  # all others: 2, 4, 8 … seconds
//
// Numbers are seconds, texts are durations. InvalidArgument with the place in the file.
Result<std::vector<ServerOptions::Retry>> read_retry_rules(const Node& node,
                                                           const std::string& file);

// The same for the engine. `retries`: of jobs that no list of delays tells how many.
jobs::RetryRules retry_rules(const std::vector<ServerOptions::Retry>& entries, int retries);

}  // namespace jobmill::app
