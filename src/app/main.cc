// SPDX-License-Identifier: Apache-2.0
#include "app/command_line.h"
#include "app/signals.h"

int main(int argc, char** argv) {
  jobmill::app::Signals::block();  // before the first thread, so that all inherit it
  return jobmill::app::run_command_line(
      {"jobmill", "jobmill: durable background jobs, and the workers they need",
       jobmill::app::commands()},
      argc, argv);
}
