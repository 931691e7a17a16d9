// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

#include <fmt/core.h>

#include "api/arm_names.h"
#include "api/arm_rules.h"
#include "api/json.h"
#include "api/queue_json.h"
#include "api/service_bus_api.h"
#include "broker/address.h"

namespace jobmill::api {
namespace {

using broker::QueueDescription;
using broker::QueueInfo;
using broker::StoredNamespace;

// A namespace is a name; what was said of it when it was made is given back.
void write_namespace(JsonWriter& json, const Call& call, const StoredNamespace& one) {
  json.object()
      .member("id", id_of(call, one))
      .member("name", one.name)
      .member("type", "Microsoft.ServiceBus/namespaces")
      .key("properties")
      .object()
      .member("provisioningState", "Succeeded")
      .member("serviceBusEndpoint", fmt::format("https://{}.servicebus.windows.net:443/", one.name))
      .member("status", "Active")
      .end();
  const Node said = said_of(one);
  for (const char* name : {"location", "sku", "tags"})
    if (const Node* value = said.find(name)) json.raw_member(name, to_json(*value));
  json.end();
}

void write_queue(JsonWriter& json, const Call& call, const StoredNamespace& name_space,
                 const QueueInfo& queue) {
  json.object()
      .member("id", id_of(call, name_space, queue))
      .member("name", queue.description.name)
      .member("type", "Microsoft.ServiceBus/namespaces/queues")
      .key("properties");
  write_queue_properties(json, queue);
  if (const Node said = said_of(name_space); const Node* location = said.find("location"))
    json.raw_member("location", to_json(*location));
  json.end();
}

// --- namespaces --------------------------------------------------------------------------------

// Of the path's group, or of all.
void list_namespaces(ApiContext& context, Call call) {
  const auto group = std::ranges::find(call.path, "g", &Parameters::value_type::first);
  JsonWriter json;
  json.object().key("value").array();
  for (const StoredNamespace& one : context.bus->broker.namespaces())
    if (group == call.path.end() ||
        http::iequals(group_of(one).value_or(kDefaultGroup), group->second))
      write_namespace(json, call, one);
  call.responder.send(json_response(200, std::move(json.end().end()).text()));
}

void get_namespace(ApiContext& context, Call call) {
  const auto found = namespace_of(context, call);
  if (!found) return call.responder.send(to_response(found.error()));
  JsonWriter json;
  write_namespace(json, call, *found);
  call.responder.send(json_response(200, std::move(json).text()));
}

// It becomes a part of a host name.
Status check_namespace_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto fits = [&](char c) { return letter(c) || digit(c) || c == '-'; };
  const bool good = !name.empty() && name.size() <= 50 && letter(name.front()) &&
                    std::ranges::all_of(name, fits) && name.back() != '-';
  if (good) return {};
  return fail(Code::InvalidArgument,
              fmt::format("the namespace '{}' cannot be: a name has at most 50 letters, digits and "
                          "hyphens, begins with a letter and ends with a letter or digit",
                          name));
}

void put_namespace(ApiContext& context, Call call) {
  const auto existing = namespace_of(context, call);
  const std::string name = existing ? existing->name : call.parameter("ns");
  if (const Status good = check_namespace_name(name); !good)
    return call.responder.send(to_response(good.error()));
  JsonBody body(call.request);
  if (const auto problem = body.problem()) return call.responder.send(to_response(*problem));
  Node kept = Node::object();
  for (const char* member : {"location", "sku", "tags"})
    if (const Node* value = body.root().find(member)) kept.set(member, *value);
  kept.set("resourceGroup", Node::string(call.parameter("g")));
  if (existing && existing->properties == to_json(kept)) return get_namespace(context, call);
  context.bus->broker.put_namespace(name, to_json(kept),
                                    [&context, call, name](const Status& status) {
                                      if (!status)
                                        return call.responder.send(to_response(status.error()));
                                      context.bus->namespace_added(name);
                                      get_namespace(context, call);
                                    });
}

void delete_namespace(ApiContext& context, Call call) {
  const auto found = namespace_of(context, call);
  if (!found) return call.responder.send(to_response(found.error()));
  context.bus->broker.remove_namespace(found->name, [call](const Status& status) {
    call.responder.send(status ? no_content() : to_response(status.error()));
  });
}

// --- queues ------------------------------------------------------------------------------------

std::size_t number(const Call& call, std::string_view name, std::size_t otherwise) {
  const auto text = call.request.parameter(name);
  std::size_t value = otherwise;
  if (text) (void)std::from_chars(text->data(), text->data() + text->size(), value);
  return value;
}

void list_queues(ApiContext& context, Call call) {
  const auto name_space = namespace_of(context, call);
  if (!name_space) return call.responder.send(to_response(name_space.error()));
  std::size_t skip = number(call, "$skip", 0);
  std::size_t top = number(call, "$top", 1000);
  JsonWriter json;
  json.object().key("value").array();
  for (const QueueInfo& queue : context.bus->broker.queues()) {
    if (queue.name_space != name_space->name) continue;
    if (skip > 0) {
      --skip;
    } else if (top > 0) {
      --top;
      write_queue(json, call, *name_space, queue);
    }
  }
  call.responder.send(json_response(200, std::move(json.end().end()).text()));
}

void get_queue(ApiContext& context, Call call) {
  const auto name_space = namespace_of(context, call);
  const auto queue = queue_of(context, call);
  if (!queue) return call.responder.send(to_response(queue.error()));
  JsonWriter json;
  write_queue(json, call, *name_space, *queue);
  call.responder.send(json_response(200, std::move(json).text()));
}

// Creates, or changes what is there: what the body does not name gets its default, as Azure
// Resource Manager's PUT does it. Nothing happens when the queue is like that already.
void put_queue(ApiContext& context, Call call) {
  const auto name_space = namespace_of(context, call);
  if (!name_space) return call.responder.send(to_response(name_space.error()));
  JsonBody body(call.request);
  broker::QueueDescription queue;
  queue.name = call.parameter("q");
  if (const Node* properties = body.root().find("properties"))
    read_queue_properties(*properties, queue, body.errors());
  if (const auto problem = body.problem()) return call.responder.send(to_response(*problem));

  broker::Broker& broker = context.bus->broker;
  const auto done = [&context, call](const Status& status) {
    if (!status) return call.responder.send(refusal_of(status.error()));
    get_queue(context, call);
  };
  const auto existing = queue_of(context, call);
  if (!existing) return broker.create(name_space->name, queue, context.clock.now(), done);
  if (same_settings(queue, existing->description)) return get_queue(context, call);
  queue.name = existing->description.name;
  queue.rules = existing->description.rules;
  broker.update(queue, context.clock.now(), done);
}

void delete_queue(ApiContext& context, Call call) {
  const auto queue = queue_of(context, call);
  if (!queue) return call.responder.send(to_response(queue.error()));
  context.bus->broker.remove(broker::lower(queue->description.name), [call](const Status& status) {
    call.responder.send(status ? no_content() : to_response(status.error()));
  });
}

#define JOBMILL_ARM \
  "/subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.ServiceBus/namespaces"
constexpr std::array kRoutes{
    Route{"GET", "/subscriptions/{s}/providers/Microsoft.ServiceBus/namespaces", Scope::Read,
          with_broker<list_namespaces>},
    Route{"GET", JOBMILL_ARM, Scope::Read, with_broker<list_namespaces>},
    Route{"GET", JOBMILL_ARM "/{ns}", Scope::Read, with_broker<get_namespace>},
    Route{"PUT", JOBMILL_ARM "/{ns}", Scope::Admin, with_broker<put_namespace>},
    Route{"DELETE", JOBMILL_ARM "/{ns}", Scope::Admin, with_broker<delete_namespace>},
    Route{"GET", JOBMILL_ARM "/{ns}/queues", Scope::Read, with_broker<list_queues>},
    Route{"GET", JOBMILL_ARM "/{ns}/queues/{q}", Scope::Read, with_broker<get_queue>},
    Route{"PUT", JOBMILL_ARM "/{ns}/queues/{q}", Scope::Admin, with_broker<put_queue>},
    Route{"DELETE", JOBMILL_ARM "/{ns}/queues/{q}", Scope::Admin, with_broker<delete_queue>},
};
#undef JOBMILL_ARM

}  // namespace

std::span<const Route> arm_routes() {
  static const std::vector<Route> all = [] {
    std::vector<Route> routes(kRoutes.begin(), kRoutes.end());
    const auto rules = arm_rule_routes();
    routes.insert(routes.end(), rules.begin(), rules.end());
    return routes;
  }();
  return all;
}

}  // namespace jobmill::api
