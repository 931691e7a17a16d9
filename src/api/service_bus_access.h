// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/result.h"
#include "broker/authorization.h"
#include "broker/broker.h"
#include "http/message.h"

namespace jobmill::api {

// Who may use Service Bus over HTTP: the same tokens as over AMQP, in the Authorization header.
// Belongs to the broker's thread.
class ServiceBusAccess {
 public:
  using VerifyJwt = std::function<Result<broker::Claim>(std::string_view jwt,
                                                        std::string_view entity, TimePoint now)>;

  // `anonymous`: everyone may do everything. Without `verify_jwt` such tokens are refused.
  ServiceBusAccess(const broker::Broker& broker, const Clock& clock, bool anonymous,
                   VerifyJwt verify_jwt = {})
      : broker_(broker), clock_(clock), anonymous_(anonymous), verify_jwt_(std::move(verify_jwt)) {}

  // "SharedAccessSignature …", "Bearer <jwt>", or the bare token, as KEDA sends it.
  // `path`: what is asked for, the entity or a path below it; a token covers what is below its own.
  // PermissionDenied says what is missing.
  Status allow(const http::Request& request, std::string_view path, broker::Right right) const;

 private:
  Result<broker::Claim> claim(std::string_view token, std::string_view path) const;
  std::string_view entity_of(std::string_view path) const;

  const broker::Broker& broker_;
  const Clock& clock_;
  bool anonymous_;
  VerifyJwt verify_jwt_;
};

}  // namespace jobmill::api
