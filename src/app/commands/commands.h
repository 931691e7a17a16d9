// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "app/command_line.h"

// The commands of each file; commands.cc joins them to one table.
namespace jobmill::app {

extern const std::array<Command, 2> kServeCommands;
extern const std::array<Command, 9> kJobCommands;
extern const std::array<Command, 1> kWorkerCommands;
extern const std::array<Command, 8> kRecurringCommands;
extern const std::array<Command, 7> kQueueCommands;
extern const std::array<Command, 4> kManifestCommands;
extern const std::array<Command, 5> kScaleCommands;
extern const std::array<Command, 22> kServiceBusCommands;
extern const std::array<Command, 6> kMessageCommands;
extern const std::array<Command, 19> kAzureNameCommands;
extern const std::array<Command, 10> kContainerJobCommands;
extern const std::array<Command, 11> kContainerJobPartCommands;
extern const std::array<Command, 6> kContainerJobExecutionCommands;
extern const std::array<Command, 5> kImageCommands;
extern const std::array<Command, 1> kImageBuildCommands;
extern const std::array<Command, 3> kSecretCommands;
extern const std::array<Command, 2> kMachineCommands;
extern const std::array<Command, 1> kMigrateCommands;
extern const std::array<Command, 2> kDoctorCommands;

// Only of a program named az.
extern const std::array<Command, 2> kAzOnlyCommands;

}  // namespace jobmill::app
