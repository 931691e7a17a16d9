// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/core.h>

#include "api/arm_resources.h"
#include "api/problem.h"
#include "base/id.h"

// Who may do what, and where: PUT {scope}/providers/Microsoft.Authorization/roleAssignments/{name}.
namespace jobmill::api {
namespace {

using executions::kRoleAssignments;
using executions::Resource;
using executions::Resources;

// The built-in roles that have a meaning here, or that scripts of Container Apps name. Their ids
// are the same everywhere.
struct Role {
  std::string_view name;
  std::string_view id;
};
constexpr std::array kRoles{
    Role{"Azure Service Bus Data Receiver", "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0"},
    Role{"Azure Service Bus Data Sender", "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39"},
    Role{"Azure Service Bus Data Owner", "090c5cfd-751d-490a-894a-3ce6f1109419"},
    Role{"AcrPull", "7f951dda-4ed3-4680-a7ca-43fe172d538d"},
    Role{"AcrPush", "8311e382-0749-4cb8-b61a-304f252e45ec"},
    Role{"Key Vault Secrets User", "4633458b-17de-408a-b874-0445c86b69e6"},
    Role{"Owner", "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"},
    Role{"Contributor", "b24988ac-6180-42a0-ab88-20f7382dd24c"},
    Role{"Reader", "acdd72a7-3385-48ef-bd42-f606fba81ae7"},
};

struct Assignment {
  std::string principal;
  std::string role;  // its name, or the id of one that is not known here
  std::string role_id;
  std::string scope;
};

std::string scope_of(const Call& call) { return "/subscriptions/" + call.parameter("scope"); }

std::string text_of(const Node* object, std::string_view member) {
  const Node* value = object == nullptr ? nullptr : object->find(member);
  return value != nullptr && value->is_string() ? value->text : "";
}

std::string_view last_segment(std::string_view path) {
  return path.substr(path.rfind('/') == std::string_view::npos ? 0 : path.rfind('/') + 1);
}

// The role by its name, its id, or the path of its definition.
Result<Role> role_named(std::string_view text) {
  const std::string_view word = last_segment(text);
  for (const Role& role : kRoles)
    if (http::iequals(role.name, word) || http::iequals(role.id, word)) return role;
  if (is_uuid(word)) return Role{word, word};
  return fail(Code::InvalidArgument,
              fmt::format("The role '{}' is not known here; use one of: {}, {}, {}", text,
                          kRoles[0].name, kRoles[1].name, kRoles[2].name));
}

// An identity is named by any of its ids; who is no identity of this server is taken at his word.
std::string principal_of(const Resources& resources, const std::string& any_id) {
  const auto identity = executions::find_identity(resources, any_id);
  return identity ? identity->principal_id : any_id;
}

Result<Assignment> read(const Resources& resources, const Call& call, const Node& body) {
  const Node* properties = body.find("properties");
  const std::string principal = text_of(properties, "principalId");
  if (principal.empty())
    return fail(Code::InvalidArgument, "properties.principalId: expected the id of an identity");
  const std::string wanted = text_of(properties, "roleDefinitionId");
  TRY(const Role role, role_named(wanted));
  return Assignment{.principal = principal_of(resources, principal),
                    .role = std::string(role.name),
                    .role_id = std::string(role.id),
                    .scope = scope_of(call)};
}

Node document_of(const Resource& resource, const Assignment& assignment) {
  Node document = Node::object();
  document.set("id", Node::string(resource.id));
  document.set("name", Node::string(resource.name));
  document.set("type", Node::string(kRoleAssignments));
  Node& properties = document.set("properties", Node::object());
  properties.set("principalId", Node::string(assignment.principal));
  properties.set("principalType", Node::string("ServicePrincipal"));
  properties.set("roleDefinitionId", Node::string(fmt::format(
                                         "{}/providers/Microsoft.Authorization/roleDefinitions/{}",
                                         assignment.scope.substr(0, assignment.scope.find('/', 15)),
                                         assignment.role_id)));
  properties.set("roleDefinitionName", Node::string(assignment.role));
  properties.set("scope", Node::string(assignment.scope));
  return document;
}

bool says(const Resource& resource, const Assignment& assignment) {
  const Node* properties = resource.document.find("properties");
  return http::iequals(text_of(properties, "principalId"), assignment.principal) &&
         http::iequals(text_of(properties, "roleDefinitionName"), assignment.role) &&
         http::iequals(text_of(properties, "scope"), assignment.scope);
}

std::string id_of(const Call& call) {
  return fmt::format("{}/providers/{}/{}", scope_of(call), kRoleAssignments,
                     call.parameter("name"));
}

// The same assignment under another name is that one: scripts make up a name each time.
http::Response put_now(Resources& resources, const Call& call, const Node& body) {
  const auto assignment = read(resources, call, body);
  if (!assignment) return arm_error(assignment.error());
  for (const Resource& one : resources.list(kRoleAssignments))
    if (says(one, *assignment)) return json_response(200, to_json(one.document));
  const bool created = !resources.find(id_of(call));
  Resource made{
      .id = id_of(call), .type = std::string(kRoleAssignments), .name = call.parameter("name")};
  made.document = document_of(made, *assignment);
  std::string text = to_json(made.document);
  const Status kept = resources.put(std::move(made));
  return kept ? json_response(created ? 201 : 200, std::move(text)) : arm_error(kept.error());
}

void put(ApiContext& context, Call call) {
  auto body = arm_body(call);
  if (!body) return call.responder.send(arm_error(body.error()));
  answer(context, call.responder, [&context, call, body = *std::move(body)] {
    auto response = put_now(context.executions->resources(), call, body);
    context.executions->resources_changed();
    return response;
  });
}

Fault missing(const Call& call) {
  return fail(Code::NotFound,
              fmt::format("The role assignment '{}' is not found.", call.parameter("name")));
}

void get(ApiContext& context, Call call) {
  const auto found = context.executions->resources().find(id_of(call));
  call.responder.send(found ? json_response(200, to_json(found->document))
                            : arm_error(missing(call)));
}

void remove(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] {
    Resources& resources = context.executions->resources();
    const auto found = resources.find(id_of(call));
    if (!found) return no_content();
    const Status removed = resources.remove(found->id);
    context.executions->resources_changed();
    return removed ? json_response(200, to_json(found->document)) : arm_error(removed.error());
  });
}

