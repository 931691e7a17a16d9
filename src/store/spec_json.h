// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "jobs/job_store.h"
#include "jobs/recurring.h"

namespace jobmill::store {

// Specs as the tables keep them: JSON objects, in which a member that is missing has its default,
// so that a later version may add some.
std::string to_json(const jobs::WorkerSpec& spec);
Result<jobs::WorkerSpec> worker_spec(std::string_view json);

std::string to_json(const jobs::RecurringSpec& spec);
Result<jobs::RecurringSpec> recurring_spec(std::string_view json);

}  // namespace jobmill::store
