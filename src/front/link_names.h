// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "amqp/connection.h"

namespace jobmill::front {

class AmqpConnection;

// Which receiver has a link name, over all connections: a container that attaches the same name
// again steals its own older link (part 2, section 2.6.1), as clients do that have lost a
// connection and know it before we do.
class LinkNames {
 public:
  struct Holder {
    std::weak_ptr<AmqpConnection> connection{};
    amqp::LinkId link = 0;
  };

  static std::string key(std::string_view container, std::string_view link) {
    std::string text(container);
    return text.append(1, '\0').append(link);
  }

  // Answers who had it.
  std::optional<Holder> take(const std::string& key, Holder holder) {
    const auto [at, is_new] = holders_.try_emplace(key);
    std::optional<Holder> before;
    if (!is_new) before = std::move(at->second);
    at->second = std::move(holder);
    return before;
  }

  // Unless another one has it by now.
  void give_back(const std::string& key, const std::weak_ptr<AmqpConnection>& connection,
                 amqp::LinkId link) {
    const auto at = holders_.find(key);
    if (at == holders_.end() || at->second.link != link) return;
    const auto& holder = at->second.connection;
    if (!holder.owner_before(connection) && !connection.owner_before(holder)) holders_.erase(at);
  }

 private:
  std::unordered_map<std::string, Holder> holders_;
};

}  // namespace jobmill::front