bool is_at_or_below(std::string_view scope, std::string_view top) {
  if (scope.size() < top.size() || !http::iequals(scope.substr(0, top.size()), top)) return false;
  return scope.size() == top.size() || scope[top.size()] == '/';
}

// Those of the scope and of what is below it.
void list(ApiContext& context, Call call) {
  Node items = Node::array();
  for (Resource& one : context.executions->resources().list(kRoleAssignments))
    if (is_at_or_below(text_of(one.document.find("properties"), "scope"), scope_of(call)))
      items.push(std::move(one.document));
  call.responder.send(arm_list(std::move(items)));
}

#define JOBMILL_ROLES "/subscriptions/{scope…}/providers/Microsoft.Authorization/roleAssignments"
constexpr std::array kRoutes{
    Route{"GET", JOBMILL_ROLES, Scope::Read, with_executions<list>},
    Route{"GET", JOBMILL_ROLES "/{name}", Scope::Read, with_executions<get>},
    Route{"PUT", JOBMILL_ROLES "/{name}", Scope::Admin, with_executions<put>},
    Route{"DELETE", JOBMILL_ROLES "/{name}", Scope::Admin, with_executions<remove>},
};
#undef JOBMILL_ROLES

}  // namespace

std::span<const Route> role_assignment_routes() { return kRoutes; }

}  // namespace jobmill::api
