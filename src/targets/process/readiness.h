// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "manifest/core_kinds.h"
#include "targets/process/port_probe.h"
#include "targets/process/process.h"
#include "targets/process/process_watcher.h"

namespace jobmill::targets {

using RunAfter = std::function<void(Duration, std::function<void()>)>;

// Runs the readiness probe of one process for as long as it exists, with the probe's delays and
// thresholds, and tells each change. Until the first success it asks more often than the probe's
// period, so that a replica is not reported up to ten seconds late.
class Readiness {
 public:
  struct Check {
    manifest::Probe probe;
    int port = 0;      // Http, Tcp; for https the connection is all that is asked
    ProcessSpec spec;  // environment and folder of the process that is probed
  };

  Readiness(Check check, ProcessWatcher& watcher, RunAfter run_after,
            std::function<void(bool ready)> changed);

 private:
  void after(Duration delay, void (Readiness::*step)());
  void attempt();
  void run_command();
  void time_out(int attempt);
  void judge(bool success);

  Check check_;
  ProcessWatcher& watcher_;
  RunAfter run_after_;
  std::function<void(bool)> changed_;

  bool ready_ = false;
  int streak_ = 0;  // equal verdicts in a row
  bool last_ = false;
  Duration pause_;   // until the next attempt while it is not ready
  int attempt_ = 0;  // the one that runs; answers of an earlier one are late
  std::optional<Process> command_;
  std::unique_ptr<PortProbe> port_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace jobmill::targets
