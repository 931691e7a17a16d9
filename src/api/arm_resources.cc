// SPDX-License-Identifier: Apache-2.0
#include "api/arm_resources.h"

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <utility>

#include <fmt/core.h>

#include "api/problem.h"
#include "base/id.h"

namespace jobmill::api {
namespace {

using executions::Resource;
using executions::Resources;

constexpr char kPlace[] = "local";
constexpr char kTenant[] = "00000000-0000-0000-0000-000000000000";

// A kind of resource: what it is called, and what its properties are besides those that were sent.
struct Kind {
  std::string_view type;
  bool is_group = false;
  void (*complete)(Node& document, const Node* before, TimePoint now) = nullptr;
};

std::string text_of(const Node& object, std::string_view member) {
  const Node* value = object.find(member);
  return value != nullptr && value->is_string() ? value->text : "";
}

// The ids of an identity are made once.
void complete_identity(Node& document, const Node* before, TimePoint now) {
  Node& properties = *document.find("properties");
  for (const char* id : {"clientId", "principalId"}) {
    const Node* known = before == nullptr ? nullptr : before->find(id);
    properties.set(id, known != nullptr ? *known : Node::string(new_id(now)));
  }
  properties.set("tenantId", Node::string(kTenant));
}

void complete_registry(Node& document, const Node*, TimePoint) {
  document.find("properties")
      ->set("loginServer", Node::string(text_of(document, "name") + ".azurecr.io"));
}

constexpr Kind kGroup{executions::kGroups, true};
constexpr Kind kEnvironment{executions::kEnvironments};
constexpr Kind kRegistry{executions::kRegistries, false, complete_registry};
constexpr Kind kIdentity{executions::kIdentities, false, complete_identity};

const std::string& name_in(const Call& call, const Kind& kind) {
  return call.parameter(kind.is_group ? "g" : "n");
}

std::string id_in(const Call& call, const Kind& kind) {
  return kind.is_group ? group_id(call) : resource_id(call, kind.type, call.parameter("n"));
}

Fault missing(const Call& call, const Kind& kind) {
  if (kind.is_group)
    return fail(Code::NotFound,
                fmt::format("Resource group '{}' could not be found.", name_in(call, kind)));
  return fail(Code::NotFound,
              fmt::format("The Resource '{}/{}' under resource group '{}' was not found.",
                          kind.type, name_in(call, kind), call.parameter("g")));
}

std::optional<std::string> place_of(const Node& document) {
  std::string place = text_of(document, "location");
  return place.empty() ? std::nullopt : std::optional(std::move(place));
}

std::string place_for(Resources& resources, const Call& call, const Node& said) {
  if (const auto place = place_of(said)) return *place;
  const auto group = resources.find(group_id(call));
  return (group ? place_of(group->document) : std::nullopt).value_or(kPlace);
}

// What a PUT makes of its body.
Resource composed(ApiContext& context, const Call& call, const Kind& kind, const Node& said,
                  const std::optional<Resource>& before) {
  Resource made{.id = before ? before->id : id_in(call, kind),
                .type = std::string(kind.type),
                .group = before ? before->group : call.parameter("g"),
                .name = before ? before->name : name_in(call, kind),
                .document = Node::object()};
  made.document.set("id", Node::string(made.id));
  made.document.set("name", Node::string(made.name));
  made.document.set("type", Node::string(made.type));
  made.document.set("location",
                    Node::string(place_for(context.executions->resources(), call, said)));
  for (const char* member : {"sku", "tags"})
    if (const Node* value = said.find(member)) made.document.set(member, *value);
  Node& properties = made.document.set("properties", Node::object());
  if (const Node* given = said.find("properties"); given != nullptr && given->is_object())
    properties = *given;
  properties.set("provisioningState", Node::string("Succeeded"));
  const Node* known = before ? before->document.find("properties") : nullptr;
  if (kind.complete != nullptr) kind.complete(made.document, known, context.clock.now());
  return made;
}

http::Response put_now(ApiContext& context, const Call& call, const Kind& kind, const Node& said) {
  Resources& resources = context.executions->resources();
  if (!kind.is_group)
    if (const Status made = ensure_group(resources, call, said); !made)
      return arm_error(made.error());
  const auto before = resources.find(id_in(call, kind));
  Resource resource = composed(context, call, kind, said, before);
  std::string text = to_json(resource.document);
  if (before && to_json(before->document) == text) return json_response(200, std::move(text));
  if (const Status kept = resources.put(std::move(resource)); !kept) return arm_error(kept.error());
  return json_response(before ? 200 : 201, std::move(text));
}

template <const Kind& K>
void put(ApiContext& context, Call call) {
  auto said = arm_body(call);
  if (!said) return call.responder.send(arm_error(said.error()));
  answer(context, call.responder,
         [&context, call, said = *std::move(said)] { return put_now(context, call, K, said); });
}

template <const Kind& K>
void get(ApiContext& context, Call call) {
  const auto found = context.executions->resources().find(id_in(call, K));
  call.responder.send(found ? json_response(200, to_json(found->document))
                            : arm_error(missing(call, K)));
}

// Of the path's group, or of all.
template <const Kind& K>
void list(ApiContext& context, Call call) {
  const auto group = std::ranges::find(call.path, "g", &Parameters::value_type::first);
  Node items = Node::array();
  for (Resource& one : context.executions->resources().list(
           K.type, group == call.path.end() ? std::string_view() : group->second))
    items.push(std::move(one.document));
  call.responder.send(arm_list(std::move(items)));
}

template <const Kind& K>
void remove(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] {
    Resources& resources = context.executions->resources();
    const auto found = resources.find(id_in(call, K));
    if (!found) return arm_error(missing(call, K));
    const Status removed = resources.remove(found->id);
    return removed ? json_response(200, "{}") : arm_error(removed.error());
  });
}

