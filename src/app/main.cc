// SPDX-License-Identifier: Apache-2.0
#include <string_view>

#include "app/command_line.h"
#include "app/signals.h"

namespace {

// Scripts that say `az` run unchanged with a link of that name (jobmill az-shim).
bool is_called_az(std::string_view program) {
  return program.substr(program.rfind('/') + 1) == "az";
}

}  // namespace

int main(int argc, char** argv) {
  jobmill::app::Signals::block();  // before the first thread, so that all inherit it
  if (argc > 0 && is_called_az(argv[0]))
    return jobmill::app::run_command_line(
        {"az", "az: jobmill in its place, for what jobmill knows of it",
         jobmill::app::az_commands()},
        argc, argv);
  return jobmill::app::run_command_line(
      {"jobmill", "jobmill: durable background jobs, and the workers they need",
       jobmill::app::commands()},
      argc, argv);
}
