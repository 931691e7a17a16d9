// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/entity_json.h"

#include <optional>
#include <utility>

#include "base/base64.h"
#include "base/json_writer.h"
#include "base/seal.h"
#include "store/json_fields.h"

namespace jobmill::sqlite {

namespace {

using namespace store;

using broker::AuthorizationRule;
using broker::QueueDescription;

std::string context_of(std::string_view owner, const AuthorizationRule& rule,
                       std::string_view place) {
  return std::string(owner) + "/" + rule.name + "/" + std::string(place);
}

void write(JsonWriter& json, std::string_view key, std::optional<Duration> duration) {
  if (duration) json.member(key, duration->count());
}

}  // namespace

Result<std::string> EntityJson::text(const QueueDescription& queue, std::string_view owner) const {
  TRY(const std::string rules, text(queue.rules, owner));
  JsonWriter json;
  json.object()
      .member("name", queue.name)
      .member("lock_duration", queue.lock_duration.count())
      .member("max_size_mb", queue.max_size_mb)
      .member("requires_duplicate_detection", queue.requires_duplicate_detection)
      .member("requires_session", queue.requires_session)
      .member("dead_letter_on_expiration", queue.dead_letter_on_expiration)
      .member("duplicate_window", queue.duplicate_window.count())
      .member("max_delivery_count", queue.max_delivery_count)
      .member("batched_operations", queue.batched_operations)
      .member("status", static_cast<int>(queue.status))
      .member("forward_to", queue.forward_to)
      .member("forward_dead_letters_to", queue.forward_dead_letters_to)
      .member("user_metadata", queue.user_metadata)
      .member("partitioning", queue.partitioning)
      .member("express", queue.express)
      .member("max_message_kb", queue.max_message_kb)
      .raw_member("rules", rules);
  write(json, "default_ttl", queue.default_ttl);
  write(json, "auto_delete_on_idle", queue.auto_delete_on_idle);
  return std::move(json.end()).text();
}

Result<QueueDescription> EntityJson::queue(std::string_view json, std::string_view owner) const {
  TRY(const Node node, parse_json(json));
  QueueDescription queue;
  int status = static_cast<int>(queue.status);
  read(node, "name", queue.name);
  read(node, "lock_duration", queue.lock_duration);
  read(node, "max_size_mb", queue.max_size_mb);
  read(node, "requires_duplicate_detection", queue.requires_duplicate_detection);
  read(node, "requires_session", queue.requires_session);
  read(node, "default_ttl", queue.default_ttl);
  read(node, "dead_letter_on_expiration", queue.dead_letter_on_expiration);
  read(node, "duplicate_window", queue.duplicate_window);
  read(node, "max_delivery_count", queue.max_delivery_count);
  read(node, "batched_operations", queue.batched_operations);
  read(node, "status", status);
  read(node, "forward_to", queue.forward_to);
  read(node, "forward_dead_letters_to", queue.forward_dead_letters_to);
  read(node, "user_metadata", queue.user_metadata);
  read(node, "auto_delete_on_idle", queue.auto_delete_on_idle);
  read(node, "partitioning", queue.partitioning);
  read(node, "express", queue.express);
  read(node, "max_message_kb", queue.max_message_kb);
  queue.status = static_cast<broker::EntityStatus>(status);
  if (const Node* rules = node.find("rules")) {
    TRY(queue.rules, rules_of(*rules, owner));
  }
  return queue;
}

Result<std::string> EntityJson::text(const std::vector<AuthorizationRule>& rules,
                                     std::string_view owner) const {
  JsonWriter json;
  json.array();
  for (const AuthorizationRule& rule : rules) {
    TRY(const std::string primary, sealed(rule.primary_key, context_of(owner, rule, "primary")));
    TRY(const std::string secondary,
        sealed(rule.secondary_key, context_of(owner, rule, "secondary")));
    json.object()
        .member("name", rule.name)
        .member("rights", rule.rights.bits)
        .member("primary", primary)
        .member("secondary", secondary)
        .member("created_at", rule.created_at.time_since_epoch().count())
        .member("updated_at", rule.updated_at.time_since_epoch().count())
        .end();
  }
  return std::move(json.end()).text();
}

Result<std::vector<AuthorizationRule>> EntityJson::rules(std::string_view json,
                                                         std::string_view owner) const {
  TRY(const Node node, parse_json(json));
  return rules_of(node, owner);
}

Result<std::vector<AuthorizationRule>> EntityJson::rules_of(const Node& node,
                                                            std::string_view owner) const {
  std::vector<AuthorizationRule> rules;
  for (const Node& item : node.items) {
    AuthorizationRule rule;
    std::string primary, secondary;
    read(item, "name", rule.name);
    read(item, "rights", rule.rights.bits);
    read(item, "primary", primary);
    read(item, "secondary", secondary);
    read(item, "created_at", rule.created_at);
    read(item, "updated_at", rule.updated_at);
    TRY(rule.primary_key, opened(primary, context_of(owner, rule, "primary")));
    TRY(rule.secondary_key, opened(secondary, context_of(owner, rule, "secondary")));
    rules.push_back(std::move(rule));
  }
  return rules;
}

Result<std::string> EntityJson::sealed(const Secret& secret, const std::string& context) const {
  TRY(const std::string bytes, seal(key_, secret.reveal(), context));
  return base64_encode(bytes);
}

Result<Secret> EntityJson::opened(std::string_view sealed, const std::string& context) const {
  const auto bytes = base64_decode(sealed);
  if (!bytes) return fail(Code::Internal, "kept key " + context + " is not base64");
  auto plain = open_seal(key_, *bytes, context);
  if (!plain)
    return fail(plain.error().code,
                key_path_ + " does not open " + context + ": " + plain.error().message);
  return Secret(*std::move(plain));
}

}  // namespace jobmill::sqlite