#define JOBMILL_KIND(provider, kind)                                                            \
  Route{"GET", "/subscriptions/{s}/providers/" provider, Scope::Read,                           \
        with_executions<list<kind>>},                                                           \
      Route{"GET", "/subscriptions/{s}/resourceGroups/{g}/providers/" provider, Scope::Read,    \
            with_executions<list<kind>>},                                                       \
      Route{"GET", "/subscriptions/{s}/resourceGroups/{g}/providers/" provider "/{n}",          \
            Scope::Read, with_executions<get<kind>>},                                           \
      Route{"PUT", "/subscriptions/{s}/resourceGroups/{g}/providers/" provider "/{n}",          \
            Scope::Admin, with_executions<put<kind>>},                                          \
      Route {                                                                                   \
    "DELETE", "/subscriptions/{s}/resourceGroups/{g}/providers/" provider "/{n}", Scope::Admin, \
        with_executions<remove<kind>>                                                           \
  }
constexpr std::array kRoutes{
    Route{"GET", "/subscriptions/{s}/resourceGroups", Scope::Read, with_executions<list<kGroup>>},
    Route{"GET", "/subscriptions/{s}/resourceGroups/{g}", Scope::Read,
          with_executions<get<kGroup>>},
    Route{"PUT", "/subscriptions/{s}/resourceGroups/{g}", Scope::Admin,
          with_executions<put<kGroup>>},
    Route{"DELETE", "/subscriptions/{s}/resourceGroups/{g}", Scope::Admin,
          with_executions<remove<kGroup>>},
    JOBMILL_KIND("Microsoft.App/managedEnvironments", kEnvironment),
    JOBMILL_KIND("Microsoft.ContainerRegistry/registries", kRegistry),
    JOBMILL_KIND("Microsoft.ManagedIdentity/userAssignedIdentities", kIdentity),
};
#undef JOBMILL_KIND

}  // namespace

std::string group_id(const Call& call) {
  return fmt::format("/subscriptions/{}/resourceGroups/{}", call.parameter("s"),
                     call.parameter("g"));
}

std::string resource_id(const Call& call, std::string_view type, std::string_view name) {
  return fmt::format("{}/providers/{}/{}", group_id(call), type, name);
}

Result<Node> arm_body(const Call& call) {
  if (call.request.body.empty()) return Node::object();
  auto body = parse_json(call.request.body);
  if (!body) return body.error();
  if (!body->is_object()) return fail(Code::InvalidArgument, "the body is no JSON object");
  return body;
}

Status ensure_group(Resources& resources, const Call& call, const Node& resource) {
  const std::string id = group_id(call);
  if (resources.find(id)) return {};
  Resource group{.id = id,
                 .type = std::string(executions::kGroups),
                 .group = call.parameter("g"),
                 .name = call.parameter("g"),
                 .document = Node::object()};
  group.document.set("id", Node::string(id));
  group.document.set("name", Node::string(group.name));
  group.document.set("type", Node::string(group.type));
  group.document.set("location", Node::string(place_of(resource).value_or(kPlace)));
  group.document.set("properties", Node::object())
      .set("provisioningState", Node::string("Succeeded"));
  return resources.put(std::move(group));
}

http::Response arm_list(Node items) {
  Node list = Node::object();
  list.set("value", std::move(items));
  return json_response(200, to_json(list));
}

std::span<const Route> arm_resource_routes() { return kRoutes; }

}  // namespace jobmill::api
