// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "api/route.h"
#include "base/document.h"
#include "base/result.h"
#include "broker/entity.h"
#include "broker/message_store.h"

// What the paths of Azure Resource Manager name: /subscriptions/{s}/resourceGroups/{g}/providers/
// Microsoft.ServiceBus/namespaces/{ns}/queues/{q}. Subscriptions and groups are labels: the group
// of a namespace is kept and shown, and every path leads to it.
namespace jobmill::api {

inline constexpr char kDefaultGroup[] = "default";

// The namespace or queue of the path, or a NotFound that names it. A queue is found under the
// namespace that it was made in.
Result<broker::StoredNamespace> namespace_of(const ApiContext& context, const Call& call);
Result<broker::QueueInfo> queue_of(const ApiContext& context, const Call& call);

// What was said of a namespace when it was made: location, sku, tags, resourceGroup.
Node said_of(const broker::StoredNamespace& name_space);
// None for the one that is always there: it is of every group.
std::optional<std::string> group_of(const broker::StoredNamespace& name_space);

// "/subscriptions/s/resourceGroups/g/providers/Microsoft.ServiceBus/namespaces/ns"
std::string id_of(const Call& call, const broker::StoredNamespace& name_space);
std::string id_of(const Call& call, const broker::StoredNamespace& name_space,
                  const broker::QueueInfo& queue);

// Of what namespaces have no room for: forbidden, as the cloud says it. All else as anywhere.
http::Response refusal_of(const Fault& fault);

}  // namespace jobmill::api
