// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "api/arm_error.h"
#include "api/execution_plane.h"
#include "api/route.h"
#include "base/document.h"
#include "base/result.h"

// What jobs of Container Apps refer to by the paths of Azure Resource Manager: resource groups,
// environments, registries and managed identities. All but the identities are names that are kept
// and shown, and nothing more.
namespace jobmill::api {

// A server that runs no jobs of Container Apps has none of these routes.
template <Handler Serve>
void with_executions(ApiContext& context, Call call) {
  if (context.executions == nullptr)
    return call.responder.send(
        arm_error(fail(Code::NotFound, "this server runs without jobs of Container Apps")));
  Serve(context, std::move(call));
}

// "/subscriptions/s/resourceGroups/g", of the call's path.
std::string group_id(const Call& call);
// The same with "/providers/Microsoft.App/jobs/n".
std::string resource_id(const Call& call, std::string_view type, std::string_view name);

// The JSON object in the body; nothing counts as {}.
Result<Node> arm_body(const Call& call);

// Whoever names a group in a PUT has made it, unless it is there. Blocks.
Status ensure_group(executions::Resources& resources, const Call& call, const Node& resource);

// {"value": […]}
http::Response arm_list(Node items);

std::span<const Route> arm_resource_routes();
std::span<const Route> role_assignment_routes();

}  // namespace jobmill::api
