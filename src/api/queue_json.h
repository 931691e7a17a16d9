// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "api/problem.h"
#include "base/document.h"
#include "base/json_writer.h"
#include "broker/entity.h"

namespace jobmill::api {

// A queue's properties as Azure Resource Manager names them.
void write_queue_properties(JsonWriter& json, const broker::QueueInfo& queue);

// Whether a user said the same of both; names and authorization rules apart.
bool same_settings(const broker::QueueDescription& a, const broker::QueueDescription& b);

// Those of `properties` that a user may set; what only the server says is skipped, what nobody
// knows is an error, as are wrong types.
void read_queue_properties(const Node& properties, broker::QueueDescription& queue,
                           std::vector<FieldError>& errors);

}  // namespace jobmill::api
