// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"
#include "jobs/job_store.h"

namespace jobmill::store {

// What both databases ask of what people do to jobs, before they look at any.
Status check_alteration(const jobs::Alteration& alteration, std::size_t ids);
Status check_queue(const std::string& queue);

// What the history says of a job that got another queue or priority.
std::string change_event(const jobs::Alteration& alteration);

}  // namespace jobmill::store
