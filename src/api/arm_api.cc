// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/core.h>

#include "api/json.h"
#include "api/queue_json.h"
#include "api/service_bus_api.h"
#include "base/duration.h"
#include "broker/address.h"
#include "http/problem.h"

namespace jobmill::api {
namespace {

using broker::AuthorizationRule;
using broker::QueueDescription;
using broker::QueueInfo;
using broker::StoredNamespace;

// "/subscriptions/s/resourceGroups/g/providers/Microsoft.ServiceBus/namespaces/ns"
std::string id_of(const Call& call, std::string_view name_space) {
  return fmt::format(
      "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.ServiceBus/namespaces/{}",
      call.parameter("s"), call.parameter("g"), name_space);
}

bool same_name(std::string_view a, std::string_view b) { return http::iequals(a, b); }

const StoredNamespace* find(const std::vector<StoredNamespace>& all, std::string_view name) {
  const auto found = std::ranges::find_if(
      all, [&](const StoredNamespace& one) { return same_name(one.name, name); });
  return found == all.end() ? nullptr : &*found;
}

// The namespace of the path, or a 404 that names it.
Result<StoredNamespace> name_space_of(const ApiContext& context, const Call& call) {
  const std::string& name = call.parameter("ns");
  const auto all = context.bus->broker.namespaces();
  const StoredNamespace* found = find(all, name);
  if (found == nullptr)
    return fail(Code::NotFound, fmt::format("The namespace '{}' could not be found.", name));
  return *found;
}

// A namespace is a name; what was said of it when it was made is given back.
void write_namespace(JsonWriter& json, const Call& call, const StoredNamespace& one) {
  json.object()
      .member("id", id_of(call, one.name))
      .member("name", one.name)
      .member("type", "Microsoft.ServiceBus/namespaces")
      .key("properties")
      .object()
      .member("provisioningState", "Succeeded")
      .member("serviceBusEndpoint", fmt::format("https://{}.servicebus.windows.net:443/", one.name))
      .member("status", "Active")
      .end();
  const auto said = parse_json(one.properties.empty() ? "{}" : one.properties);
  for (const char* name : {"location", "sku", "tags"})
    if (const Node* value = said ? said->find(name) : nullptr)
      json.raw_member(name, to_json(*value));
  json.end();
}

void write_queue(JsonWriter& json, const Call& call, const QueueInfo& queue) {
  json.object()
      .member("id", id_of(call, queue.name_space) + "/queues/" + queue.description.name)
      .member("location", "local")
      .member("name", queue.description.name)
      .member("type", "Microsoft.ServiceBus/namespaces/queues")
      .key("properties");
  write_queue_properties(json, queue);
  json.end();
}

std::string queue_text(const Call& call, const QueueInfo& queue) {
  JsonWriter json;
  write_queue(json, call, queue);
  return std::move(json).text();
}

// --- namespaces --------------------------------------------------------------------------------

void list_namespaces(ApiContext& context, Call call) {
  JsonWriter json;
  json.object().key("value").array();
  for (const StoredNamespace& one : context.bus->broker.namespaces())
    write_namespace(json, call, one);
  call.responder.send(json_response(200, std::move(json.end().end()).text()));
}

void get_namespace(ApiContext& context, Call call) {
  const auto found = name_space_of(context, call);
  if (!found) return call.responder.send(to_response(found.error()));
  JsonWriter json;
  write_namespace(json, call, *found);
  call.responder.send(json_response(200, std::move(json).text()));
}

void put_namespace(ApiContext& context, Call call) {
  JsonBody body(call.request);
  if (const auto problem = body.problem()) return call.responder.send(to_response(*problem));
  Node kept = Node::object();
  for (const char* name : {"location", "sku", "tags"})
    if (const Node* value = body.root().find(name)) kept.set(name, *value);
  const std::string name = call.parameter("ns");
  context.bus->broker.put_namespace(name, to_json(kept), [&context, call](const Status& status) {
    if (!status) return call.responder.send(to_response(status.error()));
    context.bus->namespace_added(call.parameter("ns"));
    get_namespace(context, call);
  });
}

void delete_namespace(ApiContext& context, Call call) {
  const auto found = name_space_of(context, call);
  if (!found) return call.responder.send(to_response(found.error()));
  context.bus->broker.remove_namespace(found->name, [call](const Status& status) {
    call.responder.send(status ? no_content() : to_response(status.error()));
  });
}

// Keys of a namespace's rule, with the connection strings made of them.
void list_keys(ApiContext& context, Call call) {
  const std::string& wanted = call.parameter("rule");
  const std::string* entity = nullptr;
  for (const auto& [name, value] : call.path)
    if (name == "q") entity = &value;
  const std::string path = entity == nullptr ? "" : *entity;
  const auto rules = context.bus->broker.rules(path);
  const auto rule = std::ranges::find_if(
      rules, [&](const AuthorizationRule& one) { return same_name(one.name, wanted); });
  if (rule == rules.end())
    return call.responder.send(to_response(fail(
        Code::NotFound, fmt::format("The authorization rule '{}' could not be found.", wanted))));
  const auto line = [&](const Secret& key) {
    return context.bus->connection_string(call.parameter("ns"), rule->name, key, path);
  };
  JsonWriter json;
  json.object()
      .member("keyName", rule->name)
      .member("primaryConnectionString", line(rule->primary_key))
      .member("primaryKey", rule->primary_key.reveal())
      .member("secondaryConnectionString", line(rule->secondary_key))
      .member("secondaryKey", rule->secondary_key.reveal())
      .end();
  call.responder.send(json_response(200, std::move(json).text()));
}

// --- queues ------------------------------------------------------------------------------------

std::size_t number(const Call& call, std::string_view name, std::size_t otherwise) {
  const auto text = call.request.parameter(name);
  std::size_t value = otherwise;
  if (text) (void)std::from_chars(text->data(), text->data() + text->size(), value);
  return value;
}

void list_queues(ApiContext& context, Call call) {
  const auto name_space = name_space_of(context, call);
  if (!name_space) return call.responder.send(to_response(name_space.error()));
  std::size_t skip = number(call, "$skip", 0);
  std::size_t top = number(call, "$top", 1000);
  JsonWriter json;
  json.object().key("value").array();
  for (const QueueInfo& queue : context.bus->broker.queues()) {
    if (!same_name(queue.name_space, name_space->name)) continue;
    if (skip > 0) {
      --skip;
    } else if (top > 0) {
      --top;
      write_queue(json, call, queue);
    }
  }
  call.responder.send(json_response(200, std::move(json.end().end()).text()));
}

// The queue of the path, if it was made under the namespace of the path.
Result<QueueInfo> queue_of(const ApiContext& context, const Call& call) {
  TRY(const StoredNamespace name_space, name_space_of(context, call));
  auto queue = context.bus->broker.queue(broker::lower(call.parameter("q")));
  if (!queue || !same_name(queue->name_space, name_space.name))
    return fail(Code::NotFound, fmt::format("The messaging entity '{}/{}' could not be found.",
                                            name_space.name, call.parameter("q")));
  return queue;
}

void get_queue(ApiContext& context, Call call) {
  const auto queue = queue_of(context, call);
  if (!queue) return call.responder.send(to_response(queue.error()));
  call.responder.send(json_response(200, queue_text(call, *queue)));
}

// Creates, or changes what is there. What the body does not name gets its default, as Azure
// Resource Manager's PUT does it.
void put_queue(ApiContext& context, Call call) {
  const auto name_space = name_space_of(context, call);
  if (!name_space) return call.responder.send(to_response(name_space.error()));
  JsonBody body(call.request);
  QueueDescription queue;
  queue.name = call.parameter("q");
  if (const Node* properties = body.root().find("properties"))
    read_queue_properties(*properties, queue, body.errors());
  if (const auto problem = body.problem()) return call.responder.send(to_response(*problem));

  broker::Broker& broker = context.bus->broker;
  const auto existing = broker.queue(broker::lower(queue.name));
  const auto done = [&context, call](const Status& status) {
    if (!status) return call.responder.send(to_response(status.error()));
    get_queue(context, call);
  };
  if (existing && same_name(existing->name_space, name_space->name)) {
    queue.rules = existing->description.rules;
    return broker.update(queue, context.clock.now(), done);
  }
  broker.create(name_space->name, queue, context.clock.now(), done);
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
    Route{"GET", JOBMILL_ARM, Scope::Read, with_broker<list_namespaces>},
    Route{"GET", JOBMILL_ARM "/{ns}", Scope::Read, with_broker<get_namespace>},
    Route{"PUT", JOBMILL_ARM "/{ns}", Scope::Admin, with_broker<put_namespace>},
    Route{"DELETE", JOBMILL_ARM "/{ns}", Scope::Admin, with_broker<delete_namespace>},
    Route{"POST", JOBMILL_ARM "/{ns}/authorizationRules/{rule}/listKeys", Scope::Admin,
          with_broker<list_keys>},
    Route{"POST", JOBMILL_ARM "/{ns}/queues/{q}/authorizationRules/{rule}/listKeys", Scope::Admin,
          with_broker<list_keys>},
    Route{"GET", JOBMILL_ARM "/{ns}/queues", Scope::Read, with_broker<list_queues>},
    Route{"GET", JOBMILL_ARM "/{ns}/queues/{q}", Scope::Read, with_broker<get_queue>},
    Route{"PUT", JOBMILL_ARM "/{ns}/queues/{q}", Scope::Admin, with_broker<put_queue>},
    Route{"DELETE", JOBMILL_ARM "/{ns}/queues/{q}", Scope::Admin, with_broker<delete_queue>},
};
#undef JOBMILL_ARM

}  // namespace

std::span<const Route> arm_routes() { return kRoutes; }

}  // namespace jobmill::api
