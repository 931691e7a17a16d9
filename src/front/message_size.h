// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "amqp/performatives.h"
#include "broker/broker.h"

namespace jobmill::front {

// 0: there is no such queue.
std::uint64_t max_message_bytes(const broker::Broker& broker, const std::string& path);

amqp::Error too_large();

// Why its properties are too large. What is no message at all is not too large.
std::optional<amqp::Error> properties_too_large(std::string_view message);

}  // namespace jobmill::front
