// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "amqp/performatives.h"
#include "base/result.h"
#include "broker/broker.h"

namespace jobmill::front {

// What a receiver's outcome asks of the broker. Unsupported: transactions; InvalidArgument: a state
// that ends nothing.
Result<broker::Settlement> to_settlement(const amqp::DeliveryState& state);

// Application properties to set, of a map whose keys may be symbols.
amqp::Map with_text_keys(const amqp::Map& map);

}  // namespace jobmill::front
