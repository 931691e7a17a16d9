// SPDX-License-Identifier: Apache-2.0
#include "broker/entity.h"

#include <set>
#include <string_view>

#include "broker/address.h"

namespace jobmill::broker {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMostRules = 12;
constexpr std::size_t kLongestMetadata = 1024;
constexpr std::size_t kLongestRuleName = 256;

Fault invalid(const QueueDescription& queue, std::string_view wish) {
  return fail(Code::InvalidArgument, "queue " + queue.name + ": " + std::string(wish));
}

Status check_durations(const QueueDescription& queue) {
  if (queue.lock_duration < 5s || queue.lock_duration > 5min)
    return invalid(queue, "LockDuration must be from PT5S to PT5M");
  if (queue.default_ttl && *queue.default_ttl <= 0s)
    return invalid(queue, "DefaultMessageTimeToLive must be greater than zero");
  if (queue.duplicate_window < 5s || queue.duplicate_window > 24h * 7)
    return invalid(queue, "DuplicateDetectionHistoryTimeWindow must be from PT5S to P7D");
  if (queue.auto_delete_on_idle && *queue.auto_delete_on_idle < 5min)
    return invalid(queue, "AutoDeleteOnIdle must be at least PT5M");
  return {};
}

Status check_limits(const QueueDescription& queue) {
  if (queue.max_delivery_count < 1 || queue.max_delivery_count > 2000)
    return invalid(queue, "MaxDeliveryCount must be from 1 to 2000");
  if (queue.max_size_mb < 1) return invalid(queue, "MaxSizeInMegabytes must be at least 1");
  if (queue.max_message_kb < 1 || queue.max_message_kb > 100 * 1024)
    return invalid(queue, "MaxMessageSizeInKilobytes must be from 1 to 102400");
  if (queue.user_metadata.size() > kLongestMetadata)
    return invalid(queue, "UserMetadata must have at most 1024 characters");
  return {};
}

// Messages of a session belong to one receiver at a time; forwarding would be a second one.
Status check_forwarding(const QueueDescription& queue) {
  for (const auto& [property, target] :
       {std::pair("ForwardTo", &queue.forward_to),
        std::pair("ForwardDeadLetteredMessagesTo", &queue.forward_dead_letters_to)}) {
    if (target->empty()) continue;
    const auto address = parse_address(*target);
    if (!address) return invalid(queue, std::string(property) + ": " + address.error().message);
    if (address->path == lower(queue.name))
      return invalid(queue, std::string(property) + " must name another entity");
  }
  if (queue.requires_session && !queue.forward_to.empty())
    return invalid(queue, "ForwardTo is not possible together with RequiresSession");
  return {};
}

Status check_rules(const QueueDescription& queue) {
  if (queue.rules.size() > kMostRules)
    return invalid(queue, "AuthorizationRules: at most 12 are possible");
  std::set<std::string_view> names;
  for (const AuthorizationRule& rule : queue.rules) {
    if (rule.name.empty() || rule.name.size() > kLongestRuleName)
      return invalid(queue, "AuthorizationRules: a name has 1 to 256 characters");
    if (!names.insert(rule.name).second)
      return invalid(queue, "AuthorizationRules: " + rule.name + " is there twice");
    if (rule.rights.bits == 0)
      return invalid(queue, "AuthorizationRules: " + rule.name + " has no rights");
  }
  return {};
}

// Over HTTP, these paths are something else.
Status check_reserved(const QueueDescription& queue) {
  const std::string path = lower(queue.name);
  const bool taken = path == "health" || path.ends_with("/messages") ||
                     path.find("/messages/") != std::string::npos;
  if (taken) return invalid(queue, "the name is reserved: it could not be reached over HTTP");
  if (path.find("//") != std::string::npos)
    return invalid(queue, "the name must not have two slashes in a row");
  return {};
}

}  // namespace

Status check(const QueueDescription& queue) {
  TRY_VOID(check_entity_name(queue.name));
  TRY_VOID(check_reserved(queue));
  TRY_VOID(check_durations(queue));
  TRY_VOID(check_limits(queue));
  TRY_VOID(check_forwarding(queue));
  return check_rules(queue);
}

}  // namespace jobmill::broker
