// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/document.h"
#include "base/result.h"

// Changes of a job's resource that az has verbs for: identities, registries, secrets. Each works on
// the resource as GET shows it, which a PUT stores then. Faults have az's words.
namespace jobmill::app {

// Where names stand that are not paths.
struct Place {
  std::string subscription;
  std::string group;
};

// "/subscriptions/…/resourceGroups/…/providers/" + `type` + "/" + name; a path stays as it is.
std::string resource_id(const Place& place, std::string_view type, std::string_view name_or_id);
bool is_resource_id(std::string_view text);
std::string identity_id(const Place& place, std::string_view name_or_id);

inline constexpr std::string_view kEnvironmentType = "Microsoft.App/managedEnvironments";

// {type, userAssignedIdentities}; {"type": "None"} when there is none.
Node identity_in(const Node& job);
// Adds to what is there. An id that comes twice is worth a note.
void assign_identities(Node& job, bool system, const std::vector<std::string>& ids,
                       std::vector<std::string>& notes);
// `ids`: none: no user-assigned ones; empty: all of them.
Status remove_identities(Node& job, bool system,
                         const std::optional<std::vector<std::string>>& ids);

struct RegistryLogin {
  std::string server{};
  std::string username{};
  std::string password{};  // or "secretref:name"
  std::string identity{};  // resource id or "system"
};
// The registry gets this login in place of the one it has; a password becomes a secret of the job,
// an identity is assigned to it.
Status set_registry(Node& job, const RegistryLogin& login, std::vector<std::string>& notes);
Result<Node> registry_in(const Node& job, std::string_view server);
Status remove_registry(Node& job, std::string_view server);
bool is_azure_registry(std::string_view server);  // *.azurecr.io, .cn, .us

// `given` replaces secrets of the same name, in any case, and adds the others.
void set_secrets(Node& job, const Node& given);
Status remove_secrets(Node& job, const std::vector<std::string>& names);
Fault no_such_secret(const Node& job, std::string_view name);

}  // namespace jobmill::app
