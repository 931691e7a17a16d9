// SPDX-License-Identifier: Apache-2.0
#include "app/containerapp_identity.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include <fmt/core.h>

#include "app/containerapp_values.h"
#include "base/text.h"

namespace jobmill::app {
namespace {

constexpr std::string_view kIdentityType = "Microsoft.ManagedIdentity/userAssignedIdentities";
constexpr std::string_view kSystem = "system";
constexpr std::string_view kSecretRef = "secretref:";

Fault invalid(std::string text) { return fail(Code::InvalidArgument, std::move(text)); }

std::string name_of(const Node& job) { return text_at(job, {"name"}); }

bool has_system(const Node& job) {
  return lower(text_at(job, {"identity", "type"})).starts_with("systemassigned");
}

Node users_of(const Node& job) {
  const Node* users = find_at(job, {"identity", "userAssignedIdentities"});
  return users == nullptr || !users->is_object() ? Node::object() : *users;
}

void write_identity(Node& job, bool system, Node users) {
  Node identity = Node::object();
  const bool user = !users.members.empty();
  const char* both = system ? "SystemAssigned, UserAssigned" : "UserAssigned";
  const char* one = system ? "SystemAssigned" : "None";
  identity.set("type", Node::string(user ? both : one));
  if (user) identity.set("userAssignedIdentities", std::move(users));
  job.set("identity", std::move(identity));
}

auto find_user(Node& users, std::string_view id) {
  return std::ranges::find_if(
      users.members, [&](const Node::Member& member) { return same_text(member.key, id); });
}

// --- registries --------------------------------------------------------------------------------

Node& registries_of(Node& job) {
  return list_at(job, {"properties", "configuration", "registries"});
}
Node& secrets_of(Node& job) { return list_at(job, {"properties", "configuration", "secrets"}); }

// "myregistry.azurecr.io:443" and "Me" -> "myregistryazurecrio-443-me"
std::string secret_name_for(const RegistryLogin& login) {
  std::string name;
  for (const char c : login.server)
    if (c != '.') name += c == ':' ? '-' : c;
  name += '-';
  for (const unsigned char c : login.username)
    name += std::isalnum(c) != 0 ? static_cast<char>(std::tolower(c)) : '-';
  return name;
}

// The name of the secret that holds the password.
Result<std::string> password_secret(Node& job, const RegistryLogin& login) {
  Node& secrets = secrets_of(job);
  if (login.password.starts_with(kSecretRef)) {
    const std::string name = login.password.substr(kSecretRef.size());
    if (named_in(&secrets, "name", name) != nullptr) return name;
    return invalid(
        fmt::format("Registry password secret with name '{}' does not exist. Add the "
                    "secret using --secrets",
                    name));
  }
  const std::string name = secret_name_for(login);
  Node secret = Node::object();
  secret.set("name", Node::string(name));
  secret.set("value", Node::string(login.password));
  Node given = Node::array();
  given.push(std::move(secret));
  set_secrets(job, given);
  return name;
}

Fault no_registries(const Node& job) {
  return invalid(fmt::format("The containerapp job {} has no assigned registries.", name_of(job)));
}

Fault no_such_registry(const Node& job, std::string_view server) {
  return invalid(
      fmt::format("The containerapp job {} does not have specified registry {} assigned.",
                  name_of(job), server));
}

}  // namespace

std::string resource_id(const Place& place, std::string_view type, std::string_view name_or_id) {
  if (is_resource_id(name_or_id)) return std::string(name_or_id);
  return fmt::format("/subscriptions/{}/resourceGroups/{}/providers/{}/{}", place.subscription,
                     place.group, type, name_or_id);
}

bool is_resource_id(std::string_view text) {
  constexpr std::string_view kStart = "/subscriptions/";
  return text.size() > kStart.size() && same_text(text.substr(0, kStart.size()), kStart);
}

std::string identity_id(const Place& place, std::string_view name_or_id) {
  return resource_id(place, kIdentityType, name_or_id);
}

Node identity_in(const Node& job) {
  if (const Node* identity = job.find("identity"); identity != nullptr && identity->is_object())
    return *identity;
  Node none = Node::object();
  none.set("type", Node::string("None"));
  return none;
}

void assign_identities(Node& job, bool system, const std::vector<std::string>& ids,
                       std::vector<std::string>& notes) {
  Node users = users_of(job);
  std::vector<std::string> seen;
  for (const std::string& id : ids) {
    if (std::ranges::find(seen, lower(id)) != seen.end())
      notes.emplace_back("At least one identity was passed twice.");
    seen.push_back(lower(id));
    if (find_user(users, id) == users.members.end()) users.set(id, Node::object());
  }
  write_identity(job, system || has_system(job), std::move(users));
}

Status remove_identities(Node& job, bool system,
                         const std::optional<std::vector<std::string>>& ids) {
  Node users = users_of(job);
  if (!has_system(job) && users.members.empty())
    return invalid(fmt::format("The containerapp job {} has no system or user assigned identities.",
                               name_of(job)));
  if (system && !has_system(job))
    return invalid(
        fmt::format("The containerapp job {} has no system assigned identities.", name_of(job)));
  for (const std::string& id : ids.value_or(std::vector<std::string>())) {
    const auto user = find_user(users, id);
    if (user == users.members.end())
      return invalid(
          fmt::format("The containerapp job does not have specified user identity '{}' "
                      "assigned, so it cannot be removed.",
                      id));
    users.members.erase(user);
  }
  if (ids && ids->empty()) users = Node::object();
  write_identity(job, has_system(job) && !system, std::move(users));
  return {};
}

bool is_azure_registry(std::string_view server) {
  constexpr std::array<std::string_view, 3> kSuffixes{".azurecr.io", ".azurecr.cn", ".azurecr.us"};
  const std::string name = lower(std::string(server));
  return std::ranges::any_of(kSuffixes,
                             [&](std::string_view suffix) { return name.ends_with(suffix); });
}

Status set_registry(Node& job, const RegistryLogin& login, std::vector<std::string>& notes) {
  Node registry = Node::object();
  registry.set("server", Node::string(login.server));
  if (!login.identity.empty()) {
    const bool system = same_text(login.identity, kSystem);
    registry.set("identity", Node::string(system ? std::string(kSystem) : login.identity));
    assign_identities(job, system,
                      system ? std::vector<std::string>() : std::vector{login.identity}, notes);
  } else if (!login.password.empty()) {
    TRY(const std::string secret, password_secret(job, login));
    registry.set("username", Node::string(login.username));
    registry.set("passwordSecretRef", Node::string(secret));
  }
  Node& registries = registries_of(job);
  if (Node* old = named_in(&registries, "server", login.server)) {
    notes.emplace_back("Updating existing registry.");
    *old = std::move(registry);
  } else {
    registries.push(std::move(registry));
  }
  return {};
}

Result<Node> registry_in(const Node& job, std::string_view server) {
  Node copy = job;
  Node& registries = registries_of(copy);
  if (registries.items.empty()) return no_registries(job);
  if (const Node* found = named_in(&registries, "server", server)) return *found;
  return no_such_registry(job, server);
}

Status remove_registry(Node& job, std::string_view server) {
  Node& registries = registries_of(job);
  if (registries.items.empty()) return no_registries(job);
  const Node* found = named_in(&registries, "server", server);
  if (found == nullptr) return no_such_registry(job, server);
  registries.items.erase(registries.items.begin() + (found - registries.items.data()));
  return {};
}

void set_secrets(Node& job, const Node& given) {
  Node& secrets = secrets_of(job);
  for (const Node& secret : given.items) {
    Node* old = named_in(&secrets, "name", text_at(secret, {"name"}));
    if (old == nullptr) {
      secrets.push(secret);
      continue;
    }
    const std::string name = text_at(*old, {"name"});  // as it is referred to
    *old = secret;
    old->set("name", Node::string(name));
  }
}

Fault no_such_secret(const Node& job, std::string_view name) {
  return invalid(fmt::format(
      "The containerapp job {} does not have a secret assigned with name {}.", name_of(job), name));
}

Status remove_secrets(Node& job, const std::vector<std::string>& names) {
  Node& secrets = secrets_of(job);
  for (const std::string& name : names) {
    const Node* found = named_in(&secrets, "name", name);
    if (found == nullptr) return no_such_secret(job, name);
    secrets.items.erase(secrets.items.begin() + (found - secrets.items.data()));
  }
  return {};
}

}  // namespace jobmill::app
