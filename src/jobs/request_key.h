// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "jobs/job_store.h"

// What a store keeps of a request with an idempotency key.
namespace jobmill::jobs {

Status check_key(std::string_view key);  // InvalidArgument "idempotency_key: …"

// Equal for requests that ask for the same: all fields as values, not as texts. Who asks and in
// which trace is no part of it.
std::string fingerprint(std::span<const JobSpec> specs);

// The answer to the first request, and as it is given to the ones after it: nothing was created.
std::string answer_text(const InsertResult& result);
Result<InsertResult> repeated_answer(std::string_view text);

Fault key_conflict(std::string_view key);

}  // namespace jobmill::jobs
