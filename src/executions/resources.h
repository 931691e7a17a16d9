// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/document.h"
#include "base/result.h"
#include "base/secret.h"

namespace jobmill::executions {

// A named thing beside jobs, as Azure Resource Manager has them: a resource group, an environment,
// an identity, a role assignment, an entry of the image map, a registry.
struct Resource {
  std::string id{};  // "/subscriptions/…/providers/Microsoft.App/managedEnvironments/e", as made
  std::string type{};  // "Microsoft.App/managedEnvironments"
  std::string group{};
  std::string name{};
  Node document{};  // the whole resource as GET shows it
  Secret value{};   // what must not be shown; encrypted at rest
};

// Where resources live; blocking.
class ResourceStore {
 public:
  virtual ~ResourceStore() = default;
  virtual Status save(const Resource& resource) = 0;  // by id, in any case
  virtual Status remove(std::string_view id) = 0;
  virtual Result<std::vector<Resource>> load() = 0;
};

// All resources, in memory; ids, types and names compare without case. Safe from any thread; put()
// and remove() wait for the store.
class Resources {
 public:
  static Result<std::unique_ptr<Resources>> open(ResourceStore& store);

  Status put(Resource resource);
  Status remove(std::string_view id);  // what is not there is no error
  std::optional<Resource> find(std::string_view id) const;
  // Of a type; of one group unless that is empty; by name.
  std::vector<Resource> list(std::string_view type, std::string_view group = {}) const;
  // Grows with each change.
  std::uint64_t revision() const;

 private:
  explicit Resources(ResourceStore& store) : store_(store) {}

  ResourceStore& store_;
  mutable std::shared_mutex mutex_;                     // guards the two below
  std::map<std::string, Resource, std::less<>> by_id_;  // lower case
  std::uint64_t revision_ = 0;
};

// A user-assigned identity, or the system-assigned one of a job.
struct Identity {
  std::string id{};            // resource id
  std::string client_id{};     // UUID
  std::string principal_id{};  // UUID
};

inline constexpr std::string_view kGroups = "Microsoft.Resources/resourceGroups";
inline constexpr std::string_view kEnvironments = "Microsoft.App/managedEnvironments";
inline constexpr std::string_view kIdentities = "Microsoft.ManagedIdentity/userAssignedIdentities";
inline constexpr std::string_view kRoleAssignments = "Microsoft.Authorization/roleAssignments";
inline constexpr std::string_view kImages = "jobmill/images";
// The secrets of key vaults, by their URLs: those that jobs refer to are looked up here.
inline constexpr std::string_view kVaultSecrets = "jobmill/vaultSecrets";
inline constexpr std::string_view kRegistries = "Microsoft.ContainerRegistry/registries";

// "https://vault.vault.azure.net/secrets/name" in one form: names of vaults and secrets have no
// case.
std::string vault_secret_id(std::string_view url);
std::optional<Secret> vault_secret(const Resources& resources, std::string_view url);

// By resource id, client id or principal id.
std::optional<Identity> find_identity(const Resources& resources, std::string_view any_id);

}  // namespace jobmill::executions
