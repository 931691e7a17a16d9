// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include <fmt/core.h>

#include "app/az_client.h"
#include "app/commands/az_command.h"
#include "app/commands/commands.h"
#include "app/containerapp_values.h"
#include "base/id.h"
#include "base/text.h"
#include "http/message.h"

// What jobs refer to: resource groups, environments, registries, identities and their roles.
namespace jobmill::app {
namespace {

constexpr char kEnvironments[] = "Microsoft.App/managedEnvironments";
constexpr char kRegistries[] = "Microsoft.ContainerRegistry/registries";
constexpr char kIdentities[] = "Microsoft.ManagedIdentity/userAssignedIdentities";
constexpr char kRoles[] = "/providers/Microsoft.Authorization/roleAssignments";

// {location, tags}, as far as they are said.
Result<Node> label_body(const Arguments& arguments) {
  Node body = Node::object();
  if (arguments.has("location")) body.set("location", Node::string(arguments.get("location")));
  if (!arguments.has("tags")) return body;
  TRY(Node given, tags(values_of(arguments, "tags")));
  body.set("tags", std::move(given));
  return body;
}

using Shown = Node (*)(Node);

int show(const AzClient& client, const Reply& reply, Shown shown) {
  return reply ? client.print(shown(reply.document)) : client.refused(reply);
}

int remove_after_question(const Arguments& arguments, AzClient& client, const std::string& path,
                          const std::string& what) {
  if (const auto exit = client.confirm(arguments, fmt::format("Delete {}?", what))) return *exit;
  const Reply reply = client.api().remove(path);
  return reply ? kOk : client.refused(reply);
}

// --- groups ------------------------------------------------------------------------------------

// `az group` takes -n and -g for the same.
template <int (*Run)(const Arguments&, AzClient&, const std::string& name)>
int of_group(const Arguments& arguments) {
  auto client = AzClient::from(arguments);
  if (!client) return kUsage;
  if (arguments.has("resource-group"))
    return Run(arguments, *client, arguments.get("resource-group"));
  const auto name = required(*client, arguments, "name");
  return name ? Run(arguments, *client, *name) : kUsage;
}

int create_group(const Arguments& arguments, AzClient& client, const std::string& name) {
  const auto body = label_body(arguments);
  if (!body) return client.fail(body.error().message);
  return show(client, client.api().put(client.path_of_group(name), *body),
              [](Node group) { return group; });
}

int show_group(const Arguments&, AzClient& client, const std::string& name) {
  return show(client, client.api().get(client.path_of_group(name)),
              [](Node group) { return group; });
}

int list_groups(const Arguments&, AzClient& client) {
  const Reply reply = client.api().get(
      fmt::format("/subscriptions/{}/resourceGroups", http::url_encode(client.subscription())));
  if (!reply) return client.refused(reply);
  const Node* groups = reply.document.find("value");
  return client.print(groups == nullptr ? Node::array() : *groups);
}

int delete_group(const Arguments& arguments, AzClient& client, const std::string& name) {
  const int exit = remove_after_question(arguments, client, client.path_of_group(name),
                                         "the resource group " + name);
  if (exit == kOk) client.warn("a group is a name: what was made under it is still there.");
  return exit;
}

// --- environments ------------------------------------------------------------------------------

// What is said of logs is kept, and shown.
void set_logs(const Arguments& arguments, Node& body) {
  if (arguments.has("logs-destination"))
    object_at(body, {"properties", "appLogsConfiguration"})
        .set("destination", Node::string(arguments.get("logs-destination")));
  if (arguments.has("logs-workspace-id"))
    object_at(body, {"properties", "appLogsConfiguration", "logAnalyticsConfiguration"})
        .set("customerId", Node::string(arguments.get("logs-workspace-id")));
}

std::string environment_path(AzClient& client, const std::string& name) {
  return client.path(std::string(kEnvironments) + "/" + http::url_encode(name));
}

int create_environment(const Arguments& arguments, AzClient& client, const std::string& name) {
  auto body = label_body(arguments);
  if (!body) return client.fail(body.error().message);
  set_logs(arguments, *body);
  return show(client, client.api().put(environment_path(client, name), *body), az_plain_resource);
}

int show_environment(const Arguments&, AzClient& client, const std::string& name) {
  return show(client, client.api().get(environment_path(client, name)), az_plain_resource);
}

int list_environments(const Arguments&, AzClient& client) {
  return show(client, client.api().get(client.path_of_list(kEnvironments)),
              [](Node list) { return az_plain_resources(list); });
}

int delete_environment(const Arguments& arguments, AzClient& client, const std::string& name) {
  return remove_after_question(arguments, client, environment_path(client, name),
                               "the environment " + name);
}

// --- identities --------------------------------------------------------------------------------

std::string identity_path(AzClient& client, const std::string& name) {
  return client.path(std::string(kIdentities) + "/" + http::url_encode(name));
}

int create_identity(const Arguments& arguments, AzClient& client, const std::string& name) {
  const auto body = label_body(arguments);
  if (!body) return client.fail(body.error().message);
  return show(client, client.api().put(identity_path(client, name), *body), az_resource);
}

int show_identity(const Arguments&, AzClient& client, const std::string& name) {
  return show(client, client.api().get(identity_path(client, name)), az_resource);
}

int list_identities(const Arguments&, AzClient& client) {
  return show(client, client.api().get(client.path_of_list(kIdentities)),
              [](Node list) { return az_resources(list); });
}

// az asks nothing here.
int delete_identity(const Arguments&, AzClient& client, const std::string& name) {
  const Reply reply = client.api().remove(identity_path(client, name));
  return reply ? kOk : client.refused(reply);
}

// --- registries --------------------------------------------------------------------------------

std::string registry_path(AzClient& client, const std::string& name) {
  return client.path(std::string(kRegistries) + "/" + http::url_encode(name));
}

int create_registry(const Arguments& arguments, AzClient& client, const std::string& name) {
  auto body = label_body(arguments);
  if (!body) return client.fail(body.error().message);
  object_at(*body, {"sku"}).set("name", Node::string(arguments.get("sku", "Basic")));
  object_at(*body, {"properties"})
      .set("adminUserEnabled", Node::boolean(arguments.get("admin-enabled") == "true"));
  return show(client, client.api().put(registry_path(client, name), *body), az_resource);
}

int show_registry(const Arguments&, AzClient& client, const std::string& name) {
  return show(client, client.api().get(registry_path(client, name)), az_resource);
}

int list_registries(const Arguments&, AzClient& client) {
  return show(client, client.api().get(client.path_of_list(kRegistries)),
              [](Node list) { return az_resources(list); });
}

int delete_registry(const Arguments& arguments, AzClient& client, const std::string& name) {
  return remove_after_question(arguments, client, registry_path(client, name),
                               "the registry " + name);
}

// --- roles -------------------------------------------------------------------------------------

// Where the role holds: --scope, the group of -g, or the subscription. Complains and answers none
// when it is no path.
std::optional<std::string> scope_of(const AzClient& client, const Arguments& arguments) {
  std::string scope = arguments.get("scope");
  if (scope.empty() && arguments.has("resource-group"))
    scope = client.path_of_group(arguments.get("resource-group"));
  if (scope.empty()) scope = "/subscriptions/" + client.subscription();
  while (scope.ends_with('/')) scope.pop_back();
  if (scope.starts_with("/subscriptions/")) return scope;
  client.usage_error(
      fmt::format("--scope is the id of a resource, /subscriptions/…, not '{}'", scope));
  return std::nullopt;
}

std::string assignee_of(const Arguments& arguments) {
  return arguments.get("assignee", arguments.get("assignee-object-id"));
}

// Equal assignments get the same name, so that making one twice makes one.
std::string assignment_name(const Arguments& arguments, const std::string& scope) {
  if (arguments.has("name")) return arguments.get("name");
  return name_id(
      lower(fmt::format("{} {} {}", assignee_of(arguments), arguments.get("role"), scope)));
}

int create_assignment(const Arguments& arguments, AzClient& client) {
  const std::string assignee = assignee_of(arguments);
  if (assignee.empty()) return client.usage_error("--assignee is required");
  const auto role = required(client, arguments, "role");
  if (!role || !required(client, arguments, "scope")) return kUsage;
  const auto scope = scope_of(client, arguments);
  if (!scope) return kUsage;
  Node body = Node::object();
  Node& properties = object_at(body, {"properties"});
  properties.set("principalId", Node::string(assignee));
  properties.set("roleDefinitionId", Node::string(*role));
  const std::string path =
      encoded_path(*scope) + kRoles + "/" + http::url_encode(assignment_name(arguments, *scope));
  return show(client, client.api().put(path, body), az_resource);
}

// An identity is known by its client id and its path too.
Reply principal_of(AzClient& client, std::string& id) {
  Reply reply = client.api().get(fmt::format("/subscriptions/{}/providers/{}",
                                             http::url_encode(client.subscription()), kIdentities));
  if (!reply) return reply;
  if (Node* all = reply.document.find("value"))
    for (const Node& one : all->items)
      if (same_text(text_at(one, {"id"}), id) ||
          same_text(text_at(one, {"properties", "clientId"}), id))
        id = text_at(one, {"properties", "principalId"});
  return reply;
}

bool fits(const Node& assignment, const Arguments& arguments, const std::string& principal) {
  const auto is = [&](const char* member, std::string_view wanted) {
    return wanted.empty() || same_text(text_at(assignment, {member}), wanted);
  };
  const std::string role = arguments.get("role");
  const std::string definition = text_at(assignment, {"roleDefinitionId"});
  const bool same_role = is("roleDefinitionName", role) || same_text(definition, role) ||
                         (!role.empty() && definition.ends_with("/" + lower(role)));
  return is("principalId", principal) && same_role;
}

// The assignments that the flags name, as az shows them.
Reply assignments(const Arguments& arguments, AzClient& client, const std::string& scope) {
  std::string principal = assignee_of(arguments);
  if (!principal.empty())
    if (Reply known = principal_of(client, principal); !known) return known;
  Reply reply = client.api().get(encoded_path(scope) + kRoles);
  if (!reply) return reply;
  reply.document = az_resources(reply.document);
  std::erase_if(reply.document.items,
                [&](const Node& one) { return !fits(one, arguments, principal); });
  return reply;
}

int list_assignments(const Arguments& arguments, AzClient& client) {
  const auto scope = scope_of(client, arguments);
  if (!scope) return kUsage;
  const Reply reply = assignments(arguments, client, *scope);
  return reply ? client.print(reply.document) : client.refused(reply);
}

int delete_ids(AzClient& client, const std::vector<std::string>& ids) {
  for (const std::string& id : ids) {
    const Reply reply = client.api().remove(encoded_path(id));
    if (!reply) return client.refused(reply);
  }
  return kOk;
}

int delete_assignments(const Arguments& arguments, AzClient& client) {
  if (arguments.has("ids")) return delete_ids(client, values_of(arguments, "ids"));
  if (assignee_of(arguments).empty() && !arguments.has("role") && !arguments.has("scope") &&
      !arguments.has("resource-group"))
    return client.usage_error("--ids, --assignee, --role or --scope is required");
  const auto scope = scope_of(client, arguments);
  if (!scope) return kUsage;
  const Reply reply = assignments(arguments, client, *scope);
  if (!reply) return client.refused(reply);
  std::vector<std::string> ids;
  for (const Node& one : reply.document.items) ids.push_back(text_at(one, {"id"}));
  if (ids.empty()) client.warn("No matched assignments were found to delete");
  return delete_ids(client, ids);
}

// --- the table ---------------------------------------------------------------------------------

constexpr Flag kPlace{"-l,--location", "PLACE", "a label"};
constexpr Flag kTags{"--tags", "[K=V …]", "labels"};
constexpr Flag kGroupName{"-n,--name", "NAME", "the group"};
constexpr std::array kGroupCreateFlags{kGroupName, kPlace, kTags};
constexpr std::array kGroupFlags{kGroupName};
constexpr std::array kGroupDeleteFlags{kGroupName, kYes, kNoWait};

constexpr Flag kEnvironmentName{"-n,--name", "NAME", "the environment"};
constexpr std::array kEnvironmentCreateFlags{
    kEnvironmentName,
    kPlace,
    kTags,
    kNoWait,
    Flag{"--logs-destination", "NAME", "kept and shown; logs are kept by the server"},
    Flag{"--logs-workspace-id", "ID", "kept and shown"},
    Flag{"--logs-workspace-key", "KEY", "no effect"},
    Flag{"-w,--enable-workload-profiles", "[true|false]", "no effect"},
    Flag{"--internal-only", "[true|false]", "no effect"},
    Flag{"-s,--infrastructure-subnet-resource-id", "ID", "no effect"},
};
constexpr std::array kEnvironmentFlags{kEnvironmentName};
constexpr std::array kEnvironmentDeleteFlags{kEnvironmentName, kYes, kNoWait};

constexpr Flag kIdentityName{"-n,--name", "NAME", "the identity"};
constexpr std::array kIdentityCreateFlags{kIdentityName, kPlace, kTags};
constexpr std::array kIdentityFlags{kIdentityName};

constexpr Flag kRegistryName{"-n,--name", "NAME", "the registry"};
constexpr std::array kRegistryCreateFlags{
    kRegistryName,
    kPlace,
    kTags,
    Flag{"--sku", "SKU", "a label"},
    Flag{"--admin-enabled", "[true|false]", "a label"},
};
constexpr std::array kRegistryFlags{kRegistryName};
constexpr std::array kRegistryDeleteFlags{kRegistryName, kYes};

constexpr Flag kAssignee{"--assignee", "ID", "principal, client or resource id of an identity"};
constexpr Flag kAssigneeObject{"--assignee-object-id", "ID", "the same, by its principal id"};
constexpr Flag kRole{"--role", "ROLE", "name or id, such as \"Azure Service Bus Data Receiver\""};
constexpr Flag kScope{"--scope", "ID", "the resource at and below which it holds"};
constexpr std::array kAssignmentCreateFlags{
    kAssignee,
    kAssigneeObject,
    kRole,
    kScope,
    Flag{"-n,--name", "UUID", "of the assignment (default: made of what it says)"},
    Flag{"--assignee-principal-type", "TYPE", "no effect"},
    Flag{"--description", "TEXT", "no effect"},
};
constexpr std::array kAssignmentListFlags{
    kAssignee,
    kAssigneeObject,
    kRole,
    kScope,
    Flag{"--all", "", "no effect: what is below the scope is listed too"},
    Flag{"--include-inherited", "", "no effect"},
};
constexpr std::array kAssignmentDeleteFlags{
    kAssignee, kAssigneeObject, kRole, kScope, kYes, Flag{"--ids", "ID …", "of the assignments"},
};

}  // namespace

const std::array<Command, 19> kAzureNameCommands{
    az("group create", "Create a resource group.", kGroupCreateFlags, of_group<create_group>),
    az("group show", "Show a resource group.", kGroupFlags, of_group<show_group>),
    az("group list", "List the resource groups.", {}, with_client<list_groups>),
    az("group delete", "Delete the name of a resource group.", kGroupDeleteFlags,
       of_group<delete_group>),
    az("containerapp env create", "Create an environment.", kEnvironmentCreateFlags,
       named<create_environment>),
    az("containerapp env show", "Show an environment.", kEnvironmentFlags, named<show_environment>),
    az("containerapp env list", "List the environments.", {}, with_client<list_environments>),
    az("containerapp env delete", "Delete an environment.", kEnvironmentDeleteFlags,
       named<delete_environment>),
    az("identity create", "Create a managed identity.", kIdentityCreateFlags,
       named<create_identity>),
    az("identity show", "Show an identity.", kIdentityFlags, named<show_identity>),
    az("identity list", "List the identities.", {}, with_client<list_identities>),
    az("identity delete", "Delete an identity.", kIdentityFlags, named<delete_identity>),
    az("acr create", "Create the name of a container registry.", kRegistryCreateFlags,
       named<create_registry>),
    az("acr show", "Show a registry.", kRegistryFlags, named<show_registry>),
    az("acr list", "List the registries.", {}, with_client<list_registries>),
    az("acr delete", "Delete the name of a registry.", kRegistryDeleteFlags,
       named<delete_registry>),
    az("role assignment create", "Give an identity a role.", kAssignmentCreateFlags,
       with_client<create_assignment>),
    az("role assignment list", "List who has which role.", kAssignmentListFlags,
       with_client<list_assignments>),
    az("role assignment delete", "Take roles away.", kAssignmentDeleteFlags,
       with_client<delete_assignments>),
};

}  // namespace jobmill::app
