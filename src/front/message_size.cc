// SPDX-License-Identifier: Apache-2.0
#include "front/message_size.h"

#include "broker/message.h"
#include "front/errors.h"

namespace jobmill::front {

amqp::Error too_large() {
  return make_error(condition::kTooLarge, "The message is larger than the queue allows.");
}

std::optional<amqp::Error> properties_too_large(std::string_view message) {
  const Status checked = broker::check_properties(message);
  if (checked) return std::nullopt;
  return make_error(condition::kTooLarge, checked.error().message);
}

}  // namespace jobmill::front
