// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "targets/process/process.h"

namespace jobmill::targets {

struct ToolRun {
  ProcessExit exit;
  std::string out;
  std::string err;
  bool ok() const { return exit.exit_code == 0 && exit.signal == 0; }
};

// Runs a program of this machine to its end and keeps what it writes. Blocks; of more than a
// megabyte the rest is dropped. Unavailable: it took longer than `limit`, and was killed.
Result<ToolRun> run_tool(const ProcessSpec& spec, Duration limit);

// The same; a program that fails is an error that says what it wrote.
Result<std::string> tool_output(const ProcessSpec& spec, Duration limit);

}  // namespace jobmill::targets
