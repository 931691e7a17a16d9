// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "amqp/performatives.h"

namespace jobmill::front {

amqp::Error too_large();

// Why its properties are too large. What is no message at all is not too large.
std::optional<amqp::Error> properties_too_large(std::string_view message);

}  // namespace jobmill::front
