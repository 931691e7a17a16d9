// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "broker/entity.h"
#include "manifest/object.h"

namespace jobmill::app {

// The Config.json of the Service Bus emulator, read unchanged: its entities, with the emulator's
// defaults (a time to live of one hour, three deliveries, a duplicate window of 20 seconds) where
// the file says nothing. Comments and a byte-order mark are tolerated.
struct EmulatorConfig {
  struct Namespace {
    std::string name{};
    std::vector<broker::QueueDescription> queues{};
  };
  std::vector<Namespace> namespaces{};
};

// Whatever is wrong goes to `problems` with line and path; the answer is to be used only when they
// are ok(). Values that the emulator refuses and the cloud takes are noted.
EmulatorConfig read_emulator_config(std::string_view text, manifest::Problems& problems);

}  // namespace jobmill::app
