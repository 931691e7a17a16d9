// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "http/message.h"
#include "scalers/azure_servicebus.h"

namespace jobmill::scalers {

// The management requests of Service Bus by which a scaler learns counts, and their Atom answers.
// What is accepted and what is an error is what the azservicebus admin client for Go does, which
// KEDA links.

enum class EntityKind { Queue, Subscription };

struct EntityCount {
  std::string name;
  std::int64_t active = 0;
};

// "https://host/queue?api-version=2021-05". The host is written as in the connection string.
std::string entity_url(std::string_view host, const ServiceBusTrigger& trigger);
// One page of all queues, or of all subscriptions of the topic, after `skip` of them.
std::string listing_url(std::string_view host, const ServiceBusTrigger& trigger, std::size_t skip);

// The header Authorization. It is for this URL only, with its query.
std::string shared_access_signature(std::string_view url, std::string_view key_name,
                                    const Secret& key, TimePoint expires_at);

bool may_be_tried_again(int status);

// Nothing: there is no such entity.
Result<std::optional<EntityCount>> read_entity(EntityKind kind, const http::Response& response);
Result<std::vector<EntityCount>> read_listing(EntityKind kind, const http::Response& response);

// The pages of one listing. It is over with the first page that brings nothing new, since a server
// may ignore `skip`.
class Listing {
 public:
  bool add(std::vector<EntityCount> page);  // whether another page is to be asked for
  std::size_t received() const { return received_; }
  const std::vector<EntityCount>& entities() const { return entities_; }

 private:
  std::size_t received_ = 0;
  std::set<std::string, std::less<>> names_;
  std::vector<EntityCount> entities_;
};

}  // namespace jobmill::scalers
