// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "app/command_line.h"

// What the servicebus commands have in common.
namespace jobmill::app {

inline constexpr char kDefaultNamespace[] = "sbemulatorns";

// "Microsoft.ServiceBus/namespaces/" and the one that --namespace-name names.
std::string namespace_resource(const Arguments& arguments);

}  // namespace jobmill::app
