// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "api/route.h"

namespace jobmill::api {

// Shared access rules of namespaces and queues by the paths of Azure Resource Manager, their keys,
// and the connection strings made of these. For admins: who knows a key gets in.
std::span<const Route> arm_rule_routes();

}  // namespace jobmill::api
