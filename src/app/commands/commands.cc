// SPDX-License-Identifier: Apache-2.0
#include "app/commands/commands.h"

#include <algorithm>
#include <iterator>
#include <string_view>
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
    add(kRecurringCommands);
    add(kWorkerCommands);
    add(kQueueCommands);
    add(kManifestCommands);
    add(kScaleCommands);
    add(kServiceBusCommands);
    add(kMessageCommands);
    add(kContainerJobCommands);
    add(kContainerJobExecutionCommands);
    add(kContainerJobPartCommands);
    add(kAzureNameCommands);
    add(kImageCommands);
    add(kImageBuildCommands);
    add(kSecretCommands);
    add(kMachineCommands);
    add(kMigrateCommands);
    add(kDoctorCommands);
    return list;
  }();
  return all;
}

std::span<const Command> az_commands() {
  static constexpr std::array<std::string_view, 6> kNouns{"containerapp ", "servicebus ", "acr ",
                                                          "identity ",     "role ",       "group "};
  static const std::vector<Command> all = [] {
    std::vector<Command> list(kAzOnlyCommands.begin(), kAzOnlyCommands.end());
    std::ranges::copy_if(commands(), std::back_inserter(list), [](const Command& command) {
      return std::ranges::any_of(kNouns, [&](std::string_view noun) {
        return std::string_view(command.path).starts_with(noun);
      });
    });
    return list;
  }();
  return all;
}

}  // namespace jobmill::app
