// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "amqp/value.h"
#include "base/result.h"

namespace jobmill::front {

// A message to a request/response node, $cbs or an entity's $management: an operation named in the
// application properties, its arguments in the body.
struct Request {
  amqp::Value message_id{};  // a uuid from Python, a string from others
  std::string reply_to{};    // Python sends none
  amqp::Map properties{};    // application properties
  amqp::Value body{};

  // An application property that is a text; empty when there is none.
  std::string_view text(std::string_view key) const;
};
Result<Request> read_request(std::string_view message);

// The answer's correlation-id is the request's message-id, in the same type.
std::string write_answer(const amqp::Value& correlation_id, const amqp::Map& properties,
                         const amqp::Value& body);

}  // namespace jobmill::front
