// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "base/secret.h"
#include "broker/authorization.h"
#include "broker/broker.h"
#include "front/amqp_server.h"
#include "front/claims.h"
#include "front/request.h"

namespace jobmill::front {

// Claims-based security: who a client is comes as tokens to the node $cbs, one for each entity that
// he uses, or as PLAIN login for the whole connection.
//
// What kind a token is, its text decides: Python calls shared access signatures "jwt" when it
// renews them. `audience`: the entity that it is shown for, lower case.
Result<broker::Claim> verify_token(std::string_view token, const std::string& audience,
                                   const broker::Broker& broker, const AmqpOptions& options,
                                   TimePoint now);

// Answers a put-token with what its sender reads, and keeps the claim. In mode None the claim is
// not looked at and nothing is kept.
std::string put_token(const Request& request, Claims& claims, const broker::Broker& broker,
                      const AmqpOptions& options, TimePoint now);

// A login by the name of a rule of the namespace or of any queue.
Result<broker::Claim> verify_login(std::string_view rule, const Secret& key,
                                   const broker::Broker& broker);

}  // namespace jobmill::front
