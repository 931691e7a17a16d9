// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "base/clock.h"
#include "broker/address.h"
#include "broker/broker.h"
#include "front/request.h"

namespace jobmill::front {

// The request/response node <entity>/$management: looks at messages, renews locks, schedules,
// settles what no link can settle any more, keeps the state of message sessions.
//
// The encoded answer comes at once or when the broker is done; it is always given, unless the
// broker goes first.
struct Caller {
  std::function<bool(broker::Right)> allowed{};  // on the entity
  std::function<broker::Holder()> holder{};      // on whose behalf he receives
};
void manage(broker::Broker& broker, const broker::Address& entity, const Request& request,
            TimePoint now, const Caller& caller, std::function<void(std::string answer)> done);

}  // namespace jobmill::front
