// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "app/az_client.h"
#include "app/command_line.h"

// What the servicebus commands have in common.
namespace jobmill::app {

inline constexpr char kDefaultNamespace[] = "sbemulatorns";

// "Microsoft.ServiceBus/namespaces/" and the one that --namespace-name names.
std::string namespace_resource(const Arguments& arguments);

// A flag that must be there. Complains and answers none when it is not.
std::optional<std::string> required(const AzClient& client, const Arguments& arguments,
                                    std::string_view flag);

// A flag that must be a whole number, if it is there. Complains and sets `wrong` when it is not.
std::optional<std::int64_t> whole(const AzClient& client, const Arguments& arguments,
                                  std::string_view flag, std::int64_t least, bool& wrong);

}  // namespace jobmill::app
