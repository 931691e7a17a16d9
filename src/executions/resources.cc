// SPDX-License-Identifier: Apache-2.0
#include "executions/resources.h"

#include <mutex>

#include "base/text.h"
#include "executions/job_fields.h"

namespace jobmill::executions {
namespace {

std::string text_at(const Node& document, std::string_view key) {
  const Node* properties = document.find("properties");
  const Node* member = properties ? properties->find(key) : nullptr;
  return member && member->is_string() ? member->text : std::string();
}

// Both kinds of identities keep their ids there: user-assigned ones as Azure shows them.
Identity identity_of(const Resource& resource) {
  return {.id = resource.id,
          .client_id = text_at(resource.document, "clientId"),
          .principal_id = text_at(resource.document, "principalId")};
}

}  // namespace

Result<std::unique_ptr<Resources>> Resources::open(ResourceStore& store) {
  TRY(std::vector<Resource> stored, store.load());
  std::unique_ptr<Resources> resources(new Resources(store));
  for (Resource& resource : stored) {
    std::string id = lower(resource.id);
    resources->by_id_.insert_or_assign(std::move(id), std::move(resource));
  }
  return resources;
}

// The lock is held while the store writes, so that memory and store change in the same order.
Status Resources::put(Resource resource) {
  const std::lock_guard lock(mutex_);
  TRY_VOID(store_.save(resource));
  std::string id = lower(resource.id);
  by_id_.insert_or_assign(std::move(id), std::move(resource));
  ++revision_;
  return {};
}

Status Resources::remove(std::string_view id) {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(lower(id));
  if (found == by_id_.end()) return {};
  TRY_VOID(store_.remove(found->second.id));
  by_id_.erase(found);
  ++revision_;
  return {};
}

std::optional<Resource> Resources::find(std::string_view id) const {
  const std::shared_lock lock(mutex_);
  const auto found = by_id_.find(lower(id));
  if (found == by_id_.end()) return std::nullopt;
  return found->second;
}

std::vector<Resource> Resources::list(std::string_view type, std::string_view group) const {
  const std::string wanted_type = lower(type);
  const std::string wanted_group = lower(group);
  std::multimap<std::string, Resource> by_name;
  const std::shared_lock lock(mutex_);
  for (const auto& [id, resource] : by_id_)
    if (lower(resource.type) == wanted_type &&
        (group.empty() || lower(resource.group) == wanted_group))
      by_name.emplace(lower(resource.name), resource);
  std::vector<Resource> listed;
  for (auto& [name, resource] : by_name) listed.push_back(std::move(resource));
  return listed;
}

std::uint64_t Resources::revision() const {
  const std::shared_lock lock(mutex_);
  return revision_;
}

std::string vault_secret_id(std::string_view url) {
  while (url.ends_with('/')) url.remove_suffix(1);
  return "/vault-secrets/" + lower(url);
}

std::optional<Secret> vault_secret(const Resources& resources, std::string_view url) {
  const auto found = resources.find(vault_secret_id(url));
  return found ? std::optional(found->value) : std::nullopt;
}

std::optional<Identity> find_identity(const Resources& resources, std::string_view any_id) {
  const std::string wanted = lower(any_id);
  if (wanted.empty()) return std::nullopt;
  for (const Resource& resource : resources.list(kIdentities)) {
    Identity identity = identity_of(resource);
    if (lower(identity.id) == wanted || lower(identity.client_id) == wanted ||
        lower(identity.principal_id) == wanted)
      return identity;
  }
  return std::nullopt;
}

}  // namespace jobmill::executions
