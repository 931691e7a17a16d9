// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/document.h"
#include "base/result.h"
#include "base/secret.h"
#include "broker/entity.h"

namespace jobmill::sqlite {

// Definitions of broker entities as the tables keep them: JSON objects, in which a member that is
// missing has its default. The keys of rules are sealed, each for its owner ("entity/7",
// "namespace/shop"), rule and place, so that none can pass for another.
class EntityJson {
 public:
  // `key_path` is for messages only.
  EntityJson(Secret key, std::string key_path)
      : key_(std::move(key)), key_path_(std::move(key_path)) {}

  Result<std::string> text(const broker::QueueDescription& queue, std::string_view owner) const;
  Result<std::string> text(const std::vector<broker::AuthorizationRule>& rules,
                           std::string_view owner) const;

  // PermissionDenied: the key is not the one that sealed them.
  Result<broker::QueueDescription> queue(std::string_view json, std::string_view owner) const;
  Result<std::vector<broker::AuthorizationRule>> rules(std::string_view json,
                                                       std::string_view owner) const;

 private:
  Result<std::string> sealed(const Secret& secret, const std::string& context) const;
  Result<Secret> opened(std::string_view sealed, const std::string& context) const;
  Result<std::vector<broker::AuthorizationRule>> rules_of(const Node& node,
                                                          std::string_view owner) const;

  const Secret key_;
  const std::string key_path_;
};

}  // namespace jobmill::sqlite
