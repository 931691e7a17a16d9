// SPDX-License-Identifier: Apache-2.0
#include "app/commands/commands.h"

#include <vector>

namespace jobmill::app {

// To add a command: write commands/<noun>.cc, add its array here and in commands.h.
std::span<const Command> commands() {
  static const std::vector<Command> all = [] {
    std::vector<Command> list;
    const auto add = [&](std::span<const Command> some) {
      list.insert(list.end(), some.begin(), some.end());
    };
    add(kServeCommands);
    add(kJobCommands);
    add(kQueueCommands);
    add(kManifestCommands);
    add(kScaleCommands);
    add(kServiceBusCommands);
    add(kMessageCommands);
    add(kDoctorCommands);
    return list;
  }();
  return all;
}

}  // namespace jobmill::app
