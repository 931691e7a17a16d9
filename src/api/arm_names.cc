// SPDX-License-Identifier: Apache-2.0
#include "api/arm_names.h"

#include <algorithm>

#include <fmt/core.h>

#include "api/service_bus_api.h"
#include "broker/address.h"

namespace jobmill::api {

using broker::QueueInfo;
using broker::StoredNamespace;

Result<StoredNamespace> namespace_of(const ApiContext& context, const Call& call) {
  const std::string& name = call.parameter("ns");
  for (StoredNamespace& one : context.bus->broker.namespaces())
    if (http::iequals(one.name, name)) return std::move(one);
  return fail(Code::NotFound, fmt::format("The namespace '{}' could not be found.", name));
}

Result<QueueInfo> queue_of(const ApiContext& context, const Call& call) {
  TRY(const StoredNamespace name_space, namespace_of(context, call));
  auto queue = context.bus->broker.queue(broker::lower(call.parameter("q")));
  if (!queue || queue->name_space != name_space.name)
    return fail(Code::NotFound, fmt::format("The messaging entity '{}/{}' could not be found.",
                                            name_space.name, call.parameter("q")));
  return queue;
}

Node said_of(const StoredNamespace& name_space) {
  if (name_space.properties.empty()) return Node::object();
  auto said = parse_json(name_space.properties);
  return said ? *std::move(said) : Node::object();
}

std::optional<std::string> group_of(const StoredNamespace& name_space) {
  const Node said = said_of(name_space);
  const Node* group = said.find("resourceGroup");
  return group == nullptr ? std::nullopt : std::optional(group->text);
}

std::string id_of(const Call& call, const StoredNamespace& name_space) {
  const auto asked = std::ranges::find(call.path, "g", &Parameters::value_type::first);
  const std::string group =
      group_of(name_space).value_or(asked == call.path.end() ? kDefaultGroup : asked->second);
  return fmt::format(
      "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.ServiceBus/namespaces/{}",
      call.parameter("s"), group, name_space.name);
}

std::string id_of(const Call& call, const StoredNamespace& name_space, const QueueInfo& queue) {
  return id_of(call, name_space) + "/queues/" + queue.description.name;
}

http::Response refusal_of(const Fault& fault) {
  if (fault.code != Code::Exhausted) return to_response(fault);
  return to_response(Fault(fail(Code::PermissionDenied, fault.message)));
}

}  // namespace jobmill::api
